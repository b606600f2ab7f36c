//! What happens to documents later: they are processed, and their terms are settled.

use ml_connector_core::{Result, Timestamp, model::Decimal};

use super::{
    books::{Books, Row, State, missing, put},
    config::Quirks,
    documents::{NewDocument, NewLine},
    kind::Kind,
    schema,
};
use crate::toolkit::json::{Fields, number};

/// What ends a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Money: a bank entry is written too.
    Bank,
    /// A credit note.
    CreditNote,
    /// A write-off or a discount.
    WriteOff,
}

impl Books {
    /// The term of an entry.
    pub(super) fn term(&mut self, term: Kind, kind: Kind, entry: &str, now: Timestamp) -> Option<String> {
        let of = self.get(kind, entry)?.state.clone();
        let header = &of.header.fields;
        let path = term.path();
        let (mut fields, _) = schema::template(term);
        fields.set("ID", ());
        for name in
            ["Currency", "Description", "DueDate", "YourRef", "Document", "InvoiceNumber", "EntryNumber"]
        {
            put(path, &mut fields, name, header.get(name));
        }
        let is_bank = matches!(kind, Kind::BankEntries | Kind::CashEntries);
        let journal = header.get("Journal").or_else(|| header.get("JournalCode"));
        put(path, &mut fields, "Journal", journal);
        put(path, &mut fields, "JournalDescription", header.get("JournalDescription"));
        put(path, &mut fields, "InvoiceDate", header.get("EntryDate").or_else(|| header.get("Created")));
        put(path, &mut fields, "TransactionDueDate", header.get("DueDate"));
        put(path, &mut fields, "TransactionEntryID", entry);
        put(path, &mut fields, "TransactionID", of.lines.first().map(|row| row.id.as_str()));
        let type_ = if is_bank { 40 } else { if term == Kind::Payments { 30 } else { 20 } };
        put(path, &mut fields, "TransactionType", type_);
        for amount in ["AmountDC", "AmountFC"] {
            put(path, &mut fields, amount, header.get(amount));
            put(path, &mut fields, &format!("Transaction{amount}"), header.get(amount));
        }
        let name = ["SupplierName", "CustomerName"].map(|name| header.text(name)).concat();
        let (account, code) = self.party(&name, now);
        put(path, &mut fields, "Account", account);
        put(path, &mut fields, "AccountCode", code);
        put(path, &mut fields, "AccountName", name);
        put(path, &mut fields, "EntryID", self.guid());
        open(path, &mut fields);
        Some(self.insert(term, fields, Vec::new(), now))
    }

    /// An unmatched line of a bank entry is a term too.
    pub(super) fn unmatched(&mut self, bank: &str, open_amount: Decimal, now: Timestamp) -> Option<String> {
        let term = if open_amount.is_sign_negative() { Kind::Payments } else { Kind::Receivables };
        let line = self.get(Kind::BankEntries, bank)?.state.lines.first()?.fields.clone();
        let id = self.term(term, Kind::BankEntries, bank, now)?;
        let record = self.records.get_mut(&term)?.get_mut(&id)?;
        let fields = &mut record.state.header.fields;
        for name in ["Account", "AccountCode", "AccountName", "Description"] {
            fields.set(name, line.get(name));
        }
        fields.set("InvoiceNumber", ());
        for name in ["AmountDC", "AmountFC"] {
            fields.set(name, number(open_amount));
            fields.set(&format!("Transaction{name}"), number(-open_amount));
        }
        Some(id)
    }

    /// Processes a document. A sales invoice gets its number, a document, an entry and a term.
    pub(super) fn process(&mut self, kind: Kind, id: &str, quirks: &Quirks, now: Timestamp) -> Result<()> {
        let invoice_number = (kind == Kind::SalesInvoices).then(|| self.number("invoices", 26_700_113));
        let path = kind.path();
        self.change(kind, id, quirks, now, |state| {
            let fields = &mut state.header.fields;
            put(path, fields, "Status", 50);
            put(path, fields, "StatusDescription", "Processed");
            if let Some(number) = invoice_number {
                fields.set("InvoiceNumber", number);
            }
        })?;
        let Some(invoice_number) = invoice_number else { return Ok(()) };
        self.attach(kind, id, quirks, now);
        let of = self.get(kind, id).ok_or_else(missing)?.state.clone();
        let (mut entry, line) = schema::template(Kind::SalesEntries);
        let header = &of.header.fields;
        let path = Kind::SalesEntries.path();
        for (name, _) in schema::properties(path).unwrap_or_default() {
            if let Some(value) = header.get(name).filter(|_| !matches!(*name, "Type" | "EntryID")) {
                put(path, &mut entry, name, value);
            }
        }
        entry.set("Customer", header.get("OrderedBy"));
        entry.set("CustomerName", header.get("OrderedByName"));
        entry.set("EntryDate", header.get("InvoiceDate"));
        self.series(Kind::SalesEntries, &mut entry);
        entry.set("InvoiceNumber", invoice_number);
        entry.set("EntryNumber", invoice_number);
        let line_path = Kind::SalesEntries.shape().lines.map_or("", |(_, path)| path);
        let lines = of
            .lines
            .iter()
            .map(|row| {
                let mut fields = line.clone();
                for (name, _) in schema::properties(line_path).unwrap_or_default() {
                    if let Some(value) = row.fields.get(name).filter(|_| !matches!(*name, "ID" | "EntryID")) {
                        put(line_path, &mut fields, name, value);
                    }
                }
                fields.set("GLAccountCode", "8000");
                fields
            })
            .collect();
        let entry = self.insert(Kind::SalesEntries, entry, lines, now);
        self.term(Kind::Receivables, Kind::SalesEntries, &entry, now);
        Ok(())
    }

