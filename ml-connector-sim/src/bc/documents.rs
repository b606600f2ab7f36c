//! Documents: how people make, change, post and pay them.

use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    model::{Date, Decimal, Zone},
};

use super::{
    State,
    auth::guid,
    rows::{Shown, Stage},
    shapes::{NO_ID, Set},
};
use crate::toolkit::json::{Fields, number};

/// A document to create. It has one line, unless lines are added.
#[derive(Debug, Clone)]
#[must_use]
pub struct NewDocument {
    counterparty: String,
    lines: Vec<(String, Decimal, Decimal)>,
    tax_percent: Decimal,
    currency: Option<String>,
    due: Option<Date>,
    vendor_invoice_number: String,
    purchaser: String,
}

impl NewDocument {
    /// A document of this amount, without tax.
    pub fn new(counterparty: impl Into<String>, total: Decimal) -> Self {
        Self {
            counterparty: counterparty.into(),
            lines: vec![("Goods as agreed".to_owned(), Decimal::ONE, total)],
            tax_percent: Decimal::ZERO,
            currency: None,
            due: None,
            vendor_invoice_number: String::new(),
            purchaser: String::new(),
        }
    }

    /// The vendor's own number.
    pub fn vendor_invoice_number(mut self, number: impl Into<String>) -> Self {
        self.vendor_invoice_number = number.into();
        self
    }

    /// When it falls due.
    pub fn due(mut self, date: Date) -> Self {
        self.due = Some(date);
        self
    }

    /// In a currency that is not the company's own.
    pub fn currency(mut self, code: impl Into<String>) -> Self {
        self.currency = Some(code.into());
        self
    }

    /// The purchaser's or salesperson's code.
    pub fn purchaser(mut self, code: impl Into<String>) -> Self {
        self.purchaser = code.into();
        self
    }

    /// What tax adds to every line.
    pub fn tax_percent(mut self, percent: Decimal) -> Self {
        self.tax_percent = percent;
        self
    }

    /// Adds a line.
    pub fn line(mut self, description: impl Into<String>, quantity: Decimal, price: Decimal) -> Self {
        self.lines.push((description.into(), quantity, price));
        self
    }
}

/// A document that was posted: what the ledger has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posting {
    /// The set.
    pub set: Set,
    /// The document's id, which stays.
    pub id: String,
    /// The number of the posted document.
    pub number: String,
    /// What was posted.
    pub total: Decimal,
    /// When.
    pub at: Timestamp,
    /// The application, or `people`.
    pub by: String,
}

/// How a notice calls a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Created,
    Updated,
    Deleted,
}

impl State {
    pub(super) fn create(&mut self, set: Set, new: &NewDocument, now: Timestamp) -> String {
        let id = guid(&self.seed.hex());
        self.drafts += 1;
        let draft_number = match set {
            Set::PurchaseInvoices => format!("PINV-{:07}", self.drafts),
            Set::SalesInvoices => format!("SINV-{:07}", self.drafts),
            Set::PurchaseOrders => format!("PO-{:05}", self.drafts),
            _ => format!("SO-{:05}", self.drafts),
        };
        let (who, short) = if set.is_purchase() { ("vendor", "payTo") } else { ("customer", "billTo") };
        let (party, party_number) = self.party(set, &new.counterparty, now);
        let today = now.date_in(&Zone::UTC).to_string();
        let mut fields = set.blank();
        fields.set("id", &id);
        fields.set("number", draft_number);
        for name in ["postingDate", "invoiceDate", "orderDate"] {
            if fields.get(name).is_some() {
                fields.set(name, &today);
            }
        }
        if fields.get("dueDate").is_some() {
            let due = new.due.unwrap_or_else(|| now.date_in(&Zone::UTC).plus_days(30));
            fields.set("dueDate", due.to_string());
        }
        for name in [format!("{who}Id"), format!("{short}{}Id", capital(who))] {
            fields.set(&name, &party);
        }
        fields.set(&format!("{who}Number"), &party_number);
        fields.set(&format!("{who}Name"), &new.counterparty);
        fields.set(&format!("{short}Name"), &new.counterparty);
        fields.set(if set.is_purchase() { "purchaser" } else { "salesperson" }, &new.purchaser);
        if set == Set::PurchaseInvoices {
            fields.set("vendorInvoiceNumber", &new.vendor_invoice_number);
        }
        match &new.currency {
            Some(code) => {
                fields.set("currencyCode", code);
                let id = guid(&self.seed.hex());
                fields.set("currencyId", id);
            }
            None => fields.set("currencyCode", self.currency.clone()),
        }
        let mut lines = Vec::new();
        for (n, (text, quantity, price)) in new.lines.iter().enumerate() {
            let mut line = set.blank_line();
            line.set("id", guid(&self.seed.hex()));
            line.set("documentId", &id);
            line.set("sequence", (n + 1) * 10_000);
            line.set("lineType", "Account");
            line.set("accountId", NO_ID);
            line.set("lineObjectNumber", "6120");
            line.set("description", text);
            line.set("quantity", number(*quantity));
            let price_name = ["unitCost", "directUnitCost", "unitPrice"];
            if let Some(name) = price_name.into_iter().find(|name| line.get(name).is_some()) {
                line.set(name, number(*price));
            }
            let net = *quantity * *price;
            let tax = (net * new.tax_percent / Decimal::ONE_HUNDRED).round_dp(2);
            line.set("taxPercent", number(new.tax_percent));
            line.set_amounts(&["amountExcludingTax", "netAmount"], net);
            line.set_amounts(&["totalTaxAmount", "netTaxAmount"], tax);
            line.set_amounts(&["amountIncludingTax", "netAmountIncludingTax"], net + tax);
            lines.push(line);
        }
        let mut shown = Shown {
            version: 0,
            fields,
            lines,
            stage: Stage::Open,
            modified: Some(now),
            total: Decimal::ZERO,
        };
        total_up(set, &mut shown);
        self.write(set, &id, shown, How::Created, now);
        id
    }

