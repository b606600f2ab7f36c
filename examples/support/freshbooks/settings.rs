//! Settings from the environment, as documented in `examples/.env.example`.

use std::path::PathBuf;

use ml_connector_core::{Error, ErrorKind, Result};

use crate::settings::{optional, required};

/// What goes where unless a file says otherwise.
const ROUTES: &str = include_str!("../../freshbooks_routes.toml");

/// Everything `freshbooks_to_slack` needs.
///
/// No `Debug`: half of it is secret.
#[allow(missing_debug_implementations)]
pub struct FreshBooksToSlack {
    /// FreshBooks' id of the accounting account.
    pub account_id: String,
    /// The business's time zone.
    pub time_zone: String,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// Where the app sends people after their consent.
    pub redirect_uri: String,
    /// What a consent led to. It works once: the token store holds the ones that follow.
    pub refresh_token: String,
    /// Another API than FreshBooks' own.
    pub api_url: Option<String>,
    /// The bot's token.
    pub slack_token: String,
    /// Another Slack than slack.com.
    pub slack_url: Option<String>,
    /// Which events go where, as TOML.
    pub routes: String,
    /// The SQLite file.
    pub database: PathBuf,
    /// Where the web server listens.
    pub listen: String,
    /// Where FreshBooks reaches it.
    pub public_url: Option<String>,
}

impl FreshBooksToSlack {
    /// The settings in the environment; `None` when no FreshBooks account is named there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the variable that is missing, or the file that cannot be read.
    pub fn from_env() -> Result<Option<Self>> {
        let Some(account_id) = optional("FRESHBOOKS_ACCOUNT_ID") else { return Ok(None) };
        let routes = match optional("FRESHBOOKS_ROUTES") {
            Some(path) => std::fs::read_to_string(&path).map_err(|source| {
                Error::new(ErrorKind::ConfigInvalid, "the file with routes cannot be read")
                    .with_context("path", &path)
                    .with_source(source)
            })?,
            None => ROUTES.to_owned(),
        };
        Ok(Some(Self {
            account_id,
            time_zone: required("FRESHBOOKS_TIME_ZONE")?,
            client_id: required("FRESHBOOKS_CLIENT_ID")?,
            client_secret: required("FRESHBOOKS_CLIENT_SECRET")?,
            redirect_uri: required("FRESHBOOKS_REDIRECT_URI")?,
            refresh_token: required("FRESHBOOKS_REFRESH_TOKEN")?,
            api_url: optional("FRESHBOOKS_API_URL"),
            slack_token: required("SLACK_BOT_TOKEN")?,
            slack_url: optional("SLACK_URL"),
            routes,
            database: optional("DATABASE").unwrap_or_else(|| "ml-connector.db".to_owned()).into(),
            listen: optional("LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            public_url: optional("PUBLIC_URL"),
        }))
    }

    /// What goes where unless a file says otherwise.
    #[must_use]
    pub fn default_routes() -> String {
        ROUTES.to_owned()
    }
}
