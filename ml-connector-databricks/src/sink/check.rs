//! Whether everything is there that rows need, before the first one comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ml_connector_core::{
    CheckResult, CheckStep, Context, Error, ErrorKind, Result, Scope,
    model::{Columns, DeliveryId, Destination},
};

use super::{Databricks, Parts};
use crate::{
    config::DriftPolicy,
    destination,
    error::Repair,
    sql::{TableName, VolumeName},
    tables::{Difference, Drift, inspect, inspect_change_log},
};

impl Databricks {
    /// Looks at the warehouse, the schema, every table and the volume, and at what the service principal may do there. It
    /// starts a warehouse that is stopped, and writes nothing but a file of no use, which it deletes.
    pub(super) async fn look(&self, ctx: &Context) -> Vec<CheckStep> {
        let parts = &*self.parts;
        let step = |step: &str, what: &str, result: Result<()>| {
            CheckStep::of(format!("{step} {what}").trim_end().to_owned(), result.as_ref())
        };
        let mut checked = vec![
            step("warehouse", parts.client.warehouse_id(), parts.check_warehouse(ctx).await),
            step("statement", "", self.query(ctx, "SELECT 1", &[]).await.map(drop)),
        ];
        let names = &parts.tables.names;
        let schema = format!("{}.{}", names.catalog, names.schema);
        let mut is_lacking = false;
        let mut tables = Vec::new();
        for (name, (columns, is_log)) in parts.known_tables() {
            let table = match is_log {
                true => parts.check_change_log(ctx, &name).await,
                false => parts.check_table(ctx, &name, &columns).await,
            };
            is_lacking |= matches!(table, Ok(None));
            tables.push(match table {
                Ok(drift) => {
                    let step = step("table", &name.to_string(), Ok(()));
                    with_drift(step, &drift.unwrap_or_default(), parts.tables.policy)
                }
                Err(error) => step("table", &name.to_string(), Err(error)),
            });
        }
        checked.push(step("schema", &schema, parts.check_schema(ctx, &schema, is_lacking).await));
        checked.append(&mut tables);
        if let Some(volume) = &parts.volume {
            checked.push(step("volume", &volume.to_string(), parts.check_volume(ctx, volume).await));
        }
        checked
    }

    /// Looks at a table that only routes name. Which kind of records goes there, nobody says before the first one comes: so
    /// it is compared with the kind that it fits best.
    pub(super) async fn look_at(&self, ctx: &Context, destination: &Destination) -> Vec<CheckStep> {
        let parts = &*self.parts;
        // Tables of kinds are the connection's own.
        let Ok(Some(name)) = destination::named(destination) else { return Vec::new() };
        let name = parts.tables.names.called(name);
        let logs = parts.change_log.then(|| name.change_log());
        let mut checked = vec![match parts.check_named(ctx, &name).await {
            Ok(drift) => with_drift(step_of(&name, &Ok(())), &drift, parts.tables.policy),
            Err(error) => step_of(&name, &Err(error)),
        }];
        if let Some(log) = logs {
            checked.push(step_of(&log, &parts.check_change_log(ctx, &log).await.map(drop)));
        }
        checked
    }
}

fn step_of(name: &TableName, result: &Result<()>) -> CheckStep {
    CheckStep::of(format!("table {name}"), result.as_ref())
}

