//! What people write in a company: accounts and documents.

use ml_connector_core::{
    Timestamp,
    model::{Date, Decimal},
};

use super::{
    books::{Books, put},
    config::Quirks,
    kind::Kind,
    schema,
    wall::Naive,
};
use crate::toolkit::json::{Fields, number};

/// A line of a new document.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewLine {
    /// What for.
    pub description: String,
    /// Without VAT, in the document's currency. In journal entries a debit, or a credit if negative; in bank and cash
    /// entries received, or paid if negative.
    pub amount: Decimal,
    /// The VAT as a fraction: 0.21.
    pub vat: Decimal,
    /// The G/L account's code and name.
    pub gl_account: (String, String),
    /// The cost center's code and name.
    pub cost_center: Option<(String, String)>,
    /// The cost unit's code and name.
    pub cost_unit: Option<(String, String)>,
    /// Who paid or is paid, in bank and cash entries.
    pub party: Option<String>,
    /// The own invoice number it was matched to, in bank and cash entries.
    pub our_ref: Option<u32>,
}

impl NewLine {
    /// A line without VAT on a general account.
    #[must_use]
    pub fn new(description: &str, amount: Decimal) -> Self {
        Self {
            description: description.to_owned(),
            amount,
            vat: Decimal::ZERO,
            gl_account: ("4500".to_owned(), "Huur magazijn".to_owned()),
            cost_center: None,
            cost_unit: None,
            party: None,
            our_ref: None,
        }
    }

    /// With VAT: 0.21.
    #[must_use]
    pub fn with_vat(mut self, vat: Decimal) -> Self {
        self.vat = vat;
        self
    }

    /// On this G/L account.
    #[must_use]
    pub fn on_account(mut self, code: &str, name: &str) -> Self {
        self.gl_account = (code.to_owned(), name.to_owned());
        self
    }

    /// For this cost center.
    #[must_use]
    pub fn for_cost_center(mut self, code: &str, name: &str) -> Self {
        self.cost_center = Some((code.to_owned(), name.to_owned()));
        self
    }

    /// Received from or paid to this party.
    #[must_use]
    pub fn with_party(mut self, party: &str) -> Self {
        self.party = Some(party.to_owned());
        self
    }
}

/// A new document of any kind. What a kind does not have is left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewDocument {
    /// The customer or supplier.
    pub party: String,
    /// What for.
    pub description: String,
    /// ISO 4217; the company's own without one.
    pub currency: Option<String>,
    /// The company's money for one of the document's.
    pub rate: Decimal,
    /// The other side's number.
    pub your_ref: Option<String>,
    /// Its day; today without one.
    pub date: Option<Date>,
    /// The lines.
    pub lines: Vec<NewLine>,
    /// Whether it has a document with a PDF.
    pub has_document: bool,
}

impl NewDocument {
    /// One line over this amount without VAT.
    #[must_use]
    pub fn new(party: &str, amount: Decimal) -> Self {
        let mut new = Self::empty(party);
        new.lines.push(NewLine::new("Levering", amount));
        new
    }

    /// No lines yet.
    #[must_use]
    pub fn empty(party: &str) -> Self {
        Self {
            party: party.to_owned(),
            description: "Levering".to_owned(),
            currency: None,
            rate: Decimal::ONE,
            your_ref: None,
            date: None,
            lines: Vec::new(),
            has_document: false,
        }
    }

    /// With one line more.
    #[must_use]
    pub fn line(mut self, line: NewLine) -> Self {
        self.lines.push(line);
        self
    }

    /// In another currency, with the company's money for one of it.
    #[must_use]
    pub fn in_currency(mut self, currency: &str, rate: Decimal) -> Self {
        self.currency = Some(currency.to_owned());
        self.rate = rate;
        self
    }

    /// With the other side's number.
    #[must_use]
    pub fn with_your_ref(mut self, your_ref: &str) -> Self {
        self.your_ref = Some(your_ref.to_owned());
        self
    }

