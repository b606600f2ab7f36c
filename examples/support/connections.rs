//! Connections as a TOML file: every source reaches every sink by configuration.

use std::path::{Path, PathBuf};

use ml_connector_bc as bc;
use ml_connector_core::{
    Connector, ConnectorBuilder, Error, ErrorKind, Result, Source, config::invalid, route::RouteSet,
};
use ml_connector_databricks::{self as databricks, Databricks};
use ml_connector_exact as exact;
use ml_connector_freshbooks as freshbooks;
use ml_connector_slack as slack;
use ml_connector_sql::SqliteLog;
use ml_connector_zoho as zoho;
use serde::Deserialize;

use crate::stores::Stores;

/// What a value begins with that stands in the environment, under the name that follows.
const FROM_ENVIRONMENT: &str = "env:";

/// A connector's file. Each `[[connection]]` names its `system`; its other settings are those of the system's crate. A text
/// `env:NAME` stands for the environment's variable `NAME`, so that the file holds no secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_debug_implementations)] // the settings hold secrets
pub struct Connections {
    /// The SQLite file.
    #[serde(default = "database")]
    pub database: PathBuf,
    /// Where vendors reach this host; without it everything is polled.
    pub public_url: Option<String>,
    /// The file with the routes, next to this one.
    pub routes: Option<PathBuf>,
    #[serde(default)]
    connection: Vec<Connection>,
}

/// One connection, by its system.
#[derive(Deserialize)]
#[serde(tag = "system", rename_all = "snake_case")]
enum Connection {
    ZohoBooks(zoho::Config),
    Freshbooks(freshbooks::Config),
    ExactOnline(exact::Config),
    BusinessCentral(bc::Config),
    Slack(slack::Config),
    Databricks(databricks::Config),
}

fn database() -> PathBuf {
    "connector.db".into()
}

impl Connections {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] says what is wrong in which line, or which variable is missing.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            invalid("the file cannot be read").with_context("file", path.display()).with_source(source)
        })?;
        let mut read = Self::parse(&text).map_err(|error| error.with_context("file", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        read.routes = read.routes.map(|routes| folder.join(routes));
        Ok(read)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |source: toml::de::Error| invalid(source.message().to_owned());
        let mut value: toml::Value = toml::from_str(text).map_err(wrong)?;
        fill_in(&mut value)?;
        value.try_into().map_err(wrong)
    }

    /// A connector of these connections on the file's database, which the host completes: with routes that are no file, say.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the setting that is missing or wrong; [`ErrorKind::Unavailable`] when the database
    /// cannot be opened.
    pub fn connect(self) -> Result<ConnectorBuilder> {
        let log = SqliteLog::open(&self.database)?;
        self.connect_to(Stores::unencrypted(log))
    }

    /// The same, with a log and a token store that are open.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the setting that is missing or wrong.
    pub fn connect_to(self, stores: Stores) -> Result<ConnectorBuilder> {
        let mut connector = Connector::builder().token_store(stores.tokens).audit_log(stores.log);
        if let Some(url) = &self.public_url {
            connector = connector.public_url(url);
        }
        let mut lakes = Vec::new();
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        macro_rules! source {
            ($builder:expr) => {{
                let source = $builder.build()?;
                sources.push(Box::new(source.clone()));
                connector = connector.connect(source);
            }};
        }
        for connection in self.connection {
            match connection {
                Connection::ZohoBooks(config) => source!(zoho::Builder::from(config)),
                Connection::Freshbooks(config) => source!(freshbooks::Builder::from(config)),
                Connection::ExactOnline(config) => source!(exact::Builder::from(config)),
                Connection::BusinessCentral(config) => source!(bc::Builder::from(config)),
                Connection::Slack(config) => {
                    connector = connector.connect(slack::Builder::from_config(config).build()?);
                }
                Connection::Databricks(config) => lakes.push(databricks::Builder::from(config)),
            }
        }
        for lake in lakes {
            // What records look like as tables, each source says itself.
            let lake: Databricks =
                sources.iter().fold(lake, |lake, source| lake.tables_of(&**source)).build()?;
            connector = connector.connect(lake);
        }
        if let Some(path) = &self.routes {
            let routes = std::fs::read_to_string(path).map_err(|source| {
                invalid("the routes cannot be read").with_context("file", path.display()).with_source(source)
            })?;
            connector = connector.routes(RouteSet::from_toml(&routes)?);
        }
        Ok(connector)
    }
}

/// Puts the environment's values in.
fn fill_in(value: &mut toml::Value) -> Result<()> {
    match value {
        toml::Value::String(text) => {
            if let Some(name) = text.strip_prefix(FROM_ENVIRONMENT) {
                *text = std::env::var(name).map_err(|_| {
                    Error::new(ErrorKind::ConfigInvalid, "a variable is not set")
                        .with_context("variable", name)
                })?;
            }
            Ok(())
        }
        toml::Value::Array(values) => values.iter_mut().try_for_each(fill_in),
        toml::Value::Table(table) => table.iter_mut().try_for_each(|(_, value)| fill_in(value)),
        _ => Ok(()),
    }
}
