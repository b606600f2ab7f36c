//! The books of one account, and everything that can happen to a record.

use std::collections::BTreeMap;

use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    model::{Date, Decimal, Zone},
};
use serde_json::Value;

use super::{
    Kind,
    records::{Bill, BillPayment, Category, Data, Entry, Invoice, Payment, Stage},
};

/// A record with what FreshBooks keeps beside it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) created: Timestamp,
    /// When it last moved.
    pub(super) updated: Timestamp,
    /// When it was edited itself, and did not only move with its payments.
    pub(super) edited: Timestamp,
    /// 0 active, 1 deleted, 2 archived.
    pub(super) vis_state: u8,
    /// How often it changed: two versions within a millisecond differ.
    pub(super) revision: u32,
    pub(super) data: Data,
    /// Fields that are shown otherwise than they are; `None` leaves one out.
    pub(super) distorted: Vec<(String, Option<Value>)>,
    /// So many reads of it by id do not find it yet.
    pub(super) hidden_reads: u32,
}

/// A change that a callback may tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    pub(super) kind: Kind,
    pub(super) id: u64,
    /// `create`, `update`, `delete`, `sendByEmail`.
    pub(super) verb: &'static str,
}

/// What belongs to a change, as far as it is not certain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follows {
    /// A payment also tells of its invoice.
    pub(super) invoice_update: bool,
    /// A payment of a bill also tells of its bill.
    pub(super) bill_update: bool,
}

/// The books of one account.
#[derive(Debug)]
pub(super) struct Books {
    zone: Zone,
    records: BTreeMap<(Kind, u64), Record>,
    next: BTreeMap<Kind, u64>,
    pub(super) follows: Follows,
    /// What happened since it was last taken: callbacks look at it.
    pub(super) happened: Vec<Happened>,
}

impl Books {
    /// With a few categories, as every account has.
    pub(super) fn new(zone: Zone, now: Timestamp) -> Self {
        let mut books = Self {
            zone,
            records: BTreeMap::new(),
            next: BTreeMap::new(),
            follows: Follows { invoice_update: true, bill_update: false },
            happened: Vec::new(),
        };
        for name in ["Office Expenses & Postage", "Supplies", "Travel", "Meals & Entertainment"] {
            let id = books.next_id(Kind::Category);
            books.insert(id, Category::new(name).into(), now);
        }
        books.happened.clear();
        books
    }

    /// The account's calendar date.
    pub(super) fn today(&self, now: Timestamp) -> Date {
        now.date_in(&self.zone)
    }

    /// The next record of this kind gets this id.
    pub(super) fn number_from(&mut self, kind: Kind, id: u64) {
        self.next.insert(kind, id);
    }

    /// Creates a record. Returns its id.
    pub(super) fn create(&mut self, mut data: Data, now: Timestamp) -> Result<u64> {
        let today = self.today(now);
        let kind = data.kind();
        self.check(&data)?;
        match &mut data {
            Data::Invoice(invoice) => {
                invoice.date.get_or_insert(today);
                if invoice.number.is_empty() {
                    let ordinal = self.of_kind(Kind::Invoice).count() + 1;
                    invoice.number = format!("INV-{ordinal:04}");
                }
            }
            Data::Payment(payment) => _ = payment.date.get_or_insert(today),
            Data::Bill(bill) => {
                bill.issue_date.get_or_insert(today);
                let category = self.first_category();
                bill.lines.iter_mut().for_each(|line| line.category = line.category.or(category));
            }
            Data::BillPayment(payment) => _ = payment.paid_date.get_or_insert(today),
            Data::Expense(expense) => {
                expense.date.get_or_insert(today);
                expense.category = expense.category.or(self.first_category());
            }
            _ => {}
        }
        let id = self.next_id(kind);
        self.insert(id, data, now);
        self.tell(kind, id, "create");
        self.follow(kind, id, "create", now);
        Ok(id)
    }

    /// Changes a record. Nothing moves and nobody is told when it stays as it was.
    pub(super) fn edit<E: Entry>(
        &mut self,
        id: u64,
        now: Timestamp,
        change: impl FnOnce(&mut E) -> Result<()>,
    ) -> Result<()> {
        let mut data = self.record(E::KIND, id)?.data.clone();
        change(E::of_mut(&mut data).ok_or_else(|| missing(E::KIND, id))?)?;
        self.check(&data)?;
        let record = self.record_mut(E::KIND, id)?;
        if record.data == data {
            return Ok(());
        }
        record.data = data;
        self.touched(E::KIND, id, "update", now)
    }

