//! What Zoho's control surface has beyond faults.

use http::Method;
use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Date, Decimal},
};
use serde_json::{Value, json};

use super::{Entity, NewDocument, ZohoBooksSim};
use crate::toolkit::control::unknown;

/// Answers a call below `/_sim`.
pub(super) fn act(sim: &ZohoBooksSim, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
    let created = |id: String| json!({ "id": id });
    let done = |()| json!({ "ok": true });
    let post = method == Method::POST;
    match segments {
        ["invoices"] if post => sim.create_invoice(document(body)?).map(created),
        ["bills"] if post => sim.create_bill(document(body)?).map(created),
        ["invoices", id, "sent"] if post => sim.mark_sent(id).map(done),
        ["invoices", id, "payments"] if post => sim.pay_invoice(id, amount(body, "amount")?).map(created),
        ["bills", id, "payments"] if post => sim.pay_bill(id, amount(body, "amount")?).map(created),
        [kind @ ("invoices" | "bills"), id, action] if post => {
            let entity = entity(kind)?;
            match *action {
                "submit" => sim.submit_for_approval(entity, id).map(done),
                "approve" => sim.approve(entity, id).map(done),
                "void" => sim.void(entity, id).map(done),
                _ => Err(unknown()),
            }
        }
        [kind, id] if method == Method::DELETE => sim.delete(entity(kind)?, id).map(done),
        ["report"] if method == Method::GET => Ok(json!({
            "requests": sim.received().len(),
            "limit_violations": sim.limit_violations(),
            "tokens_issued": sim.tokens_issued(),
            "faults_waiting": sim.faults_waiting(),
        })),
        _ => Err(unknown()),
    }
}

fn document(body: &Value) -> Result<NewDocument> {
    let counterparty = body["counterparty"].as_str().unwrap_or("Bluebird Logistics");
    let mut document = NewDocument::new(counterparty, amount(body, "total")?);
    if let Some(due) = body["due_date"].as_str() {
        document.due_date = Some(Date::parse(due)?);
    }
    if let Some(date) = body["date"].as_str() {
        document.date = Some(Date::parse(date)?);
    }
    if let Some(currency) = body["currency"].as_str() {
        document = document.in_currency(currency);
    }
    Ok(document)
}

/// An amount, as text so that it stays decimal: `{"total":"149.97"}`.
fn amount(body: &Value, name: &'static str) -> Result<Decimal> {
    let text = body[name].as_str().unwrap_or_default();
    text.parse().map_err(|_| {
        Error::new(ErrorKind::InvalidRequest, "expected a decimal amount as text").with_context("field", name)
    })
}

fn entity(plural: &str) -> Result<Entity> {
    Entity::parse(plural).ok_or_else(unknown)
}
