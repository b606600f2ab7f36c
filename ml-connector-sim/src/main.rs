//! Serves the simulators and prints how to use them.

use std::{
    env, fmt,
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use ml_connector_core::{
    HttpTransport, Result, Secret, SystemClock,
    http::ReqwestTransport,
    model::{Date, Decimal},
};
use ml_connector_sim::{
    Served, SlackSim, ZohoBooksSim, serve,
    slack::SlackConfig,
    zoho::{DataCenter, Entity, EventKind, NewDocument, WebhookRule},
};

const USAGE: &str = "\
usage: ml-connector-sim [--zoho-port N] [--slack-port N] [--webhook-url URL [--webhook-secret TEXT]]
                        [--slack-app-url URL]

  --zoho-port N          port of Zoho Books (7801, or ML_SIM_ZOHO_PORT)
  --slack-port N         port of Slack and its page (7802, or ML_SIM_SLACK_PORT)
  --webhook-url URL      where Zoho's workflow webhooks go (ML_SIM_WEBHOOK_URL)
  --webhook-secret TEXT  what they are signed with (ML_SIM_WEBHOOK_SECRET)
  --slack-app-url URL    where Slack's events, clicks and commands go (ML_SIM_SLACK_APP_URL)";
/// Used where nobody gives another: it guards made-up invoices on a loopback address.
const WEBHOOK_SECRET: &str = "simulatorSecret2026";

struct Options {
    zoho_port: u16,
    slack_port: u16,
    webhook_url: Option<String>,
    webhook_secret: String,
    slack_app_url: Option<String>,
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let Some(options) = options() else {
        say(USAGE);
        return Ok(());
    };
    let books = ZohoBooksSim::new(Arc::new(SystemClock));
    let mut config = SlackConfig::default();
    config.request_url = options.slack_app_url.as_deref().map(str::parse).transpose()?;
    let slack = SlackSim::with_config(Arc::new(SystemClock), config);
    story(&books)?;
    if let Some(url) = &options.webhook_url {
        add_webhooks(&books, &url.parse()?, &Secret::from(options.webhook_secret.as_str()))?;
    }
    let zoho_server = serve_at(books.router(), options.zoho_port).await?;
    let slack_server = serve_at(slack.router(), options.slack_port).await?;
    books.set_api_domain(DataCenter::Us, &zoho_server.url());
    slack.set_hooks_origin(&slack_server.url());
    say(guide(&books, &slack, &zoho_server.url(), &slack_server.url(), &options));

    let transport = Arc::new(ReqwestTransport::new());
    let mut rounds = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = rounds.tick() => {
                // In tasks: who answers slowly holds nobody else up.
                let (books, slack, transport) = (books.clone(), slack.clone(), Arc::clone(&transport));
                tokio::spawn(async move { tokio::join!(webhooks(&books, &*transport), interactions(&slack, &*transport)) });
            }
        }
    }
}

async fn webhooks(books: &ZohoBooksSim, transport: &dyn HttpTransport) {
    for attempted in books.deliver_webhooks(transport).await {
        tell("webhook", &attempted.about.event, attempted.status);
    }
}

async fn interactions(slack: &SlackSim, transport: &dyn HttpTransport) {
    for attempt in slack.deliver(transport).await {
        tell("slack", &attempt.about.name, attempt.status);
    }
}

fn tell(what: &str, name: &str, status: Option<http::StatusCode>) {
    let answer = status.map_or("no answer".to_owned(), |status| status.to_string());
    say(format_args!("{what} {name} -> {answer}"));
}

/// The port asked for, or a free one when it is taken.
async fn serve_at(router: Router, port: u16) -> io::Result<Served> {
    match serve(router.clone(), SocketAddr::from(([127, 0, 0, 1], port))).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            say(format_args!("port {port} is taken; using a free one"));
            serve(router, SocketAddr::from(([127, 0, 0, 1], 0))).await
        }
        served => served,
    }
}

