//! What FreshBooks's control surface has beyond faults.

use http::Method;
use ml_connector_core::{Error, ErrorKind, Result, model::Decimal};
use serde_json::{Value, json};

use super::{Bill, BillVendor, Client, Expense, FreshBooksSim, Invoice, Kind};
use crate::toolkit::control::unknown;

/// Answers a call below `/_sim`.
pub(super) fn act(sim: &FreshBooksSim, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
    let created = |id: u64| json!({ "id": id });
    let done = |()| json!({ "ok": true });
    let post = method == Method::POST;
    match segments {
        ["clients"] if post => {
            sim.create(Client::new(text(body, "organization", "Larkspur Dental Group"))).map(created)
        }
        ["bill_vendors"] if post => {
            sim.create(BillVendor::new(text(body, "name", "Harbourview Supply Co."))).map(created)
        }
        ["invoices"] if post => {
            let client = match body["client"].as_u64() {
                Some(client) => client,
                None => sim.create(Client::new(text(body, "organization", "Larkspur Dental Group")))?,
            };
            let invoice = Invoice::new(client, amount(body)?);
            sim.create(invoice.in_currency(text(body, "currency", "USD"))).map(created)
        }
        ["bills"] if post => {
            let vendor = match body["vendor"].as_u64() {
                Some(vendor) => vendor,
                None => sim.create(BillVendor::new(text(body, "name", "Harbourview Supply Co.")))?,
            };
            sim.create(Bill::new(vendor, amount(body)?)).map(created)
        }
        ["expenses"] if post => {
            sim.create(Expense::new(text(body, "vendor", "Serano Bakery"), amount(body)?)).map(created)
        }
        ["invoices", id, "sent"] if post => sim.mark_sent(number(id)?).map(done),
        ["invoices", id, "email"] if post => sim.send_by_email(number(id)?).map(done),
        ["invoices", id, "view"] if post => sim.view(number(id)?).map(done),
        ["invoices", id, "payments"] if post => sim.pay_invoice(number(id)?, amount(body)?).map(created),
        ["bills", id, "payments"] if post => sim.pay_bill(number(id)?, amount(body)?).map(created),
        ["payments", id, "refund"] if post => sim.refund(number(id)?, amount(body)?).map(done),
        [kind, id] if method == Method::DELETE => {
            sim.delete(Kind::of_plural(kind).ok_or_else(unknown)?, number(id)?).map(done)
        }
        ["report"] if method == Method::GET => Ok(json!({
            "requests": sim.received().len(),
            "limit_violations": sim.limit_violations(),
            "tokens_issued": sim.tokens_issued(),
            "faults_waiting": sim.faults_waiting(),
            "callbacks": sim.callbacks().len(),
        })),
        _ => Err(unknown()),
    }
}

fn text<'a>(body: &'a Value, name: &str, or: &'a str) -> &'a str {
    body[name].as_str().unwrap_or(or)
}

/// An amount, as text so that it stays decimal: `{"amount":"149.97"}`.
fn amount(body: &Value) -> Result<Decimal> {
    let text = body["amount"].as_str().unwrap_or_default();
    text.parse().map_err(|_| Error::new(ErrorKind::InvalidRequest, "expected `amount` as decimal text"))
}

fn number(id: &str) -> Result<u64> {
    id.parse().map_err(|_| unknown())
}
