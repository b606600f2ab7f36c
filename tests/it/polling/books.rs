//! An office that works with its books, and keeps a diary of what it does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ml_connector_core::{
    AuditLog, Clock, Connector, Secret, Source, SourceMode, Timestamp, TokioClock,
    audit::{EntryKind, MemoryLog, Query},
    engine::Settings,
    model::{Decimal, Event, RecordKind, Zone},
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    DatabricksSim, SimTransport, ZohoBooksSim,
    zoho::{Entity, EventKind, NewDocument, NewRecord, Organization, Plan, WebhookRule, ZohoBooksConfig},
};
use ml_connector_zoho::ZohoBooks;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::warehouse;

/// The largest page of a list.
pub(crate) const PAGE: usize = 200;
const SECRET: &str = "mirrorSecret2026";
const ORGANIZATION: &str = "778812345";

const RESOURCES: [RecordKind; 10] = [
    RecordKind::Invoice,
    RecordKind::Bill,
    RecordKind::CustomerPayment,
    RecordKind::VendorPayment,
    RecordKind::PurchaseOrder,
    RecordKind::Expense,
    RecordKind::Contact,
    RecordKind::Item,
    RecordKind::Account,
    RecordKind::Currency,
];
/// Records without payments.
const PLAIN: [Entity; 6] = [
    Entity::PurchaseOrder,
    Entity::Expense,
    Entity::Contact,
    Entity::Item,
    Entity::Account,
    Entity::Currency,
];
/// Records about which webhooks tell.
const TELLING: [Entity; 6] = [
    Entity::Invoice,
    Entity::Bill,
    Entity::CustomerPayment,
    Entity::VendorPayment,
    Entity::PurchaseOrder,
    Entity::Contact,
];

pub(crate) struct Office {
    pub(crate) books: ZohoBooksSim,
    /// `invoice.paid 4815…`, in order.
    pub(crate) happened: Vec<String>,
    touched: Vec<(&'static str, String, Timestamp)>,
    clock: Arc<TokioClock>,
    vendor: Arc<Skewed>,
    log: Arc<MemoryLog>,
    connector: Option<Connector>,
    /// Where everything goes, if anywhere.
    pub(crate) lake: Option<DatabricksSim>,
    plan: Plan,
    dice: u64,
    documents: Vec<Document>,
    /// Orders, expenses, contacts, items, accounts and currencies that exist.
    plain: Vec<(Entity, String)>,
}

/// The vendor's clock, which is not ours.
#[derive(Debug)]
pub(crate) struct Skewed {
    clock: Arc<TokioClock>,
    ahead: Duration,
    behind: Duration,
}

impl Skewed {
    /// Up to two minutes apart: every third vendor is on time, every third ahead, every third behind.
    pub(crate) fn new(clock: &Arc<TokioClock>, seed: u64) -> Arc<Self> {
        let apart = |turn: u64| Duration::from_secs(if seed % 3 == turn { 40 + seed % 80 } else { 0 });
        Self::apart(clock, apart(1), apart(2))
    }

    fn apart(clock: &Arc<TokioClock>, ahead: Duration, behind: Duration) -> Arc<Self> {
        Arc::new(Self { clock: Arc::clone(clock), ahead, behind })
    }
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.ahead - self.behind
    }
}

struct Document {
    entity: Entity,
    id: String,
    stage: Stage,
    left: i64,
    payments: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Draft,
    Open,
    Closed,
}

/// A connector that runs.
pub(crate) struct Worker {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(connector: &Connector) -> Self {
        let connector = connector.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move { connector.run(async { drop(stopped.await) }).await });
        Self { stop, running }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) async fn kill(self) {
        self.running.abort();
        let _ = self.running.await;
    }
}

/// One run through a list.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) list: String,
    since: Option<Timestamp>,
    at: Timestamp,
    pub(crate) pages: usize,
}

/// The calls so far.
pub(crate) struct Calls {
    /// Ordinary reads only.
    pub(crate) runs: Vec<Run>,
    /// How often each record was read by its id.
    pub(crate) details: BTreeMap<String, usize>,
}

