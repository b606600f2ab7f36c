//! The simulator as the toolkit sees it: how calls are told apart, answered and refused, and what tests may do over HTTP.

use bytes::Bytes;
use http::{Method, Request, Response};
use ml_connector_core::Result;
use serde_json::{Value, json};

use super::{BusinessCentralSim, NewDocument, Set, answer, api};
use crate::toolkit::{
    control,
    faults::locked,
    gate::{Call, Gate, Vendor, Visit},
};

impl Vendor for BusinessCentralSim {
    fn gate(&self) -> &Gate {
        &self.0.gate
    }

    fn visit(&self, request: &Request<Bytes>) -> Visit {
        let path = request.uri().path();
        let after = path
            .split_once("companies(")
            .map_or("", |(_, rest)| rest.split_once('/').map_or("", |(_, rest)| rest));
        let target = after.split_once('(').and_then(|(_, rest)| Some(rest.split_once(')')?.0.to_owned()));
        let lane = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        Visit::Call { target, lane: lane.map(str::to_owned), hides_query: false }
    }

    fn answer(&self, call: &Call<'_>) -> Response<Bytes> {
        let (origin, conditions) = (locked(&self.0.origin).clone(), self.0.gate.conditions());
        let when = (call.now, call.at_once);
        self.state(|state| api::answer(state, call.request, when, &conditions, &origin))
    }

    fn throttled(&self, retry_after_secs: Option<u32>) -> Response<Bytes> {
        answer::throttled(retry_after_secs)
    }

    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
        let set = |name: &str| Set::named(name).ok_or_else(control::unknown);
        match (method, segments) {
            (&Method::POST, [name]) if Set::named(name).is_some_and(|set| set.lines().is_some()) => {
                let total = body["total"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
                let party = body["counterparty"].as_str().unwrap_or("Northline Packaging");
                Ok(json!({ "id": self.create(set(name)?, &NewDocument::new(party, total)) }))
            }
            (&Method::POST, [name, id, "post"]) => self.post(set(name)?, id).map(|()| json!({})),
            (&Method::POST, [name, id, "pay"]) => self.pay(set(name)?, id).map(|()| json!({})),
            (&Method::POST, [name, id, "total"]) => {
                let total = body["total"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
                self.set_total(set(name)?, id, total).map(|()| json!({}))
            }
            (&Method::GET, ["postings"]) => {
                let postings: Vec<Value> = self
                    .postings()
                    .iter()
                    .map(|posting| json!({ "id": posting.id, "number": posting.number, "by": posting.by }))
                    .collect();
                Ok(json!({ "postings": postings }))
            }
            (&Method::POST, ["tokens", "expire"]) => {
                self.expire_tokens();
                Ok(json!({}))
            }
            _ => Err(control::unknown()),
        }
    }
}
