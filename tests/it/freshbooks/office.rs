//! Two offices of one login that work with their books, and keep a diary of what they do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    AuditLog, Clock, Connector, Secret, Source, Timestamp, TokioClock,
    audit::{Entry, EntryKind, MemoryLog, Query},
    auth::Authorizer,
    engine::Settings,
    http::Limits,
    model::{Decimal, Event},
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    Conditions, DatabricksSim, Fault, FreshBooksSim, SimTransport,
    freshbooks::{Bill, BillVendor, Business, Client, Expense, FreshBooksConfig, Invoice, Kind},
};

use super::post::Post;
use crate::{proof::Dice, warehouse, world::Running};

pub(super) const STUDIO: &str = "Zq84Xk";
pub(super) const BOATS: &str = "Hn7Tq2";

/// The login's books and the connector that watches them.
pub(super) struct World {
    pub(super) sim: FreshBooksSim,
    pub(super) post: Post,
    /// Where everything is told to, if anywhere.
    pub(super) lake: Option<DatabricksSim>,
    offices: [Office; 2],
    clock: Arc<TokioClock>,
    log: Arc<MemoryLog>,
    tokens: Arc<MemoryTokenStore>,
    connector: Option<Connector>,
    dice: Dice,
}

struct Office {
    connection: &'static str,
    sim: FreshBooksSim,
    client: u64,
    vendor: u64,
    documents: Vec<Document>,
    /// `books invoice.paid 502001`, in order.
    happened: Vec<String>,
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

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-06-29T12:00:00Z").unwrap()));
        let mut config = FreshBooksConfig::default();
        config.businesses.push(Business::new(880_214, BOATS, "Brackwater Boats"));
        if seed % 2 == 1 {
            config.conditions = Conditions::unkind();
            // The answer of the token endpoint is what nobody can ask for twice; others are lost by faults.
            config.conditions.lost_answer_every = 0;
        }
        config.conditions.latency = Duration::from_millis(150);
        config.seed = seed;
        let sim = FreshBooksSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, config);
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
            Office { connection, sim, client, vendor, documents: Vec::new(), happened: Vec::new() }
        };
        Self {
            offices: [office("books", STUDIO), office("boats", BOATS)],
            sim,
            post: Post::default(),
            lake: None,
            clock,
            log: Arc::default(),
            tokens: Arc::default(),
            connector: None,
            dice: Dice::new(seed),
        }
    }

    /// What the books hold before anybody is connected.
    pub(super) async fn furnish(&mut self, documents: usize) {
        for office in &mut self.offices {
            for n in 0..documents {
                office.create(u64::try_from(n % 4).unwrap(), 10_000 + i64::try_from(n).unwrap());
            }
            let first_bill =
                office.documents.iter().position(|document| document.kind == Kind::Bill).unwrap();
            office.pay(first_bill, 100);
            office.happened.clear();
        }
        drop(self.sim.take_webhooks());
        // Long ago: what is listed as changed is what happens from now on.
        tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
    }

    /// The connection of an office.
    pub(super) fn source(&self, office: usize) -> FreshBooks {
        let office = &self.offices[office];
        let credentials = office.sim.credentials();
        FreshBooks::builder(office.connection)
            .account_id(credentials.account_id)
            .login("marisol")
            .client(credentials.client_id, credentials.client_secret.as_str())
            .redirect_uri(credentials.redirect_uri)
            .refresh_token(credentials.refresh_token.as_str())
            .time_zone("America/Toronto")
            .build()
            .unwrap()
    }

    pub(super) fn connect(&mut self) -> Running {
        let sources = [0, 1].map(|office| self.source(office));
        let mut transport = SimTransport::new().with_freshbooks(&self.sim);
        let mut builder = Connector::builder();
        if let Some(lake) = &self.lake {
            transport = transport.with_router(lake.host(), lake.router());
            let route = Route::new("warehouse").with_pages().with_all_origins();
            builder = builder
                .connect(warehouse::sink(lake, sources.iter().map(|source| source as &dyn Source)))
                .route(route.to("lake", ml_connector_databricks::tables()));
        }
        let [one, other] = sources;
        let mut settings = Settings::default();
        settings.lease = Duration::from_secs(600);
        let connector = builder
            .audit_log(Arc::clone(&self.log))
            .token_store(Arc::clone(&self.tokens))
            .clock(Arc::clone(&self.clock))
            .transport(transport)
            .public_url("https://erp.example.com")
            .settings(settings)
            .source(one)
            .source(other)
            .build()
            .unwrap();
        self.connector = Some(connector.clone());
        Running::start(&connector)
    }

    pub(super) fn connector(&self) -> &Connector {
        self.connector.as_ref().unwrap()
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// The log is gone, and another one begins. Meanwhile documents are deleted, and nobody hears of it.
    pub(super) fn lose_log(&mut self) {
        self.log = Arc::default();
        self.offices.iter_mut().for_each(Office::delete_some);
        drop(self.sim.take_webhooks());
    }

    /// Every record that there ever was in an office, by its kind, and whether it is there.
    pub(super) fn records(&self, office: usize) -> impl Iterator<Item = (&'static str, u64, bool)> {
        let shown = |document: &Document| document.stage != Stage::Gone;
        let documents = self.offices[office].documents.iter();
        documents.map(move |document| {
            let (kind, _) = word(document.kind, "updated").split_once('.').unwrap();
            (kind, document.id, shown(document))
        })
    }

    /// Does `acts` things to as many different records in `time`.
    pub(super) async fn work(&mut self, acts: u32, time: Duration) {
        let mut used = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..acts {
            tokio::time::sleep(time / acts).await;
            let which = usize::try_from(self.dice.below(2)).unwrap();
            self.offices[which].act(&mut self.dice, &mut used[which]);
            self.post.run(&self.sim, self.connector.as_ref().unwrap(), &mut self.dice).await;
        }
    }

    /// Lets time pass in which nobody works, and the post goes on.
    pub(super) async fn settle(&mut self, time: Duration) {
        let step = Duration::from_secs(30);
        for n in 0..time.as_secs() / step.as_secs() {
            tokio::time::sleep(step).await;
            let connector = self.connector.as_ref().unwrap();
            self.post.run(&self.sim, connector, &mut self.dice).await;
            if n == 10 {
                self.post.flush(connector).await;
            }
        }
    }

    /// Something that FreshBooks or somebody there does, and tells nobody.
    pub(super) fn trouble(&mut self) {
        let callbacks = self.sim.callbacks();
        let some = callbacks.get(usize::try_from(self.dice.below(12)).unwrap());
        match (self.dice.below(4), some) {
            (0, Some(callback)) => drop(self.sim.delete_callback(callback.id)),
            (1 | 2, Some(callback)) => drop(self.sim.unverify_callback(callback.id)),
            // All at once: then as many handshakes are under way together.
            (3, Some(_)) => {
                for callback in &callbacks {
                    assert!(self.sim.unverify_callback(callback.id));
                }
            }
            _ => {}
        }
        match self.dice.below(9) {
            0 => self.sim.expire_tokens(),
            1 => {
                // The request for a token is lost on its way: the refresh token still works.
                self.sim.expire_tokens();
                self.sim.plant(Fault::reset().on("oauth/token").times(1));
            }
            7 => {
                // Both offices want a token, and for a while there is none to be had.
                self.sim.expire_tokens();
                self.sim.plant(Fault::refused().on("oauth/token").times(3));
            }
            2 => self.sim.plant(Fault::too_many_requests(7).on("/accounting/").times(2)),
            3 => self.sim.plant(Fault::html(StatusCode::BAD_GATEWAY).on("/accounting/").times(3)),
            4 => self.sim.plant(Fault::timeout().on("/accounting/").times(1)),
            5 => self.sim.plant(Fault::reset().having_acted().on("callbacks").times(2)),
            6 => self.sim.plant(Fault::truncated().on("/accounting/").times(1)),
            _ => {}
        }
    }

    /// The answer with the next refresh token is lost on its way, and the one that was sent is spent.
    pub(super) fn lose_rotation(&mut self) {
        self.sim.expire_tokens();
        self.sim.plant(Fault::reset().having_acted().on("oauth/token").times(1));
    }

    /// Whether both connections wait until somebody connects the login again, and say so.
    pub(super) async fn waits_for_a_person(&self) -> bool {
        let health = self.connector.as_ref().unwrap().health().await.unwrap();
        let said = |connection: &str| {
            let parked = health.connections[&connection.into()].parked.as_ref();
            parked.is_some_and(|parked| parked.reason.contains("connect"))
        };
        self.offices.iter().all(|office| said(office.connection))
    }

    /// A person connects the login again. What goes wrong meanwhile, they try again.
    pub(super) async fn reconnect(&mut self) {
        let ctx = self.connector.as_ref().unwrap().context();
        let app = self.sim.credentials();
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
                for office in &self.offices {
                    self.connector.as_ref().unwrap().resume(&office.connection.into()).await.unwrap();
                }
                return;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        panic!("the login cannot be connected again");
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.post.way.is_reliable = true;
    }

    /// Waits until every callback is proven: handshakes may be lost several times.
    pub(super) async fn proven(&mut self) {
        for _ in 0..30 {
            self.settle(Duration::from_secs(600)).await;
            let callbacks = self.sim.callbacks();
            if callbacks.len() == 8 && callbacks.iter().all(|callback| callback.verified) {
                return;
            }
        }
        panic!("{:?}", self.sim.callbacks());
    }

    pub(super) fn happened(&self) -> impl Iterator<Item = String> + '_ {
        self.offices.iter().flat_map(|office| {
            office.happened.iter().map(move |what| format!("{} {what}", office.connection))
        })
    }

    pub(super) async fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        let mut query = Query::of_kind(kind).with_limit(usize::MAX);
        query.bodies = true;
        self.log.query(&query).await.unwrap()
    }

    pub(super) async fn events(&self) -> Vec<Event> {
        let entries = self.entries(EntryKind::Event).await;
        let events = entries.into_iter().map(|entry| Event::from_cloudevent(&entry.body.unwrap()).unwrap());
        events.filter(|event| !event.is_outcome()).collect()
    }

    /// No verifier is in any entry of the log.
    pub(super) async fn shows_no_verifier(&self) {
        assert!(self.post.verifiers.len() > 8);
        let mut everything = Query::default().with_limit(usize::MAX);
        everything.bodies = true;
        for entry in self.log.query(&everything).await.unwrap() {
            let text = String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned();
            let shown = self.post.verifiers.iter().find(|verifier| text.contains(*verifier));
            assert!(shown.is_none(), "{:?}", entry.kind);
            let shown = self.post.verifiers.iter().find(|verifier| format!("{entry:?}").contains(*verifier));
            assert!(shown.is_none(), "{:?}", entry.kind);
        }
    }
}

