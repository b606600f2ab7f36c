//! What was deleted while no log knew of it.

use ml_connector_core::{Context, Error, ErrorKind, Result, model::ConnectionId};

use super::{Databricks, run::follow};
use crate::{
    client::Sql,
    error::failed,
    models::{Parameter, State},
    sql::bury,
};

impl Databricks {
    /// Marks as deleted the records of which only rows of earlier logs exist. For the host, after a log was lost and the **whole** past
    /// of a connection was asked for again, every list of it, and has arrived: what is there now has rows of the new log by
    /// then, and what has none was deleted meanwhile. Returns how many rows were marked. A record that comes back is written
    /// over.
    ///
    /// It walks through the tables of the source's kinds, under the names that they have now, and marks rows of the account
    /// that the connection reads now. Not marked: rows in tables that only routes name ([`table`](crate::table)), in change
    /// logs, under a name that a table had before, and of another account that the connection read once.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when no table has rows of the connection; what a statement failed with otherwise. Tables before
    /// it are done; called again, it goes on.
    pub async fn bury_lost(&self, ctx: &Context, connection: &ConnectionId) -> Result<u64> {
        let parts = &*self.parts;
        let feeding = parts.feeding.get(connection).ok_or_else(|| unknown(connection))?;
        let mut tables = Vec::new();
        for columns in &feeding.columns {
            let name = parts.tables.names.table(feeding.system, columns)?;
            if parts.client.get_table(ctx, &name).await?.is_some() && !tables.contains(&name) {
                tables.push(name);
            }
        }
        let mut epoch = None;
        for table in &tables {
            let sql =
                format!("SELECT max(`_epoch`) FROM {} WHERE `_connection` = :connection", table.quoted());
            let seen = parts.query(ctx, &sql, &[("connection", connection.as_str())]).await?;
            let latest = seen.rows.first().and_then(|row| row.first()?.as_ref()?.parse::<u64>().ok());
            epoch = epoch.max(latest);
        }
        let epoch = epoch.ok_or_else(|| unknown(connection))?.to_string();
        let at = ctx.now().to_string();
        let mut buried = 0;
        for table in &tables {
            let known = parts.tables.of(table);
            // One writer at a time.
            let _writes = known.lock().await;
            let text = |name, value| Parameter { name, kind: "STRING", value };
            let parameters = vec![
                text("connection", connection.as_str()),
                text("account", &feeding.account),
                text("epoch", &epoch),
                text("at", &at),
            ];
            let names = &parts.tables.names;
            let sql = Sql { text: &bury(table), parameters, catalog: &names.catalog, schema: &names.schema };
            let submitted = parts.client.execute(ctx, &sql).await?;
            let ended = follow(parts, ctx, submitted).await?;
            if !matches!(ended.status.state, State::Succeeded | State::Closed) {
                let (_, error) = failed(&ended.status, &ended.statement_id);
                return Err(error.with_context("table", table));
            }
            buried += ended.count("num_affected_rows").unwrap_or(0);
        }
        Ok(buried)
    }
}

fn unknown(connection: &ConnectionId) -> Error {
    Error::new(ErrorKind::NotFound, "no table has rows of the connection")
        .with_context("connection", connection)
}
