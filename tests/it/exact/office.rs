//! Exact Online: companies of one login, and what goes wrong between them and the connector.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    Clock, Connector, Secret, Timestamp,
    http::{Phase, TransportError},
    model::RecordKind,
};
use ml_connector_exact::{ExactOnline, Invoices};
use ml_connector_sim::{
    ExactOnlineSim, Fault, SimTransport,
    exact::{Division, ExactOnlineConfig, Kind, Right, hash_code},
};

use super::act::Company;
use crate::{
    mirror::{self, Diary, Kept, Post, Vendor},
    proof::Dice,
};

pub(super) type World = mirror::World<Login>;

const WHOLESALE: u32 = 3_141_593;
const TRANSPORT: u32 = 3_141_594;
/// Where the connection of the second is pointed to.
const DEPOT: u32 = 3_141_595;
/// A company that nobody watches.
const ELSEWHERE: u32 = 3_141_699;

const KINDS: [RecordKind; 9] = [
    RecordKind::Invoice,
    RecordKind::Bill,
    RecordKind::PurchaseOrder,
    RecordKind::JournalEntry,
    RecordKind::BankEntry,
    RecordKind::CashEntry,
    RecordKind::VendorPayment,
    RecordKind::CustomerPayment,
    RecordKind::CostTransaction,
];

/// What replaces the app's first webhook secret.
const NEW_SECRET: &str = "mlc-exact-webhook-secret-2027";

/// The companies of a login.
pub(super) struct Login {
    pub(super) sim: ExactOnlineSim,
    /// The first two are watched.
    pub(super) companies: Vec<Company>,
    pub(super) forged: usize,
    /// What the person's consent has led to.
    refresh_token: String,
    /// How often the chain of tokens has ended, because an answer was lost with the only token that works.
    cut_off: u64,
    secrets: Vec<Secret>,
    hidden: Option<(usize, Kind)>,
    /// When a list was hidden, and until when.
    hid: Vec<(Timestamp, Timestamp)>,
}

pub(super) fn world(seed: u64) -> World {
    mirror::World::new(seed, "2026-10-18T05:00:00Z", Post::that_loses(2), |clock, host| {
        let mut config = ExactOnlineConfig::default();
        config.divisions.push(Division::new(DEPOT, "Waalkade Opslag B.V."));
        config.seed = seed;
        // Sources disagree. Where a refresh token works once only, a lost answer ends the chain, and somebody has to consent anew.
        config.lasting_refresh_tokens = seed.is_multiple_of(2);
        config.conditions.latency = Duration::from_millis(300);
        config.conditions.jitter = Duration::from_millis(200);
        config.conditions.short_pages = seed.is_multiple_of(2);
        let sim = ExactOnlineSim::with_config(Arc::clone(clock) as Arc<dyn Clock>, config);
        sim.set_redirect_uri("https://erp.example.com/connected");
        sim.set_hooks(Arc::clone(host) as _);
        sim.tune(|quirks| {
            quirks.tells_lines = true;
            quirks.unordered_feeds = true;
            quirks.int64_as_numbers = seed.is_multiple_of(2);
            quirks.creates_are_updates = seed.is_multiple_of(2);
            quirks.ledger_rows_change_together = seed.is_multiple_of(3);
            // Without it orders are found by the times of the server's clocks.
            quirks.purchase_order_feed = seed.is_multiple_of(2);
            quirks.negative_receivables = !seed.is_multiple_of(3);
        });
        let company =
            |connection, division, invoices| Company::new(connection, sim.within(division), invoices);
        let companies = vec![
            company("wholesale", WHOLESALE, Invoices::Invoices),
            company("transport", TRANSPORT, Invoices::Entries),
            company("transport", DEPOT, Invoices::Entries),
        ];
        Login {
            refresh_token: sim.credentials().refresh_token,
            cut_off: 0,
            secrets: vec![sim.credentials().webhook_secret, NEW_SECRET.into()],
            sim,
            companies,
            forged: 0,
            hidden: None,
            hid: Vec::new(),
        }
    })
}

impl Vendor for Login {
    /// How often lists are polled, in minutes.
    type Mode = u32;
    type Source = ExactOnline;

    const AGE: Duration = Duration::from_secs(86_400);
    const STEP: Duration = Duration::from_secs(600);

