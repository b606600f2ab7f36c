//! A statement submitted: what is wrong with the request, and what it will run with.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use ml_connector_core::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        State,
        answer::{invalid, ok, refused, throttled},
        sql::{self, Parameter, Session},
        warehouse::WarehouseState,
    },
    MAX_PARAMETER_BYTES, MAX_PARAMETERS, MAX_QUEUED, MAX_STATEMENT_BYTES, Phase, Run, Waiting,
    execute::settle,
    first_answer,
};

#[derive(Debug, Deserialize)]
struct Submit {
    #[serde(default)]
    statement: String,
    #[serde(default)]
    warehouse_id: String,
    catalog: Option<String>,
    schema: Option<String>,
    #[serde(default)]
    parameters: Vec<Given>,
    wait_timeout: Option<String>,
    on_wait_timeout: Option<String>,
    disposition: Option<String>,
    format: Option<String>,
    row_limit: Option<usize>,
    query_tags: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Given {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    value: Option<String>,
}

type Refusal = Box<Response<Bytes>>;

pub(super) fn submit(
    state: &mut State,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Result<Response<Bytes>, Refusal> {
    let submit: Submit = serde_json::from_slice(request.body()).map_err(|error| {
        refused(
            StatusCode::BAD_REQUEST,
            "MALFORMED_REQUEST",
            &format!("Could not parse request object: {error}"),
        )
    })?;
    if let Some(limit) = &mut state.submits
        && !limit.take(now)
    {
        state.limit_violations += 1;
        return Err(Box::new(throttled(Some(1))));
    }
    let wait = valid(state, &submit)?;
    warehouse(state, &submit.warehouse_id)?;
    let session = session(state, &submit, now)?;
    let queued = state.runs.iter().filter(|run| matches!(run.phase, Phase::Pending)).count();
    if queued >= MAX_QUEUED {
        return Err(Box::new(refused(
            StatusCode::TOO_MANY_REQUESTS,
            "RESOURCE_EXHAUSTED",
            "Too many queued statements.",
        )));
    }
    let starts = state.warehouses.get_mut(&submit.warehouse_id).and_then(|warehouse| warehouse.wake(now));
    let id = statement_id(&state.seed.hex());
    state.runs.push(Run {
        id: id.clone(),
        parsed: sql::parse(&submit.statement),
        text: submit.statement,
        session,
        row_limit: submit.row_limit,
        warehouse: submit.warehouse_id,
        starts,
        runs_for: state.tuning.execution,
        phase: Phase::Pending,
        began_at: None,
        began_with: None,
        ended: None,
        forgotten: false,
    });
    // With `0s` the answer is PENDING even if the statement ends at once.
    let pending = json!({ "statement_id": id, "status": { "state": "PENDING" } });
    settle(state, now);
    if wait.is_zero() {
        return Ok(ok(pending));
    }
    let mut answer = ok(first_answer(state, &id).unwrap_or(pending));
    if state.runs.last().is_some_and(|run| matches!(run.phase, Phase::Pending | Phase::Running)) {
        let then_cancel = submit.on_wait_timeout.as_deref() == Some("CANCEL");
        answer.extensions_mut().insert(Waiting { id, at_most: wait, then_cancel });
    }
    Ok(answer)
}

/// What is wrong with a request, or how long it waits.
fn valid(state: &State, submit: &Submit) -> Result<Duration, Refusal> {
    let bad = |message: &str| Err(Box::new(invalid(message)));
    if submit.statement.trim().is_empty() {
        return bad("The statement must not be empty.");
    }
    if submit.statement.len() > MAX_STATEMENT_BYTES {
        return bad("The statement exceeds the limit of 16 MiB.");
    }
    if submit.query_tags.is_some() && state.tuning.refuses_query_tags {
        return bad("Unknown field: query_tags");
    }
    let wait = match submit.wait_timeout.as_deref() {
        None => Some(10),
        Some(text) => text.strip_suffix('s').and_then(|secs| secs.parse().ok()),
    };
    let Some(wait) = wait.filter(|secs| *secs == 0 || (5..=50).contains(secs)) else {
        return bad("wait_timeout must be 0 or between 5 and 50 seconds, inclusive.");
    };
    if !matches!(submit.on_wait_timeout.as_deref(), None | Some("CONTINUE" | "CANCEL")) {
        return bad("on_wait_timeout must be CONTINUE or CANCEL.");
    }
    let disposition = submit.disposition.as_deref().unwrap_or("INLINE");
    match (disposition, submit.format.as_deref().unwrap_or("JSON_ARRAY")) {
        ("INLINE", "JSON_ARRAY") => {}
        ("INLINE", "ARROW_STREAM" | "CSV") => {
            return bad("The format is supported only with EXTERNAL_LINKS.");
        }
        ("EXTERNAL_LINKS", _) => return bad("The simulator does not serve EXTERNAL_LINKS."),
        _ => return bad("The disposition or the format is unknown."),
    }
    if submit.parameters.len() > MAX_PARAMETERS {
        return bad("A statement takes at most 255 parameters.");
    }
    let bytes: usize =
        submit.parameters.iter().filter_map(|given| given.value.as_ref()).map(String::len).sum();
    if bytes > MAX_PARAMETER_BYTES {
        return bad("The values of all parameters together exceed the limit of 1 MB.");
    }
    Ok(Duration::from_secs(wait))
}

/// Whether the warehouse takes a statement.
fn warehouse(state: &mut State, id: &str) -> Result<(), Refusal> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Box::new(invalid(&format!("{id} is not a valid endpoint id."))));
    }
    let found = state.warehouses.get_mut(id).filter(|warehouse| warehouse.state != WarehouseState::Deleted);
    let Some(warehouse) = found else {
        let message = format!("Warehouse {id} does not exist");
        return Err(Box::new(refused(StatusCode::BAD_REQUEST, "RESOURCE_DOES_NOT_EXIST", &message)));
    };
    if !warehouse.can_use {
        return Err(Box::new(warehouse.not_authorized()));
    }
    if warehouse.refuses() {
        let message = "The request could not be processed by the warehouse.";
        return Err(Box::new(refused(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)));
    }
    Ok(())
}

