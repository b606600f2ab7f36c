//! One statement from its submission to its end.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    AttemptNotes, Context, Effect, Error, ErrorKind, Result, Retry, Scope, Timestamp, model::Seq, sleep_until,
};

use super::{Parts, note::Note};
use crate::{
    client::Sql,
    error::{Fault, failed, is_warehouse_refusal, spent_until_tomorrow},
    models::{Parameter, State, Statement, WarehouseState},
};

/// A pause that ends with less time than this left is not begun.
const LEAST: Duration = Duration::from_secs(20);
/// What is kept of the call's time for writing down how far it got.
const REST: Duration = Duration::from_secs(5);
/// The first pause between two looks; it doubles.
const LOOK_FIRST: Duration = Duration::from_millis(20);
/// The first pause of a warehouse that starts.
const START_FIRST: Duration = Duration::from_secs(1);
/// The vendor's CLI looks every five seconds.
const LOOK_LAST: Duration = Duration::from_secs(5);
/// How often others may be in the way.
const CONFLICTS: u32 = 5;
/// How often a warehouse that says it runs may refuse a statement.
const REFUSALS: u32 = 8;
/// When to ask again for a statement, or a warehouse, that takes its time.
const LATER: Duration = Duration::from_secs(10);
/// When to ask again for what does not come by itself.
const MUCH_LATER: Duration = Duration::from_secs(15 * 60);
const DAY_SECS: i64 = 86_400;

/// Why a statement did not succeed.
pub(super) struct Failure {
    /// What it means, where the statement ran.
    pub(super) fault: Option<Fault>,
    pub(super) error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { fault: None, error }
    }
}

/// Runs statements for some deliveries.
pub(super) struct Run<'a> {
    pub(super) parts: &'a Parts,
    pub(super) ctx: &'a Context,
    pub(super) notes: &'a dyn AttemptNotes,
    /// Whose rows wait for the statement.
    pub(super) seqs: &'a [Seq],
}

impl Run<'_> {
    /// Submits a statement that may run twice, and waits for its end. The answer comes at once and says its id, which is noted
    /// before anything else: whoever comes later, here or on another host, waits for the same one. Two that run at the same
    /// time might both insert a new row.
    pub(super) async fn statement(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
        settles: bool,
    ) -> Result<Statement, Failure> {
        let mut pause = Duration::from_millis(500);
        for attempt in 1.. {
            let submitted = self.submit(text, parameters).await?;
            let id: Arc<str> = submitted.statement_id.as_str().into();
            if submitted.status.state.is_open() {
                self.note(self.seqs, &id, settles).await?;
            }
            let ended = match follow(self.parts, self.ctx, submitted).await {
                Ok(ended) => ended,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // It may have been committed. Sent again, it does nothing then.
                    let error = Error::new(ErrorKind::Unavailable, "Databricks has forgotten a statement")
                        .with_effect(Effect::Unknown)
                        .with_context("statement", &id);
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            };
            if matches!(ended.status.state, State::Succeeded | State::Closed) {
                return Ok(ended);
            }
            let (fault, error) = failed(&ended.status, &id);
            match fault {
                Fault::Committed => {
                    tracing::warn!(statement = %id, %error, "committed, and failed after that");
                    return Ok(ended);
                }
                Fault::Conflict | Fault::Passing if attempt < CONFLICTS => {
                    let until = self.ctx.now() + pause;
                    if until + LEAST > self.ctx.deadline() {
                        return Err(Failure { fault: Some(fault), error });
                    }
                    tracing::debug!(statement = %id, %error, "the statement is sent again");
                    sleep_until(self.ctx.clock(), until).await;
                    pause = pause.saturating_mul(2);
                }
                _ => return Err(Failure { fault: Some(fault), error }),
            }
        }
        Err(Error::new(ErrorKind::Unexpected, "unreachable: the last attempt returns").into())
    }

    /// Writes down which statement deliveries wait for, and whether they are done with it.
    pub(super) async fn note(&self, of: &[Seq], statement: &Arc<str>, settles: bool) -> Result<()> {
        let note = Note { statement: Arc::clone(statement), settles };
        let kept = self.notes.keep(of, note.write()?).await;
        kept.map_err(|error| error.with_effect(Effect::Unknown))
    }

    /// Submits a statement to a warehouse that may have to be started for it.
    async fn submit(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Statement> {
        let names = &self.parts.tables.names;
        let mut refusals = 0;
        loop {
            let parameters = parameters.to_vec();
            let sql = Sql { text, parameters, catalog: &names.catalog, schema: &names.schema };
            match self.parts.client.execute(self.ctx, &sql).await {
                Err(error) if is_warehouse_refusal(&error) => {
                    refusals += 1;
                    if refusals > REFUSALS {
                        return Err(error.with_retry(Retry::At(self.ctx.now() + MUCH_LATER)));
                    }
                    start(self.parts, self.ctx, error).await?;
                }
                other => return other,
            }
        }
    }
}

