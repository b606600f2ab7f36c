//! Settings from the environment, as documented in `examples/.env.example`.

use std::{env, path::PathBuf, time::Duration};

use ml_connector_core::{Error, ErrorKind, Money, Result};
use ml_connector_zoho::{DataCenter, Plan};

/// Everything `zoho_books_to_slack` needs to talk to real accounts.
///
/// No `Debug`: half of it is secret.
#[allow(missing_debug_implementations)]
pub struct ZohoBooksToSlack {
    /// The organizations, one or more.
    pub books: Vec<Organization>,
    /// The bot's token.
    pub slack_token: String,
    /// Another Slack than slack.com.
    pub slack_url: Option<String>,
    /// Where messages go: a channel's name or id.
    pub slack_channel: String,
    /// What makes clicks and reactions come back; without it Slack is only written to.
    pub slack_app: Option<SlackApp>,
    /// The SQLite file.
    pub database: PathBuf,
    /// Where the web server listens.
    pub listen: String,
    /// Where vendors reach it.
    pub public_url: Option<String>,
}

/// An organization in Zoho Books.
#[allow(missing_debug_implementations)]
pub struct Organization {
    /// The connection's name: events carry it.
    pub connection: String,
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
    /// What webhooks are signed with; without it the organization is polled.
    pub webhook_secret: Option<String>,
    /// What its subscription is: how many calls a day it has, and whether it sends webhooks.
    pub plan: Plan,
    /// The organization's time zone.
    pub time_zone: String,
}

/// What a Slack app needs to tell what people do.
#[allow(missing_debug_implementations)]
pub struct SlackApp {
    /// What Slack signs with.
    pub signing_secret: String,
    /// The workspace's id.
    pub team: String,
    /// Where bills are shown that wait for approval.
    pub approvals_channel: String,
    /// Who may approve them: ids or addresses.
    pub approvers: Vec<String>,
}

/// Everything `business_central_to_slack` needs to talk to real accounts.
#[allow(missing_debug_implementations)]
pub struct BusinessCentralToSlack {
    /// The company.
    pub company: Company,
    /// The bot's token.
    pub slack_token: String,
    /// Another Slack than slack.com.
    pub slack_url: Option<String>,
    /// Where messages go: a channel's name or id.
    pub slack_channel: String,
    /// What makes clicks come back: who may approve, and where is asked.
    pub slack_app: SlackApp,
    /// From which total on somebody has to sign off; what is smaller is only told.
    pub sign_off_from: Money,
    /// How long a draft has to stay unchanged before it is asked about.
    pub quiet: Duration,
    /// The SQLite file.
    pub database: PathBuf,
    /// Where the web server listens.
    pub listen: String,
    /// Where vendors reach it.
    pub public_url: Option<String>,
}

/// A company in Business Central.
#[allow(missing_debug_implementations)]
pub struct Company {
    /// The Entra directory.
    pub tenant: String,
    /// The environment.
    pub environment: String,
    /// The company's id.
    pub id: String,
    /// The company's name, for links.
    pub name: String,
    /// The application that reads, and its secret.
    pub reader: (String, String),
    /// The application that posts, and its secret; without it the reading one does.
    pub poster: Option<(String, String)>,
    /// What paths and ids of subscriptions are made of; without it the company is polled.
    pub webhook_secret: Option<String>,
    /// The company's time zone.
    pub time_zone: String,
    /// How long changes of one record are collected.
    pub coalesce: Duration,
    /// Another login host than Microsoft's.
    pub login_url: Option<String>,
    /// Another API host than Microsoft's.
    pub api_url: Option<String>,
}

/// Everything `exact_online_to_slack` needs to talk to real accounts.
#[allow(missing_debug_implementations)]
pub struct ExactOnlineToSlack {
    /// The company.
    pub company: ExactCompany,
    /// The bot's token.
    pub slack_token: String,
    /// Another Slack than slack.com.
    pub slack_url: Option<String>,
    /// Where messages go: a channel's name or id.
    pub slack_channel: String,
    /// Where large purchase invoices and payments go.
    pub purchases_channel: String,
    /// From which total on a purchase invoice is large.
    pub large: Money,
    /// The SQLite file.
    pub database: PathBuf,
    /// Where the web server listens.
    pub listen: String,
    /// Where vendors reach it.
    pub public_url: Option<String>,
}

/// A company in Exact Online.
#[allow(missing_debug_implementations)]
pub struct ExactCompany {
    /// Its region, such as `nl`.
    pub region: Option<String>,
    /// Its number.
    pub division: u32,
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// The app's webhook secret; without it the company is polled.
    pub webhook_secret: Option<String>,
    /// The app's redirect URI: webhooks come to its host.
    pub redirect_uri: Option<String>,
    /// What consent led to.
    pub refresh_token: String,
    /// Another host than the region's.
    pub base_url: Option<String>,
    /// How many calls may be made in a minute.
    pub calls_per_minute: u32,
    /// How long changes of one record are collected.
    pub coalesce: Duration,
}

