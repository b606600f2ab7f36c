//! People who work in Business Central, and a diary of what they do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    AuditLog, Clock, Connector, Source, SourceMode, Timestamp, TokioClock,
    audit::{EntryKind, MemoryLog, Query},
    engine::Settings,
    model::{Decimal, Event},
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_sim::{
    BusinessCentralSim, DatabricksSim, SimTransport,
    bc::{BusinessCentralConfig, NewDocument, Set},
};

use crate::{
    mirror::Host,
    polling::books::{Skewed, Worker},
    warehouse,
};

/// What is read.
pub(super) const SETS: [Set; 6] = [
    Set::PurchaseInvoices,
    Set::SalesInvoices,
    Set::PurchaseOrders,
    Set::SalesOrders,
    Set::Vendors,
    Set::Customers,
];
const VENDOR: &str = "Northline Packaging";
const CUSTOMER: &str = "Osprey Foods";

pub(super) struct Office {
    pub(super) erp: BusinessCentralSim,
    /// `bill.paid 4815…`, in order.
    pub(super) happened: Vec<String>,
    /// Where everything goes, if anywhere.
    pub(super) lake: Option<DatabricksSim>,
    clock: Arc<TokioClock>,
    log: Arc<MemoryLog>,
    host: Arc<Host>,
    connector: Option<Connector>,
    documents: Vec<Document>,
    parties: Vec<(Set, String)>,
    dice: u64,
}

struct Document {
    set: Set,
    id: String,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Draft,
    Open,
    Closed,
}

