//! Databricks on a port.

use std::sync::Arc;

use ml_connector_core::SystemClock;
use ml_connector_sim::{DatabricksSim, databricks::DatabricksConfig};

use crate::{Anything, Options, Running, serve_at};

/// Serves a workspace with one warehouse and an empty schema.
pub(crate) async fn start(options: &Options) -> Result<Running, Anything> {
    let config = DatabricksConfig::default();
    let place = format!("{}.{}", config.catalog, config.schema);
    let lake = DatabricksSim::with_config(Arc::new(SystemClock), config);
    lake.set_conditions(options.conditions());
    let served = serve_at(lake.router(), options.port("databricks")).await?;
    let guide = guide(&lake, &served.url(), &place);
    Ok(Running { _served: served, guide, deliver: Box::new(|_| Box::pin(async {})) })
}

fn guide(lake: &DatabricksSim, url: &str, place: &str) -> String {
    let credentials = lake.credentials();
    format!(
        "\
Databricks  {url}
  token endpoint   {url}/oidc/v1/token
  warehouse_id     {warehouse_id}
  schema           {place}
  client_id        {}
  client_secret    {}
  personal token   {token}
Ask for what is in it:
  curl -H 'Authorization: Bearer {token}' {url}/api/2.0/sql/statements \\
    -d '{{\"warehouse_id\":\"{warehouse_id}\",\"statement\":\"SHOW TABLES IN {place}\"}}'
",
        credentials.client_id,
        credentials.client_secret,
        warehouse_id = credentials.warehouse_id,
        token = credentials.token,
    )
}