fn session(state: &State, submit: &Submit, now: Timestamp) -> Result<Session, Refusal> {
    let mut parameters = BTreeMap::new();
    for given in &submit.parameters {
        let Some(name) = &given.name else {
            return Err(Box::new(invalid("Positional parameters are not supported; name them.")));
        };
        let kind = given.kind.as_deref().unwrap_or("STRING");
        let ty = sql::data_type(kind).ok().filter(|ty| {
            use sql::DataType as T;
            !matches!(ty, T::Array(_) | T::Map(..) | T::Struct(_) | T::Variant | T::Binary)
        });
        let Some(ty) = ty else {
            return Err(Box::new(invalid(&format!("Unsupported type for the parameter {name}: {kind}."))));
        };
        if parameters.insert(name.clone(), Parameter { ty, value: given.value.clone() }).is_some() {
            return Err(Box::new(invalid(&format!("The parameter {name} is given twice."))));
        }
    }
    Ok(Session {
        catalog: submit.catalog.clone().unwrap_or_else(|| "main".to_owned()),
        schema: submit.schema.clone().unwrap_or_else(|| "default".to_owned()),
        parameters,
        now: now.as_millis().saturating_mul(1000),
        zone: state.zone.clone(),
        principal: state.auth.credentials.client_id.clone(),
        policies_refuse_merge: state.tuning.policies_refuse_merge,
    })
}

/// A UUID that looks time-based, as the vendor's do.
fn statement_id(hex: &str) -> String {
    format!("01f1{}-{}-1{}-{}-{}", &hex[..4], &hex[4..8], &hex[8..11], &hex[12..16], &hex[16..28])
}