    /// With a document and its PDF.
    #[must_use]
    pub fn with_document(mut self) -> Self {
        self.has_document = true;
        self
    }

    /// For this.
    #[must_use]
    pub fn with_description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp(2)
}

fn padded(code: u32) -> String {
    format!("{code:>18}")
}

fn naive_date(books: &Books, date: Option<Date>, now: Timestamp) -> Naive {
    date.map_or_else(|| books.wall.at(now).day(), Naive::midnight)
}

impl Books {
    /// The account with this name: id and padded code. A new one if there is none.
    pub(super) fn party(&mut self, name: &str, now: Timestamp) -> (String, String) {
        let known = self.of(Kind::Accounts).find(|record| record.state.header.fields.text("Name") == name);
        if let Some(known) = known {
            return (known.state.header.id.clone(), known.state.header.fields.text("Code"));
        }
        let code = padded(self.number("account", 3_000_042));
        let id = self.master(Kind::Accounts, &code, name, now);
        (id, code)
    }

    /// A master record with a code and a name.
    pub(super) fn master(&mut self, kind: Kind, code: &str, name: &str, now: Timestamp) -> String {
        let path = kind.path();
        let mut fields = schema::blank(path);
        fields.set("Code", code);
        for called in ["Name", "Description"] {
            put(path, &mut fields, called, name);
        }
        for (flag, value) in [("Active", true), ("IsSupplier", true), ("IsSales", true)] {
            put(path, &mut fields, flag, value);
        }
        match kind {
            Kind::Accounts => {
                fields.set("Status", "C");
                fields.set("Type", "A");
                fields.set("Country", "NL ");
                fields.set("Blocked", false);
            }
            Kind::GLAccounts => {
                fields.set("Type", 121);
                fields.set("BalanceSide", "D");
                fields.set("BalanceType", "W");
                fields.set("IsBlocked", false);
                fields.set("UseCostcenter", 0);
                fields.set("UseCostunit", 0);
            }
            Kind::Journals => fields.set("Type", 90),
            _ => {}
        }
        self.insert(kind, fields, Vec::new(), now)
    }