    /// The open terms of an entry, or of the entry of an invoice.
    pub(super) fn terms_of(&self, entry: &str) -> Vec<(Kind, String)> {
        let invoice = self.get(Kind::SalesInvoices, entry);
        let invoice = invoice.map(|record| record.state.header.fields.text_or_number("InvoiceNumber"));
        // An invoice that is not processed has no number yet, as a receipt that is not matched has none.
        if invoice.as_deref() == Some("") {
            return Vec::new();
        }
        let is_of = |row: &Row| {
            let fields = &row.fields;
            fields.text("TransactionEntryID") == entry
                || invoice.as_deref().is_some_and(|number| fields.text_or_number("InvoiceNumber") == number)
        };
        [Kind::Payments, Kind::Receivables]
            .into_iter()
            .flat_map(|kind| self.of(kind).map(move |record| (kind, record)))
            .filter(|(kind, record)| {
                is_of(&record.state.header) && (invoice.is_none() || *kind == Kind::Receivables)
            })
            .filter(|(_, record)| record.state.header.fields.text_or_number("Status") == "20")
            .map(|(kind, record)| (kind, record.state.header.id.clone()))
            .collect()
    }

    /// Splits a term: it keeps a part, and another row that is like it has the rest.
    pub(super) fn split(
        &mut self,
        (term, id): (Kind, &str),
        part: Decimal,
        quirks: &Quirks,
        now: Timestamp,
    ) -> Result<String> {
        let of = self.get(term, id).ok_or_else(missing)?.state.header.fields.clone();
        let whole: Decimal = of.get("AmountDC").and_then(|raw| raw.get().parse().ok()).unwrap_or_default();
        let other = self.other_row(term.path(), &of, whole - part);
        let other = self.insert(term, other, Vec::new(), now);
        self.change(term, id, quirks, now, |state| {
            for name in ["AmountDC", "AmountFC"] {
                state.header.fields.set(name, number(part));
            }
        })?;
        Ok(other)
    }

    /// Another row of a document's term.
    fn other_row(&mut self, path: &str, of: &Fields, amount: Decimal) -> Fields {
        let mut other = of.clone();
        other.set("ID", ());
        put(path, &mut other, "EntryID", self.guid());
        for name in ["AmountDC", "AmountFC"] {
            other.set(name, number(amount));
        }
        other
    }

    /// Settles a term, in part if an amount below its own is given. Returns the bank entry if there is one.
    pub(super) fn settle(
        &mut self,
        (term, id): (Kind, &str),
        how: Settlement,
        part: Option<Decimal>,
        quirks: &Quirks,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let of = self.get(term, id).ok_or_else(missing)?.state.header.fields.clone();
        let whole: Decimal = of.get("AmountDC").and_then(|raw| raw.get().parse().ok()).unwrap_or_default();
        let paid = part.unwrap_or(whole);
        let rest = whole - paid;
        let path = term.path();
        if !rest.is_zero() {
            // A part that is paid splits the term in two rows.
            let mut other = self.other_row(path, &of, rest);
            open(path, &mut other);
            self.insert(term, other, Vec::new(), now);
        }
        let day = self.wall.at(now).day();
        let status = match (term, how) {
            (Kind::Payments, Settlement::Bank) => 40,
            _ => 50,
        };
        self.change(term, id, quirks, now, |state| {
            let fields = &mut state.header.fields;
            for name in ["AmountDC", "AmountFC"] {
                fields.set(name, number(paid));
            }
            put(path, fields, "Status", status);
            put(path, fields, "EndDate", day.json());
            put(path, fields, "EndYear", day.year());
            put(path, fields, "EndPeriod", day.month());
            put(path, fields, "IsFullyPaid", true);
            if how == Settlement::Bank {
                put(path, fields, "LastPaymentDate", day.json());
                // Terms to be paid have no such property, but the sync feed has.
                fields.set(LAST_PAYMENT, day.json());
            }
        })?;
        if how != Settlement::Bank {
            return Ok(None);
        }
        let signed = if term == Kind::Payments { -paid } else { paid };
        let mut line = NewLine::new(&of.text_or_number("InvoiceNumber"), signed);
        line.our_ref = of.text_or_number("InvoiceNumber").parse().ok();
        line.gl_account = match term {
            Kind::Payments => ("1600".to_owned(), "Crediteuren".to_owned()),
            _ => ("1300".to_owned(), "Debiteuren".to_owned()),
        };
        let new = NewDocument::empty(&of.text("AccountName")).line(line);
        Ok(Some(self.create(Kind::BankEntries, &new, quirks, now)))
    }
}

/// Where a term to be paid keeps what only the sync feed tells.
pub(super) const LAST_PAYMENT: &str = "~LastPaymentDate";

fn open(path: &str, fields: &mut Fields) {
    put(path, fields, "Status", 20);
    put(path, fields, "TransactionStatus", 20);
    for name in ["EndDate", "EndYear", "EndPeriod", "LastPaymentDate", "PaymentSelected"] {
        put(path, fields, name, ());
    }
    put(path, fields, "IsFullyPaid", false);
    fields.remove(LAST_PAYMENT);
}

/// Changes the amount of the first line, and the totals with it.
pub(super) fn set_total(kind: Kind, state: &mut State, total: Decimal) {
    let path = kind.path();
    for name in ["AmountDC", "AmountFC"] {
        put(path, &mut state.header.fields, name, number(total));
    }
    if let (Some(line), Some((_, path))) = (state.lines.first_mut(), kind.shape().lines) {
        for name in ["AmountDC", "AmountFC"] {
            put(path, &mut line.fields, name, number(total));
        }
    }
}
