//! The sink: what a connection to a workspace holds, and what the engine asks of it.

mod bisect;
mod bury;
mod check;
mod look_up;
mod note;
mod prepare;
mod query;
mod run;
mod send;
mod stage;
mod tally;
mod waits;
mod write;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use ml_connector_core::{
    AttemptNotes, CheckStep, Connection, Context, Error, ErrorKind, IntoConnection, Result, Sink, SinkInfo,
    Timestamp,
    model::{Columns, ConnectionId, Delivery, DeliveryPlan, Destination, LaneKey, Lookup, Receipt},
    rate::{Cost, Quota, QuotaKey},
};
pub use query::QueryRows;
use tally::Tally;

use crate::{
    client::Client,
    destination,
    sql::{TableName, VolumeName, create_change_log, create_table},
    tables::{Drift, Feeding, Tables},
};

/// How long a statement is waited for in one attempt: a MERGE of a large batch into a large table takes minutes. One that
/// takes longer is picked up by the next attempt.
const ATTEMPT: Duration = Duration::from_secs(5 * 60);
/// A warehouse queues a thousand statements of all its users; more than these gain nothing.
const STATEMENTS_UNDER_WAY: u32 = 4;

/// A Databricks workspace as a place that keeps tables of what happens. See the [crate's documentation](crate).
#[derive(Clone)]
pub struct Databricks {
    info: SinkInfo,
    cost: Cost,
    parts: Arc<Parts>,
}

/// What the builder puts together.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) tables: Tables,
    pub(crate) feeding: BTreeMap<ConnectionId, Feeding>,
    pub(crate) volume: Option<VolumeName>,
    /// The service principal's application id, where it is known: what it may do is asked for.
    pub(crate) principal: Option<String>,
    pub(crate) change_log: bool,
    pub(crate) max_parameter_bytes: usize,
    pub(crate) max_bytes: usize,
}

impl Databricks {
    pub(crate) fn new(info: SinkInfo, parts: Parts) -> Self {
        let key = QuotaKey::new(format!("databricks/{}/statements", parts.client.host().authority()));
        let quotas = Arc::new([Quota::Concurrent { limit: STATEMENTS_UNDER_WAY }]);
        Self { info, cost: Cost::one(key, quotas), parts: Arc::new(parts) }
    }

    /// How tables differ from their sources, as far as they were looked at: at the first row, and every hour after that.
    #[must_use]
    pub fn drift(&self) -> Vec<Drift> {
        self.parts.tables.drift()
    }

    /// The statements that make the tables of all sources that were named, and their change logs: for whoever makes tables
    /// where the service principal may not. Those that are there stay.
    #[must_use]
    pub fn create_statements(&self) -> Vec<String> {
        let statement = |(name, (columns, is_log)): (TableName, (Arc<Columns>, bool))| match is_log {
            true => create_change_log(&name, &columns),
            false => create_table(&name, &columns, self.parts.tables.raw),
        };
        self.parts.known_tables().into_iter().map(statement).collect()
    }
}

#[async_trait]
impl Sink for Databricks {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    /// One lane per table: a table has one writer.
    fn plan(&self, delivery: &Delivery) -> Result<DeliveryPlan> {
        let event = delivery.event.page.first().unwrap_or(&delivery.event);
        let named = destination::named(&delivery.destination)?;
        let lane = match (named, self.parts.feeding.get(&event.connection)) {
            (Some(table), _) => self.parts.tables.names.called(table).to_string(),
            (None, Some(feeding)) => {
                let columns =
                    feeding.columns_of(&event.entity.kind).ok_or_else(|| no_columns(&event.entity.kind))?;
                self.parts.tables.names.table(feeding.system, columns)?.to_string()
            }
            // It waits until somebody names the source: the delivery says so.
            (None, None) => format!("{}/{}", event.connection, event.entity.kind),
        };
        Ok(DeliveryPlan::new(LaneKey::new(lane)).costs(vec![self.cost.clone()]).within(ATTEMPT))
    }

    async fn deliver(
        &self,
        ctx: &Context,
        batch: &[Delivery],
        notes: &dyn AttemptNotes,
    ) -> Vec<Result<Receipt>> {
        let mut tally = Tally::of(batch);
        self.parts.write(ctx, batch, notes, &mut tally).await;
        tally.results()
    }

    /// Waits for the statement that an earlier attempt noted. While it is open, nothing else is sent to its table: two
    /// statements that write the same new rows at once might both insert them.
    async fn look_up(&self, ctx: &Context, delivery: &Delivery) -> Result<Lookup> {
        self.parts.look_up(ctx, delivery).await
    }

    async fn ping(&self, ctx: &Context) -> Result<()> {
        self.parts.client.get_warehouse(ctx).await.map(drop)
    }

    /// The warehouse, a statement, the schema, every table, the volume: steps are named after them. It starts a warehouse
    /// that is stopped, and writes nothing but a file of no use, which it deletes.
    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        self.look(ctx).await
    }

    /// A table that a route names: that it is there, or can be made, and takes rows of some source.
    async fn check_destination(&self, ctx: &Context, destination: &Destination) -> Vec<CheckStep> {
        self.look_at(ctx, destination).await
    }

    /// How tables differ from their sources.
    fn remarks(&self) -> Vec<Arc<str>> {
        self.drift().iter().map(|drift| drift.to_string().into()).collect()
    }

    /// Deletes staged files that nobody came back for.
    async fn maintain(&self, ctx: &Context) -> Result<Option<Timestamp>> {
        self.parts.clean_up(ctx).await
    }
}

/// The sink.
impl IntoConnection for Databricks {
    fn into_connection(self) -> Result<Connection> {
        Ok(Connection::new().sink(self))
    }
}

impl fmt::Debug for Databricks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Databricks")
            .field("info", &self.info)
            .field("client", &self.parts.client)
            .field("tables", &self.parts.tables.names)
            .field("volume", &self.parts.volume)
            .finish_non_exhaustive()
    }
}

pub(crate) fn no_columns(kind: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, "the source has no table for records of this kind")
        .with_context("kind", kind.escape_debug())
}