    /// Writes a document.
    pub(super) fn create(
        &mut self,
        kind: Kind,
        new: &NewDocument,
        quirks: &Quirks,
        now: Timestamp,
    ) -> String {
        let (mut header, line) = schema::template(kind);
        let shape = kind.shape();
        header.set(shape.key, ());
        let (party, code) = self.party(&new.party, now);
        let day = naive_date(self, new.date, now);
        let due = day.plus_days(30);
        let mut lines = Vec::new();
        for written in &new.lines {
            lines.push(self.line(kind, &line, written, new, day, now));
        }
        let currency = new.currency.clone().unwrap_or_else(|| self.currency.clone());
        let path = shape.path;
        let mut set = |name: &str, value: serde_json::Value| put(path, &mut header, name, value);
        for nothing in [
            "Document",
            "DocumentNumber",
            "DocumentSubject",
            "InvoiceNumber",
            "Approved",
            "Approver",
            "ApproverFullName",
        ] {
            set(nothing, serde_json::Value::Null);
        }
        for party_id in
            ["Supplier", "Customer", "OrderedBy", "InvoiceTo", "DeliverTo", "Account", "ProjectAccount"]
        {
            set(party_id, party.as_str().into());
        }
        for name in
            ["SupplierName", "CustomerName", "OrderedByName", "InvoiceToName", "DeliverToName", "AccountName"]
        {
            set(name, new.party.as_str().into());
        }
        for name in ["SupplierCode", "AccountCode", "ProjectAccountCode"] {
            set(name, code.as_str().into());
        }
        set("Description", new.description.as_str().into());
        set("Currency", currency.into());
        set("YourRef", new.your_ref.clone().into());
        for name in ["InvoiceDate", "OrderDate", "EntryDate", "Date"] {
            set(name, day.json().into());
        }
        set("DueDate", due.json().into());
        for name in ["ReportingYear", "FinancialYear"] {
            set(name, day.year().into());
        }
        for name in ["ReportingPeriod", "FinancialPeriod"] {
            set(name, day.month().into());
        }
        set("Status", 20.into());
        set("StatusDescription", "Open".into());
        self.series(kind, &mut header);
        let amount = |fields: &Fields, name: &str| -> Decimal {
            fields.get(name).and_then(|raw| raw.get().parse().ok()).unwrap_or_default()
        };
        let net = new.lines.iter().map(|line| line.amount).sum::<Decimal>();
        let vat: Decimal =
            lines.iter().map(|line| amount(line, "VATAmountFC") + amount(line, "VATAmount")).sum();
        let total = if kind == Kind::CostTransactions { net } else { net + vat };
        for (name, value) in [
            ("AmountFC", total),
            ("AmountDC", cents(total * new.rate)),
            ("AmountFCExclVat", net),
            ("VATAmountFC", vat),
            ("VATAmountDC", cents(vat * new.rate)),
            ("VATAmount", vat),
            ("PriceFC", net),
            ("Rate", new.rate),
            ("ExchangeRate", new.rate),
            ("PurchaseOrderLineCount", Decimal::from(new.lines.len())),
        ] {
            put(path, &mut header, name, number(value));
        }
        if kind == Kind::CostTransactions {
            header.set("Quantity", 1);
            header.set("Notes", &new.description);
        }
        if matches!(kind, Kind::BankEntries | Kind::CashEntries) {
            let opening = Decimal::from(20_000);
            header.set("OpeningBalanceFC", number(opening));
            header.set("ClosingBalanceFC", number(opening + net));
        }
        let id = self.insert(kind, header, lines, now);
        if new.has_document {
            self.attach(kind, &id, quirks, now);
        }
        if matches!(kind, Kind::PurchaseEntries) {
            self.term(Kind::Payments, kind, &id, now);
        }
        if matches!(kind, Kind::SalesEntries) {
            self.term(Kind::Receivables, kind, &id, now);
        }
        id
    }

    /// The numbers that a new document gets.
    pub(super) fn series(&mut self, kind: Kind, header: &mut Fields) {
        let path = kind.path();
        match kind {
            Kind::SalesInvoices => header.set("OrderNumber", self.number("sales", 20_260_113)),
            Kind::PurchaseOrders => {
                header.set("OrderNumber", self.number("orders", 26_000_042));
                for (name, value) in [("OrderStatus", 10), ("ReceiptStatus", 10), ("InvoiceStatus", 10)] {
                    header.set(name, value);
                }
                header.set("ApprovalStatus", 0);
                header.set("ApprovalStatusDescription", "Awaiting approval");
            }
            Kind::CostTransactions => header.set("EntryNumber", self.number("costs", 118)),
            _ => {
                let (series, first, journal) = match kind {
                    Kind::PurchaseEntries => ("purchase entries", 26_600_087, "60"),
                    Kind::SalesEntries => ("sales entries", 26_700_113, "70"),
                    Kind::GeneralJournalEntries => ("journal entries", 26_900_006, "90"),
                    Kind::BankEntries => ("bank entries", 26_200_031, "20"),
                    _ => ("cash entries", 26_100_004, "10"),
                };
                let number = self.number(series, first);
                header.set("EntryNumber", number);
                put(path, header, "InvoiceNumber", number);
                for name in ["Journal", "JournalCode"] {
                    put(path, header, name, journal);
                }
                if kind == Kind::SalesEntries {
                    header.set("Type", 20);
                    header.set("JournalDescription", "Verkoopboek");
                    header.set("Reversal", false);
                }
                if kind == Kind::CashEntries {
                    header.set("JournalDescription", "Kas");
                }
            }
        }
    }

