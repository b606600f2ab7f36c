//! Business Central, and people who work in a company.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_bc::{Builder, BusinessCentral};
use ml_connector_core::{Clock, Connector, SourceMode, Timestamp, model::Decimal, token::MemoryTokenStore};
use ml_connector_sim::{
    BusinessCentralSim, SimTransport,
    bc::{BusinessCentralConfig, NewDocument, Set},
};

use crate::{
    mirror::{self, Diary, Kept, Post, Skewed, Vendor},
    proof::Dice,
    world::Running,
};

pub(super) type World = mirror::World<Company>;

/// What is read.
pub(super) const SETS: [Set; 6] = [
    Set::PurchaseInvoices,
    Set::SalesInvoices,
    Set::PurchaseOrders,
    Set::SalesOrders,
    Set::Vendors,
    Set::Customers,
];
/// The sets of documents.
pub(super) const DOCUMENTS: &[Set] = SETS.split_at(4).0;
const VENDOR: &str = "Northline Packaging";
const CUSTOMER: &str = "Osprey Foods";

pub(super) struct Company {
    pub(super) erp: BusinessCentralSim,
    /// What is entered before anybody is connected, in turn.
    pub(super) first: &'static [Set],
    diary: Diary,
    documents: Vec<Document>,
    parties: Vec<(Set, String)>,
    used: BTreeSet<String>,
}

#[derive(Debug, Clone)]
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

/// Every second notice is lost.
pub(super) fn world(seed: u64, latency: Duration) -> World {
    mirror::World::new(seed, "2026-03-02T17:00:00Z", Post::that_loses(4), |clock, host| {
        let mut config = BusinessCentralConfig::default();
        config.seed = seed;
        config.conditions.latency = latency;
        let erp = BusinessCentralSim::with_config(Skewed::new(clock, seed) as Arc<dyn Clock>, config);
        erp.set_hooks(Arc::clone(host) as _);
        Company {
            erp,
            first: DOCUMENTS,
            diary: Diary::new("erp"),
            documents: Vec::new(),
            parties: Vec::new(),
            used: BTreeSet::new(),
        }
    })
}

impl Vendor for Company {
    type Mode = SourceMode;
    type Source = BusinessCentral;

    const AGE: Duration = Duration::from_secs(3600);
    const STEP: Duration = Duration::from_secs(30);

    fn sources(&self, mode: SourceMode) -> Vec<BusinessCentral> {
        vec![self.source("erp").sets(SETS.map(Set::name)).mode(mode).build().unwrap()]
    }

    fn within_reach(&self, transport: SimTransport) -> SimTransport {
        transport.with_business_central(&self.erp)
    }

    /// Some of it was never modified since it was brought over.
    fn furnish(&mut self, documents: usize, dice: &mut Dice) {
        for (set, name) in [(Set::Vendors, VENDOR), (Set::Customers, CUSTOMER)] {
            let id =
                self.erp.create_master(set, &[("displayName", name.into()), ("number", name[..3].into())]);
            self.parties.push((set, id));
        }
        for n in 0..documents {
            self.create(self.first[n % self.first.len()], dice);
            if n % 3 == 0 && self.documents[n].set.name().ends_with("Invoices") {
                self.advance(n);
            }
            if n % 5 == 0 {
                let Document { set, id, .. } = &self.documents[n];
                self.erp.forget_stamp(*set, id);
            }
        }
        self.diary.begin();
    }

    fn begin_round(&mut self, _: &mut Dice, _: Timestamp) {
        self.used.clear();
    }