    /// A vendor or customer by name, made if there is none.
    fn party(&mut self, set: Set, name: &str, now: Timestamp) -> (String, String) {
        let parties = if set.is_purchase() { Set::Vendors } else { Set::Customers };
        let known = self.rows.of(parties).filter_map(|(id, row)| Some((id, row.now()?)));
        for (id, shown) in known {
            if shown.fields.text("displayName") == name {
                return (id.to_owned(), shown.fields.text("number"));
            }
        }
        self.masters += 1;
        let party_number = format!("{}{:05}", if set.is_purchase() { 'V' } else { 'C' }, self.masters);
        let id = self.create_master(
            parties,
            &[("number", party_number.as_str().into()), ("displayName", name.into())],
            now,
        );
        (id, party_number)
    }

    pub(super) fn create_master(
        &mut self,
        set: Set,
        values: &[(&str, serde_json::Value)],
        now: Timestamp,
    ) -> String {
        let id = guid(&self.seed.hex());
        let mut fields = set.blank();
        fields.set("id", &id);
        values.iter().for_each(|(name, value)| fields.set(name, value));
        let shown = Shown {
            version: 0,
            fields,
            lines: Vec::new(),
            stage: Stage::Open,
            modified: Some(now),
            total: Decimal::ZERO,
        };
        self.write(set, &id, shown, How::Created, now);
        id
    }

    /// Writes a state, stamps it and tells about it.
    pub(super) fn write(&mut self, set: Set, id: &str, mut shown: Shown, how: How, now: Timestamp) {
        shown.modified = Some(now);
        if set.lines().is_some() {
            shown.fields.set("status", shown.stage.word(set));
        }
        self.rows.put(set, id, shown, now);
        self.notifier.note(set, id, how, now, &self.tuning);
    }

