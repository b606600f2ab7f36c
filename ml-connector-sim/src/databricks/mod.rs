//! Databricks: the SQL Statement Execution API, the Files API and Unity Catalog of one workspace.
//!
//! Statements are really executed, by a closed grammar on tables in memory. What lies outside the grammar fails with the
//! class `SIM_UNSUPPORTED`, so that no test passes by it.
//!
//! **The grammar**: CREATE TABLE, SCHEMA, VOLUME and VIEW; DROP of them; ALTER TABLE (columns, types that widen, NOT NULL,
//! comments, properties, clustering, CHECK); INSERT, UPDATE, DELETE, MERGE; SELECT with WITH, JOIN, LATERAL VIEW, GROUP BY,
//! HAVING, QUALIFY, UNION, ORDER BY, LIMIT; `from_json` and `explode`; `read_files` of JSON; `information_schema.tables` and
//! `.columns`; DESCRIBE and SHOW; named parameters and IDENTIFIER.
//!
//! **Enforced**: types, ANSI casts, decimals of 38 digits, zones, NOT NULL and CHECK, MERGE's rules, privileges, row filters
//! and masks, conflicts of statements that overlap, limits of statements, parameters and inline results, warehouses that
//! start, refuse or only read, tokens of three kinds, volumes.
//!
//! **Not enforced**: EXTERNAL_LINKS, Arrow and CSV are refused; sessions, COPY INTO, transactions and compressed files are
//! missing; a nested field's NOT NULL is read over; PRIMARY KEY is refused; there is one principal. MERGE counts several
//! matches by ON alone, as before DBR 16.1.

mod answer;
mod auth;
mod config;
mod files;
mod results;
mod serve;
mod sql;
mod statements;
mod unity;
mod warehouse;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, Response, header};
use ml_connector_core::{Clock, Error, ErrorKind, Result};
use tower_service::Service as _;

use self::{
    auth::Auth,
    sql::{
        Session, SessionZone, SqlError,
        catalog::{Database, Policy, Schema},
    },
    statements::{Run, Waiting},
};
pub use self::{
    auth::Credentials,
    config::{DatabricksConfig, DatabricksTuning, ExpiryWording, SqlStatePlace, StatementFailure},
    warehouse::{Warehouse, WarehouseState},
};
use crate::toolkit::{
    conditions::Conditions,
    exchange::{Broken, Received},
    faults::{Fault, locked},
    gate::{self, Gate},
    seed::Seed,
    transport::SimTransport,
    windows::{Period, Window},
};

/// The privileges that the set-up script grants on the schema.
const GRANTED: [&str; 7] =
    ["USE SCHEMA", "CREATE TABLE", "CREATE VOLUME", "SELECT", "MODIFY", "READ VOLUME", "WRITE VOLUME"];

/// A simulator of a Databricks workspace. Clones share their state.
///
/// ```
/// use std::sync::Arc;
/// use ml_connector_core::SystemClock;
/// use ml_connector_sim::DatabricksSim;
///
/// let lake = DatabricksSim::new(Arc::new(SystemClock));
/// lake.sql("CREATE TABLE invoices (id STRING NOT NULL, total DECIMAL(18,4))")?;
/// lake.sql("INSERT INTO invoices VALUES ('1', 12.5)")?;
/// assert_eq!(lake.sql("SELECT total FROM invoices")?, [[Some("12.5000".to_owned())]]);
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Clone)]
pub struct DatabricksSim(Arc<Shared>);

struct Shared {
    gate: Gate,
    state: Mutex<State>,
    host: String,
    /// The default catalog and schema of [`DatabricksSim::sql`].
    place: (String, String),
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    seed: Seed,
    auth: Auth,
    tuning: DatabricksTuning,
    warehouses: BTreeMap<String, Warehouse>,
    database: Database,
    runs: Vec<Run>,
    failures: Vec<StatementFailure>,
    zone: SessionZone,
    submits: Option<Window>,
    limit_violations: u64,
}