    /// Moves a record's stamps without changing it, as FreshBooks does by itself.
    pub(super) fn touch(&mut self, kind: Kind, id: u64, now: Timestamp) -> Result<()> {
        self.record(kind, id)?;
        self.touched(kind, id, "update", now)
    }

    /// Sends an invoice by e-mail.
    pub(super) fn send_by_email(&mut self, id: u64, now: Timestamp) -> Result<()> {
        self.edit(id, now, |invoice: &mut Invoice| {
            if invoice.stage == Stage::Draft {
                invoice.stage = Stage::Sent;
            }
            Ok(())
        })?;
        self.tell(Kind::Invoice, id, "sendByEmail");
        Ok(())
    }

    /// Records a payment. What is more than the invoice owes becomes a credit. Returns the payment's id.
    pub(super) fn pay_invoice(&mut self, id: u64, amount: Decimal, now: Timestamp) -> Result<u64> {
        positive(amount)?;
        let (_, invoice) = self.get::<Invoice>(id)?;
        let mut payment = Payment {
            invoice: Some(id),
            client: invoice.client,
            amount,
            currency: invoice.currency.clone(),
            date: None,
            method: "Bank Transfer".to_owned(),
            note: String::new(),
            gateway: None,
            from_credit: false,
            credit: None,
            overpayment: None,
        };
        let rest = amount - self.outstanding(id)?.max(Decimal::ZERO);
        if rest <= Decimal::ZERO {
            return self.create(payment.into(), now);
        }
        let credit = Payment {
            invoice: None,
            amount: rest,
            note: "Overpayment".to_owned(),
            credit: Some(5_500 + self.of_kind(Kind::Payment).count() as u64),
            ..payment.clone()
        };
        payment.amount = amount - rest;
        payment.overpayment = Some(self.peek_id(Kind::Payment) + 1);
        let paid = self.create(payment.into(), now)?;
        self.create(credit.into(), now)?;
        Ok(paid)
    }

    /// Pays an invoice from a client's credit. Returns the payment's id.
    pub(super) fn pay_from_credit(&mut self, id: u64, amount: Decimal, now: Timestamp) -> Result<u64> {
        positive(amount)?;
        let (_, invoice) = self.get::<Invoice>(id)?;
        let payment = Payment {
            invoice: Some(id),
            client: invoice.client,
            amount,
            currency: invoice.currency.clone(),
            date: None,
            method: "Credit".to_owned(),
            note: String::new(),
            gateway: None,
            from_credit: true,
            credit: None,
            overpayment: None,
        };
        self.create(payment.into(), now)
    }

    /// Gives back part of a payment, which is then so much less.
    pub(super) fn refund(&mut self, payment: u64, amount: Decimal, now: Timestamp) -> Result<()> {
        positive(amount)?;
        self.edit(payment, now, |payment: &mut Payment| {
            if amount > payment.amount {
                return Err(Error::new(ErrorKind::Conflict, "expected an amount up to what was paid"));
            }
            payment.amount -= amount;
            Ok(())
        })
    }

    /// Records a payment of a bill. Returns its id.
    pub(super) fn pay_bill(&mut self, id: u64, amount: Decimal, now: Timestamp) -> Result<u64> {
        positive(amount)?;
        let (_, bill) = self.get::<Bill>(id)?;
        if amount > bill.net() + bill.tax() - self.paid_of_bill(id) {
            return Err(Error::new(ErrorKind::Conflict, "expected an amount up to what is owed"));
        }
        let payment =
            BillPayment { bill: id, amount, paid_date: None, method: "Bank Transfer".to_owned(), note: None };
        self.create(payment.into(), now)
    }

    /// Deletes (1), archives (2) or brings back (0) a record. What a deleted payment paid is owed again.
    pub(super) fn set_vis_state(&mut self, kind: Kind, id: u64, to: u8, now: Timestamp) -> Result<()> {
        let record = self.record_mut(kind, id)?;
        if std::mem::replace(&mut record.vis_state, to) == to {
            return Ok(());
        }
        self.touched(kind, id, if to == 1 { "delete" } else { "update" }, now)
    }

