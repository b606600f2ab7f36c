//! Zoho Books, people who work with the books of an organization, and how often their lists are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Clock, Secret, SourceMode, Timestamp, TokioClock,
    model::{Decimal, RecordKind, Zone},
};
use ml_connector_sim::{
    SimTransport, ZohoBooksSim,
    zoho::{Entity, EventKind, NewDocument, NewRecord, Organization, Plan, WebhookRule, ZohoBooksConfig},
};
use ml_connector_zoho::ZohoBooks;

use crate::{
    mirror::{self, Diary, Kept, Post, Skewed, Vendor},
    proof::Dice,
};

pub(crate) type World = mirror::World<Books>;

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

/// An organization whose books people work with.
pub(crate) struct Books {
    pub(crate) sim: ZohoBooksSim,
    diary: Diary,
    /// Every change, by its list.
    touched: Vec<(&'static str, String, Timestamp)>,
    clock: Arc<Skewed>,
    plan: Plan,
    sends_webhooks: bool,
    documents: Vec<Document>,
    /// Orders, expenses, contacts, items, accounts and currencies that exist.
    plain: Vec<(Entity, String)>,
    used: BTreeSet<usize>,
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

pub(crate) fn world(seed: u64, plan: Plan, latency: Duration) -> World {
    world_with(seed, plan, latency, |clock| Skewed::new(clock, seed))
}

/// With a vendor's clock that is ahead of ours and behind it by this much.
pub(crate) fn world_apart(seed: u64, ahead: Duration, behind: Duration) -> World {
    world_with(seed, Plan::Elite, Duration::from_millis(200), |clock| Skewed::apart(clock, ahead, behind))
}

/// Every second webhook is lost.
fn world_with(
    seed: u64,
    plan: Plan,
    latency: Duration,
    vendor_clock: impl FnOnce(&Arc<TokioClock>) -> Arc<Skewed>,
) -> World {
    mirror::World::new(seed, "2026-03-02T17:00:00Z", Post::that_loses(4), |clock, _| {
        let mut config = ZohoBooksConfig::default();
        config.organizations = vec![Organization {
            id: ORGANIZATION.to_owned(),
            name: "Harbor Lane Supply".to_owned(),
            time_zone: Zone::named("America/New_York").unwrap(),
            plan,
        }];
        config.conditions.latency = latency;
        let clock = vendor_clock(clock);
        Books {
            sim: ZohoBooksSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, config),
            diary: Diary::new("books"),
            touched: Vec::new(),
            clock,
            plan,
            sends_webhooks: false,
            documents: Vec::new(),
            plain: Vec::new(),
            used: BTreeSet::new(),
        }
    })
}

impl Vendor for Books {
    type Mode = SourceMode;
    type Source = ZohoBooks;

    const AGE: Duration = Duration::from_secs(3600);
    const STEP: Duration = Duration::from_secs(60);

    fn sources(&self, mode: SourceMode) -> Vec<ZohoBooks> {
        let credentials = self.sim.credentials();
        let plan = match self.plan {
            Plan::Free => ml_connector_zoho::Plan::Free,
            Plan::Standard => ml_connector_zoho::Plan::Standard,
            Plan::Professional => ml_connector_zoho::Plan::Professional,
            Plan::Elite => ml_connector_zoho::Plan::Elite,
        };
        let builder = ZohoBooks::builder("books")
            .organization_id(ORGANIZATION)
            .data_center(ml_connector_zoho::DataCenter::Us)
            .client(credentials.client_id, credentials.client_secret.as_str())
            .refresh_token(credentials.refresh_token.as_str())
            .webhook_secret(SECRET)
            .time_zone("America/New_York")
            .resources(RESOURCES)
            .plan(plan)
            .mode(mode);
        vec![builder.build().unwrap()]
    }

    /// Enters the workflow rules, as a person does.
    fn prepare(&mut self, mode: SourceMode) {
        if mode == SourceMode::Poll || std::mem::replace(&mut self.sends_webhooks, true) {
            return;
        }
        let url: url::Url = "https://erp.example.com/books".parse().unwrap();
        for entity in TELLING {
            for kind in [EventKind::Changed, EventKind::Deleted] {
                let rule = WebhookRule::new(entity, kind, url.clone(), Some(Secret::from(SECRET)));
                self.sim.add_webhook(rule).unwrap();
            }
        }
    }

    fn within_reach(&self, transport: SimTransport) -> SimTransport {
        transport.with_zoho_books(&self.sim)
    }

    fn furnish(&mut self, invoices: usize, dice: &mut Dice) {
        for n in 0..invoices {
            self.create(if n % 10 == 9 { Entity::Bill } else { Entity::Invoice }, dice);
            if n % 3 == 0 {
                let last = self.documents.len() - 1;
                self.advance(last, dice);
            }
        }
        for n in 0..invoices / 4 {
            self.create_plain(PLAIN[n % PLAIN.len()], dice);
        }
        self.diary.begin();
    }

    fn begin_round(&mut self, _: &mut Dice, _: Timestamp) {
        self.used.clear();
    }