impl Parts {
    async fn check_warehouse(&self, ctx: &Context) -> Result<()> {
        match self.client.get_warehouse(ctx).await {
            Ok(warehouse) if warehouse.is_read_only() => {
                Err(Error::new(ErrorKind::ConfigInvalid, Repair::ReadOnly.message())
                    .with_scope(Scope::Connection))
            }
            Ok(_) => Ok(()),
            // Who may use it need not be allowed to see it: the statement tells.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The tables of all sources under their kinds' names, and whether each is a change log. Which others routes name, only
    /// routes know.
    pub(super) fn known_tables(&self) -> BTreeMap<TableName, (Arc<Columns>, bool)> {
        let mut tables = BTreeMap::new();
        for feeding in self.feeding.values() {
            for columns in &feeding.columns {
                let Ok(name) = self.tables.names.table(feeding.system, columns) else { continue };
                if self.change_log {
                    tables.entry(name.change_log()).or_insert((Arc::clone(columns), true));
                }
                tables.entry(name).or_insert((Arc::clone(columns), false));
            }
        }
        tables
    }

    async fn check_schema(&self, ctx: &Context, name: &str, lacks_tables: bool) -> Result<()> {
        let Some(schema) = self.client.get_schema(ctx, name).await? else {
            return Err(Error::new(ErrorKind::ConfigInvalid, Repair::MissingSchema.message()));
        };
        let needed: &[&str] = match lacks_tables {
            true => &["USE_SCHEMA", "CREATE_TABLE"],
            false => &["USE_SCHEMA"],
        };
        self.require(ctx, "schema", name, schema.owner.as_deref(), needed).await
    }

    /// How the table differs; `None` when it will be made.
    async fn check_table(
        &self,
        ctx: &Context,
        name: &TableName,
        columns: &Columns,
    ) -> Result<Option<Vec<Drift>>> {
        let Some(table) = self.client.get_table(ctx, name).await? else { return self.will_be_made() };
        let found = inspect(&self.tables, name, &table, columns)?;
        self.require(ctx, "table", &name.to_string(), table.owner.as_deref(), &["SELECT", "MODIFY"]).await?;
        self.tables.report(name, found.drift.clone());
        Ok(Some(found.drift))
    }

    /// How a table differs from the columns that it fits best.
    async fn check_named(&self, ctx: &Context, name: &TableName) -> Result<Vec<Drift>> {
        let Some(table) = self.client.get_table(ctx, name).await? else {
            self.will_be_made()?;
            let schema = format!("{}.{}", self.tables.names.catalog, self.tables.names.schema);
            return self.check_schema(ctx, &schema, true).await.map(|()| Vec::new());
        };
        self.require(ctx, "table", &name.to_string(), table.owner.as_deref(), &["SELECT", "MODIFY"]).await?;
        let columns = self.feeding.values().flat_map(|feeding| &feeding.columns);
        let (mut best, mut refused) = (None::<Vec<Drift>>, None);
        for columns in columns {
            match inspect(&self.tables, name, &table, columns) {
                Ok(found) if best.as_ref().is_none_or(|best| found.drift.len() < best.len()) => {
                    best = Some(found.drift);
                }
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        match (best, refused) {
            (None, Some(error)) => Err(error),
            (best, _) => Ok(best.unwrap_or_default()),
        }
    }

    async fn check_change_log(&self, ctx: &Context, name: &TableName) -> Result<Option<Vec<Drift>>> {
        let Some(table) = self.client.get_table(ctx, name).await? else { return self.will_be_made() };
        inspect_change_log(&self.tables, name, &table)?;
        self.require(ctx, "table", &name.to_string(), table.owner.as_deref(), &["SELECT", "MODIFY"]).await?;
        Ok(Some(Vec::new()))
    }

    fn will_be_made(&self) -> Result<Option<Vec<Drift>>> {
        match self.tables.create {
            true => Ok(None),
            false => Err(Error::new(ErrorKind::ConfigInvalid, Repair::MissingTable.message())),
        }
    }

    /// Whether the service principal may do what is needed. Who owns a thing may do everything; where nobody may ask, rows
    /// tell.
    async fn require(
        &self,
        ctx: &Context,
        kind: &str,
        name: &str,
        owner: Option<&str>,
        needed: &[&str],
    ) -> Result<()> {
        let Some(principal) = self.principal.as_deref().filter(|principal| owner != Some(*principal)) else {
            return Ok(());
        };
        let Some(held) = self.client.get_permissions(ctx, kind, name, principal).await? else {
            return Ok(());
        };
        let may = |privilege: &str| held.contains(privilege) || held.contains("ALL_PRIVILEGES");
        let missing: BTreeSet<String> =
            needed.iter().filter(|one| !may(one)).map(|one| one.replace('_', " ")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!(
            "the service principal lacks {missing} on the {kind}, unless it is in a group that owns it: grant it"
        );
        Err(Error::new(ErrorKind::PermissionDenied, message))
    }

    async fn check_volume(&self, ctx: &Context, volume: &VolumeName) -> Result<()> {
        if !self.client.has_volume(ctx, volume).await? {
            return Err(Error::new(ErrorKind::ConfigInvalid, Repair::MissingVolume.message()));
        }
        // Two checks at once must not delete each other's file.
        let name = format!("check-{}", DeliveryId::generate(ctx.now()));
        let ctx = ctx.within(Duration::from_secs(30));
        let table = self.tables.names.called(name.into());
        let staged = self.stage(&ctx, volume, &table, Bytes::from_static(b"{}\n")).await?;
        self.unstage(&ctx, volume, &staged).await;
        Ok(())
    }
}

/// What differs does not stop a table, and somebody may want to know. What only lacks, and will be added, is well.
fn with_drift(step: CheckStep, drift: &[Drift], policy: DriftPolicy) -> CheckStep {
    if drift.is_empty() {
        return step;
    }
    let differs = |drift: &Drift| match &*drift.column {
        "" => drift.difference.to_string(),
        column => format!("{column}: {}", drift.difference),
    };
    let found = drift.iter().map(differs).collect::<Vec<_>>().join("; ");
    let is_added =
        policy == DriftPolicy::Evolve && drift.iter().all(|one| one.difference == Difference::Missing);
    if is_added {
        return step.with_found(format!("{found} (it will be added)"));
    }
    let remedy = "compare the table with the columns of its source: what differs is not written, or not as it is there";
    CheckStep::new(step.step, CheckResult::Warning).with_found(found).with_remedy(remedy)
}
