//! From settings to a sink: everything is checked here, and named.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use ml_connector_core::{
    Repeat, Result, Secret, SinkInfo, Source,
    auth::Authenticator,
    config::{millis, require, required, secure_url},
    model::{Affinity, ConnectionId},
};
use url::Url;

use crate::{
    Databricks, SYSTEM,
    auth::authenticator,
    client::Client,
    config::{Config, DriftPolicy, MAX_BYTES},
    sink::Parts,
    sql::{VolumeName, object_name},
    tables::{Feeding, Names, Tables},
};

/// Builds a [`Databricks`]. Setters cannot fail; [`build`](Self::build) checks everything.
#[must_use]
pub struct Builder {
    config: Config,
    feeding: BTreeMap<ConnectionId, Feeding>,
    auth: Option<Arc<dyn Authenticator>>,
}

impl Databricks {
    /// Begins a connection under the host's name for it.
    pub fn builder(connection: impl Into<ConnectionId>) -> Builder {
        Builder::from(Config { connection: connection.into(), ..Config::default() })
    }
}

impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self { config, feeding: BTreeMap::new(), auth: None }
    }
}

impl Builder {
    fn set(mut self, set: impl FnOnce(&mut Config)) -> Self {
        set(&mut self.config);
        self
    }

    /// The workspace, as the browser shows it.
    pub fn host(self, host: impl Into<String>) -> Self {
        self.set(|config| config.host = host.into())
    }

    /// The SQL warehouse: its id, or its HTTP path.
    pub fn warehouse(self, id: impl Into<String>) -> Self {
        self.set(|config| config.warehouse_id = id.into())
    }

    /// Where tables are.
    pub fn schema(self, catalog: impl Into<String>, schema: impl Into<String>) -> Self {
        self.set(|config| (config.catalog, config.schema) = (catalog.into(), schema.into()))
    }

    /// The volume for large batches, in the schema of the tables.
    pub fn volume(self, volume: impl Into<String>) -> Self {
        self.set(|config| config.volume = Some(volume.into()))
    }

    /// The service principal, with a secret that Databricks issued.
    pub fn service_principal(self, application_id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.set(|config| (config.client_id, config.client_secret) = (application_id.into(), secret.into()))
    }

    /// The service principal, with a secret that Microsoft Entra issued.
    pub fn entra(
        self,
        tenant: impl Into<String>,
        application_id: impl Into<String>,
        secret: impl Into<Secret>,
    ) -> Self {
        self.service_principal(application_id, secret).set(|config| config.tenant = Some(tenant.into()))
    }

    /// A personal access token in place of a service principal: for trials.
    pub fn personal_access_token(self, token: impl Into<Secret>) -> Self {
        self.set(|config| config.token = token.into())
    }

    /// What happens when a table lacks a column.
    pub fn drift(self, policy: DriftPolicy) -> Self {
        self.set(|config| config.drift = policy)
    }

    /// How long the first row of a batch waits for others.
    pub fn linger(self, linger: Duration) -> Self {
        self.set(|config| config.linger_ms = millis(linger))
    }

    /// Keeps a log of all changes beside each table.
    pub fn change_log(self) -> Self {
        self.set(|config| config.change_log = true)
    }

    /// Keeps the record's JSON in a column.
    pub fn raw_column(self) -> Self {
        self.set(|config| config.raw_column = true)
    }

    /// Any other setting.
    pub fn with(self, set: impl FnOnce(&mut Config)) -> Self {
        self.set(set)
    }

    /// Another way to prove who is calling, in place of a client or a token.
    pub fn authenticator(self, auth: Arc<dyn Authenticator>) -> Self {
        Self { auth: Some(auth), ..self }
    }

    /// Takes the tables of a source: what its records look like, and what it is called. Events of connections that are not
    /// named here wait until they are.
    pub fn tables_of(mut self, source: &dyn Source) -> Self {
        let info = source.info();
        self.feeding.insert(info.connection.clone(), Feeding::of(info));
        self
    }

