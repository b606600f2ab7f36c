//! SQL Statement Execution: submit, look, cancel, and the chunks of a result.

use std::sync::atomic::Ordering;

use ml_connector_core::{Context, Effect, Error, ErrorKind, Result};

use super::Client;
use crate::error::refuses_query_tags;
use crate::models::{Execute, Parameter, QueryTag, ResultData, Statement};

/// A statement that may run twice: it has to be written so.
pub(crate) struct Sql<'a> {
    pub(crate) text: &'a str,
    pub(crate) parameters: Vec<Parameter<'a>>,
    /// Session defaults: names in the statement are whole all the same.
    pub(crate) catalog: &'a str,
    pub(crate) schema: &'a str,
}

impl Client {
    /// Submits a statement. The answer does not wait for its end. It may run although no answer comes.
    ///
    /// # Errors
    /// Refusals: then it does not run. How a statement that ran ended is in the answer.
    pub(crate) async fn execute(&self, ctx: &Context, sql: &Sql<'_>) -> Result<Statement> {
        match self.submit(ctx, sql).await {
            // An older workspace does not know them.
            Err(error) if refuses_query_tags(&error) && self.query_tags.swap(false, Ordering::Relaxed) => {
                self.submit(ctx, sql).await
            }
            other => other,
        }
    }

    async fn submit(&self, ctx: &Context, sql: &Sql<'_>) -> Result<Statement> {
        let tags =
            self.query_tags.load(Ordering::Relaxed).then_some(QueryTag { key: "app", value: "ml-connector" });
        let body = Execute {
            statement: sql.text,
            warehouse_id: &self.warehouse_id,
            catalog: sql.catalog,
            schema: sql.schema,
            parameters: &sql.parameters,
            wait_timeout: "0s",
            on_wait_timeout: "CONTINUE",
            disposition: "INLINE",
            format: "JSON_ARRAY",
            query_tags: tags.into_iter().collect(),
        };
        let url = self.http.url(&["api", "2.0", "sql", "statements"]);
        let operation = "databricks.execute_statement";
        let answer = self.post(ctx, operation, &url, &body).await?;
        answer.json().map_err(|error| error.with_operation(operation).with_effect(Effect::Unknown))
    }

    /// How a statement stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is forgotten: twelve hours after its end, or at once after a first answer of CLOSED.
    pub(crate) async fn get_statement(&self, ctx: &Context, id: &str) -> Result<Statement> {
        let url = self.http.url(&["api", "2.0", "sql", "statements", id]);
        let operation = "databricks.get_statement";
        self.get(ctx, operation, &url).await?.json().map_err(|error| error.with_operation(operation))
    }

    /// Asks for the end of a statement. It may end well all the same.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is forgotten.
    pub(crate) async fn cancel_statement(&self, ctx: &Context, id: &str) -> Result<()> {
        let url = self.http.url(&["api", "2.0", "sql", "statements", id, "cancel"]);
        let nothing = serde_json::Map::new();
        self.post(ctx, "databricks.cancel_statement", &url, &nothing).await.map(drop)
    }

    /// The rows of a result that do not come with the statement.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the result is gone.
    pub(crate) async fn get_chunk(&self, ctx: &Context, id: &str, chunk: u64) -> Result<ResultData> {
        let number = chunk.to_string();
        let url = self.http.url(&["api", "2.0", "sql", "statements", id, "result", "chunks", &number]);
        let operation = "databricks.get_result_chunk";
        let data: ResultData =
            self.get(ctx, operation, &url).await?.json().map_err(|error| error.with_operation(operation))?;
        if data.next_chunk_index.is_some_and(|next| next <= chunk) {
            return Err(Error::new(ErrorKind::InvalidResponse, "the chunks of a result go in a circle")
                .with_operation(operation));
        }
        Ok(data)
    }
}
