//! Serves the simulators and prints how to use them.

use std::{
    env, fmt,
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    pin::Pin,
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
    Conditions, ExactOnlineSim, Served, SlackSim, ZohoBooksSim, exact, serve,
    slack::SlackConfig,
    zoho::{DataCenter, Entity, EventKind, NewDocument, WebhookRule, ZohoBooksConfig},
};

const USAGE: &str = "\
usage: ml-connector-sim [zoho] [slack] [exact] [--unkind] [--zoho-port N] [--slack-port N] [--exact-port N]
                        [--webhook-url URL [--webhook-secret TEXT]] [--slack-app-url URL]

  zoho, slack, exact     which simulators to serve; all of them when none is named
  --unkind               with jitter, lost answers, short pages and lists that lag behind
  --zoho-port N          port of Zoho Books (7801, or ML_SIM_ZOHO_PORT)
  --slack-port N         port of Slack and its page (7802, or ML_SIM_SLACK_PORT)
  --exact-port N         port of Exact Online (7805, or ML_SIM_EXACT_PORT)
  --webhook-url URL      where Zoho's workflow webhooks go (ML_SIM_WEBHOOK_URL)
  --webhook-secret TEXT  what they are signed with (ML_SIM_WEBHOOK_SECRET)
  --slack-app-url URL    where Slack's events, clicks and commands go (ML_SIM_SLACK_APP_URL)";
/// Used where nobody gives another: it guards made-up invoices on a loopback address.
const WEBHOOK_SECRET: &str = "simulatorSecret2026";
/// Every simulator there is, by the name it is asked for.
const ALL: [&str; 3] = ["zoho", "slack", "exact"];

struct Options {
    serve: Vec<String>,
    unkind: bool,
    zoho_port: u16,
    slack_port: u16,
    exact_port: u16,
    webhook_url: Option<String>,
    webhook_secret: String,
    slack_app_url: Option<String>,
}

impl Options {
    fn conditions(&self) -> Conditions {
        if self.unkind { Conditions::unkind() } else { Conditions::kind() }
    }
}

type Anything = Box<dyn std::error::Error>;
type Round = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A simulator that is served.
struct Running {
    /// Ends the server when it is dropped.
    _served: Served,
    /// What a person needs to know.
    guide: String,
    /// Sends what is due.
    deliver: Box<dyn Fn(Arc<dyn HttpTransport>) -> Round>,
}

#[tokio::main]
async fn main() -> std::result::Result<(), Anything> {
    let Some(options) = options() else {
        say(USAGE);
        return Ok(());
    };
    let mut running = Vec::new();
    for name in &options.serve {
        running.push(match name.as_str() {
            "zoho" => zoho(&options).await?,
            "exact" => exact_online(&options).await?,
            _ => slack(&options).await?,
        });
    }
    running.iter().for_each(|simulator| say(&simulator.guide));
    say("Ctrl-C ends it.");

    let transport: Arc<dyn HttpTransport> = Arc::new(ReqwestTransport::new());
    let mut rounds = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = rounds.tick() => {
                // In tasks: who answers slowly holds nobody else up.
                for simulator in &running {
                    tokio::spawn((simulator.deliver)(Arc::clone(&transport)));
                }
            }
        }
    }
}