/// What `zoho_books_to_databricks` needs beside an organization.
#[allow(missing_debug_implementations)]
pub struct Workspace {
    /// The workspace's address.
    pub host: String,
    /// The SQL warehouse's id, or its HTTP path.
    pub warehouse: String,
    /// Where tables are.
    pub catalog: String,
    /// Where tables are.
    pub schema: String,
    /// Where large batches are staged.
    pub volume: Option<String>,
    /// The service principal's application id.
    pub client_id: String,
    /// The service principal's secret.
    pub client_secret: String,
    /// The SQLite file.
    pub database: PathBuf,
}

impl Workspace {
    /// The settings in the environment; `None` when no workspace is named there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Option<(Organization, Self)>> {
        let Some(host) = optional("DATABRICKS_HOST") else { return Ok(None) };
        let books = Organization::from_env("books", "ZOHO_")?;
        let books =
            books.map_or_else(|| required("ZOHO_ORGANIZATION_ID").map(|_| None), |books| Ok(Some(books)))?;
        let Some(books) = books else { return Ok(None) };
        let workspace = Self {
            host,
            warehouse: required("DATABRICKS_WAREHOUSE")?,
            catalog: optional("DATABRICKS_CATALOG").unwrap_or_else(|| "main".to_owned()),
            schema: required("DATABRICKS_SCHEMA")?,
            volume: optional("DATABRICKS_VOLUME"),
            client_id: required("DATABRICKS_CLIENT_ID")?,
            client_secret: required("DATABRICKS_CLIENT_SECRET")?,
            database: optional("DATABASE").unwrap_or_else(|| "ml-connector.db".to_owned()).into(),
        };
        Ok(Some((books, workspace)))
    }
}

impl ZohoBooksToSlack {
    /// The settings in the environment; `None` when no Zoho organization is named there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Option<Self>> {
        let Some(first) = Organization::from_env("books", "ZOHO_")? else { return Ok(None) };
        let second = Organization::from_env("books-2", "ZOHO2_")?;
        Ok(Some(Self {
            books: std::iter::once(first).chain(second).collect(),
            slack_token: required("SLACK_BOT_TOKEN")?,
            slack_url: optional("SLACK_URL"),
            slack_channel: required("SLACK_CHANNEL")?,
            slack_app: SlackApp::from_env()?,
            database: optional("DATABASE").unwrap_or_else(|| "ml-connector.db".to_owned()).into(),
            listen: optional("LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            public_url: optional("PUBLIC_URL"),
        }))
    }
}

impl BusinessCentralToSlack {
    /// The settings in the environment; `None` when no company is named there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Option<Self>> {
        let Some(company) = Company::from_env()? else { return Ok(None) };
        let app = SlackApp::from_env()?;
        let Some(slack_app) = app else {
            return required("SLACK_SIGNING_SECRET").map(|_| None);
        };
        Ok(Some(Self {
            company,
            slack_token: required("SLACK_BOT_TOKEN")?,
            slack_url: optional("SLACK_URL"),
            slack_channel: required("SLACK_CHANNEL")?,
            slack_app,
            sign_off_from: money("BC_SIGN_OFF_FROM")?,
            quiet: Duration::from_secs(60),
            database: optional("DATABASE").unwrap_or_else(|| "ml-connector.db".to_owned()).into(),
            listen: optional("LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            public_url: optional("PUBLIC_URL"),
        }))
    }
}

impl ExactOnlineToSlack {
    /// The settings in the environment; `None` when no company is named there.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the variable that is missing or wrong.
    pub fn from_env() -> Result<Option<Self>> {
        let Some(division) = optional("EXACT_DIVISION") else { return Ok(None) };
        let division = division.parse().map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "expected a company's number")
                .with_context("name", "EXACT_DIVISION")
        })?;
        Ok(Some(Self {
            company: ExactCompany {
                region: optional("EXACT_REGION"),
                division,
                client_id: required("EXACT_CLIENT_ID")?,
                client_secret: required("EXACT_CLIENT_SECRET")?,
                webhook_secret: optional("EXACT_WEBHOOK_SECRET"),
                redirect_uri: optional("EXACT_REDIRECT_URI"),
                refresh_token: required("EXACT_REFRESH_TOKEN")?,
                base_url: optional("EXACT_BASE_URL"),
                calls_per_minute: calls_per_minute("EXACT_CALLS_PER_MINUTE")?,
                coalesce: Duration::from_secs(5),
            },
            slack_token: required("SLACK_BOT_TOKEN")?,
            slack_url: optional("SLACK_URL"),
            slack_channel: required("SLACK_CHANNEL")?,
            purchases_channel: required("SLACK_PURCHASES_CHANNEL")?,
            large: money("EXACT_LARGE_FROM")?,
            database: optional("DATABASE").unwrap_or_else(|| "ml-connector.db".to_owned()).into(),
            listen: optional("LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            public_url: optional("PUBLIC_URL"),
        }))
    }
}

