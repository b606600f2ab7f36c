//! Settings from the environment, as documented in `examples/.env.example`.

use std::{env, path::PathBuf};

use ml_connector_core::{Error, ErrorKind, Result};
use ml_connector_zoho::DataCenter;

/// Everything `zoho_books_to_slack` needs to talk to two accounts.
///
/// No `Debug`: half of it is secret.
#[allow(missing_debug_implementations)]
pub struct ZohoBooksToSlack {
    /// Zoho's id of the organization.
    pub organization_id: String,
    /// Where it lives.
    pub data_center: DataCenter,
    /// Another accounts server than the data center's.
    pub accounts_url: Option<String>,
    /// Another API than the data center's.
    pub api_url: Option<String>,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// What consent led to.
    pub refresh_token: String,
    /// What webhooks are signed with.
    pub webhook_secret: String,
    /// The organization's time zone.
    pub time_zone: String,
    /// The bot's token.
    pub slack_token: String,
    /// Another Slack than slack.com.
    pub slack_url: Option<String>,
    /// Where messages go: a channel's name or id.
    pub slack_channel: String,
    /// The SQLite file.
    pub database: PathBuf,
    /// Where the web server listens.
    pub listen: String,
    /// Where vendors reach it.
    pub public_url: Option<String>,
}

impl ZohoBooksToSlack {
    /// The settings in the environment; `None` when no Zoho organization is named there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Option<Self>> {
        if optional("ZOHO_ORGANIZATION_ID").is_none() {
            return Ok(None);
        }
        let data_center = optional("ZOHO_DATA_CENTER").unwrap_or_else(|| "us".to_owned());
        Ok(Some(Self {
            organization_id: required("ZOHO_ORGANIZATION_ID")?,
            data_center: DataCenter::of_location(&data_center).ok_or_else(|| {
                Error::new(
                    ErrorKind::ConfigInvalid,
                    "ZOHO_DATA_CENTER must be one of us, eu, in, au, jp, ca, cn, sa, uk, ae",
                )
            })?,
            accounts_url: optional("ZOHO_ACCOUNTS_URL"),
            api_url: optional("ZOHO_API_URL"),
            client_id: required("ZOHO_CLIENT_ID")?,
            client_secret: required("ZOHO_CLIENT_SECRET")?,
            refresh_token: required("ZOHO_REFRESH_TOKEN")?,
            webhook_secret: required("ZOHO_WEBHOOK_SECRET")?,
            time_zone: optional("ZOHO_TIME_ZONE").unwrap_or_else(|| "UTC".to_owned()),
            slack_token: required("SLACK_BOT_TOKEN")?,
            slack_url: optional("SLACK_URL"),
            slack_channel: required("SLACK_CHANNEL")?,
            database: optional("DATABASE").unwrap_or_else(|| "ml-connector.db".to_owned()).into(),
            listen: optional("LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            public_url: optional("PUBLIC_URL"),
        }))
    }
}

fn optional(name: &'static str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &'static str) -> Result<String> {
    optional(name).ok_or_else(|| {
        Error::new(
            ErrorKind::ConfigInvalid,
            "a variable is missing in the environment; see examples/.env.example",
        )
        .with_context("name", name)
    })
}
