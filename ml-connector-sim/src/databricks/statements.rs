//! The SQL Statement Execution API.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ml_connector_core::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    State,
    answer::{invalid, ok, refused},
    config::SqlStatePlace,
    results::Cells,
    sql::{self, Access, Parameter, Parsed, Session, SqlError},
    warehouse::WarehouseState,
};

/// Statement Execution API reference: the text of a statement.
const MAX_STATEMENT_BYTES: usize = 16 << 20;
/// databricks-sql-python, "Parameters": markers, and all values together.
const MAX_PARAMETERS: usize = 255;
const MAX_PARAMETER_BYTES: usize = 1_000_000;
/// Statement Execution API reference: an INLINE result.
const MAX_INLINE_BYTES: usize = 25 << 20;
/// Statement Execution API reference: how long a result and a statement are known after the end.
const RESULT_LIFE: Duration = Duration::from_secs(3600);
const RECORD_LIFE: Duration = Duration::from_secs(12 * 3600);
/// "SQL warehouse sizing, scaling, and queuing behavior": statements that wait at one warehouse.
const MAX_QUEUED: usize = 1000;

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

/// A statement that was submitted.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) text: String,
    parsed: Result<Parsed, SqlError>,
    session: Session,
    row_limit: Option<usize>,
    warehouse: String,
    /// `None` while the warehouse never starts.
    starts: Option<Timestamp>,
    runs_for: Duration,
    phase: Phase,
    /// Versions of the target when it began: of rows, and of metadata.
    began_at: Option<(u64, u64)>,
    ended: Option<Timestamp>,
    forgotten: bool,
}

#[derive(Debug)]
enum Phase {
    Pending,
    Running,
    Succeeded(Option<Cells>),
    Failed(Failed),
    Canceled,
    Closed,
}

#[derive(Debug)]
struct Failed {
    error_code: String,
    message: String,
    sql_state: Option<String>,
}

impl From<&SqlError> for Failed {
    fn from(error: &SqlError) -> Self {
        Self {
            error_code: "BAD_REQUEST".to_owned(),
            message: error.to_string(),
            sql_state: Some(error.sqlstate.to_owned()),
        }
    }
}

/// An answer that waits for its statement: how long at most.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: String,
    pub(super) at_most: Duration,
    pub(super) then_cancel: bool,
}

/// Answers below `/api/2.0/sql/statements`.
pub(super) fn answer(
    state: &mut State,
    request: &Request<Bytes>,
    path: &[&str],
    now: Timestamp,
) -> Response<Bytes> {
    settle(state, now);
    match (request.method(), path) {
        (&Method::POST, []) => submit(state, request, now).unwrap_or_else(|refusal| *refusal),
        (&Method::GET, [id]) => match poll(state, id, now) {
            Some(shown) => ok(shown),
            None => unknown(id),
        },
        (&Method::GET, [id, "result", "chunks", chunk]) => {
            let rows = state.tuning.chunk_rows;
            match find(state, id, now).map(|run| &run.phase) {
                Some(Phase::Succeeded(Some(cells))) => {
                    match chunk.parse().ok().filter(|at| *at < cells.chunks(rows)) {
                        Some(at) => ok(cells.data(id, at, rows)),
                        None => invalid(&format!("The chunk index {chunk} is out of range.")),
                    }
                }
                Some(_) => refused(StatusCode::NOT_FOUND, "NOT_FOUND", "The result is not available."),
                None => unknown(id),
            }
        }
        (&Method::POST, [id, "cancel"]) => {
            let Some(run) = state.runs.iter_mut().find(|run| run.id == *id && !run.forgotten) else {
                return unknown(id);
            };
            if let Phase::Pending | Phase::Running = run.phase {
                run.phase = Phase::Canceled;
                run.ended = Some(now);
            }
            ok(json!({}))
        }
        (&Method::DELETE, [id]) => {
            let Some(run) = state.runs.iter_mut().find(|run| run.id == *id && !run.forgotten) else {
                return unknown(id);
            };
            if let Phase::Succeeded(_) = run.phase {
                run.phase = Phase::Closed;
            } else if let Phase::Pending | Phase::Running = run.phase {
                run.phase = Phase::Canceled;
                run.ended = Some(now);
            }
            ok(json!({}))
        }
        (method, _) => {
            let path: Vec<_> = path.iter().map(|part| format!("/{part}")).collect();
            let message = format!("No API found for '{method} /sql/statements{}'", path.concat());
            refused(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", &message)
        }
    }
}

fn unknown(id: &str) -> Response<Bytes> {
    refused(StatusCode::NOT_FOUND, "NOT_FOUND", &format!("The statement {id} was not found."))
}

fn find<'a>(state: &'a State, id: &str, now: Timestamp) -> Option<&'a Run> {
    state.runs.iter().find(|run| {
        run.id == id
            && !run.forgotten
            && run.ended.is_none_or(|ended| now.saturating_since(ended) < RECORD_LIFE)
    })
}

