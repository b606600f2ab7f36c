//! FreshBooks, and people who work in two offices of one login.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    AuditLog, Clock, Connector, Secret, Timestamp, audit::Query, auth::Authorizer, http::Limits,
    model::Decimal,
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    Conditions, Fault, FreshBooksSim, SimTransport,
    freshbooks::{Bill, BillVendor, Business, Client, Expense, FreshBooksConfig, Invoice, Kind, Payment},
};

use crate::{
    mirror::{self, Diary, Kept, Post, Vendor},
    proof::Dice,
};

pub(super) type World = mirror::World<Login>;

pub(super) const STUDIO: &str = "Zq84Xk";
pub(super) const BOATS: &str = "Hn7Tq2";

pub(super) struct Login {
    pub(super) sim: FreshBooksSim,
    pub(super) forged: usize,
    /// Every verifier that was ever handed over.
    verifiers: Vec<String>,
    offices: [Office; 2],
}

/// The books of one connection.
struct Office {
    sim: FreshBooksSim,
    client: u64,
    vendor: u64,
    documents: Vec<Document>,
    diary: Diary,
    used: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Draft,
    Open,
    Partly,
    Paid,
    Gone,
}

/// Something that is in the books. Of a payment, what it has paid.
#[derive(Debug, Clone)]
struct Document {
    kind: Kind,
    id: u64,
    stage: Stage,
    left: i64,
    total: i64,
    of: Option<usize>,
}

pub(super) fn world(seed: u64) -> World {
    mirror::World::new(seed, "2026-06-29T12:00:00Z", Post::that_loses(2), |clock, _| {
        let mut config = FreshBooksConfig::default();
        config.businesses.push(Business::new(880_214, BOATS, "Brackwater Boats"));
        if seed % 2 == 1 {
            config.conditions = Conditions::unkind();
            // The answer of the token endpoint is what nobody can ask for twice; others are lost by faults.
            config.conditions.lost_answer_every = 0;
        }
        config.conditions.latency = Duration::from_millis(150);
        config.seed = seed;
        let sim = FreshBooksSim::with_config(Arc::clone(clock) as Arc<dyn Clock>, config);
        sim.tune(|quirks| {
            quirks.invoice_update_on_payment = seed.is_multiple_of(2);
            quirks.old_deliveries = seed.is_multiple_of(3);
            quirks.bare_bills = seed.is_multiple_of(2);
            quirks.no_scope_in_token_answers = seed.is_multiple_of(2);
            quirks.original_created_at = seed.is_multiple_of(2);
        });
        let office = |connection, account| {
            let sim = sim.within(account);
            let client = sim.create(Client::new("Larkspur Dental Group")).unwrap();
            let vendor = sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
            let (diary, used) = (Diary::new(connection), BTreeSet::new());
            Office { sim, client, vendor, documents: Vec::new(), diary, used }
        };
        let offices = [office("books", STUDIO), office("boats", BOATS)];
        Login { offices, sim, forged: 0, verifiers: Vec::new() }
    })
}

impl Vendor for Login {
    type Mode = ();
    type Source = FreshBooks;

    // Long ago: what is listed as changed is what happens from now on.
    const AGE: Duration = Duration::from_secs(3 * 86_400);
    const STEP: Duration = Duration::from_secs(30);

    fn sources(&self, (): ()) -> Vec<FreshBooks> {
        let source = |office: &Office| {
            let credentials = office.sim.credentials();
            FreshBooks::builder(office.diary.connection)
                .account_id(credentials.account_id)
                .login("marisol")
                .client(credentials.client_id, credentials.client_secret.as_str())
                .redirect_uri(credentials.redirect_uri)
                .refresh_token(credentials.refresh_token.as_str())
                .time_zone("America/Toronto")
                .build()
                .unwrap()
        };
        self.offices.iter().map(source).collect()
    }

    fn within_reach(&self, transport: SimTransport) -> SimTransport {
        transport.with_freshbooks(&self.sim)
    }

    fn furnish(&mut self, documents: usize, _: &mut Dice) {
        for office in &mut self.offices {
            for n in 0..documents {
                office.create(u64::try_from(n % 4).unwrap(), 10_000 + i64::try_from(n).unwrap());
            }
            let first_bill =
                office.documents.iter().position(|document| document.kind == Kind::Bill).unwrap();
            office.pay(first_bill, 100);
            office.diary.begin();
        }
    }

    fn begin_round(&mut self, _: &mut Dice, _: Timestamp) {
        self.offices.iter_mut().for_each(|office| office.used.clear());
    }

    fn act(&mut self, dice: &mut Dice, _: Timestamp) {
        self.offices[dice.place(2)].act(dice);
    }

