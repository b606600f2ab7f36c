//! Invoices: `GET invoices/invoices`.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{CodeName, Currency, Line, Party, Record, RecordKind},
};

use super::{Changes, Resource, Shape, Site, meaningful, status, value};

/// A sales invoice. It knows its client's name; its lines come only when they are asked for.
pub(crate) struct Invoice;

impl Resource for Invoice {
    const KIND: &'static str = "invoice";
    const GET: &'static str = "freshbooks.get_invoice";
    const LIST: &'static str = "freshbooks.list_invoices";
    const PATH: &'static str = "invoices/invoices";
    const DETAIL_KEY: &'static str = "invoice";
    const LIST_KEY: &'static str = "invoices";
    const SCOPE: &'static str = "user:invoices:read";
    const NOUN: Option<&'static str> = Some("invoice");
    const INCLUDES: &'static [&'static str] = &["lines"];
    const CHANGES: Changes = Changes::Window;
    const ID_FILTER: Option<&'static str> = Some("search[invoiceid]");
    const MEANINGFUL: &'static [&'static str] = meaningful::INVOICE;

    fn read(invoice: &Object<'_>, site: &Site) -> Result<Record> {
        let id = invoice.id("id").or_else(|_| invoice.id("invoiceid"))?;
        let currency = invoice.currency("currency_code");
        let total = value::money(invoice, "amount", currency);
        let balance = value::money(invoice, "outstanding", currency);
        let (status, word) = status::of_invoice(invoice, total, balance);
        let mut record = Record::new(RecordKind::Invoice, id, status);
        record.vendor_status = word;
        record.number = invoice.some_text("invoice_number");
        record.reference = invoice.some_text("po_number");
        record.subject = invoice.some_text("description");
        record.counterparty = party(invoice);
        record.date = invoice.date("create_date");
        record.due_date = invoice.date("due_date");
        (record.total, record.balance) = (total, balance);
        record.lines = invoice.objects("lines").iter().map(|line| read_line(line, currency)).collect();
        record.billing_address =
            value::address(invoice, ["street", "street2", "city", "province", "code", "country"]);
        record.created_at = value::eastern_time(invoice, "created_at");
        record.modified_at =
            value::eastern_time(invoice, "version").or_else(|| value::eastern_time(invoice, "updated"));
        record.url = Some(site.invoice(&record.id));
        Ok(record)
    }

    fn shape(invoice: &Object<'_>) -> Shape {
        if invoice.has("lines") { Shape::Whole } else { Shape::Partial }
    }
}

/// The client by the name that was written on the invoice, or by its present one.
pub(super) fn party(invoice: &Object<'_>) -> Option<Party> {
    let id = value::reference(invoice, "customerid").map(Into::into);
    let name = value::name(invoice, &["organization", "current_organization"]);
    let name = name.or_else(|| invoice.some_text("email")).unwrap_or_default();
    (id.is_some() || !name.is_empty()).then_some(Party { id, name })
}

fn read_line(line: &Object<'_>, currency: Option<Currency>) -> Line {
    let texts: Vec<String> = ["name", "description"].iter().filter_map(|name| line.some_text(name)).collect();
    Line {
        id: line.text("lineid").into(),
        description: texts.join(": "),
        quantity: line.decimal("qty"),
        rate: value::amount(line, "unit_cost", currency),
        amount: value::money(line, "amount", currency),
        project: CodeName::known(line.some_text("modern_project_id").map(Into::into), None, None),
        ..Line::default()
    }
}