    /// Changes a record, stamps it and tells about it.
    pub(super) fn change(
        &mut self,
        set: Set,
        id: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Shown),
    ) -> Result<()> {
        let mut shown = self.rows.get(set, id).cloned().ok_or_else(missing)?;
        change(&mut shown);
        self.write(set, id, shown, How::Updated, now);
        Ok(())
    }

    /// Sets the price of the first line so that the document has this total.
    pub(super) fn set_total(&mut self, set: Set, id: &str, total: Decimal, now: Timestamp) -> Result<()> {
        self.change(set, id, now, |shown| {
            let rest: Decimal =
                shown.lines.iter().skip(1).map(|line| amount(line, "netAmountIncludingTax")).sum();
            if let Some(line) = shown.lines.first_mut() {
                let tax = amount(line, "totalTaxAmount");
                let net = total - rest - tax;
                line.set_amounts(&["amountExcludingTax", "netAmount"], net);
                line.set_amounts(&["amountIncludingTax", "netAmountIncludingTax"], net + tax);
                let price = ["unitCost", "directUnitCost", "unitPrice"];
                if let Some(name) = price.into_iter().find(|name| line.get(name).is_some()) {
                    line.set("quantity", 1);
                    line.set(name, number(net));
                }
            }
            total_up(set, shown);
        })
    }

    /// Posts, once: the ledger is written, the number may change, the id stays.
    pub(super) fn post(&mut self, set: Set, id: &str, by: &str, now: Timestamp) -> Result<()> {
        let draft = self.rows.get(set, id).ok_or_else(missing)?;
        if draft.stage.is_posted() {
            return Err(Error::new(ErrorKind::Conflict, "it is posted already"));
        }
        self.posted += 1;
        let (one_series, posted) = (self.tuning.one_series, self.posted);
        let series = if set == Set::PurchaseInvoices { "108" } else { "103" };
        self.change(set, id, now, |shown| {
            shown.stage = Stage::Posted;
            if !one_series {
                shown.fields.set("number", format!("{series}{posted:05}"));
            }
        })?;
        if let Some(shown) = self.rows.get(set, id) {
            let (number, total) = (shown.fields.text("number"), shown.total);
            self.postings.push(Posting { set, id: id.to_owned(), number, total, at: now, by: by.to_owned() });
        }
        Ok(())
    }

    /// Finishes what goes on after its answer.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(at, ..)| *at <= now);
        self.late = later;
        let due: Vec<(Timestamp, Set, String, String)> = due;
        for (at, set, id, by) in due {
            let _ = self.post(set, &id, &by, at);
        }
    }

    /// Invoices an order: the order is gone, and an invoice with an id of its own names it.
    pub(super) fn invoice_order(&mut self, set: Set, id: &str, now: Timestamp) -> Result<String> {
        let invoice = self.invoice_part(set, id, None, now)?;
        self.rows.delete(set, id, now);
        self.notifier.note(set, id, How::Deleted, now, &self.tuning);
        Ok(invoice)
    }

    /// Makes and posts an invoice of an order: of this part, or of all of it.
    pub(super) fn invoice_part(
        &mut self,
        set: Set,
        id: &str,
        part: Option<Decimal>,
        now: Timestamp,
    ) -> Result<String> {
        let order = self.rows.get(set, id).cloned().ok_or_else(missing)?;
        let (invoices, who) = match set {
            Set::PurchaseOrders => (Set::PurchaseInvoices, "vendorName"),
            _ => (Set::SalesInvoices, "customerName"),
        };
        let new = NewDocument::new(order.fields.text(who), part.unwrap_or(order.total))
            .vendor_invoice_number("BY-ORDER");
        let invoice = self.create(invoices, &new, now);
        self.change(invoices, &invoice, now, |shown| {
            shown.fields.set("orderId", id);
            shown.fields.set("orderNumber", order.fields.text("number"));
        })?;
        self.post(invoices, &invoice, "people", now)?;
        Ok(invoice)
    }

    pub(super) fn delete(&mut self, set: Set, id: &str, now: Timestamp) -> Result<()> {
        let gone = self.rows.get(set, id).cloned().ok_or_else(missing)?;
        self.rows.delete(set, id, now);
        self.notifier.note(set, id, How::Deleted, now, &self.tuning);
        if self.tuning.placeholders && set.is_invoice() {
            let name = if set.is_purchase() { "vendorName" } else { "customerName" };
            let new = NewDocument::new(gone.fields.text(name), Decimal::ZERO);
            let id = self.create(set, &new, now);
            self.change(set, &id, now, |shown| {
                shown.stage = Stage::Paid;
                for line in &mut shown.lines {
                    line.set("lineType", "Comment");
                    line.set("description", "Deleted Document");
                }
            })?;
        }
        Ok(())
    }
}

/// The totals of the header, of the lines.
pub(super) fn total_up(set: Set, shown: &mut Shown) {
    let sum = |name| shown.lines.iter().map(|line| amount(line, name)).sum::<Decimal>();
    let (net, tax) = (sum("netAmount"), sum("netTaxAmount"));
    shown.total = net + tax;
    shown.fields.set_amounts(&["totalAmountExcludingTax"], net);
    shown.fields.set_amounts(&["totalTaxAmount"], tax);
    shown.fields.set_amounts(&["totalAmountIncludingTax"], net + tax);
    if set == Set::SalesInvoices {
        shown.fields.set_amounts(&["remainingAmount"], net + tax);
    }
}

fn amount(line: &Fields, name: &str) -> Decimal {
    line.get(name).and_then(|raw| raw.get().parse().ok()).unwrap_or_default()
}

pub(super) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such record")
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}