    fn take_webhooks(&mut self) -> Vec<Request<Bytes>> {
        let deliveries = self.sim.take_webhooks();
        for delivery in deliveries.iter().filter(|delivery| delivery.about.name == "callback.verify") {
            let fields = url::form_urlencoded::parse(delivery.request.body());
            let verifiers = fields.filter(|(name, _)| name == "verifier");
            self.verifiers.extend(verifiers.map(|(_, value)| value.into_owned()));
        }
        deliveries.into_iter().map(|delivery| delivery.request).collect()
    }

    /// A change with another key, or a handshake that nobody has sent.
    async fn forge(&mut self, connector: &Connector, dice: &mut Dice) {
        if dice.below(3) != 0 {
            return;
        }
        let callbacks = self.sim.callbacks();
        let Some(callback) = callbacks.get(dice.place(8)) else { return };
        self.forged += 1;
        let (id, account) = (callback.id.to_string(), callback.account_id.clone());
        let key = Secret::from("a forger's key");
        let (fields, status) = if dice.below(2) == 0 {
            let fields = vec![("name", "invoice.delete"), ("object_id", "502001"), ("account_id", &*account)];
            (fields, StatusCode::UNAUTHORIZED)
        } else {
            let fields = vec![
                ("name", "callback.verify"),
                ("object_id", &*id),
                ("account_id", &*account),
                ("verifier", "forged"),
            ];
            (fields, StatusCode::OK)
        };
        let request = FreshBooksSim::forge(&callback.uri, &fields, Some(&key)).unwrap();
        assert_eq!(connector.receive(request).await.status(), status);
    }

    fn delete_some(&mut self) {
        self.offices.iter_mut().for_each(Office::delete_some);
    }

    fn diaries(&self) -> Vec<&Diary> {
        self.offices.iter().map(|office| &office.diary).collect()
    }

    fn records(&self) -> Vec<Kept> {
        let records = |office: &Office| -> Vec<Kept> {
            let connection = office.diary.connection;
            let kept = |document: &Document| Kept {
                connection,
                kind: word(document.kind),
                id: document.id.to_string(),
                exists: document.stage != Stage::Gone,
            };
            office.documents.iter().map(kept).collect()
        };
        self.offices.iter().flat_map(records).collect()
    }
}

impl World {
    /// Something that FreshBooks or somebody there does, and tells nobody.
    pub(super) fn trouble(&mut self) {
        let callbacks = self.vendor.sim.callbacks();
        let some = callbacks.get(self.dice.place(12));
        match (self.dice.below(4), some) {
            (0, Some(callback)) => drop(self.vendor.sim.delete_callback(callback.id)),
            (1 | 2, Some(callback)) => drop(self.vendor.sim.unverify_callback(callback.id)),
            // All at once: then as many handshakes are under way together.
            (3, Some(_)) => {
                for callback in &callbacks {
                    assert!(self.vendor.sim.unverify_callback(callback.id));
                }
            }
            _ => {}
        }
        match self.dice.below(9) {
            0 => self.vendor.sim.expire_tokens(),
            1 => {
                // The request for a token is lost on its way: the refresh token still works.
                self.vendor.sim.expire_tokens();
                self.vendor.sim.plant(Fault::reset().on("oauth/token").times(1));
            }
            7 => {
                // Both offices want a token, and for a while there is none to be had.
                self.vendor.sim.expire_tokens();
                self.vendor.sim.plant(Fault::refused().on("oauth/token").times(3));
            }
            2 => self.vendor.sim.plant(Fault::too_many_requests(7).on("/accounting/").times(2)),
            3 => self.vendor.sim.plant(Fault::html(StatusCode::BAD_GATEWAY).on("/accounting/").times(3)),
            4 => self.vendor.sim.plant(Fault::timeout().on("/accounting/").times(1)),
            5 => self.vendor.sim.plant(Fault::reset().having_acted().on("callbacks").times(2)),
            6 => self.vendor.sim.plant(Fault::truncated().on("/accounting/").times(1)),
            _ => {}
        }
    }

    /// The answer with the next refresh token is lost on its way, and the one that was sent is spent.
    pub(super) fn lose_rotation(&mut self) {
        self.vendor.sim.expire_tokens();
        self.vendor.sim.plant(Fault::reset().having_acted().on("oauth/token").times(1));
    }

    /// Whether both connections wait until somebody connects the login again, and say so.
    pub(super) async fn waits_for_a_person(&self) -> bool {
        let health = self.connector().health().await.unwrap();
        let said = |connection: &str| {
            let parked = health.connections[&connection.into()].parked.as_ref();
            parked.is_some_and(|parked| parked.reason.contains("connect"))
        };
        self.vendor.offices.iter().all(|office| said(office.diary.connection))
    }