    /// Checks the settings and builds the sink. Nothing is sent.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) names the setting that is missing or contradictory.
    pub fn build(self) -> Result<Databricks> {
        let Self { config, feeding, auth } = self;
        config.connection.validate()?;
        let (host, workspace_of_host) = host(&config.host)?;
        let (warehouse, workspace_of_path) = warehouse(&config.warehouse_id)?;
        let workspace_id = config.workspace_id.clone().or(workspace_of_host).or(workspace_of_path);
        let are_digits = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        require(workspace_id.as_deref().is_none_or(are_digits), "workspace_id", "digits")?;
        require((1..=512).contains(&config.max_rows), "max_rows", "1 to 512")?;
        let parameter_bytes = config.max_parameter_bytes;
        require((1_000..=1_000_000).contains(&parameter_bytes), "max_parameter_bytes", "1,000 to 1,000,000")?;
        require(
            (parameter_bytes..=MAX_BYTES).contains(&config.max_bytes),
            "max_bytes",
            "from max_parameter_bytes to 8 MiB",
        )?;
        let names = Names {
            catalog: object_name("catalog", &config.catalog)?,
            schema: object_name("schema", &config.schema)?,
            prefix: config.table_prefix.clone(),
            tables: config.tables.clone(),
        };
        feeding.values().try_for_each(|feeding| feeding.validate(&names))?;
        let volume = config.volume.as_deref().map(|volume| object_name("volume", volume)).transpose()?;
        let volume = volume.map(|volume| VolumeName {
            catalog: Arc::clone(&names.catalog),
            schema: Arc::clone(&names.schema),
            volume,
        });
        let auth = match auth {
            Some(auth) => auth,
            None => authenticator(&config, &host)?,
        };
        let mut info = SinkInfo::new(config.connection.clone(), SYSTEM);
        // Tables have one writer: connections to one schema are owned together.
        info.affinity =
            Affinity::new(format!("databricks/{}/{}/{}", host.authority(), names.catalog, names.schema));
        info.max_batch = config.max_rows;
        info.max_bytes = bytes_of_events(&config);
        info.linger = Duration::from_millis(config.linger_ms);
        info.repeat = Repeat::Safe;
        Ok(Databricks::new(
            info,
            Parts {
                client: Client::new(host, auth, &warehouse, workspace_id.as_deref(), config.query_tags)?,
                tables: Tables::new(names, &config),
                feeding,
                volume,
                principal: Some(config.client_id).filter(|id| !id.is_empty()),
                change_log: config.change_log,
                max_parameter_bytes: config.max_parameter_bytes,
                max_bytes: config.max_bytes,
            },
        ))
    }
}

/// How many bytes of events make a staged file of nearly `max_bytes`. Lists and details of the systems so far have 1.8 to 2
/// bytes of JSON for each byte of a row, unless the row keeps the JSON.
fn bytes_of_events(config: &Config) -> usize {
    if config.raw_column || config.change_log { config.max_bytes } else { config.max_bytes / 4 * 7 }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The host, with or without scheme, slash and `?o=<workspace id>`.
fn host(text: &str) -> Result<(Url, Option<String>)> {
    let text = text.trim();
    required("host", text)?;
    let mut url =
        secure_url("host", &if text.contains("://") { text.to_owned() } else { format!("https://{text}") })?;
    let workspace = workspace_in(url.query());
    url.set_query(None);
    url.set_fragment(None);
    url.set_path("");
    Ok((url, workspace))
}

/// The id of a warehouse, also out of its HTTP path.
fn warehouse(text: &str) -> Result<(String, Option<String>)> {
    let (path, query) =
        text.trim().split_once('?').map_or((text.trim(), None), |(path, query)| (path, Some(query)));
    let id = path.split_once("/warehouses/").map_or(path, |(_, id)| id).trim_end_matches('/');
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    require(is_id, "warehouse_id", "the id of a SQL warehouse, or its HTTP path")?;
    Ok((id.to_owned(), workspace_in(query)))
}

fn workspace_in(query: Option<&str>) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query?.as_bytes());
    pairs.into_iter().find_map(|(name, value)| (name == "o").then(|| value.into_owned()))
}
