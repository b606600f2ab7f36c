//! The workspace over HTTP: what stops a call, which part answers it, and what every answer carries.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::{Result, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DatabricksSim, State, answer, auth, files, statements, unity, warehouse::WarehouseState};
use crate::toolkit::{
    control,
    gate::{Call, Gate, Vendor, Visit},
};

/// What a submit says at first: its parameters may be large.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    statement: Cow<'a, str>,
}

impl Vendor for DatabricksSim {
    fn gate(&self) -> &Gate {
        &self.0.gate
    }

    fn visit(&self, request: &Request<Bytes>) -> Visit {
        let target = match request.uri().path().trim_end_matches('/') {
            "/api/2.0/sql/statements" => {
                let head = serde_json::from_slice::<Head<'_>>(request.body()).ok();
                head.and_then(|head| head.statement.split_whitespace().next().map(str::to_ascii_uppercase))
            }
            path => path.split_once("/Volumes/").map(|(_, path)| path.to_owned()),
        };
        Visit::Call { target, lane: None, hides_query: false }
    }

    fn answer(&self, call: &Call<'_>) -> Response<Bytes> {
        let mut answer = self.state(|state| state.answer(call.request, call.now));
        let (request_id, workspace) =
            self.state(|state| (auth::uuid(&state.seed.hex()), state.auth.credentials.workspace_id.clone()));
        let headers = answer.headers_mut();
        headers.insert("server", HeaderValue::from_static("databricks"));
        for (name, value) in [("x-request-id", request_id), ("x-databricks-org-id", workspace)] {
            HeaderValue::from_str(&value).into_iter().for_each(|value| drop(headers.insert(name, value)));
        }
        answer
    }

    fn throttled(&self, retry_after_secs: Option<u32>) -> Response<Bytes> {
        answer::throttled(retry_after_secs)
    }

    fn control(&self, method: &Method, segments: &[&str], body: &Value) -> Result<Value> {
        match (method, segments) {
            (&Method::POST, ["sql"]) => {
                let statement = body["statement"].as_str().unwrap_or_default();
                self.sql(statement).map(|rows| json!({ "rows": rows }))
            }
            (&Method::GET, ["statements"]) => Ok(json!({ "statements": self.statements() })),
            (&Method::POST, ["tokens", "expire"]) => {
                self.expire_tokens();
                Ok(json!({}))
            }
            (&Method::POST, ["warehouse", "stop"]) => {
                self.warehouse(|warehouse| warehouse.state = WarehouseState::Stopped);
                Ok(json!({}))
            }
            _ => Err(control::unknown()),
        }
    }
}

impl State {
    fn answer(&mut self, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
        let path = request.uri().path();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        if segments.first() != Some(&"api") {
            let found = self.auth.answer(request, &segments, now, &mut self.tuning);
            return found.unwrap_or_else(|| {
                answer::html(StatusCode::NOT_FOUND, "<html><title>Not found</title></html>")
            });
        }
        let refusal = self.before_auth(request).or_else(|| self.auth.refusal(request, now, &self.tuning));
        if let Some(refusal) = refusal {
            return refusal;
        }
        match segments[1..] {
            ["2.0", "sql", "statements", ref rest @ ..] => statements::answer(self, request, rest, now),
            ["2.0", "sql", "warehouses"] => match self.warehouses.values().next() {
                Some(warehouse) => {
                    answer::ok(json!({ "warehouses": [{ "id": warehouse.id, "name": "ml-connector" }] }))
                }
                None => answer::ok(json!({})),
            },
            ["2.0", "sql", "warehouses", id, ref action @ ..] => match self.warehouses.get_mut(id) {
                Some(warehouse) if warehouse.state != WarehouseState::Deleted => {
                    warehouse.answer(request.method(), action, now)
                }
                _ => {
                    let message = format!("SQL warehouse ({id}) does not exist at all or is deleted");
                    answer::refused(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", &message)
                }
            },
            ["2.0", "fs", kind @ ("files" | "directories"), ..] => {
                let below = path.split_once(kind).map(|(_, below)| below).unwrap_or_default();
                files::answer(self, request, kind, below, now)
            }
            ["2.1", "unity-catalog", ref rest @ ..] => {
                let rest: Vec<String> = rest.iter().map(|part| plain(part)).collect();
                let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
                unity::answer(self, request.method(), &rest)
            }
            ["2.0", "preview", "scim", "v2", "Me"] => {
                let id = &self.auth.credentials.client_id;
                answer::ok(
                    json!({ "userName": id, "id": "7230155", "displayName": "ml-connector", "active": true }),
                )
            }
            _ => {
                let below = path.trim_start_matches("/api/2.0").trim_start_matches("/api/2.1");
                let message = format!("No API found for '{} {below}'", request.method());
                answer::refused(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", &message)
            }
        }
    }

    /// What stops a call before its token is looked at.
    fn before_auth(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if let Some(address) = &self.tuning.blocked_address {
            let workspace = &self.auth.credentials.workspace_id;
            let message = format!(
                "Source IP address: {address} is blocked by Databricks IP ACL for workspace: {workspace}"
            );
            return Some(answer::numeric(StatusCode::FORBIDDEN, &message));
        }
        let names_workspace = ["x-databricks-org-id", "x-databricks-workspace-id"].iter().any(|name| {
            request.headers().get(*name).is_some_and(|id| *id == self.auth.credentials.workspace_id)
        });
        if self.tuning.account_level && !names_workspace {
            let mut answer = answer::empty(StatusCode::FOUND);
            let login = HeaderValue::from_static("/login.html?next_url=%2Fapi");
            answer.headers_mut().insert(header::LOCATION, login);
            return Some(answer);
        }
        None
    }
}

/// A segment of a path, decoded.
fn plain(segment: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", segment.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