    fn line(
        &mut self,
        kind: Kind,
        template: &Fields,
        new: &NewLine,
        document: &NewDocument,
        day: Naive,
        now: Timestamp,
    ) -> Fields {
        let Some((_, path)) = kind.shape().lines else { return Fields::default() };
        let mut fields = template.clone();
        fields.set("ID", ());
        let vat = cents(new.amount * new.vat);
        let party = match (&new.party, kind) {
            (Some(party), _) => Some(party.clone()),
            (None, Kind::BankEntries | Kind::CashEntries) => Some(document.party.clone()),
            _ => None,
        };
        let account = party.as_deref().map(|party| self.party(party, now));
        let mut set = |name: &str, value: serde_json::Value| put(path, &mut fields, name, value);
        set("Description", new.description.as_str().into());
        set("ItemDescription", new.description.as_str().into());
        set("Account", account.as_ref().map(|(id, _)| id.clone()).into());
        set("AccountCode", account.map(|(_, code)| code).into());
        set("AccountName", party.into());
        set("GLAccountCode", new.gl_account.0.as_str().into());
        set("GLAccountDescription", new.gl_account.1.as_str().into());
        set("CostCenter", new.cost_center.as_ref().map(|(code, _)| code.clone()).into());
        set("CostCenterDescription", new.cost_center.as_ref().map(|(_, name)| name.clone()).into());
        set("CostUnit", new.cost_unit.as_ref().map(|(code, _)| code.clone()).into());
        set("CostUnitDescription", new.cost_unit.as_ref().map(|(_, name)| name.clone()).into());
        set("OurRef", new.our_ref.into());
        set("Date", day.json().into());
        for name in ["Quantity", "QuantityInPurchaseUnits"] {
            set(name, 1.into());
        }
        for name in ["ReceivedQuantity", "InvoicedQuantity"] {
            set(name, 0.into());
        }
        for (name, value) in [
            ("AmountFC", new.amount),
            ("AmountDC", cents(new.amount * document.rate)),
            ("NetPrice", new.amount),
            ("UnitPrice", new.amount),
            ("VATAmountFC", vat),
            ("VATAmountDC", cents(vat * document.rate)),
            ("VATAmount", vat),
            ("VATBaseAmountFC", new.amount),
            ("VATBaseAmountDC", cents(new.amount * document.rate)),
            ("VATPercentage", new.vat),
            ("ExchangeRate", document.rate),
        ] {
            put(path, &mut fields, name, number(value));
        }
        fields
    }

    /// Gives a record a document with a PDF. Returns the document.
    pub(super) fn attach(&mut self, kind: Kind, id: &str, quirks: &Quirks, now: Timestamp) -> Option<String> {
        let header = self.get(kind, id)?.state.header.fields.clone();
        let (mut document, _) = schema::template(Kind::Documents);
        document.set("ID", ());
        let hid = self.number("documents", 4_711);
        let is_sale = matches!(kind, Kind::SalesInvoices | Kind::SalesEntries);
        let subject = header.text("Description");
        document.set("HID", hid);
        document.set("Subject", &subject);
        document.set("Type", if is_sale { 10 } else { 20 });
        document.set("TypeDescription", if is_sale { "Sales invoice" } else { "Purchase invoice" });
        document.set("FinancialTransactionEntryID", id);
        document.set("SalesInvoiceNumber", header.get("InvoiceNumber").filter(|_| is_sale));
        for name in ["AmountFC", "Currency"] {
            document.set(name, header.get(name));
        }
        let key = self.insert(Kind::Documents, document, Vec::new(), now);
        let mut attachment = schema::blank(Kind::DocumentAttachments.path());
        attachment.set("Document", &key);
        attachment.set("FileName", format!("inv{hid}.PDF"));
        attachment.set("FileSize", 5_181);
        self.insert(Kind::DocumentAttachments, attachment, Vec::new(), now);
        let path = kind.path();
        self.change(kind, id, quirks, now, |state| {
            put(path, &mut state.header.fields, "Document", &key);
            put(path, &mut state.header.fields, "DocumentNumber", hid);
            put(path, &mut state.header.fields, "DocumentSubject", &subject);
        })
        .ok()?;
        Some(key)
    }
}