impl DatabricksSim {
    /// One workspace with one running warehouse and an empty schema.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_config(clock, DatabricksConfig::default())
    }

    /// As configured. A zone that does not exist is UTC.
    #[must_use]
    pub fn with_config(clock: Arc<dyn Clock>, config: DatabricksConfig) -> Self {
        let mut seed = Seed::new(config.seed);
        let auth = Auth::new(&mut seed, &config);
        let id = auth.credentials.warehouse_id.clone();
        let warehouse = Warehouse::new(id.clone(), config.warehouse_start, config.warehouse_runs);
        let (catalog, schema) = (config.catalog.to_lowercase(), config.schema.to_lowercase());
        let mut database = Database::default();
        database.catalogs.insert(catalog.clone(), BTreeMap::from([(schema.clone(), Schema::default())]));
        for privilege in ["USE CATALOG", "CREATE SCHEMA"] {
            database.grants.grant(privilege, &catalog);
        }
        GRANTED.iter().for_each(|privilege| database.grants.grant(privilege, &format!("{catalog}.{schema}")));
        let state = State {
            seed,
            auth,
            tuning: DatabricksTuning::default(),
            warehouses: BTreeMap::from([(id, warehouse)]),
            database,
            runs: Vec::new(),
            failures: Vec::new(),
            zone: SessionZone::named(&config.session_zone).unwrap_or(SessionZone::UTC),
            submits: None,
            limit_violations: 0,
        };
        Self(Arc::new(Shared {
            gate: Gate::new(clock, config.conditions),
            state: Mutex::new(state),
            host: config.host,
            place: (catalog, schema),
        }))
    }

    /// Serves the workspace, its token endpoints, and Entra's.
    pub fn router(&self) -> Router {
        let (sim, inner) = (self.clone(), gate::router(self.clone()));
        Router::new().fallback(move |request: Request<Body>| {
            let (sim, mut inner) = (sim.clone(), inner.clone());
            async move {
                let answer = match inner.call(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                sim.waited(answer).await
            }
        })
    }

    /// The origin of the workspace, such as `https://dbc-0a1b2c3d-4e5f.cloud.databricks.com`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// What a connector needs to connect.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.state(|state| state.auth.credentials.clone())
    }

    /// Executes a statement as the principal, now, outside the API: to look at tables and to prepare them. Cells are
    /// text as in a result, `None` for NULL. A statement without a result gives no rows.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] with the vendor's message.
    pub fn sql(&self, statement: &str) -> Result<Vec<Vec<Option<String>>>> {
        let now = self.0.gate.now();
        let (catalog, schema) = self.0.place.clone();
        self.state(|state| {
            statements::settle(state, now);
            let session = Session {
                catalog,
                schema,
                parameters: BTreeMap::new(),
                now: now.as_millis().saturating_mul(1000),
                zone: state.zone.clone(),
                principal: state.auth.credentials.client_id.clone(),
                policies_refuse_merge: state.tuning.policies_refuse_merge,
            };
            let rows = sql::parse(statement).and_then(|parsed| parsed.execute(&mut state.database, &session));
            let Some(rows) = rows.map_err(|error| sql_error(&error))? else { return Ok(Vec::new()) };
            let row = |row: &sql::catalog::Row| {
                let cells = row.iter().zip(&rows.columns);
                cells.map(|(value, column)| sql::cell(value, &column.ty, &state.zone)).collect()
            };
            Ok(rows.rows.iter().map(row).collect())
        })
    }

    /// The texts of the statements that were submitted, oldest first, with their parameters left out.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        self.state(|state| state.runs.iter().map(|run| run.text.clone()).collect())
    }

    /// Makes things go wrong, or right again: `lake.tune(|tuning| tuning.conflicts = 3)`.
    pub fn tune(&self, change: impl FnOnce(&mut DatabricksTuning)) {
        self.state(|state| {
            change(&mut state.tuning);
            let limit = state.tuning.statements_per_minute;
            state.submits = limit.map(|limit| Window::new(limit, Period::Rolling(Duration::from_secs(60))));
        });
    }

    /// Changes the warehouse: `lake.warehouse(|warehouse| warehouse.state = WarehouseState::Stopped)`.
    pub fn warehouse(&self, change: impl FnOnce(&mut Warehouse)) {
        let now = self.0.gate.now();
        self.state(|state| {
            statements::settle(state, now);
            let id = state.auth.credentials.warehouse_id.clone();
            if let Some(warehouse) = state.warehouses.get_mut(&id) {
                change(warehouse);
            }
        });
    }

    /// Makes the next statement with a text fail.
    pub fn fail_statement(&self, failure: StatementFailure) {
        self.state(|state| state.failures.push(failure));
    }

    /// Grants a privilege, such as `MODIFY`, on a catalog, a schema, a table or a volume.
    pub fn grant(&self, privilege: &str, object: &str) {
        self.state(|state| state.database.grants.grant(privilege, object));
    }

    /// Takes a privilege away, also where it is inherited from a schema, a catalog, or from being the owner.
    pub fn revoke(&self, privilege: &str, object: &str) {
        self.state(|state| state.database.grants.revoke(privilege, object));
    }

    /// Puts a row filter on a table: the principal sees only rows for which the condition holds. `None` takes it off.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without such a table, [`ErrorKind::InvalidRequest`] for a condition that cannot be read.
    pub fn set_row_filter(&self, table: &str, filter: Option<(&str, &str)>) -> Result<()> {
        let policy = filter.map(|(function, condition)| policy(function, condition)).transpose()?;
        self.table(table, |table| {
            table.row_filter = policy;
            Ok(())
        })
    }

    /// Puts a mask on a column: the principal sees what the expression computes. `None` takes it off.
    ///
    /// # Errors
    /// As [`set_row_filter`](Self::set_row_filter).
    pub fn set_mask(&self, table: &str, column: &str, mask: Option<(&str, &str)>) -> Result<()> {
        let policy = mask.map(|(function, expression)| policy(function, expression)).transpose()?;
        self.table(table, |table| {
            let at = table
                .position(column)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such column"))?;
            table.columns[at].mask = policy;
            Ok(())
        })
    }

    fn table(&self, name: &str, change: impl FnOnce(&mut sql::catalog::Table) -> Result<()>) -> Result<()> {
        let parts: Vec<String> = name.to_lowercase().split('.').map(str::to_owned).collect();
        self.state(|state| {
            let found = match &parts[..] {
                [catalog, schema, name] => state
                    .database
                    .schema_mut(catalog, schema)
                    .ok()
                    .and_then(|schema| schema.tables.get_mut(name)),
                _ => None,
            };
            change(found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such table"))?)
        })
    }

    /// How many rows a table really has, whatever a row filter hides.
    #[must_use]
    pub fn rows_of(&self, table: &str) -> Option<usize> {
        let mut rows = None;
        let counted = self.table(table, |table| {
            rows = Some(table.rows.len());
            Ok(())
        });
        counted.ok().and(rows)
    }

    /// Ends all access tokens, as if their hour were over.
    pub fn expire_tokens(&self) {
        let now = self.0.gate.now();
        self.state(|state| state.auth.expire(now));
    }

    /// Gives the service principal another secret; the old one is refused.
    pub fn rotate_secret(&self, secret: &str) {
        self.state(|state| state.auth.rotate(secret));
    }

    /// How many access tokens were handed out.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.state(|state| state.auth.issued())
    }

    /// How many submits were refused by the limit: none, if the client keeps it.
    #[must_use]
    pub fn limit_violations(&self) -> u64 {
        self.state(|state| state.limit_violations)
    }

    /// Plants a fault. The target of a submit is the statement's first word, such as `MERGE`; that of a file or a directory
    /// is its path below `/Volumes/`.
    pub fn plant(&self, fault: Fault) {
        self.0.gate.plant(fault);
    }

    /// How many calls planted faults are still going to hit.
    #[must_use]
    pub fn faults_waiting(&self) -> u32 {
        self.0.gate.faults_waiting()
    }

    /// Changes what every call meets.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.0.gate.set_conditions(conditions);
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.0.gate.received()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut locked(&self.0.state))
    }

    /// Holds back the answer to a submit until its statement has ended, or the caller's patience.
    async fn waited(&self, answer: Response<Body>) -> Response<Body> {
        let Some(waiting) = answer.extensions().get::<Waiting>().cloned() else { return answer };
        if answer.extensions().get::<Broken>().is_some() {
            return answer;
        }
        let ends = self.state(|state| statements::ends(state, &waiting.id));
        let left = ends.map_or(waiting.at_most, |ends| ends.saturating_since(self.0.gate.now()));
        tokio::time::sleep(left.min(waiting.at_most)).await;
        let now = self.0.gate.now();
        let shown = self.state(|state| {
            if waiting.then_cancel {
                statements::give_up(state, &waiting.id, now);
            }
            statements::settle(state, now);
            statements::first_answer(state, &waiting.id)
        });
        match shown.map(|shown| serde_json::to_vec(&shown).unwrap_or_default()) {
            Some(body) => {
                let (mut parts, _) = answer.into_parts();
                parts.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(parts, Body::from(body))
            }
            None => answer,
        }
    }
}

fn policy(function: &str, expr: &str) -> Result<Policy> {
    let expr = sql::expression(expr).map_err(|error| sql_error(&error))?;
    Ok(Policy { function: function.to_owned(), columns: Vec::new(), expr })
}

fn sql_error(error: &SqlError) -> Error {
    Error::new(ErrorKind::InvalidRequest, error.to_string())
}

impl fmt::Debug for DatabricksSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabricksSim").field("host", &self.0.host).finish_non_exhaustive()
    }
}

impl SimTransport {
    /// Serves a workspace, and Entra's login host for Azure-registered applications.
    #[must_use]
    pub fn with_databricks(self, lake: &DatabricksSim) -> Self {
        self.with_router(lake.host(), lake.router())
            .with_router("https://login.microsoftonline.com", lake.router())
    }
}