/// A few records to look at.
fn story(books: &ZohoBooksSim) -> Result<()> {
    let overdue = books.create_invoice(
        NewDocument::new("Bluebird Logistics", Decimal::new(125_050, 2))
            .dated(Date::parse("2026-02-02")?)
            .due(Date::parse("2026-03-04")?),
    )?;
    books.mark_sent(&overdue)?;
    let partly_paid = books.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(598, 0)))?;
    books.mark_sent(&partly_paid)?;
    books.pay_invoice(&partly_paid, Decimal::new(298, 0))?;
    books.create_invoice(NewDocument::new("Osprey Foods", Decimal::new(14_997, 2)))?;
    let bill = books
        .create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(8200, 0)).numbered("NP-2302"))?;
    books.submit_for_approval(Entity::Bill, &bill)
}

fn add_webhooks(books: &ZohoBooksSim, url: &url::Url, secret: &Secret) -> Result<()> {
    for entity in [Entity::Invoice, Entity::Bill, Entity::CustomerPayment, Entity::VendorPayment] {
        for kind in [EventKind::Changed, EventKind::Deleted] {
            books.add_webhook(WebhookRule::new(entity, kind, url.clone(), Some(secret.clone())))?;
        }
    }
    books.set_webhook_retries(true);
    Ok(())
}

/// Everything a person needs to know.
fn guide(
    books: &ZohoBooksSim,
    slack: &SlackSim,
    zoho_url: &str,
    slack_url: &str,
    options: &Options,
) -> String {
    let credentials = books.credentials();
    let bot_token = slack.bot_token();
    let signing_secret = slack.signing_secret();
    let signing_secret = signing_secret.expose();
    let app = match &options.slack_app_url {
        Some(url) => format!("{url} is sent events and clicks"),
        None => "none; name one with --slack-app-url".to_owned(),
    };
    let webhooks = match &options.webhook_url {
        Some(url) => format!("to {url}, signed with {}", options.webhook_secret),
        None => "off; switch them on with --webhook-url".to_owned(),
    };
    format!(
        "\
Zoho Books  {zoho_url}
  token endpoint   {zoho_url}/oauth/v2/token
  API              {zoho_url}/books/v3
  organization_id  {}
  client_id        {}
  client_secret    {}
  refresh_token    {}
  webhooks         {webhooks}

Slack       {slack_url}/   shows the channels
  Web API          {slack_url}/api
  bot token        {bot_token}
  signing secret   {signing_secret}
  app              {app}

Create an invoice, send it, pay it:
  curl -d '{{\"counterparty\":\"Bluebird Logistics\",\"total\":\"149.97\"}}' {zoho_url}/_sim/invoices
  curl -X POST {zoho_url}/_sim/invoices/ID/sent
  curl -d '{{\"amount\":\"149.97\"}}' {zoho_url}/_sim/invoices/ID/payments
Post to Slack:
  curl -H 'Authorization: Bearer {bot_token}' -d 'channel=C07ACCTNG1&text=Hello' {slack_url}/api/chat.postMessage
Ctrl-C ends it.",
        credentials.organization_id,
        credentials.client_id,
        credentials.client_secret,
        credentials.refresh_token,
    )
}

/// Prints a line. A reader that has gone away does not end the simulators.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Flags before the environment before defaults; `None` when they make no sense or ask for help.
fn options() -> Option<Options> {
    let env = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let port = |name: &str, or: u16| env(name).map_or(Some(or), |value| value.parse().ok());
    let mut options = Options {
        zoho_port: port("ML_SIM_ZOHO_PORT", 7801)?,
        slack_port: port("ML_SIM_SLACK_PORT", 7802)?,
        webhook_url: env("ML_SIM_WEBHOOK_URL"),
        webhook_secret: env("ML_SIM_WEBHOOK_SECRET").unwrap_or_else(|| WEBHOOK_SECRET.to_owned()),
        slack_app_url: env("ML_SIM_SLACK_APP_URL"),
    };
    let mut args = env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next()?;
        match flag.as_str() {
            "--zoho-port" => options.zoho_port = value.parse().ok()?,
            "--slack-port" => options.slack_port = value.parse().ok()?,
            "--webhook-url" => options.webhook_url = Some(value),
            "--webhook-secret" => options.webhook_secret = value,
            "--slack-app-url" => options.slack_app_url = Some(value),
            _ => return None,
        }
    }
    Some(options)
}
