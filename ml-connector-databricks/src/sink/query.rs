//! Questions: for whoever wants to see what is in the tables.

use std::fmt;

use ml_connector_core::{Context, Error, ErrorKind, Result, model::ConnectionId};

use super::{Databricks, Parts, run::follow};
use crate::{
    client::Sql,
    error::failed,
    models::{Parameter, ResultData, State},
    sql::TableName,
};

/// The result of a query. `Debug` shows how large it is.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryRows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows: each cell as text, `None` where it is null.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Databricks {
    /// Asks a question, with named parameters, all of them texts.
    ///
    /// ```no_run
    /// # async fn show(lake: &ml_connector_databricks::Databricks, ctx: &ml_connector_core::Context)
    /// # -> ml_connector_core::Result<()> {
    /// let open = lake.query(ctx, "SELECT count(*) FROM main.finance.zoho_books_invoices", &[]).await?;
    /// println!("{:?}", open.rows[0][0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the warehouse does not run, or the query does not end, by the context's deadline;
    /// what the statement failed with otherwise.
    pub async fn query(&self, ctx: &Context, sql: &str, parameters: &[(&str, &str)]) -> Result<QueryRows> {
        self.parts.query(ctx, sql, parameters).await
    }
}

impl Parts {
    pub(super) async fn query(
        &self,
        ctx: &Context,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<QueryRows> {
        let names = &self.tables.names;
        let parameters =
            parameters.iter().map(|(name, value)| Parameter { name, kind: "STRING", value }).collect();
        let sql = Sql { text: sql, parameters, catalog: &names.catalog, schema: &names.schema };
        let submitted = self.client.execute(ctx, &sql).await?;
        let id = submitted.statement_id.clone();
        let mut ended = match follow(self, ctx, submitted).await {
            Ok(ended) => ended,
            Err(error) => {
                // Nobody waits for the answer any more.
                if let Err(error) = self.client.cancel_statement(ctx, &id).await {
                    tracing::debug!(%error, "a query goes on without anybody who waits for it");
                }
                return Err(error);
            }
        };
        if !matches!(ended.status.state, State::Succeeded | State::Closed) {
            return Err(failed(&ended.status, &ended.statement_id).1);
        }
        if ended.status.state == State::Closed && ended.manifest.is_none() {
            return Err(Error::new(ErrorKind::InvalidResponse, "the result is gone: ask again"));
        }
        let columns = ended.column_names();
        let ResultData { data_array: mut rows, next_chunk_index: mut next } =
            ended.result.take().unwrap_or_default();
        while let Some(chunk) = next {
            let data = self.client.get_chunk(ctx, &ended.statement_id, chunk).await?;
            rows.extend(data.data_array);
            next = data.next_chunk_index;
        }
        let expected = ended.manifest.and_then(|manifest| manifest.total_row_count);
        if expected.is_some_and(|expected| expected != rows.len() as u64) {
            return Err(Error::new(ErrorKind::InvalidResponse, "the result has other rows than it says"));
        }
        Ok(QueryRows { columns, rows })
    }

    /// How many rows with a key the service principal sees.
    pub(super) async fn count(
        &self,
        ctx: &Context,
        table: &TableName,
        connection: &ConnectionId,
        id: &str,
    ) -> Result<u64> {
        let sql = format!(
            "SELECT count(*) FROM {} WHERE `_connection` = :connection AND `_id` = :id",
            table.quoted()
        );
        let seen = self.query(ctx, &sql, &[("connection", connection.as_str()), ("id", id)]).await?;
        let count = seen.rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        count.ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "expected a count of rows, got something else")
        })
    }
}

impl fmt::Debug for QueryRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryRows")
            .field("columns", &self.columns.len())
            .field("rows", &self.rows.len())
            .finish()
    }
}