impl Office {
    pub(crate) fn new(seed: u64, plan: Plan, latency: Duration) -> Self {
        Self::of(seed, plan, latency, |clock| Skewed::new(clock, seed))
    }

    /// With a vendor's clock that is ahead of ours and behind it by this much.
    pub(crate) fn apart(seed: u64, ahead: Duration, behind: Duration) -> Self {
        Self::of(seed, Plan::Elite, Duration::from_millis(200), |clock| Skewed::apart(clock, ahead, behind))
    }

    fn of(
        seed: u64,
        plan: Plan,
        latency: Duration,
        vendor: impl FnOnce(&Arc<TokioClock>) -> Arc<Skewed>,
    ) -> Self {
        let noon = Timestamp::parse("2026-03-02T17:00:00Z").unwrap();
        let clock = Arc::new(TokioClock::starting_at(noon));
        let mut config = ZohoBooksConfig::default();
        config.organizations = vec![Organization {
            id: ORGANIZATION.to_owned(),
            name: "Harbor Lane Supply".to_owned(),
            time_zone: Zone::named("America/New_York").unwrap(),
            plan,
        }];
        config.conditions.latency = latency;
        let vendor = vendor(&clock);
        Self {
            books: ZohoBooksSim::with_config(Arc::clone(&vendor) as Arc<dyn Clock>, config),
            happened: Vec::new(),
            touched: Vec::new(),
            clock,
            vendor,
            log: Arc::new(MemoryLog::new()),
            connector: None,
            lake: None,
            plan,
            dice: seed,
            documents: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// What the books hold before anybody is connected.
    pub(crate) async fn furnish(&mut self, invoices: usize) {
        for n in 0..invoices {
            self.create(if n % 10 == 9 { Entity::Bill } else { Entity::Invoice });
            if n % 3 == 0 {
                let last = self.documents.len() - 1;
                self.advance(last);
            }
        }
        for n in 0..invoices / 4 {
            self.create_plain(PLAIN[n % PLAIN.len()]);
        }
        self.happened.clear();
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }

    fn source(&self, mode: SourceMode) -> ZohoBooks {
        let credentials = self.books.credentials();
        let plan = match self.plan {
            Plan::Free => ml_connector_zoho::Plan::Free,
            Plan::Standard => ml_connector_zoho::Plan::Standard,
            Plan::Professional => ml_connector_zoho::Plan::Professional,
            Plan::Elite => ml_connector_zoho::Plan::Elite,
        };
        ZohoBooks::builder("books")
            .organization_id(ORGANIZATION)
            .data_center(ml_connector_zoho::DataCenter::Us)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .refresh_token(credentials.refresh_token.as_str())
            .webhook_secret(SECRET)
            .time_zone("America/New_York")
            .resources(RESOURCES)
            .plan(plan)
            .mode(mode)
            .build()
            .unwrap()
    }

    /// Connects the books.
    pub(crate) fn connect(&mut self, mode: SourceMode) -> Worker {
        if mode != SourceMode::Poll {
            let url: url::Url = "https://erp.example.com/books".parse().unwrap();
            for entity in TELLING {
                for kind in [EventKind::Changed, EventKind::Deleted] {
                    let rule = WebhookRule::new(entity, kind, url.clone(), Some(Secret::from(SECRET)));
                    self.books.add_webhook(rule).unwrap();
                }
            }
        }
        let mut settings = Settings::default();
        settings.lease = Duration::from_secs(600);
        let source = self.source(mode);
        let mut transport = SimTransport::new().with_zoho_books(&self.books);
        let mut builder = Connector::builder();
        if let Some(lake) = &self.lake {
            transport = transport.with_router(lake.host(), lake.router());
            let route = Route::new("warehouse").with_pages().with_all_origins();
            builder = builder
                .connect(warehouse::sink(lake, [&source as &dyn Source]))
                .route(route.to("lake", ml_connector_databricks::tables()));
        }
        let connector = builder
            .audit_log(Arc::clone(&self.log))
            .token_store(MemoryTokenStore::new())
            .clock(Arc::clone(&self.clock))
            .transport(transport)
            .settings(settings)
            .source(source)
            .build()
            .unwrap();
        let worker = Worker::start(&connector);
        self.connector = Some(connector);
        worker
    }

    /// The log is gone, and another one begins.
    pub(crate) fn lose_log(&mut self) {
        self.log = Arc::new(MemoryLog::new());
    }

    /// The names of all lists.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &'static str> + use<> {
        PLAIN.into_iter().chain(TELLING).map(|entity| words(entity).1).collect::<BTreeSet<_>>().into_iter()
    }

    pub(crate) fn connector(&self) -> &Connector {
        self.connector.as_ref().unwrap()
    }

    /// Deletes documents while nobody is connected. Returns how many.
    pub(crate) fn delete_unseen(&mut self, count: usize) -> usize {
        let free = |(_, document): &(usize, &Document)| document.stage != Stage::Closed && !document.payments;
        let places = self.documents.iter().enumerate().filter(free).map(|(at, _)| at);
        let places: Vec<usize> = places.take(count).collect();
        for at in &places {
            let document = &mut self.documents[*at];
            document.stage = Stage::Closed;
            let (entity, id) = (document.entity, document.id.clone());
            self.books.delete(entity, &id).unwrap();
            self.note(entity, "deleted", &id);
        }
        // Nobody hears of it.
        drop(self.books.take_webhooks());
        places.len()
    }

    /// Every record that there ever was, by its kind, and whether it is there.
    pub(crate) fn records(&self) -> BTreeSet<(&'static str, String, bool)> {
        let deleted = |id: &str| self.happened.iter().any(|what| what.ends_with(&format!(".deleted {id}")));
        let entities = || PLAIN.into_iter().chain(TELLING);
        let kind = |list: &str| entities().map(words).find(|(_, of)| *of == list).map(|(kind, _)| kind);
        let record =
            |(list, id, _): &(&str, String, Timestamp)| Some((kind(list)?, id.clone(), !deleted(id)));
        self.touched.iter().filter_map(record).collect()
    }

    /// Marks what only a lost log knew.
    pub(crate) async fn bury_lost(&self) -> u64 {
        let (lake, clock) = (self.lake.as_ref().unwrap(), self.clock() as Arc<dyn Clock>);
        warehouse::bury_lost(lake, clock, &self.source(SourceMode::Both)).await
    }

    pub(crate) fn clock(&self) -> Arc<TokioClock> {
        Arc::clone(&self.clock)
    }

    /// Asks for the past of a list.
    pub(crate) async fn backfill(&self, feed: &str) {
        self.connector.as_ref().unwrap().backfill(&"books".into(), feed, None).await.unwrap();
    }

    /// Does `acts` things to as many different records in `time`. Every second webhook is lost, some come twice.
    pub(crate) async fn work(&mut self, acts: usize, time: Duration) {
        // The first third: then every record is left alone until it has been looked at.
        let step = time / 3 / u32::try_from(acts).unwrap();
        let mut used = BTreeSet::new();
        for _ in 0..acts {
            tokio::time::sleep(step).await;
            self.act(&mut used);
            for delivery in self.books.take_webhooks() {
                let copies = [0, 1, 0, 2][self.roll(4)];
                for _ in 0..copies {
                    let connector = self.connector.as_ref().unwrap();
                    assert_eq!(connector.receive(delivery.request.clone()).await.status(), 200);
                }
            }
        }
        tokio::time::sleep(time - step * u32::try_from(acts).unwrap()).await;
    }

    fn act(&mut self, used: &mut BTreeSet<usize>) {
        if self.roll(4) == 0 {
            return self.act_on_plain(used);
        }
        if self.roll(4) == 0 {
            let entity = if self.roll(3) == 0 { Entity::Bill } else { Entity::Invoice };
            self.create(entity);
            used.insert(self.documents.len() - 1);
            return;
        }
        let at = self.roll(self.documents.len());
        if self.documents[at].stage == Stage::Closed || !used.insert(at) {
            return;
        }
        // Deleting is rare: a look that misses too many records would not be believed.
        match self.roll(30) {
            0 if !self.documents[at].payments => {
                let document = &mut self.documents[at];
                document.stage = Stage::Closed;
                let (entity, id) = (document.entity, document.id.clone());
                self.books.delete(entity, &id).unwrap();
                self.note(entity, "deleted", &id);
            }
            1..8 => {
                let (entity, id) = (self.documents[at].entity, self.documents[at].id.clone());
                let reference = format!("PO {}", self.roll(1_000_000));
                self.books.set_reference(entity, &id, &reference).unwrap();
                self.note(entity, "updated", &id);
            }
            8..12 if self.documents[at].stage == Stage::Open && !self.documents[at].payments => {
                let document = &mut self.documents[at];
                document.stage = Stage::Closed;
                let (entity, id) = (document.entity, document.id.clone());
                self.books.void(entity, &id).unwrap();
                self.note(entity, "voided", &id);
            }
            _ => self.advance(at),
        }
    }

    fn act_on_plain(&mut self, used: &mut BTreeSet<usize>) {
        let at = self.roll(self.plain.len());
        let what = self.roll(12);
        if what < 4 {
            let entity = PLAIN[self.roll(PLAIN.len())];
            self.create_plain(entity);
            used.insert(BEYOND + self.plain.len() - 1);
            return;
        }
        if !used.insert(BEYOND + at) {
            return;
        }
        let (entity, id) = self.plain[at].clone();
        match what {
            4 => {
                // Its place stays taken, so that no other one comes under its number.
                self.books.delete(entity, &id).unwrap();
                self.note(entity, "deleted", &id);
                self.create_plain(entity);
                let new = self.plain.pop().unwrap();
                self.plain[at] = new;
            }
            _ => {
                if matches!(entity, Entity::Contact | Entity::Account) {
                    let name = format!("Name {}", self.roll(1_000_000));
                    self.books.rename(entity, &id, &name).unwrap();
                } else {
                    let rate = Decimal::new(i64::try_from(self.roll(1_000_000)).unwrap(), 4);
                    self.books.set_amount(entity, &id, rate).unwrap();
                }
                self.note(entity, "updated", &id);
            }
        }
    }

    fn create_plain(&mut self, entity: Entity) {
        let rate = Decimal::new(i64::try_from(self.roll(1_000_000)).unwrap(), 4);
        let name = format!("Name {}", self.dice);
        let id = self.books.create_record(entity, NewRecord::new(&name, rate)).unwrap();
        self.note(entity, "created", &id);
        self.plain.push((entity, id));
    }

    fn create(&mut self, entity: Entity) {
        let cents = 10_000 + i64::try_from(self.roll(90_000)).unwrap();
        let new = NewDocument::new("Bluebird Logistics", Decimal::new(cents, 2));
        let id = match entity {
            Entity::Bill => self.books.create_bill(new),
            _ => self.books.create_invoice(new),
        };
        let id = id.unwrap();
        let stage = if entity == Entity::Bill { Stage::Open } else { Stage::Draft };
        self.note(entity, "created", &id);
        self.documents.push(Document { entity, id, stage, left: cents, payments: false });
    }

    /// Sends a draft; pays what is open, in part or in full.
    fn advance(&mut self, at: usize) {
        let full = self.roll(2) == 0;
        let document = &mut self.documents[at];
        let (entity, id) = (document.entity, document.id.clone());
        if document.stage == Stage::Draft {
            document.stage = Stage::Open;
            self.books.mark_sent(&id).unwrap();
            return self.note(entity, "sent", &id);
        }
        document.payments = true;
        let cents = if full || document.left < 200 { document.left } else { document.left / 2 };
        document.left -= cents;
        if document.left == 0 {
            document.stage = Stage::Closed;
        }
        let paid = if document.left == 0 { "paid" } else { "partially_paid" };
        let amount = Decimal::new(cents, 2);
        let (payment, kind) = match entity {
            Entity::Bill => (self.books.pay_bill(&id, amount).unwrap(), Entity::VendorPayment),
            _ => (self.books.pay_invoice(&id, amount).unwrap(), Entity::CustomerPayment),
        };
        self.note(entity, paid, &id);
        self.note(kind, "created", &payment);
    }

    fn note(&mut self, entity: Entity, change: &str, id: &str) {
        let kind = words(entity).0;
        self.happened.push(format!("{kind}.{change} {id}"));
        self.touched.push((words(entity).1, id.to_owned(), self.vendor.now()));
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut query = Query::of_kind(EntryKind::Event).with_limit(100_000);
        query.bodies = true;
        let entries = self.log.query(&query).await.unwrap();
        entries.iter().map(|entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap()).collect()
    }

    pub(crate) fn calls(&self) -> Calls {
        let mut calls = Calls { runs: Vec::new(), details: BTreeMap::new() };
        for received in self.books.received() {
            let Some(path) = received.path.strip_prefix("/books/v3/") else { continue };
            let url = url::Url::parse(&format!("https://x.example/?{}", received.query)).unwrap();
            let parameter = |name: &str| {
                url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
            };
            let path = path.strip_prefix("settings/").unwrap_or(path);
            if path.contains('/') {
                *calls.details.entry(path.to_owned()).or_default() += 1;
                continue;
            }
            let numbers = ["invoice_number", "bill_number", "purchaseorder_number", "payment_number"];
            if numbers.iter().any(|number| parameter(number).is_some()) {
                continue;
            }
            let since = parameter("last_modified_time").map(|text| Timestamp::parse(&text).unwrap());
            let begun = calls.runs.iter_mut().rev().find(|run| run.list == path);
            match begun {
                Some(run) if parameter("page").as_deref() != Some("1") => run.pages += 1,
                _ => calls.runs.push(Run { list: path.to_owned(), since, at: received.at, pages: 1 }),
            }
        }
        calls
    }

    /// How many rows a run had to read: all that there ever were where nothing is filtered.
    pub(crate) fn rows_in_window(&self, run: &Run) -> usize {
        let since = run.since.unwrap_or_default();
        let rows = self.touched.iter().filter(|(list, _, at)| {
            *list == run.list && at.as_secs() >= since.as_secs() && *at <= run.at + Duration::from_secs(60)
        });
        rows.map(|(_, id, _)| id).collect::<BTreeSet<_>>().len()
    }

    /// How many changes fell into the very second in which their list was read, by our clock, which a vendor may be
    /// ahead of: such a row is read once more.
    pub(crate) fn touched_twice(&self) -> usize {
        let runs = self.calls().runs;
        let near = |list: &str, at: &Timestamp| {
            runs.iter().filter(|run| run.list == list).any(|run| {
                run.at + Duration::from_secs(1) >= *at
                    && run.at.saturating_since(*at) < self.vendor.ahead + Duration::from_secs(3)
            })
        };
        self.touched.iter().filter(|(list, _, at)| near(list, at)).count()
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % sides
    }
}

/// What we call a kind of record, and what its list is called.
fn words(entity: Entity) -> (&'static str, &'static str) {
    match entity {
        Entity::Invoice => ("invoice", "invoices"),
        Entity::Bill => ("bill", "bills"),
        Entity::CustomerPayment => ("customer_payment", "customerpayments"),
        Entity::VendorPayment => ("vendor_payment", "vendorpayments"),
        Entity::PurchaseOrder => ("purchase_order", "purchaseorders"),
        Entity::Expense => ("expense", "expenses"),
        Entity::Contact => ("contact", "contacts"),
        Entity::Item => ("item", "items"),
        Entity::Account => ("account", "chartofaccounts"),
        Entity::Currency => ("currency", "currencies"),
    }
}

/// Where the numbers of plain records begin.
const BEYOND: usize = 1_000_000;