    /// A person connects the login again. What goes wrong meanwhile, they try again.
    pub(super) async fn reconnect(&mut self) {
        let ctx = self.connector().context();
        let app = self.vendor.sim.credentials();
        let secret = Secret::from(app.client_secret.as_str());
        let back = app.redirect_uri.parse().unwrap();
        let config = FreshBooks::authorizer_config(&app.client_id, secret, back).unwrap();
        let authorizer = Authorizer::new(config).unwrap();
        for _ in 0..10 {
            let page = authorizer.begin(&ctx, &"marisol".into(), None).await.unwrap();
            let request = Request::get(page.as_str()).body(Bytes::new()).unwrap();
            let answer = ctx.transport().send(request, Limits::within(Limits::TOTAL)).await;
            let location = answer.ok().and_then(|answer| answer.headers().get("location").cloned());
            let location = location.map(|location| location.to_str().unwrap().to_owned());
            if let Some((_, query)) = location.as_deref().and_then(|location| location.split_once('?'))
                && authorizer.finish(&ctx, query, None).await.is_ok()
            {
                // Otherwise they are tried when their pauses are over.
                for office in &self.vendor.offices {
                    self.connector().resume(&office.diary.connection.into()).await.unwrap();
                }
                return;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        panic!("the login cannot be connected again");
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.post.is_reliable = true;
    }

    /// Waits until every callback is proven: handshakes may be lost several times.
    pub(super) async fn proven(&mut self) {
        for _ in 0..30 {
            self.settle(Duration::from_secs(600)).await;
            let callbacks = self.vendor.sim.callbacks();
            if callbacks.len() == 8 && callbacks.iter().all(|callback| callback.verified) {
                return;
            }
        }
        panic!("{:?}", self.vendor.sim.callbacks());
    }

    /// No verifier is in any entry of the log.
    pub(super) async fn shows_no_verifier(&self) {
        assert!(self.vendor.verifiers.len() > 8);
        let mut everything = Query::default().with_limit(usize::MAX);
        everything.bodies = true;
        for entry in self.log.query(&everything).await.unwrap() {
            let text = String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned();
            let shown = self.vendor.verifiers.iter().find(|verifier| text.contains(*verifier));
            assert!(shown.is_none(), "{:?}", entry.kind);
            let shown =
                self.vendor.verifiers.iter().find(|verifier| format!("{entry:?}").contains(*verifier));
            assert!(shown.is_none(), "{:?}", entry.kind);
        }
    }
}

impl Office {
    /// Makes a document: a draft, an invoice that is sent, a bill or an expense.
    fn create(&mut self, which: u64, cents: i64) {
        let amount = Decimal::new(cents, 2);
        let (kind, stage, id) = match which {
            0 => (Kind::Invoice, Stage::Draft, self.sim.create(Invoice::new(self.client, amount))),
            1 => (Kind::Invoice, Stage::Open, self.sim.create(Invoice::new(self.client, amount).sent())),
            2 => (Kind::Bill, Stage::Open, self.sim.create(Bill::new(self.vendor, amount))),
            _ => (Kind::Expense, Stage::Open, self.sim.create(Expense::new("Rail Canada", amount))),
        };
        let id = id.unwrap();
        self.documents.push(Document { kind, id, stage, left: cents, total: cents, of: None });
        self.diary.note(word(kind), if which == 1 { "sent" } else { "created" }, id);
    }

    /// Does something to a record that nobody has touched in this round.
    fn act(&mut self, dice: &mut Dice) {
        let cents = dice.cents(1_000, 900_000);
        if dice.below(5) < 2 {
            self.create(dice.below(4), cents);
            self.used.insert(self.documents.len() - 1);
            return;
        }
        let at = dice.place(self.documents.len());
        let of = self.documents[at].of;
        if self.documents[at].stage == Stage::Gone
            || self.used.contains(&at)
            || of.is_some_and(|of| self.used.contains(&of))
        {
            return;
        }
        self.used.insert(at);
        self.used.extend(of);
        let Document { kind, id, stage, left, total, .. } = self.documents[at].clone();
        let before = self.documents.len();
        match (kind, stage, dice.below(6)) {
            (Kind::Invoice, Stage::Draft, 0..=3) => {
                self.sim.mark_sent(id).unwrap();
                self.documents[at].stage = Stage::Open;
                self.diary.note("invoice", "sent", id);
            }
            // The client looks at it, or FreshBooks moves its stamps.
            (Kind::Invoice, Stage::Open, 0) => self.sim.view(id).unwrap(),
            (Kind::Invoice | Kind::Expense, _, 1) => self.sim.touch(kind, id).unwrap(),
            (Kind::Invoice | Kind::Bill, Stage::Open | Stage::Partly, 2 | 3) => {
                self.pay(at, if dice.below(2) == 0 { left } else { left / 3 + 1 });
            }
            (Kind::Invoice, Stage::Open, 4) => {
                // Too much: the rest is a credit.
                self.pay(at, left + 500);
                let last = self.documents.len() - 1;
                assert_eq!(self.documents[last].of, Some(at));
            }
            (Kind::Payment, Stage::Paid, 0..=2) if total > 1 => self.refund(at, total / 2),
            (_, _, 5) => self.delete(at),
            _ => self.edit(at, dice),
        }
        self.used.extend(before..self.documents.len());
    }

    fn pay(&mut self, at: usize, cents: i64) {
        let Document { kind, id, left, .. } = self.documents[at];
        let amount = Decimal::new(cents, 2);
        let (told, payment) = match kind {
            Kind::Invoice => ("customer_payment", self.sim.pay_invoice(id, amount).unwrap()),
            _ => ("bill_payment", self.sim.pay_bill(id, amount).unwrap()),
        };
        self.diary.note(told, "created", payment);
        if cents > left {
            self.diary.note("credit", "created", payment + 1);
        }
        let cents = cents.min(left);
        let document = &mut self.documents[at];
        document.left = left - cents;
        document.stage = if document.left == 0 { Stage::Paid } else { Stage::Partly };
        let verb = if document.left == 0 { "paid" } else { "partially_paid" };
        self.diary.note(word(kind), verb, id);
        if kind == Kind::Invoice {
            let payment = Document {
                kind: Kind::Payment,
                id: payment,
                stage: Stage::Paid,
                left: 0,
                total: cents,
                of: Some(at),
            };
            self.documents.push(payment);
        }
    }

    /// Gives a part of a payment back: the invoice owes it again.
    fn refund(&mut self, at: usize, cents: i64) {
        let Document { id, of, .. } = self.documents[at];
        self.sim.refund(id, Decimal::new(cents, 2)).unwrap();
        self.documents[at].total -= cents;
        self.diary.note("customer_payment", "updated", id);
        self.owes_again(of.unwrap(), cents);
    }

    fn owes_again(&mut self, at: usize, cents: i64) {
        let invoice = &mut self.documents[at];
        if invoice.stage == Stage::Gone {
            return;
        }
        invoice.left += cents;
        let was = invoice.stage;
        invoice.stage = if invoice.left == invoice.total { Stage::Open } else { Stage::Partly };
        let verb =
            if was == Stage::Paid && invoice.stage == Stage::Partly { "partially_paid" } else { "updated" };
        let id = invoice.id;
        self.diary.note(word(Kind::Invoice), verb, id);
    }

    fn edit(&mut self, at: usize, dice: &mut Dice) {
        let Document { kind, id, .. } = self.documents[at];
        let note = format!("note {}", dice.below(1_000_000));
        match kind {
            Kind::Invoice => self.sim.edit(id, |invoice: &mut Invoice| invoice.notes = note),
            Kind::Bill => self.sim.edit(id, |bill: &mut Bill| bill.number = Some(note)),
            Kind::Expense => self.sim.edit(id, |expense: &mut Expense| expense.notes = note),
            _ => self.sim.edit(id, |payment: &mut Payment| payment.note = note),
        }
        .unwrap();
        self.diary.note(word(kind), "updated", id);
    }

    /// Deletes a few documents of which nothing was paid.
    fn delete_some(&mut self) {
        let is_free = |document: &Document| {
            document.stage == Stage::Open && document.of.is_none() && document.left == document.total
        };
        let free = self.documents.iter().enumerate().filter(|(_, document)| is_free(document));
        let free: Vec<usize> = free.map(|(at, _)| at).take(4).collect();
        free.into_iter().for_each(|at| self.delete(at));
    }

    fn delete(&mut self, at: usize) {
        let Document { kind, id, of, total, .. } = self.documents[at];
        // What was paid of a deleted document stays, and nobody owes anything for it.
        self.sim.delete(kind, id).unwrap();
        self.documents[at].stage = Stage::Gone;
        self.diary.note(word(kind), "deleted", id);
        if let Some(invoice) = of.filter(|_| kind == Kind::Payment) {
            self.owes_again(invoice, total);
        }
    }
}

/// What we call a kind of record.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoice => "invoice",
        Kind::Bill => "bill",
        Kind::Expense => "expense",
        _ => "customer_payment",
    }
}