impl Company {
    fn from_env() -> Result<Option<Self>> {
        let Some(tenant) = optional("BC_TENANT") else { return Ok(None) };
        let poster = optional("BC_POSTER_ID").map(|id| Ok((id, required("BC_POSTER_SECRET")?)));
        Ok(Some(Self {
            tenant,
            environment: optional("BC_ENVIRONMENT").unwrap_or_else(|| "Production".to_owned()),
            id: required("BC_COMPANY_ID")?,
            name: optional("BC_COMPANY_NAME").unwrap_or_default(),
            reader: (required("BC_CLIENT_ID")?, required("BC_CLIENT_SECRET")?),
            poster: poster.transpose()?,
            webhook_secret: optional("BC_WEBHOOK_SECRET"),
            time_zone: optional("BC_TIME_ZONE").unwrap_or_else(|| "UTC".to_owned()),
            coalesce: Duration::from_secs(2),
            login_url: optional("BC_LOGIN_URL"),
            api_url: optional("BC_API_URL"),
        }))
    }
}

impl Organization {
    fn from_env(connection: &str, prefix: &str) -> Result<Option<Self>> {
        let name = |rest: &str| format!("{prefix}{rest}");
        let Some(organization_id) = optional(&name("ORGANIZATION_ID")) else { return Ok(None) };
        let data_center = optional(&name("DATA_CENTER")).unwrap_or_else(|| "us".to_owned());
        Ok(Some(Self {
            connection: connection.to_owned(),
            organization_id,
            data_center: DataCenter::of_location(&data_center).ok_or_else(|| {
                Error::new(
                    ErrorKind::ConfigInvalid,
                    "the data center must be one of us, eu, in, au, jp, ca, cn, sa, uk, ae",
                )
                .with_context("name", name("DATA_CENTER"))
            })?,
            accounts_url: optional(&name("ACCOUNTS_URL")),
            api_url: optional(&name("API_URL")),
            client_id: required(&name("CLIENT_ID"))?,
            client_secret: required(&name("CLIENT_SECRET"))?,
            refresh_token: required(&name("REFRESH_TOKEN"))?,
            webhook_secret: optional(&name("WEBHOOK_SECRET")),
            plan: plan(&name("PLAN"))?,
            time_zone: optional(&name("TIME_ZONE")).unwrap_or_else(|| "UTC".to_owned()),
        }))
    }
}

impl SlackApp {
    fn from_env() -> Result<Option<Self>> {
        let Some(signing_secret) = optional("SLACK_SIGNING_SECRET") else { return Ok(None) };
        let approvers = required("SLACK_APPROVERS")?;
        Ok(Some(Self {
            signing_secret,
            team: required("SLACK_TEAM_ID")?,
            approvals_channel: required("SLACK_APPROVALS_CHANNEL")?,
            approvers: approvers.split(',').map(|person| person.trim().to_owned()).collect(),
        }))
    }
}

/// An amount with its currency, such as `1000 EUR`.
fn money(name: &str) -> Result<Money> {
    let text = required(name)?;
    let parsed = text.split_once(' ').map(|(amount, currency)| Money::parse(amount, currency.trim()));
    parsed.and_then(Result::ok).ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "expected an amount and its currency, such as 1000 EUR")
            .with_context("name", name.to_owned())
    })
}

fn plan(name: &str) -> Result<Plan> {
    match optional(name).as_deref() {
        Some("free") => Ok(Plan::Free),
        Some("standard") => Ok(Plan::Standard),
        None | Some("professional") => Ok(Plan::Professional),
        Some("premium") => Ok(Plan::Premium),
        Some("elite") => Ok(Plan::Elite),
        Some("ultimate") => Ok(Plan::Ultimate),
        Some(_) => Err(Error::new(
            ErrorKind::ConfigInvalid,
            "the plan must be one of free, standard, professional, premium, elite, ultimate",
        )
        .with_context("name", name)),
    }
}

/// How many calls a vendor's company may be asked for in a minute; 50 where nothing is set.
fn calls_per_minute(name: &'static str) -> Result<u32> {
    let Some(calls) = optional(name) else { return Ok(50) };
    calls.parse().map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "expected a number of calls").with_context("name", name)
    })
}

pub(crate) fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn required(name: &str) -> Result<String> {
    optional(name).ok_or_else(|| {
        Error::new(
            ErrorKind::ConfigInvalid,
            "a variable is missing in the environment; see examples/.env.example",
        )
        .with_context("name", name)
    })
}