/// What a look at a statement shows.
pub(super) fn poll(state: &mut State, id: &str, now: Timestamp) -> Option<Value> {
    settle(state, now);
    let (rows, place, closes) =
        (state.tuning.chunk_rows, state.tuning.sql_state, state.tuning.closed_when_polled);
    find(state, id, now)?;
    let run = state.runs.iter_mut().find(|run| run.id == id)?;
    let expired = run.ended.is_some_and(|ended| now.saturating_since(ended) >= RESULT_LIFE);
    if let (Phase::Succeeded(_), true) = (&run.phase, closes) {
        run.phase = Phase::Closed;
    }
    Some(run.shown(rows, place, !expired))
}

/// Withdraws a statement that was waited for long enough, unless it has ended.
pub(super) fn give_up(state: &mut State, id: &str, now: Timestamp) {
    settle(state, now);
    if let Some(run) = state.runs.iter_mut().find(|run| run.id == id)
        && let Phase::Pending | Phase::Running = run.phase
    {
        run.phase = Phase::Canceled;
        run.ended = Some(now);
    }
}

/// When a statement ends by itself, if that is known.
pub(super) fn ends(state: &State, id: &str) -> Option<Timestamp> {
    let run = state.runs.iter().find(|run| run.id == id)?;
    Some(run.starts? + run.runs_for)
}

type Refusal = Box<Response<Bytes>>;

