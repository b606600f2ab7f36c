//! What Exact Online's control surface has beyond faults.

use http::Method;
use ml_connector_core::{Error, ErrorKind, Result, model::Decimal};
use serde_json::{Value, json};

use super::{ExactOnlineSim, Kind, NewDocument, Settlement};
use crate::toolkit::control::unknown;

/// Answers a call below `/_sim`. A body may name the company as `division`.
pub(super) fn act(sim: &ExactOnlineSim, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
    let division = body["division"].as_u64().and_then(|code| u32::try_from(code).ok());
    let sim = &division.map_or_else(|| sim.clone(), |division| sim.within(division));
    let kind = |name: &str| Kind::named(name).ok_or_else(unknown);
    let done = |()| json!({ "ok": true });
    match (method, segments) {
        (&Method::POST, ["random"]) => Ok(match sim.change_at_random() {
            Some(change) => json!({ "kind": change.kind.name(), "id": change.id, "action": change.action }),
            None => json!({}),
        }),
        (&Method::POST, ["move"]) => {
            sim.move_division();
            Ok(json!({ "ok": true }))
        }
        (&Method::POST, ["tokens", "expire"]) => {
            sim.expire_tokens();
            Ok(json!({ "ok": true }))
        }
        (&Method::POST, [name]) => {
            let party = body["party"].as_str().unwrap_or("Bakkerij Linde V.O.F.");
            let new = NewDocument::new(party, amount(body)?);
            let new = if body["document"] == true { new.with_document() } else { new };
            Ok(json!({ "id": sim.create(kind(name)?, &new) }))
        }
        (&Method::POST, [name, id, "process"]) => sim.process(kind(name)?, id).map(done),
        (&Method::POST, [_, id, "pay"]) => {
            sim.settle(id, Settlement::Bank).map(|bank| json!({ "bank_entry": bank }))
        }
        (&Method::POST, [_, id, "approve"]) => sim.approve(id).map(done),
        (&Method::POST, [name, id, "total"]) => sim.set_total(kind(name)?, id, amount(body)?).map(done),
        (&Method::DELETE, [name, id]) => sim.delete(kind(name)?, id).map(done),
        (&Method::GET, ["report"]) => {
            let tallies = sim.tallies();
            Ok(json!({
                "requests": sim.received().len(),
                "limit_violations": tallies.limit_violations,
                "blocked_calls": tallies.blocked_calls,
                "parallel_calls": tallies.parallel_calls,
                "refused_tokens": tallies.refused_tokens,
                "tokens_issued": sim.tokens_issued(),
                "faults_waiting": sim.faults_waiting(),
                "subscriptions": sim.subscriptions().len(),
            }))
        }
        _ => Err(unknown()),
    }
}

/// An amount, as text so that it stays decimal: `{"amount":"149.97"}`.
fn amount(body: &Value) -> Result<Decimal> {
    let text = body["amount"].as_str().unwrap_or_default();
    text.parse().map_err(|_| Error::new(ErrorKind::InvalidRequest, "expected `amount` as decimal text"))
}
