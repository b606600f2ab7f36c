//! The SQL Statement Execution API.

mod execute;
mod submit;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

pub(super) use self::execute::settle;
use self::submit::submit;
use super::{
    State,
    answer::{invalid, ok, refused},
    config::SqlStatePlace,
    results::Cells,
    sql::{Parsed, Session, SqlError, catalog::Table},
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
    /// The table as it was then, where inserts are doubled.
    began_with: Option<Table>,
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
