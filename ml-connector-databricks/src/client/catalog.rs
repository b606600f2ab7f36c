//! Unity Catalog: what is there, and how it is made.

use ml_connector_core::{Context, ErrorKind, Result};
use serde::de::DeserializeOwned;

use super::Client;
use crate::{
    models::{Named, Table},
    sql::{TableName, VolumeName},
};

impl Client {
    /// A table; `None` when there is none, or none that may be seen.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without USE CATALOG, USE SCHEMA or SELECT.
    pub(crate) async fn get_table(&self, ctx: &Context, name: &TableName) -> Result<Option<Table>> {
        self.find(ctx, "databricks.get_table", "tables", &name.to_string()).await
    }

    /// Whether there is such a schema.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without USE CATALOG.
    pub(crate) async fn has_schema(&self, ctx: &Context, catalog: &str, schema: &str) -> Result<bool> {
        let found: Option<Named> =
            self.find(ctx, "databricks.get_schema", "schemas", &format!("{catalog}.{schema}")).await?;
        Ok(found.is_some())
    }

    /// Whether there is such a volume. A directory in it that is not found says nothing about it.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without READ VOLUME.
    pub(crate) async fn has_volume(&self, ctx: &Context, name: &VolumeName) -> Result<bool> {
        let found: Option<Named> =
            self.find(ctx, "databricks.get_volume", "volumes", &name.to_string()).await?;
        Ok(found.is_some())
    }

    async fn find<T: DeserializeOwned>(
        &self,
        ctx: &Context,
        operation: &'static str,
        kind: &str,
        name: &str,
    ) -> Result<Option<T>> {
        let url = self.http.url(&["api", "2.1", "unity-catalog", kind, name]);
        match self.get(ctx, operation, &url).await {
            Ok(answer) => answer.json().map(Some).map_err(|error| error.with_operation(operation)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
