//! SQL warehouses.

use ml_connector_core::{Context, Result};

use super::Client;
use crate::models::Warehouse;

impl Client {
    /// How the warehouse stands.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`](ml_connector_core::ErrorKind::PermissionDenied) where it may be used and not seen.
    pub(crate) async fn get_warehouse(&self, ctx: &Context) -> Result<Warehouse> {
        let url = self.http.url(&["api", "2.0", "sql", "warehouses", &self.warehouse_id]);
        let operation = "databricks.get_warehouse";
        self.get(ctx, operation, &url).await?.json().map_err(|error| error.with_operation(operation))
    }

    /// Starts the warehouse, which goes on after the answer.
    ///
    /// # Errors
    /// Why it cannot start.
    pub(crate) async fn start_warehouse(&self, ctx: &Context) -> Result<()> {
        let url = self.http.url(&["api", "2.0", "sql", "warehouses", &self.warehouse_id, "start"]);
        let nothing = serde_json::Map::new();
        self.post(ctx, "databricks.start_warehouse", &url, &nothing).await.map(drop)
    }
}