async fn zoho(options: &Options) -> std::result::Result<Running, Anything> {
    let mut config = ZohoBooksConfig::default();
    config.conditions = options.conditions();
    let books = ZohoBooksSim::with_config(Arc::new(SystemClock), config);
    story(&books)?;
    if let Some(url) = &options.webhook_url {
        add_webhooks(&books, &url.parse()?, &Secret::from(options.webhook_secret.as_str()))?;
    }
    let served = serve_at(books.router(), options.zoho_port).await?;
    books.set_api_domain(DataCenter::Us, &served.url());
    let guide = zoho_guide(&books, &served.url(), options);
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let books = books.clone();
        Box::pin(async move {
            for attempted in books.deliver_webhooks(&*transport).await {
                tell("webhook", &attempted.about.event, attempted.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

async fn slack(options: &Options) -> std::result::Result<Running, Anything> {
    let mut config = SlackConfig::default();
    config.conditions = options.conditions();
    config.request_url = options.slack_app_url.as_deref().map(str::parse).transpose()?;
    // Everything that is simulated can be tried.
    for scope in ["commands", "im:read", "im:write", "mpim:read", "mpim:write", "reactions:write"] {
        config.scopes.push(scope.to_owned());
    }
    let slack = SlackSim::with_config(Arc::new(SystemClock), config);
    let served = serve_at(slack.router(), options.slack_port).await?;
    slack.set_hooks_origin(&served.url());
    let guide = slack_guide(&slack, &served.url(), options);
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let slack = slack.clone();
        Box::pin(async move {
            for attempt in slack.deliver(&*transport).await {
                tell("slack", &attempt.about.name, attempt.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

async fn exact_online(options: &Options) -> std::result::Result<Running, Anything> {
    let mut config = exact::ExactOnlineConfig::default();
    config.conditions = options.conditions();
    let sim = ExactOnlineSim::with_config(Arc::new(SystemClock), config);
    sim.set_hooks(Arc::new(ReqwestTransport::new()));
    // Callbacks are on this machine and have no certificate.
    sim.tune(|quirks| quirks.callback_host = exact::CallbackHost::Any);
    let invoice = sim.create(
        exact::Kind::SalesInvoices,
        &exact::NewDocument::new("Bakkerij Linde V.O.F.", Decimal::new(121_000, 2)),
    );
    sim.process(exact::Kind::SalesInvoices, &invoice)?;
    let served = serve_at(sim.router(), options.exact_port).await?;
    sim.set_origin(&served.url());
    let guide = exact_guide(&sim, &served.url());
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let sim = sim.clone();
        Box::pin(async move {
            for attempt in sim.deliver(&*transport).await {
                tell("exact", &attempt.about.topic, attempt.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

fn exact_guide(sim: &ExactOnlineSim, url: &str) -> String {
    let credentials = sim.credentials();
    format!(
        "\
Exact Online  {url}
  token endpoint   {url}/api/oauth2/token
  API              {url}/api/v1
  division         {}
  client_id        {}
  client_secret    {}
  webhook secret   {}
  refresh_token    {}
Write an invoice and process it:
  curl -d '{{\"amount\":\"149.97\"}}' {url}/_sim/SalesInvoices
  curl -X POST {url}/_sim/SalesInvoices/ID/process
",
        credentials.division,
        credentials.client_id,
        credentials.client_secret,
        credentials.webhook_secret.expose(),
        credentials.refresh_token,
    )
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

fn zoho_guide(books: &ZohoBooksSim, url: &str, options: &Options) -> String {
    let credentials = books.credentials();
    let webhooks = match &options.webhook_url {
        Some(url) => format!("to {url}, signed with {}", options.webhook_secret),
        None => "off; switch them on with --webhook-url".to_owned(),
    };
    format!(
        "\
Zoho Books  {url}
  token endpoint   {url}/oauth/v2/token
  API              {url}/books/v3
  organization_id  {}
  client_id        {}
  client_secret    {}
  refresh_token    {}
  webhooks         {webhooks}
Create an invoice, send it, pay it:
  curl -d '{{\"counterparty\":\"Bluebird Logistics\",\"total\":\"149.97\"}}' {url}/_sim/invoices
  curl -X POST {url}/_sim/invoices/ID/sent
  curl -d '{{\"amount\":\"149.97\"}}' {url}/_sim/invoices/ID/payments
",
        credentials.organization_id,
        credentials.client_id,
        credentials.client_secret,
        credentials.refresh_token,
    )
}

fn slack_guide(slack: &SlackSim, url: &str, options: &Options) -> String {
    let bot_token = slack.bot_token();
    let signing_secret = slack.signing_secret();
    let signing_secret = signing_secret.expose();
    let app = match &options.slack_app_url {
        Some(url) => format!("{url} is sent events and clicks"),
        None => "none; name one with --slack-app-url".to_owned(),
    };
    format!(
        "\
Slack       {url}/   shows the channels
  Web API          {url}/api
  bot token        {bot_token}
  signing secret   {signing_secret}
  app              {app}
Post to Slack:
  curl -H 'Authorization: Bearer {bot_token}' -d 'channel=C07ACCTNG1&text=Hello' {url}/api/chat.postMessage
"
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
        serve: Vec::new(),
        unkind: false,
        zoho_port: port("ML_SIM_ZOHO_PORT", 7801)?,
        slack_port: port("ML_SIM_SLACK_PORT", 7802)?,
        exact_port: port("ML_SIM_EXACT_PORT", 7805)?,
        webhook_url: env("ML_SIM_WEBHOOK_URL"),
        webhook_secret: env("ML_SIM_WEBHOOK_SECRET").unwrap_or_else(|| WEBHOOK_SECRET.to_owned()),
        slack_app_url: env("ML_SIM_SLACK_APP_URL"),
    };
    let mut args = env::args().skip(1);
    while let Some(argument) = args.next() {
        match argument.as_str() {
            name if ALL.contains(&name) => {
                options.serve.retain(|known| known != name);
                options.serve.push(argument);
            }
            "--unkind" => options.unkind = true,
            "--zoho-port" => options.zoho_port = args.next()?.parse().ok()?,
            "--slack-port" => options.slack_port = args.next()?.parse().ok()?,
            "--exact-port" => options.exact_port = args.next()?.parse().ok()?,
            "--webhook-url" => options.webhook_url = Some(args.next()?),
            "--webhook-secret" => options.webhook_secret = args.next()?,
            "--slack-app-url" => options.slack_app_url = Some(args.next()?),
            _ => return None,
        }
    }
    if options.serve.is_empty() {
        options.serve = ALL.map(str::to_owned).to_vec();
    }
    Some(options)
}
