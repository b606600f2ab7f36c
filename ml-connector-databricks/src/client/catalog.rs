//! Unity Catalog: what is there, and how it is made.

use std::collections::BTreeSet;

use ml_connector_core::{Context, ErrorKind, Result};
use serde::de::DeserializeOwned;

use super::Client;
use crate::{
    models::{Named, Permissions, Table},
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

    /// A schema; `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without USE CATALOG.
    pub(crate) async fn get_schema(&self, ctx: &Context, name: &str) -> Result<Option<Named>> {
        self.find(ctx, "databricks.get_schema", "schemas", name).await
    }

    /// What a principal may do with a `schema`, a `table` or a `volume`; `None` when that may not be asked.
    ///
    /// # Errors
    /// Those of any call.
    pub(crate) async fn get_permissions(
        &self,
        ctx: &Context,
        kind: &str,
        name: &str,
        principal: &str,
    ) -> Result<Option<BTreeSet<String>>> {
        let mut url = self.http.url(&["api", "2.1", "unity-catalog", "effective-permissions", kind, name]);
        url.query_pairs_mut().append_pair("principal", principal);
        let operation = "databricks.get_effective_permissions";
        match self.get(ctx, operation, &url).await {
            Ok(answer) => {
                let found: Permissions = answer.json().map_err(|error| error.with_operation(operation))?;
                let of = found.privilege_assignments.into_iter().flat_map(|assignment| assignment.privileges);
                Ok(Some(of.map(|privilege| privilege.privilege.replace(' ', "_")).collect()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
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