    /// Removes a record as if it had never been.
    pub(super) fn purge(&mut self, kind: Kind, id: u64) -> Result<()> {
        self.records.remove(&(kind, id)).map(|_| ()).ok_or_else(|| missing(kind, id))
    }

    /// Shows a field otherwise than it is, or leaves it out. Nothing moves and nobody is told.
    pub(super) fn distort(&mut self, kind: Kind, id: u64, field: &str, value: Option<Value>) -> Result<()> {
        let record = self.record_mut(kind, id)?;
        record.distorted.retain(|(known, _)| known != field);
        record.distorted.push((field.to_owned(), value));
        Ok(())
    }

    pub(super) fn hide(&mut self, kind: Kind, id: u64, reads: u32) -> Result<()> {
        self.record_mut(kind, id).map(|record| record.hidden_reads = reads)
    }

    /// Finds a record for a read by id. A hidden one is found the next time.
    pub(super) fn read(&mut self, kind: Kind, id: u64) -> Option<&Record> {
        let record = self.records.get_mut(&(kind, id))?;
        if record.hidden_reads > 0 {
            record.hidden_reads -= 1;
            return None;
        }
        Some(record)
    }

    pub(super) fn find(&self, kind: Kind, id: u64) -> Option<&Record> {
        self.records.get(&(kind, id))
    }

    pub(super) fn get<E: Entry>(&self, id: u64) -> Result<(&Record, &E)> {
        let record = self.record(E::KIND, id)?;
        Ok((record, E::of(&record.data).ok_or_else(|| missing(E::KIND, id))?))
    }

    /// The records of a kind, oldest first.
    pub(super) fn of_kind(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.range((kind, 0)..=(kind, u64::MAX)).map(|(_, record)| record)
    }

    /// The payments of an invoice that count.
    pub(super) fn payments_of(&self, invoice: u64) -> impl Iterator<Item = &Payment> {
        self.of_kind(Kind::Payment)
            .filter(|record| record.vis_state != 1)
            .filter_map(|record| Payment::of(&record.data))
            .filter(move |payment| payment.invoice == Some(invoice))
    }

    pub(super) fn paid_of(&self, invoice: u64) -> Decimal {
        self.payments_of(invoice).map(|payment| payment.amount).sum()
    }

    pub(super) fn outstanding(&self, invoice: u64) -> Result<Decimal> {
        let (_, entered) = self.get::<Invoice>(invoice)?;
        Ok(entered.amount() - self.paid_of(invoice))
    }

    /// The payments of a bill that count, oldest first.
    pub(super) fn payments_of_bill(&self, bill: u64) -> impl Iterator<Item = (&Record, &BillPayment)> {
        self.of_kind(Kind::BillPayment)
            .filter(|record| record.vis_state != 1)
            .filter_map(|record| Some((record, BillPayment::of(&record.data)?)))
            .filter(move |(_, payment)| payment.bill == bill)
    }

    pub(super) fn paid_of_bill(&self, bill: u64) -> Decimal {
        self.payments_of_bill(bill).map(|(_, payment)| payment.amount).sum()
    }

    fn record(&self, kind: Kind, id: u64) -> Result<&Record> {
        self.records.get(&(kind, id)).ok_or_else(|| missing(kind, id))
    }

    fn record_mut(&mut self, kind: Kind, id: u64) -> Result<&mut Record> {
        self.records.get_mut(&(kind, id)).ok_or_else(|| missing(kind, id))
    }

    fn first_category(&self) -> Option<u64> {
        self.of_kind(Kind::Category).next().map(|record| record.id)
    }

    /// Whether a record refers to what is there, and its amounts make sense.
    fn check(&self, data: &Data) -> Result<()> {
        let there = |kind: Kind, id: u64| self.record(kind, id).map(|_| ());
        match data {
            Data::Invoice(invoice) => {
                there(Kind::Client, invoice.client)?;
                not_negative(invoice.amount())
            }
            Data::Payment(payment) => {
                payment.invoice.map_or(Ok(()), |invoice| there(Kind::Invoice, invoice))?;
                there(Kind::Client, payment.client)
            }
            Data::Bill(bill) => {
                there(Kind::BillVendor, bill.vendor)?;
                not_negative(bill.net())
            }
            Data::BillPayment(payment) => there(Kind::Bill, payment.bill),
            Data::Expense(expense) => {
                expense.client.map_or(Ok(()), |client| there(Kind::Client, client))?;
                expense.category.map_or(Ok(()), |category| there(Kind::Category, category))
            }
            _ => Ok(()),
        }
    }