    fn act(&mut self, dice: &mut Dice, _: Timestamp) {
        if dice.below(4) == 0 {
            return self.act_on_plain(dice);
        }
        if dice.below(4) == 0 {
            let entity = if dice.below(3) == 0 { Entity::Bill } else { Entity::Invoice };
            self.create(entity, dice);
            self.used.insert(self.documents.len() - 1);
            return;
        }
        let at = dice.place(self.documents.len());
        let Document { entity, id, stage, payments, .. } = &self.documents[at];
        let (entity, id, stage, payments) = (*entity, id.clone(), *stage, *payments);
        if stage == Stage::Closed || !self.used.insert(at) {
            return;
        }
        // Deleting is rare: a look that misses too many records would not be believed.
        match dice.below(30) {
            0 if !payments => self.delete(at),
            1..8 => {
                let reference = format!("PO {}", dice.below(1_000_000));
                self.sim.set_reference(entity, &id, &reference).unwrap();
                self.note(entity, "updated", &id);
            }
            8..12 if stage == Stage::Open && !payments => {
                self.documents[at].stage = Stage::Closed;
                self.sim.void(entity, &id).unwrap();
                self.note(entity, "voided", &id);
            }
            _ => self.advance(at, dice),
        }
    }

    fn take_webhooks(&mut self) -> Vec<Request<Bytes>> {
        self.sim.take_webhooks().into_iter().map(|delivery| delivery.request).collect()
    }

    fn delete_some(&mut self) {
        let free = |(_, document): &(usize, &Document)| document.stage != Stage::Closed && !document.payments;
        // The latest, because those that were never told have no row to be marked.
        let places = self.documents.iter().enumerate().rev().filter(free).map(|(at, _)| at);
        let places: Vec<usize> = places.take(4).collect();
        assert_eq!(places.len(), 4);
        places.into_iter().for_each(|at| self.delete(at));
    }

    fn diaries(&self) -> Vec<&Diary> {
        vec![&self.diary]
    }

    fn records(&self) -> Vec<Kept> {
        let kinds: BTreeMap<&str, &str> =
            PLAIN.into_iter().chain(TELLING).map(words).map(|(kind, list)| (list, kind)).collect();
        let ids: BTreeSet<(&str, &String)> = self.touched.iter().map(|(list, id, _)| (*list, id)).collect();
        let kept = |(list, id): (&str, &String)| Kept {
            connection: "books",
            kind: kinds[list],
            id: id.clone(),
            exists: !self.diary.has("deleted", id),
        };
        ids.into_iter().map(kept).collect()
    }
}

impl Books {
    fn act_on_plain(&mut self, dice: &mut Dice) {
        let at = dice.place(self.plain.len());
        let what = dice.below(12);
        if what < 4 {
            let entity = dice.one_of(&PLAIN);
            self.create_plain(entity, dice);
            self.used.insert(BEYOND + self.plain.len() - 1);
            return;
        }
        if !self.used.insert(BEYOND + at) {
            return;
        }
        let (entity, id) = self.plain[at].clone();
        match what {
            4 => {
                // Its place stays taken, so that no other one comes under its number.
                self.sim.delete(entity, &id).unwrap();
                self.note(entity, "deleted", &id);
                self.create_plain(entity, dice);
                let new = self.plain.pop().unwrap();
                self.plain[at] = new;
            }
            _ => {
                if matches!(entity, Entity::Contact | Entity::Account) {
                    let name = format!("Name {}", dice.below(1_000_000));
                    self.sim.rename(entity, &id, &name).unwrap();
                } else {
                    self.sim.set_amount(entity, &id, Decimal::new(dice.cents(0, 1_000_000), 4)).unwrap();
                }
                self.note(entity, "updated", &id);
            }
        }
    }

    fn create_plain(&mut self, entity: Entity, dice: &mut Dice) {
        let rate = Decimal::new(dice.cents(0, 1_000_000), 4);
        let name = format!("Name {}", dice.below(u64::MAX));
        let id = self.sim.create_record(entity, NewRecord::new(&name, rate)).unwrap();
        self.note(entity, "created", &id);
        self.plain.push((entity, id));
    }

    fn create(&mut self, entity: Entity, dice: &mut Dice) {
        let cents = dice.cents(10_000, 90_000);
        let new = NewDocument::new("Bluebird Logistics", Decimal::new(cents, 2));
        let id = match entity {
            Entity::Bill => self.sim.create_bill(new),
            _ => self.sim.create_invoice(new),
        };
        let id = id.unwrap();
        let stage = if entity == Entity::Bill { Stage::Open } else { Stage::Draft };
        self.note(entity, "created", &id);
        self.documents.push(Document { entity, id, stage, left: cents, payments: false });
    }

    fn delete(&mut self, at: usize) {
        let document = &mut self.documents[at];
        document.stage = Stage::Closed;
        let (entity, id) = (document.entity, document.id.clone());
        self.sim.delete(entity, &id).unwrap();
        self.note(entity, "deleted", &id);
    }

    /// Sends a draft; pays what is open, in part or in full.
    fn advance(&mut self, at: usize, dice: &mut Dice) {
        let full = dice.below(2) == 0;
        let document = &mut self.documents[at];
        let (entity, id) = (document.entity, document.id.clone());
        if document.stage == Stage::Draft {
            document.stage = Stage::Open;
            self.sim.mark_sent(&id).unwrap();
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
            Entity::Bill => (self.sim.pay_bill(&id, amount).unwrap(), Entity::VendorPayment),
            _ => (self.sim.pay_invoice(&id, amount).unwrap(), Entity::CustomerPayment),
        };
        self.note(entity, paid, &id);
        self.note(kind, "created", &payment);
    }

    fn note(&mut self, entity: Entity, change: &str, id: &str) {
        let (kind, list) = words(entity);
        self.diary.note(kind, change, id);
        self.touched.push((list, id.to_owned(), self.clock.now()));
    }

    pub(crate) fn calls(&self) -> Calls {
        let mut calls = Calls { runs: Vec::new(), details: BTreeMap::new() };
        for received in self.sim.received() {
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
                    && run.at.saturating_since(*at) < self.clock.ahead + Duration::from_secs(3)
            })
        };
        self.touched.iter().filter(|(list, _, at)| near(list, at)).count()
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