impl Office {
    pub(super) fn new(seed: u64, latency: Duration) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-02T17:00:00Z").unwrap()));
        let mut config = BusinessCentralConfig::default();
        config.seed = seed;
        config.conditions.latency = latency;
        let erp = BusinessCentralSim::with_config(Skewed::new(&clock, seed), config);
        let host = Arc::<Host>::default();
        erp.set_hooks(Arc::clone(&host) as _);
        Self {
            erp,
            happened: Vec::new(),
            lake: None,
            clock,
            log: Arc::new(MemoryLog::new()),
            host,
            connector: None,
            documents: Vec::new(),
            parties: Vec::new(),
            dice: seed,
        }
    }

    /// What the company holds before anybody is connected. Some of it was never modified since it was brought over.
    pub(super) async fn furnish(&mut self, documents: usize) {
        self.furnish_with(documents, |n| SETS[n % 4]).await;
    }

    pub(super) async fn furnish_with(&mut self, documents: usize, set: impl Fn(usize) -> Set) {
        for (set, name) in [(Set::Vendors, VENDOR), (Set::Customers, CUSTOMER)] {
            let id =
                self.erp.create_master(set, &[("displayName", name.into()), ("number", name[..3].into())]);
            self.parties.push((set, id));
        }
        for n in 0..documents {
            self.create(set(n));
            if n % 3 == 0 && self.documents[n].set.name().ends_with("Invoices") {
                self.advance(n);
            }
            if n % 5 == 0 {
                let Document { set, id, .. } = &self.documents[n];
                self.erp.forget_stamp(*set, id);
            }
        }
        self.happened.clear();
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }

    pub(super) fn source(&self, mode: SourceMode) -> BusinessCentral {
        let known = self.erp.credentials();
        BusinessCentral::builder("erp")
            .tenant(&known.tenant)
            .environment(&known.environment)
            .company(&known.company_id, "HARBOR SUPPLY")
            .client(&known.client_id, known.client_secret.as_str())
            .webhook_secret("a secret of the host, never told")
            .sets(SETS.map(Set::name))
            .mode(mode)
            .build()
            .unwrap()
    }

    /// Connects the company.
    pub(super) fn connect(&mut self, mode: SourceMode) -> Worker {
        let source = self.source(mode);
        let mut settings = Settings::default();
        settings.lease = Duration::from_secs(600);
        let mut transport = SimTransport::new().with_business_central(&self.erp);
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
            .public_url("https://erp.example.com")
            .source(source)
            .build()
            .unwrap();
        self.host.is_served_by(&connector);
        let worker = Worker::start(&connector);
        self.connector = Some(connector);
        worker
    }

    /// Takes a subscription away behind everybody's back: what happens until it is looked for is told by nobody.
    pub(super) fn lose_subscription(&mut self) {
        let all = self.erp.subscriptions();
        let at = self.roll(all.len());
        self.erp.drop_subscription(&all[at].id);
    }

    /// Connects several companies at one endpoint, in this order.
    pub(super) fn connect_at_one_endpoint(companies: &[&Self]) -> (Connector, Worker) {
        let mut builder = Connector::builder();
        let mut transport = SimTransport::new();
        for (n, company) in companies.iter().enumerate() {
            let seed = company.erp.credentials().company_id;
            let (host, known) = (format!("https://{seed}.example.com"), company.erp.credentials());
            company.erp.set_origin(&host);
            transport = transport.with_router(&host, company.erp.router());
            let source = BusinessCentral::builder(format!("company-{}", &seed[..8]))
                .tenant(&known.tenant)
                .environment(&known.environment)
                .company(&known.company_id, "HARBOR SUPPLY")
                .client(&known.client_id, known.client_secret.as_str())
                .webhook_secret("a secret of the host, never told")
                .endpoint("companies")
                .login_url(&host)
                .api_url(&host)
                .build()
                .unwrap();
            builder = builder.source(source);
            if n == 0 {
                builder = builder.audit_log(Arc::clone(&company.log)).clock(Arc::clone(&company.clock));
            }
        }
        let connector = builder
            .token_store(MemoryTokenStore::new())
            .transport(transport)
            .public_url("https://erp.example.com")
            .build()
            .unwrap();
        companies.iter().for_each(|company| company.host.is_served_by(&connector));
        let worker = Worker::start(&connector);
        (connector, worker)
    }

    /// The log is gone, and another one begins.
    pub(super) fn lose_log(&mut self) {
        self.log = Arc::new(MemoryLog::new());
    }

    /// Marks what only a lost log knew.
    pub(super) async fn bury_lost(&self) -> u64 {
        let (lake, clock) = (self.lake.as_ref().unwrap(), self.clock() as Arc<dyn Clock>);
        warehouse::bury_lost(lake, clock, &self.source(SourceMode::Both)).await
    }

    pub(super) fn clock(&self) -> Arc<TokioClock> {
        Arc::clone(&self.clock)
    }

    /// Asks for the past of a set.
    pub(super) async fn backfill(&self, set: Set) {
        self.connector.as_ref().unwrap().backfill(&"erp".into(), set.name(), None).await.unwrap();
    }

    /// Does `acts` things to as many different records in `time`. Every second notice is lost, some come twice.
    pub(super) async fn work(&mut self, acts: usize, time: Duration) {
        // The first third: then every record is left alone until it has been looked at.
        let step = time / 3 / u32::try_from(acts).unwrap();
        let mut used = BTreeSet::new();
        for _ in 0..acts {
            tokio::time::sleep(step).await;
            self.act(&mut used);
            self.tell().await;
        }
        let rest = time - step * u32::try_from(acts).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.tell().await;
        tokio::time::sleep(rest - Duration::from_secs(60)).await;
    }

    /// Lets time pass, and delivers what the company tells.
    pub(super) async fn hear(&self, time: Duration) {
        let step = Duration::from_secs(30);
        for _ in 0..time.as_secs() / step.as_secs() {
            tokio::time::sleep(step).await;
            self.tell_all().await;
        }
    }

    /// Delivers every notice that is due.
    pub(super) async fn tell_all(&self) {
        for batch in self.erp.take_notices() {
            let answer = self.connector().receive(batch.request.clone()).await;
            self.erp.settle_notice(&batch, &Ok(answer));
        }
    }

    async fn tell(&mut self) {
        for batch in self.erp.take_notices() {
            let copies = [0, 1, 0, 2][self.roll(4)];
            for _ in 0..copies {
                let connector = self.connector.as_ref().unwrap();
                assert_eq!(connector.receive(batch.request.clone()).await.status(), 200);
            }
            // Business Central takes what nobody got for received.
            self.erp.settle_notice(&batch, &Ok(Response::new(Bytes::new())));
        }
    }

    fn act(&mut self, used: &mut BTreeSet<String>) {
        match self.roll(12) {
            0 => {
                let at = self.roll(self.parties.len());
                let (set, id) = self.parties[at].clone();
                if used.insert(id.clone()) {
                    let street = format!("{} Quay Street", self.roll(1_000_000));
                    self.erp.set(set, &id, "addressLine1", street).unwrap();
                    self.note(set, "updated", &id);
                }
                return;
            }
            1..=3 => {
                let at = self.documents.len();
                let set = SETS[self.roll(4)];
                self.create(set);
                used.insert(self.documents[at].id.clone());
                return;
            }
            _ => {}
        }
        let at = self.roll(self.documents.len());
        let Document { set, id, stage } = &self.documents[at];
        let (set, id, stage) = (*set, id.clone(), *stage);
        if stage == Stage::Closed || !used.insert(id.clone()) {
            return;
        }
        // Deleting is rare: a look that misses too many records would not be believed.
        match self.roll(30) {
            0 if stage == Stage::Draft => {
                self.documents[at].stage = Stage::Closed;
                self.erp.delete(set, &id).unwrap();
                self.note(set, "deleted", &id);
            }
            1..10 if stage == Stage::Draft => {
                let total: Decimal =
                    self.erp.field(set, &id, "totalAmountIncludingTax").unwrap().parse().unwrap();
                self.erp.set_total(set, &id, total + Decimal::ONE).unwrap();
                self.note(set, "updated", &id);
            }
            // One value changes, and neither stamp, nor etag, nor a notice says so: only the daily comparison finds it.
            10..14 if stage == Stage::Open && set == Set::SalesInvoices => {
                self.documents[at].stage = Stage::Closed;
                self.erp.pay_part(&id, Decimal::ONE);
                self.note(set, "partially_paid", &id);
            }
            14..17 if stage == Stage::Open => {
                self.documents[at].stage = Stage::Closed;
                self.erp.cancel(set, &id).unwrap();
                self.note(set, "voided", &id);
            }
            // So is an order that vanishes.
            17..28 if matches!(set, Set::PurchaseOrders | Set::SalesOrders) => {}
            _ => self.advance(at),
        }
    }

    fn create(&mut self, set: Set) {
        let cents = 10_000 + i64::try_from(self.roll(90_000)).unwrap();
        let party =
            if matches!(set, Set::PurchaseInvoices | Set::PurchaseOrders) { VENDOR } else { CUSTOMER };
        let id = self.erp.create(set, &NewDocument::new(party, Decimal::new(cents, 2)));
        self.note(set, "created", &id);
        self.documents.push(Document { set, id, stage: Stage::Draft });
    }

    /// Posts a draft, pays what is open, invoices an order.
    fn advance(&mut self, at: usize) {
        let Document { set, id, stage } = &self.documents[at];
        let (set, id, stage) = (*set, id.clone(), *stage);
        match (set, stage) {
            (Set::PurchaseOrders | Set::SalesOrders, _) => {
                self.documents[at].stage = Stage::Closed;
                let invoice = self.erp.invoice_order(set, &id).unwrap();
                // The order is gone; what becomes of it is told, and its invoice is another document.
                self.note(set, "updated", &id);
                let invoices =
                    if set == Set::PurchaseOrders { Set::PurchaseInvoices } else { Set::SalesInvoices };
                // It is there posted at once; of a sales invoice that is told as sent.
                let told = if set == Set::PurchaseOrders { "created" } else { "sent" };
                self.note(invoices, told, &invoice);
                self.documents.push(Document { set: invoices, id: invoice, stage: Stage::Closed });
            }
            (_, Stage::Draft) => {
                self.documents[at].stage = Stage::Open;
                self.erp.post(set, &id).unwrap();
                self.note(set, if set == Set::PurchaseInvoices { "posted" } else { "sent" }, &id);
            }
            _ => {
                self.documents[at].stage = Stage::Closed;
                self.erp.pay(set, &id).unwrap();
                self.note(set, "paid", &id);
            }
        }
    }

    fn note(&mut self, set: Set, change: &str, id: &str) {
        self.happened.push(format!("{}.{change} {id}", kind(set)));
    }

    /// What was told, also of the records of a page.
    pub(super) async fn events(&self) -> Vec<Event> {
        let mut query = Query::of_kind(EntryKind::Event).with_limit(100_000);
        query.bodies = true;
        let entries = self.log.query(&query).await.unwrap();
        let events =
            entries.iter().map(|entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap());
        let single = |event: Event| if event.page.is_empty() { vec![event] } else { event.page };
        events.flat_map(single).collect()
    }

    /// Orders that are known, and on the next day invoiced.
    pub(super) async fn invoice_orders(&mut self, orders: usize) {
        for at in 0..orders {
            self.advance(at);
        }
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(40)).await;
            for batch in self.erp.take_notices() {
                let answer = self.connector.as_ref().unwrap().receive(batch.request.clone()).await;
                self.erp.settle_notice(&batch, &Ok(answer));
            }
        }
    }

    pub(super) fn connector(&self) -> &Connector {
        self.connector.as_ref().unwrap()
    }

    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % sides
    }
}

/// What we call a set's kind of record.
fn kind(set: Set) -> &'static str {
    match set {
        Set::PurchaseInvoices => "bill",
        Set::SalesInvoices => "invoice",
        Set::PurchaseOrders => "purchase_order",
        Set::SalesOrders => "sales_order",
        Set::Vendors => "vendor",
        _ => "customer",
    }
}
