//! Payments received: `GET payments/payments`. The list holds credits, too.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Allocation, EntityRef, Party, Record, RecordKind, Status},
};

use super::{CREDIT, Changes, Resource, Shape, Site, invoice, meaningful, value};

/// Money received from a client, or a credit that looks like it.
///
/// What a client pays beyond an invoice becomes a credit, with an entry of its own among the payments; and a credit that
/// pays another invoice is such an entry as well. Neither is new money: both are of the kind `credit`. A refund makes the
/// amount of a payment smaller.
pub(crate) struct Payment;

impl Resource for Payment {
    const KIND: &'static str = "customer_payment";
    const GET: &'static str = "freshbooks.get_payment";
    const LIST: &'static str = "freshbooks.list_payments";
    const PATH: &'static str = "payments/payments";
    const DETAIL_KEY: &'static str = "payment";
    const LIST_KEY: &'static str = "payments";
    const SCOPE: &'static str = "user:payments:read";
    const NOUN: Option<&'static str> = Some("payment");
    const INCLUDES: &'static [&'static str] = &["invoice", "client"];
    const CHANGES: Changes = Changes::Window;
    const MEANINGFUL: &'static [&'static str] = meaningful::PAYMENT;

    fn read(payment: &Object<'_>, site: &Site) -> Result<Record> {
        let id = payment.id("id").or_else(|_| payment.id("logid"))?;
        let of_invoice = value::reference(payment, "invoiceid");
        let applied = payment.flag("from_credit");
        let overpaid = of_invoice.is_none() && value::reference(payment, "creditid").is_some();
        let (kind, status) = match (applied, overpaid) {
            (true, _) => (RecordKind::from(CREDIT), Status::from("applied")),
            (_, true) => (RecordKind::from(CREDIT), Status::from("overpayment")),
            _ => (RecordKind::CustomerPayment, Status::Paid),
        };
        let mut record = Record::new(kind, id, status);
        record.reference = payment.some_text("transactionid");
        record.subject = payment.some_text("note");
        record.date = payment.date("date");
        record.total = value::money(payment, "amount", None);
        record.payment_mode = payment.some_text("type");
        record.modified_at = value::eastern_time(payment, "updated");
        record.counterparty = party(payment);
        if let Some(invoice) = of_invoice {
            record.url = Some(site.invoice(&invoice));
            let number = payment.object("invoice").map(|invoice| invoice.text("invoice_number"));
            record.allocations = record
                .total
                .into_iter()
                .map(|amount| Allocation {
                    document: EntityRef::new(RecordKind::Invoice.as_str(), invoice.as_str()),
                    number: number.clone().unwrap_or_default(),
                    amount,
                })
                .collect();
        }
        Ok(record)
    }

    /// Without its invoice it is whole, but tells nobody who has paid for what.
    fn shape(payment: &Object<'_>) -> Shape {
        let named = payment.object("invoice").is_some_and(|invoice| invoice.raw("invoice_number").is_some());
        let has_none = value::reference(payment, "invoiceid").is_none();
        if named || has_none { Shape::Whole } else { Shape::Nameless }
    }
}

fn party(payment: &Object<'_>) -> Option<Party> {
    let by_invoice = payment.object("invoice").and_then(|invoice| invoice::party(&invoice));
    let by_client = || {
        let client = payment.object("client")?;
        value::name(&client, &["organization"]).or_else(|| client.some_text("email"))
    };
    let id = value::reference(payment, "clientid").map(Into::into);
    match by_invoice.filter(|party| !party.name.is_empty()) {
        Some(party) => Some(Party { id: id.or(party.id), name: party.name }),
        None => {
            let name = by_client().unwrap_or_default();
            (id.is_some() || !name.is_empty()).then_some(Party { id, name })
        }
    }
}