impl Office {
    fn tell(&mut self, what: &str, id: u64) {
        self.happened.push(format!("{what} {id}"));
    }

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
        self.tell(if which == 1 { "invoice.sent" } else { word(kind, "created") }, id);
    }

    /// Does something to a record that nobody has touched in this round.
    fn act(&mut self, dice: &mut Dice, used: &mut BTreeSet<usize>) {
        let cents = i64::try_from(1_000 + dice.below(900_000)).unwrap();
        if dice.below(5) < 2 {
            self.create(dice.below(4), cents);
            used.insert(self.documents.len() - 1);
            return;
        }
        let at = usize::try_from(dice.below(self.documents.len() as u64)).unwrap();
        let of = self.documents[at].of;
        if self.documents[at].stage == Stage::Gone
            || used.contains(&at)
            || of.is_some_and(|of| used.contains(&of))
        {
            return;
        }
        used.insert(at);
        used.extend(of);
        let Document { kind, id, stage, left, total, .. } = self.documents[at].clone();
        let before = self.documents.len();
        match (kind, stage, dice.below(6)) {
            (Kind::Invoice, Stage::Draft, 0..=3) => {
                self.sim.mark_sent(id).unwrap();
                self.documents[at].stage = Stage::Open;
                self.tell("invoice.sent", id);
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
        used.extend(before..self.documents.len());
    }

    fn pay(&mut self, at: usize, cents: i64) {
        let Document { kind, id, left, .. } = self.documents[at];
        let amount = Decimal::new(cents, 2);
        let (paid, kind_of_payment, payment) = match kind {
            Kind::Invoice => {
                ("customer_payment.created", Kind::Payment, self.sim.pay_invoice(id, amount).unwrap())
            }
            _ => ("bill_payment.created", Kind::BillPayment, self.sim.pay_bill(id, amount).unwrap()),
        };
        self.tell(paid, payment);
        if cents > left {
            self.tell("credit.created", payment + 1);
        }
        let cents = cents.min(left);
        let document = &mut self.documents[at];
        document.left = left - cents;
        document.stage = if document.left == 0 { Stage::Paid } else { Stage::Partly };
        let verb = if document.left == 0 { "paid" } else { "partially_paid" };
        self.tell(word(kind, verb), id);
        if kind_of_payment == Kind::Payment {
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
        self.tell("customer_payment.updated", id);
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
        self.tell(word(Kind::Invoice, verb), id);
    }

    fn edit(&mut self, at: usize, dice: &mut Dice) {
        let Document { kind, id, .. } = self.documents[at];
        let note = format!("note {}", dice.below(1_000_000));
        match kind {
            Kind::Invoice => self.sim.edit(id, |invoice: &mut Invoice| invoice.notes = note),
            Kind::Bill => self.sim.edit(id, |bill: &mut Bill| bill.number = Some(note)),
            Kind::Expense => self.sim.edit(id, |expense: &mut Expense| expense.notes = note),
            _ => self.sim.edit(id, |payment: &mut ml_connector_sim::freshbooks::Payment| payment.note = note),
        }
        .unwrap();
        self.tell(word(kind, "updated"), id);
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
        self.tell(word(kind, "deleted"), id);
        if let Some(invoice) = of.filter(|_| kind == Kind::Payment) {
            self.owes_again(invoice, total);
        }
    }
}

fn word(kind: Kind, verb: &'static str) -> &'static str {
    match (kind, verb) {
        (Kind::Invoice, "created") => "invoice.created",
        (Kind::Invoice, "updated") => "invoice.updated",
        (Kind::Invoice, "paid") => "invoice.paid",
        (Kind::Invoice, "partially_paid") => "invoice.partially_paid",
        (Kind::Invoice, _) => "invoice.deleted",
        (Kind::Bill, "created") => "bill.created",
        (Kind::Bill, "updated") => "bill.updated",
        (Kind::Bill, "paid") => "bill.paid",
        (Kind::Bill, "partially_paid") => "bill.partially_paid",
        (Kind::Bill, _) => "bill.deleted",
        (Kind::Expense, "created") => "expense.created",
        (Kind::Expense, "updated") => "expense.updated",
        (Kind::Expense, _) => "expense.deleted",
        (_, "updated") => "customer_payment.updated",
        _ => "customer_payment.deleted",
    }
}