    fn act(&mut self, dice: &mut Dice, _: Timestamp) {
        match dice.below(12) {
            0 => {
                let (set, id) = self.parties[dice.place(self.parties.len())].clone();
                if self.used.insert(id.clone()) {
                    let street = format!("{} Quay Street", dice.below(1_000_000));
                    self.erp.set(set, &id, "addressLine1", street).unwrap();
                    self.note(set, "updated", &id);
                }
                return;
            }
            1..=3 => {
                let at = self.documents.len();
                let set = dice.one_of(DOCUMENTS);
                self.create(set, dice);
                self.used.insert(self.documents[at].id.clone());
                return;
            }
            _ => {}
        }
        let at = dice.place(self.documents.len());
        let Document { set, id, stage } = self.documents[at].clone();
        if stage == Stage::Closed || !self.used.insert(id.clone()) {
            return;
        }
        // Deleting is rare: a look that misses too many records would not be believed.
        match dice.below(30) {
            0 if stage == Stage::Draft => self.delete(at),
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

    fn take_webhooks(&mut self) -> Vec<Request<Bytes>> {
        let take = |batch| {
            // Business Central takes what nobody got for received.
            self.erp.settle_notice(&batch, &Ok(Response::new(Bytes::new())));
            batch.request
        };
        self.erp.take_notices().into_iter().map(take).collect()
    }

    fn delete_some(&mut self) {
        let drafts = self.documents.iter().enumerate().filter(|(_, document)| document.stage == Stage::Draft);
        let drafts: Vec<usize> = drafts.map(|(at, _)| at).take(4).collect();
        drafts.into_iter().for_each(|at| self.delete(at));
    }

    fn diaries(&self) -> Vec<&Diary> {
        vec![&self.diary]
    }

    /// Without orders that were invoiced: they are gone, and what is told of them last is how much was invoiced.
    fn records(&self) -> Vec<Kept> {
        let is_order = |set| matches!(set, Set::PurchaseOrders | Set::SalesOrders);
        let documents = self.documents.iter().map(|document| (document.set, &document.id, document.stage));
        let parties = self.parties.iter().map(|(set, id)| (*set, id, Stage::Open));
        let kept = |(set, id, stage): (Set, &String, Stage)| {
            let exists = !self.diary.has("deleted", id);
            let is_invoiced = is_order(set) && stage == Stage::Closed && exists;
            (!is_invoiced).then(|| Kept { connection: "erp", kind: kind(set), id: id.clone(), exists })
        };
        documents.chain(parties).filter_map(kept).collect()
    }
}

impl Company {
    fn source(&self, connection: &str) -> Builder {
        let known = self.erp.credentials();
        BusinessCentral::builder(connection)
            .tenant(&known.tenant)
            .environment(&known.environment)
            .company(&known.company_id, "HARBOR SUPPLY")
            .client(&known.client_id, known.client_secret.as_str())
            .webhook_secret("a secret of the host, never told")
    }

    fn create(&mut self, set: Set, dice: &mut Dice) {
        let cents = dice.cents(10_000, 90_000);
        let party =
            if matches!(set, Set::PurchaseInvoices | Set::PurchaseOrders) { VENDOR } else { CUSTOMER };
        let id = self.erp.create(set, &NewDocument::new(party, Decimal::new(cents, 2)));
        self.note(set, "created", &id);
        self.documents.push(Document { set, id, stage: Stage::Draft });
    }

    fn delete(&mut self, at: usize) {
        self.documents[at].stage = Stage::Closed;
        let Document { set, id, .. } = self.documents[at].clone();
        self.erp.delete(set, &id).unwrap();
        self.note(set, "deleted", &id);
    }

    /// Posts a draft, pays what is open, invoices an order.
    pub(super) fn advance(&mut self, at: usize) {
        let Document { set, id, stage } = self.documents[at].clone();
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
        self.diary.note(kind(set), change, id);
    }
}

impl World {
    /// Takes a subscription away behind everybody's back: what happens until it is looked for is told by nobody.
    pub(super) fn lose_subscription(&mut self) {
        let all = self.vendor.erp.subscriptions();
        self.vendor.erp.drop_subscription(&all[self.dice.place(all.len())].id);
    }
}

/// Connects several companies at one endpoint, in this order.
pub(super) fn connect_at_one_endpoint(companies: [&World; 2]) -> (Connector, Running) {
    let mut builder = Connector::builder();
    let mut transport = SimTransport::new();
    for world in companies {
        let company = &world.vendor;
        let seed = company.erp.credentials().company_id;
        let host = format!("https://{seed}.example.com");
        company.erp.set_origin(&host);
        transport = transport.with_router(&host, company.erp.router());
        let source = company.source(&format!("company-{}", &seed[..8]));
        builder =
            builder.source(source.endpoint("companies").login_url(&host).api_url(&host).build().unwrap());
    }
    let [first, _] = companies;
    let connector = builder
        .audit_log(Arc::clone(&first.log))
        .clock(first.clock())
        .token_store(MemoryTokenStore::new())
        .transport(transport)
        .public_url("https://erp.example.com")
        .build()
        .unwrap();
    companies.iter().for_each(|world| world.host.is_served_by(&connector));
    (connector.clone(), Running::start(&connector))
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
