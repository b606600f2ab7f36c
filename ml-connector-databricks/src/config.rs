//! What a host says about its Databricks connection.

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::{Secret, config::millis, model::ConnectionId};
use serde::Deserialize;

/// How long the first row of a batch waits for others. Every statement keeps the warehouse from stopping, so rows that
/// come one by one are dear.
const LINGER: Duration = Duration::from_secs(10);
/// The most deliveries in one statement; the engine's own limit.
const MAX_ROWS: usize = 512;
/// The most bytes of one staged file.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// The vendor takes 1 MB for all parameters together, and does not say whether escaped or not.
const MAX_PARAMETER_BYTES: usize = 700_000;

/// The settings of a Databricks connection, also as serde data. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The host's name for the connection.
    pub connection: ConnectionId,
    /// The workspace, as the browser shows it: `https://dbc-a1b2c3d4-e5f6.cloud.databricks.com`. An `?o=` behind it is the
    /// `workspace_id`.
    pub host: String,
    /// The workspace's number; needed only where one host serves several (account-level addresses).
    pub workspace_id: Option<String>,
    /// The SQL warehouse: its id, or its HTTP path `/sql/1.0/warehouses/<id>`.
    pub warehouse_id: String,
    /// The catalog of all tables.
    pub catalog: String,
    /// The schema of all tables.
    pub schema: String,
    /// A volume in that schema for batches that are too large for a parameter. Without it they are split.
    pub volume: Option<String>,
    /// The service principal's application id.
    pub client_id: String,
    /// Its OAuth secret.
    pub client_secret: Secret,
    /// The Microsoft Entra tenant, where the app is registered there: its secrets do not work at the workspace.
    pub tenant: Option<String>,
    /// Instead of a client: a personal access token. It ends some day, and nobody renews it.
    pub token: Secret,
    /// The token endpoint, where it is another than the workspace's `/oidc/v1/token` or Entra's, such as
    /// `https://acme.cloud.databricks.com/oidc/accounts/<account id>/v1/token`.
    pub token_url: Option<String>,
    /// What is asked for at the workspace's token endpoint.
    pub scope: String,
    /// What stands before the names of tables. Default: the source's system and an underscore, `zoho_books_invoices`.
    pub table_prefix: Option<String>,
    /// Names of single tables, by system and kind of record: `{"zoho_books/invoice": "ar_invoices"}`.
    pub tables: BTreeMap<String, String>,
    /// Whether tables that are missing are made.
    pub create_tables: bool,
    /// What happens when a table lacks a column.
    pub drift: DriftPolicy,
    /// Whether a column `_raw` keeps the record's JSON as the system wrote it.
    pub raw_column: bool,
    /// Whether every change is appended to a table beside, `<table>_changes`.
    pub change_log: bool,
    /// Whether rows are written into tables with a row filter. Only where the filter lets the service principal see every
    /// row: those it hides would be there twice.
    pub allow_row_filter: bool,
    /// How long the first row of a batch waits for others, in milliseconds.
    pub linger_ms: u64,
    /// The most deliveries in one batch: 512 at most.
    pub max_rows: usize,
    /// The most bytes of rows in one staged file: 8 MiB at most. Batches are as large as it takes to fill one.
    pub max_bytes: usize,
    /// The most bytes of rows in one parameter: what is larger is staged, or split.
    pub max_parameter_bytes: usize,
    /// Whether statements are tagged `app=ml-connector` for the query history.
    pub query_tags: bool,
}

/// What happens when a table lacks a column that a source has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DriftPolicy {
    /// The column is added.
    #[default]
    Evolve,
    /// The table stays as it is: the column is not written, and [`drift`](crate::Databricks::drift) tells.
    Freeze,
    /// The table stays as it is, and rows that have a value for the column are parked.
    Quarantine,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection: ConnectionId::from("databricks"),
            host: String::new(),
            workspace_id: None,
            warehouse_id: String::new(),
            catalog: "main".to_owned(),
            schema: String::new(),
            volume: None,
            client_id: String::new(),
            client_secret: Secret::default(),
            tenant: None,
            token: Secret::default(),
            token_url: None,
            scope: "all-apis".to_owned(),
            table_prefix: None,
            tables: BTreeMap::new(),
            create_tables: true,
            drift: DriftPolicy::default(),
            raw_column: false,
            change_log: false,
            allow_row_filter: false,
            linger_ms: millis(LINGER),
            max_rows: MAX_ROWS,
            max_bytes: MAX_BYTES,
            max_parameter_bytes: MAX_PARAMETER_BYTES,
            query_tags: true,
        }
    }
}