    fn sources(&self, poll_minutes: u32) -> Vec<ExactOnline> {
        let source = |company: &Company| {
            let credentials = company.sim.credentials();
            let builder = ExactOnline::builder(company.diary.connection)
                .division(credentials.division)
                .login("sanne")
                .client(credentials.client_id, credentials.client_secret.as_str())
                .redirect_uri(credentials.redirect_uri)
                .refresh_token(self.refresh_token.as_str())
                .invoices(company.invoices)
                .resources(KINDS)
                .poll_minutes(poll_minutes);
            let secrets = self.secrets.iter().cloned();
            secrets.fold(builder, |builder, secret| builder.webhook_secret(secret)).build().unwrap()
        };
        self.watched().iter().map(source).collect()
    }

    fn within_reach(&self, transport: SimTransport) -> SimTransport {
        transport.with_exact_online(&self.sim)
    }

    fn furnish(&mut self, documents: usize, dice: &mut Dice) {
        self.companies.iter_mut().for_each(|company| company.furnish(documents, dice));
    }

    /// What happens to a record twice while nothing can be read could not be told twice.
    fn begin_round(&mut self, dice: &mut Dice, now: Timestamp) {
        let is_cut_off = self.is_cut_off();
        for company in &mut self.companies[..2] {
            if !is_cut_off {
                company.used.clear();
            }
            company.split(dice, now);
        }
    }

    fn act(&mut self, dice: &mut Dice, now: Timestamp) {
        let which = dice.place(2);
        let hidden = self.hidden.filter(|(at, _)| *at == which).map(|(_, kind)| kind);
        self.companies[which].act(dice, hidden, now);
    }

    fn take_webhooks(&mut self) -> Vec<Request<Bytes>> {
        self.sim.take_webhooks().into_iter().map(|delivery| delivery.request).collect()
    }

    /// A notification that Exact Online did not send, and one about a company that nobody watches.
    async fn forge(&mut self, connector: &Connector, dice: &mut Dice) {
        if dice.below(24) != 0 {
            return;
        }
        self.forged += 1;
        let content = |division: u32| {
            let client = self.sim.credentials().client_id;
            format!(
                r#"{{"Topic":"PurchaseEntries","ClientId":"{client}","Division":{division},"Action":"Delete","Key":"{}","ExactOnlineEndpoint":"https://start.exactonline.nl/api/v1/{division}/purchaseentry/PurchaseEntries(guid'6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10')","EventCreatedOn":"2026-10-01T10:00:00"}}"#,
                "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10"
            )
        };
        let Some(subscription) = self.sim.subscriptions().into_iter().next() else { return };
        let url = subscription.callback_url;
        let forger = Secret::from("a forger's secret");
        let forged = ExactOnlineSim::forge(&url, &content(WHOLESALE), Some(&forger)).unwrap();
        assert_eq!(connector.receive(forged).await.status(), StatusCode::UNAUTHORIZED);
        let secret = self.secrets.last().unwrap();
        let signed = ExactOnlineSim::forge(&url, &content(ELSEWHERE), Some(secret)).unwrap();
        assert_eq!(connector.receive(signed.clone()).await.status(), StatusCode::OK);
        // The signature of one content does not prove another.
        let hash = hash_code(secret, content(ELSEWHERE).as_bytes());
        let swapped = format!(r#"{{"Content":{},"HashCode":"{hash}"}}"#, content(WHOLESALE));
        let swapped = signed.map(|_| swapped.into());
        assert_eq!(connector.receive(swapped).await.status(), StatusCode::UNAUTHORIZED);
    }

    fn delete_some(&mut self) {
        self.companies[..2].iter_mut().for_each(Company::delete_some);
    }

    fn diaries(&self) -> Vec<&Diary> {
        self.companies.iter().map(|company| &company.diary).collect()
    }

    fn records(&self) -> Vec<Kept> {
        self.watched().iter().flat_map(Company::records).collect()
    }
}

impl Login {
    fn watched(&self) -> &[Company] {
        &self.companies[..2]
    }

    /// Whether nothing can be read until somebody consents anew.
    fn is_cut_off(&self) -> bool {
        self.sim.tallies().refused_tokens > self.cut_off
    }

    /// The person who connected consents anew, if that is needed. Returns whether it was.
    pub(super) fn consent_anew(&mut self) -> bool {
        let is_needed = self.is_cut_off();
        if is_needed {
            self.cut_off += 1;
            self.refresh_token = self.sim.grant();
        }
        is_needed
    }