/// Looks until the statement has ended.
///
/// # Errors
/// Says what is waited for when the call's time is over. While it waits for the warehouse, that is an outage of the
/// connection; while it runs, nothing is wrong.
pub(super) async fn follow(parts: &Parts, ctx: &Context, mut statement: Statement) -> Result<Statement> {
    let mut pause = LOOK_FIRST;
    while statement.status.state.is_open() {
        if let State::Other(_) = statement.status.state {
            break;
        }
        let next = ctx.now() + pause;
        if next + REST > ctx.deadline() {
            return Err(open(parts, ctx, &statement).await);
        }
        sleep_until(ctx.clock(), next).await;
        pause = pause.saturating_mul(2).min(LOOK_LAST);
        statement = parts.client.get_statement(ctx, &statement.statement_id).await?;
    }
    Ok(statement)
}

/// What a statement that is open at the end of the call waits for.
async fn open(parts: &Parts, ctx: &Context, statement: &Statement) -> Error {
    let error = match statement.status.state {
        State::Pending => match parts.client.get_warehouse(&ctx.within(REST)).await {
            Ok(warehouse) if warehouse.state == WarehouseState::Running => queued(ctx.now()),
            Ok(warehouse) => not_running(&warehouse, ctx.now()),
            Err(error) if error.kind() == ErrorKind::ConfigInvalid => error,
            // It may be used without being seen.
            Err(_) => starting(ctx.now()),
        },
        _ => busy("the statement is still running", ctx.now()),
    };
    error.with_context("statement", &statement.statement_id)
}

fn queued(now: Timestamp) -> Error {
    busy("the statement waits for its turn in the SQL warehouse", now)
}

/// Nothing is wrong, and nothing is counted: it is only not its time yet.
fn busy(message: &'static str, now: Timestamp) -> Error {
    Error::new(ErrorKind::RateLimited, message)
        .with_effect(Effect::Unknown)
        .with_retry(Retry::At(now + LATER))
}

fn starting(now: Timestamp) -> Error {
    Error::new(ErrorKind::Unavailable, "the SQL warehouse is starting")
        .with_scope(Scope::Connection)
        .with_retry(Retry::At(now + LATER))
}

pub(super) fn not_running(warehouse: &crate::models::Warehouse, now: Timestamp) -> Error {
    let why = warehouse.health.as_ref().and_then(|health| health.failure());
    match (why, &warehouse.state) {
        (_, WarehouseState::Deleted | WarehouseState::Deleting) => {
            Error::new(ErrorKind::ConfigInvalid, "the SQL warehouse is deleted: choose another")
                .with_scope(Scope::Connection)
        }
        (Some(code), _) => {
            let remedy = match code {
                "QUOTA_EXCEEDED" | "CLOUD_PROVIDER_RESOURCE_STOCKOUT" | "AZURE_QUOTA_EXCEEDED_EXCEPTION" => {
                    "the cloud account's quota of machines is used up. Have it raised, or choose a smaller warehouse"
                }
                "INSTANCE_POOL_NOT_FOUND" | "BOOTSTRAP_TIMEOUT" | "NETWORK_CONFIGURATION_FAILURE" => {
                    "its machines cannot be reached. Look at the warehouse's page in the workspace"
                }
                _ => "look at the warehouse's page in the workspace",
            };
            Error::new(ErrorKind::Unavailable, format!("the SQL warehouse does not start: {remedy}"))
                .with_scope(Scope::Connection)
                .with_retry(Retry::At(now + LATER))
                .with_context("reason", code.escape_debug())
        }
        (None, state) => starting(now).with_context("warehouse", state),
    }
}

/// Waits until the warehouse runs, which refused a statement without running it, and starts it if nobody does.
///
/// # Errors
/// Why it does not run by the end of the call.
async fn start(parts: &Parts, ctx: &Context, refused: Error) -> Result<()> {
    let (mut asked, mut pause) = (false, START_FIRST);
    loop {
        let warehouse = match parts.client.get_warehouse(ctx).await {
            Ok(warehouse) => warehouse,
            // It may be used without being seen.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(refused.with_retry(Retry::At(ctx.now() + LATER)));
            }
            Err(error) => return Err(error),
        };
        if warehouse.state == WarehouseState::Stopped && !asked {
            asked = true;
            match parts.client.start_warehouse(ctx).await {
                Ok(()) => {}
                Err(error) if spent_until_tomorrow(&error) => {
                    let tomorrow = (ctx.now().as_secs().div_euclid(DAY_SECS) + 1) * DAY_SECS;
                    return Err(error.with_retry(Retry::At(Timestamp::from_secs(tomorrow))));
                }
                // Who may use it need not be allowed to start it: a statement starts it, too.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                Err(error) if error.retry() == Retry::Never => {
                    return Err(Error::new(ErrorKind::Unavailable, "the SQL warehouse cannot be started")
                        .with_scope(Scope::Connection)
                        .with_retry(Retry::At(ctx.now() + MUCH_LATER))
                        .with_source(error));
                }
                Err(error) => return Err(error),
            }
        }
        let fails = warehouse.health.as_ref().is_some_and(|health| health.failure().is_some());
        let next = ctx.now() + pause;
        if fails || next + REST > ctx.deadline() {
            return Err(not_running(&warehouse, ctx.now()));
        }
        // A warehouse that says it runs, and refuses, needs a moment, too.
        sleep_until(ctx.clock(), next).await;
        pause = pause.saturating_mul(2).min(LOOK_LAST);
        if warehouse.state == WarehouseState::Running {
            return Ok(());
        }
    }
}