    fn insert(&mut self, id: u64, data: Data, now: Timestamp) {
        let record = Record {
            id,
            created: now,
            updated: now,
            edited: now,
            vis_state: 0,
            revision: 1,
            distorted: Vec::new(),
            hidden_reads: 0,
            data,
        };
        self.records.insert((record.data.kind(), id), record);
    }

    fn touched(&mut self, kind: Kind, id: u64, verb: &'static str, now: Timestamp) -> Result<()> {
        self.stamp(kind, id, now);
        self.record_mut(kind, id)?.edited = now;
        self.tell(kind, id, verb);
        self.follow(kind, id, verb, now);
        Ok(())
    }

    fn stamp(&mut self, kind: Kind, id: u64, now: Timestamp) {
        if let Some(record) = self.records.get_mut(&(kind, id)) {
            record.updated = now;
            record.revision += 1;
        }
    }

    /// What moves with a record: a payment's invoice, a bill payment's bill, the party of a new document.
    fn follow(&mut self, kind: Kind, id: u64, verb: &str, now: Timestamp) {
        let data = self.records.get(&(kind, id)).map(|record| record.data.clone());
        match data {
            Some(Data::Invoice(invoice)) if verb == "create" => self.stamp(Kind::Client, invoice.client, now),
            Some(Data::Payment(Payment { invoice: Some(invoice), .. })) => {
                self.stamp(Kind::Invoice, invoice, now);
                if self.follows.invoice_update {
                    self.tell(Kind::Invoice, invoice, "update");
                }
            }
            Some(Data::Bill(bill)) if verb == "create" => self.stamp(Kind::BillVendor, bill.vendor, now),
            Some(Data::BillPayment(payment)) => {
                self.stamp(Kind::Bill, payment.bill, now);
                if self.follows.bill_update {
                    self.tell(Kind::Bill, payment.bill, "update");
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, kind: Kind, id: u64, verb: &'static str) {
        if kind.has_events() {
            self.happened.push(Happened { kind, id, verb });
        }
    }

    fn peek_id(&self, kind: Kind) -> u64 {
        let start = match kind {
            Kind::Invoice => 502_001,
            Kind::Payment => 340_001,
            Kind::Bill => 71_001,
            Kind::BillPayment => 9_001,
            Kind::BillVendor => 8_801,
            Kind::Expense => 2_714_001,
            Kind::Category => 13_309_101,
            Kind::Client => 618_001,
            Kind::Item => 55_001,
            Kind::Tax => 7_701,
        };
        self.next.get(&kind).copied().unwrap_or(start)
    }

    fn next_id(&mut self, kind: Kind) -> u64 {
        let id = self.peek_id(kind);
        self.next.insert(kind, id + 1);
        id
    }
}

impl Data {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Invoice(_) => Kind::Invoice,
            Self::Payment(_) => Kind::Payment,
            Self::Bill(_) => Kind::Bill,
            Self::BillPayment(_) => Kind::BillPayment,
            Self::BillVendor(_) => Kind::BillVendor,
            Self::Expense(_) => Kind::Expense,
            Self::Category(_) => Kind::Category,
            Self::Client(_) => Kind::Client,
            Self::Item(_) => Kind::Item,
            Self::Tax(_) => Kind::Tax,
        }
    }
}

fn positive(amount: Decimal) -> Result<()> {
    if amount > Decimal::ZERO {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidRequest, "expected an amount above zero"))
    }
}

fn not_negative(amount: Decimal) -> Result<()> {
    if amount.is_sign_negative() && !amount.is_zero() {
        return Err(Error::new(ErrorKind::InvalidRequest, "expected a total of zero or more"));
    }
    Ok(())
}

pub(super) fn missing(kind: Kind, id: u64) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such record")
        .with_context("kind", kind.name())
        .with_context("id", id)
}