    /// Something that goes wrong on a day.
    pub(super) fn trouble(&mut self, day: u32, now: Timestamp) {
        if let Some((at, kind)) = self.hidden.take() {
            self.companies[at].sim.refuse(kind, None);
            self.hid.iter_mut().last().into_iter().for_each(|(_, until)| *until = now);
        }
        match day % 10 {
            // The gateway fails after the token was rotated, or the request was lost on its way.
            0 => self.sim.plant(ExactOnlineSim::gateway_fault(true).times(1)),
            1 => self.sim.plant(Fault::reset().on("oauth2/token").times(1)),
            // At night answers come late.
            2 => self.sim.plant(Fault::delay(Duration::from_secs(35)).on("oauth2/token").times(2)),
            3 => {
                self.sim.plant(ExactOnlineSim::timed_out("PaymentTerms").times(2));
                self.sim.plant(ExactOnlineSim::network_timed_out("TransactionLines").times(4));
            }
            4 => self.sim.plant(Fault::html(StatusCode::SERVICE_UNAVAILABLE).on("/api/v1/").times(8)),
            5 => {
                for lost in self.sim.subscriptions().iter().take(3) {
                    self.sim.drop_subscription(&lost.id);
                }
            }
            6 => {
                self.sim.plant(Fault::truncated().on("/api/v1/").times(1));
                self.sim.plant(Fault::reset().having_acted().on("WebhookSubscriptions").times(2));
            }
            7 => {
                // For a day the user has no right to these lists, which are then empty.
                let kind = [Kind::PurchaseEntries, Kind::BankEntries, Kind::PurchaseOrders]
                    [usize::try_from(day / 10).unwrap() % 3];
                self.companies[0].sim.refuse(kind, Some(Right::MissingInRole));
                self.hidden = Some((0, kind));
                self.hid.push((now, Timestamp::MAX));
            }
            8 => self.sim.plant(Fault::timeout().on("/api/v1/").times(2)),
            _ => self.sim.plant(Fault::garbage().on("/api/v1/").times(2)),
        }
    }

    /// Exact Online moves the first company to another database: its row versions begin anew.
    pub(super) fn move_database(&self) {
        self.companies[0].sim.move_division();
    }

    /// The connection of the second company is pointed to the third. Webhooks of the old one are still under way.
    pub(super) fn point_elsewhere(&mut self) {
        self.companies.swap(1, 2);
        self.companies[1].is_watched();
    }

    /// Nothing is subscribed where the connection was.
    pub(super) fn left_the_old_company(&self) {
        let subscriptions = self.sim.subscriptions();
        let divisions: BTreeSet<u32> = subscriptions.iter().map(|one| one.division).collect();
        assert_eq!(divisions, BTreeSet::from([WHOLESALE, DEPOT]), "{subscriptions:#?}");
    }

    /// The app gets another webhook secret. The host knows it before.
    pub(super) fn replace_secret(&mut self) {
        self.sim.rotate_webhook_secret(NEW_SECRET);
    }

    /// What Exact Online counts: calls, calls at once, errors, and refused tokens. Where a token works once only, one is refused
    /// for each answer that was lost with its successor: nobody can know that it is not there.
    pub(super) fn kept_every_limit(&self) {
        let tallies = self.sim.tallies();
        assert_eq!(
            (tallies.limit_violations, tallies.blocked_calls, tallies.parallel_calls, tallies.refused_tokens),
            (0, 0, 0, self.cut_off),
            "{tallies:?}"
        );
        println!("{tallies:?}, {} calls, {} tokens", self.sim.received().len(), self.sim.tokens_issued());
    }

    /// Whether a list was hidden then, or until a moment before.
    pub(super) fn lacked_a_right(&self, at: Timestamp) -> bool {
        let look = Duration::from_secs(3600);
        self.hid.iter().any(|(since, until)| *since <= at && at.saturating_since(*until) <= look)
    }
}

impl World {
    /// Enters a document in a company, and returns its place.
    pub(super) fn enter(&mut self, company: usize, kind: Kind) -> usize {
        self.vendor.companies[company].enter(kind, &mut self.dice)
    }

    /// What Exact Online has to tell never arrives.
    pub(super) fn lose_the_post(&mut self) {
        self.post.lost += self.vendor.take_webhooks().len();
    }

    /// The host is away. Exact Online tries again later what it has to tell, and gives up some of it.
    pub(super) async fn nobody_listens(&mut self, time: Duration) {
        for delivery in self.vendor.sim.take_webhooks() {
            let away = TransportError::new(Phase::NotWritten, "nobody listens");
            self.vendor.sim.settle_webhook(delivery, Err(away));
        }
        tokio::time::sleep(time).await;
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        let now = self.now();
        self.vendor.trouble(4, now);
        self.post.is_reliable = true;
    }

    /// The lists of which a look was not believed, and none since.
    pub(super) async fn stopped_sweeps(&self) -> Vec<String> {
        let health = self.connector().health().await.unwrap();
        let stopped = health.connections.into_values().flat_map(|connection| connection.stopped_sweeps);
        stopped.map(|stopped| stopped.feed).collect()
    }
}