fn submit(state: &mut State, request: &Request<Bytes>, now: Timestamp) -> Result<Response<Bytes>, Refusal> {
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
        return Err(Box::new(super::throttled(Some(1))));
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

/// What the submit itself is answered: CLOSED with the result inside, where that is so.
pub(super) fn first_answer(state: &mut State, id: &str) -> Option<Value> {
    let (rows, place, closes) =
        (state.tuning.chunk_rows, state.tuning.sql_state, state.tuning.closed_at_once);
    let run = state.runs.iter_mut().find(|run| run.id == id)?;
    let mut shown = run.shown(rows, place, true);
    if let (Phase::Succeeded(_), true) = (&run.phase, closes) {
        shown["status"]["state"] = "CLOSED".into();
        run.forgotten = true;
    }
    Some(shown)
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

/// Brings all statements to where they are now: each begins, runs, and takes effect at one instant.
pub(super) fn settle(state: &mut State, now: Timestamp) {
    loop {
        // A warehouse that could not start may do so by now.
        for run in
            state.runs.iter_mut().filter(|run| run.starts.is_none() && matches!(run.phase, Phase::Pending))
        {
            run.starts = state.warehouses.get_mut(&run.warehouse).and_then(|warehouse| warehouse.wake(now));
        }
        state.warehouses.values_mut().for_each(|warehouse| warehouse.settle(now));
        let due = state.runs.iter().enumerate().filter_map(|(at, run)| {
            let starts = run.starts?;
            match run.phase {
                Phase::Pending => Some((starts, at)),
                Phase::Running => Some((starts + run.runs_for, at)),
                _ => None,
            }
        });
        let Some((instant, at)) = due.min().filter(|(instant, _)| *instant <= now) else { return };
        if let Phase::Pending = state.runs[at].phase {
            begin(state, at);
        } else {
            end(state, at, instant);
        }
    }
}

fn begin(state: &mut State, at: usize) {
    let versions = target(state, at).and_then(|(name, _)| versions(state, &name));
    let run = &mut state.runs[at];
    run.began_at = versions;
    run.phase = Phase::Running;
}

fn target(state: &State, at: usize) -> Option<([String; 3], Access)> {
    let run = state.runs.get(at)?;
    run.parsed.as_ref().ok()?.writes(&run.session)
}

fn versions(state: &State, [catalog, schema, name]: &[String; 3]) -> Option<(u64, u64)> {
    let table = state.database.catalogs.get(catalog)?.get(schema)?.tables.get(name)?;
    Some((table.version, table.metadata_version))
}

fn end(state: &mut State, at: usize, instant: Timestamp) {
    let target = target(state, at);
    let planted = state.failures.iter().position(|failure| state.runs[at].text.contains(&failure.statement));
    let planted = planted.map(|place| state.failures.remove(place));
    let before = planted.as_ref().is_some_and(|failure| !failure.after_commit);
    let mut outcome = match conflict(state, at, target.as_ref()) {
        Some(conflict) => Phase::Failed(conflict),
        None if before => Phase::Pending,
        None => executed(state, at),
    };
    if let (Some(failure), Phase::Pending | Phase::Succeeded(_)) = (planted, &outcome) {
        outcome = Phase::Failed(Failed {
            error_code: failure.error_code,
            message: failure.message,
            sql_state: failure.sql_state,
        });
    }
    let run = &mut state.runs[at];
    run.phase = outcome;
    run.ended = Some(instant);
}

fn conflict(state: &mut State, at: usize, target: Option<&([String; 3], Access)>) -> Option<Failed> {
    let (name, access) = target?;
    let planted = *access == Access::Rewrites && state.tuning.conflicts > 0;
    state.tuning.conflicts -= u32::from(planted);
    let (version, metadata) = versions(state, name)?;
    let (began, began_metadata) = state.runs[at].began_at.unwrap_or((version, metadata));
    let full = name.join(".");
    let (class, text) = if metadata != began_metadata || (*access == Access::Metadata && version != began) {
        (
            "DELTA_METADATA_CHANGED",
            "The metadata of the Delta table has been changed by a concurrent update.".to_owned(),
        )
    } else if planted || (*access == Access::Rewrites && version != began) {
        (
            "DELTA_CONCURRENT_APPEND.WITHOUT_HINT",
            format!(
                "Transaction conflict detected. a concurrent MERGE added data to table {full} committed at version \
                 {version}. The concurrent operation modified data that should have been read by this operation."
            ),
        )
    } else {
        return None;
    };
    Some(Failed::from(&SqlError::new(class, "2D521", format!("{text} Please retry the operation."))))
}

fn executed(state: &mut State, at: usize) -> Phase {
    let State { runs, database, warehouses, .. } = state;
    let run = &runs[at];
    let parsed = match &run.parsed {
        Ok(parsed) => parsed,
        Err(error) => return Phase::Failed(error.into()),
    };
    if parsed.changes() && warehouses.get(&run.warehouse).is_some_and(|warehouse| warehouse.only_reads()) {
        let sentence = "The operation is not supported: this warehouse only reads.";
        return Phase::Failed(
            (&SqlError::new("UNSUPPORTED_FEATURE.WRITE_ON_WAREHOUSE", "0A000", sentence)).into(),
        );
    }
    match parsed.execute(database, &run.session) {
        Err(error) => Phase::Failed((&error).into()),
        Ok(None) => Phase::Succeeded(None),
        Ok(Some(rows)) => {
            let cells = Cells::of(&rows, &run.session.zone, run.row_limit);
            if cells.bytes() > MAX_INLINE_BYTES {
                return Phase::Failed(Failed {
                    error_code: "BAD_REQUEST".to_owned(),
                    message: "Inline byte limit exceeded. Statements executed with disposition=INLINE can have a result \
                              size of at most 26214400 bytes. Please execute the statement with \
                              disposition=EXTERNAL_LINKS if you want to download the full result."
                        .to_owned(),
                    sql_state: None,
                });
            }
            Phase::Succeeded(Some(cells))
        }
    }
}

impl Run {
    fn shown(&self, chunk_rows: usize, place: SqlStatePlace, with_result: bool) -> Value {
        let state = match &self.phase {
            Phase::Pending => "PENDING",
            Phase::Running => "RUNNING",
            Phase::Succeeded(_) => "SUCCEEDED",
            Phase::Failed(_) => "FAILED",
            Phase::Canceled => "CANCELED",
            Phase::Closed => "CLOSED",
        };
        let mut shown = json!({ "statement_id": self.id, "status": { "state": state } });
        match &self.phase {
            Phase::Failed(Failed { error_code, message, sql_state }) => {
                shown["status"]["error"] = json!({ "error_code": error_code, "message": message });
                match (sql_state, place) {
                    (Some(sql_state), SqlStatePlace::Beside) => {
                        shown["status"]["sql_state"] = sql_state.as_str().into();
                    }
                    (Some(sql_state), SqlStatePlace::Inside) => {
                        shown["status"]["error"]["sql_state"] = sql_state.as_str().into();
                    }
                    _ => {}
                }
            }
            Phase::Succeeded(None) => {
                shown["manifest"] = json!({
                    "format": "JSON_ARRAY",
                    "schema": { "column_count": 0 },
                    "total_chunk_count": 0,
                    "total_row_count": 0,
                    "truncated": false,
                });
                shown["result"] = json!({});
            }
            Phase::Succeeded(Some(cells)) if with_result => {
                shown["manifest"] = cells.manifest(chunk_rows);
                shown["result"] = cells.data(&self.id, 0, chunk_rows);
            }
            _ => {}
        }
        shown
    }
}

/// A UUID that looks time-based, as the vendor's do.
fn statement_id(hex: &str) -> String {
    format!("01f1{}-{}-1{}-{}-{}", &hex[..4], &hex[4..8], &hex[8..11], &hex[12..16], &hex[16..28])
}
