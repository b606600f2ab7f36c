//! Serves the simulators and prints how to use them.

use std::{
    collections::BTreeMap,
    env, fmt,
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use ml_connector_core::{HttpTransport, http::ReqwestTransport};
use ml_connector_sim::{Conditions, Served, serve};

mod program;

const USAGE: &str = "\
usage: ml-connector-sim [zoho] [slack] [databricks] [freshbooks] [exact] [bc] [--unkind]
                        [--zoho-port N] [--slack-port N] [--databricks-port N] [--freshbooks-port N]
                        [--exact-port N] [--bc-port N]
                        [--webhook-url URL [--webhook-secret TEXT]] [--slack-app-url URL]
                        [--freshbooks-redirect-uri URL]

  zoho, slack, databricks, freshbooks, exact, bc
                         which simulators to serve; all of them when none is named
  --unkind               with jitter, lost answers, short pages and lists that lag behind
  --zoho-port N          port of Zoho Books (7801, or ML_SIM_ZOHO_PORT)
  --slack-port N         port of Slack and its page (7802, or ML_SIM_SLACK_PORT)
  --databricks-port N    port of Databricks (7803, or ML_SIM_DATABRICKS_PORT)
  --freshbooks-port N    port of FreshBooks (7804, or ML_SIM_FRESHBOOKS_PORT)
  --exact-port N         port of Exact Online (7805, or ML_SIM_EXACT_PORT)
  --bc-port N            port of Business Central (7806, or ML_SIM_BC_PORT)
  --webhook-url URL      where Zoho's workflow webhooks go (ML_SIM_WEBHOOK_URL)
  --webhook-secret TEXT  what they are signed with (ML_SIM_WEBHOOK_SECRET)
  --slack-app-url URL    where Slack's events, clicks and commands go (ML_SIM_SLACK_APP_URL)
  --freshbooks-redirect-uri URL
                         where FreshBooks's consent page sends people (ML_SIM_FRESHBOOKS_REDIRECT_URI)";
/// Used where nobody gives another: it guards made-up invoices on a loopback address.
const WEBHOOK_SECRET: &str = "simulatorSecret2026";
/// Every simulator there is, by the name it is asked for, with its port.
const ALL: [(&str, u16); 6] = [
    ("zoho", 7801),
    ("slack", 7802),
    ("databricks", 7803),
    ("freshbooks", 7804),
    ("exact", 7805),
    ("bc", 7806),
];

struct Options {
    serve: Vec<String>,
    unkind: bool,
    ports: BTreeMap<&'static str, u16>,
    webhook_url: Option<String>,
    webhook_secret: String,
    slack_app_url: Option<String>,
    freshbooks_redirect_uri: Option<String>,
}

impl Options {
    fn conditions(&self) -> Conditions {
        if self.unkind { Conditions::unkind() } else { Conditions::kind() }
    }

    /// The port of a simulator; 0 takes a free one.
    fn port(&self, name: &str) -> u16 {
        self.ports.get(name).copied().unwrap_or_default()
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
            "zoho" => program::zoho::start(&options).await?,
            "slack" => program::slack::start(&options).await?,
            "databricks" => program::databricks::start(&options).await?,
            "freshbooks" => program::freshbooks::start(&options).await?,
            "exact" => program::exact::start(&options).await?,
            _ => program::bc::start(&options).await?,
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

/// Prints a line. A reader that has gone away does not end the simulators.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Flags before the environment before defaults; `None` when they make no sense or ask for help.
fn options() -> Option<Options> {
    let env = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let mut options = Options {
        serve: Vec::new(),
        unkind: false,
        ports: BTreeMap::new(),
        webhook_url: env("ML_SIM_WEBHOOK_URL"),
        webhook_secret: env("ML_SIM_WEBHOOK_SECRET").unwrap_or_else(|| WEBHOOK_SECRET.to_owned()),
        slack_app_url: env("ML_SIM_SLACK_APP_URL"),
        freshbooks_redirect_uri: env("ML_SIM_FRESHBOOKS_REDIRECT_URI"),
    };
    for (name, port) in ALL {
        let given = env(&format!("ML_SIM_{}_PORT", name.to_uppercase()));
        options.ports.insert(name, given.map_or(Some(port), |port| port.parse().ok())?);
    }
    let mut args = env::args().skip(1);
    while let Some(argument) = args.next() {
        let port = argument.strip_prefix("--").and_then(|flag| flag.strip_suffix("-port"));
        if let Some((name, _)) = ALL.iter().find(|(name, _)| port == Some(*name)) {
            options.ports.insert(name, args.next()?.parse().ok()?);
            continue;
        }
        match argument.as_str() {
            name if ALL.iter().any(|(known, _)| *known == name) => {
                options.serve.retain(|known| known != name);
                options.serve.push(argument);
            }
            "--unkind" => options.unkind = true,
            "--webhook-url" => options.webhook_url = Some(args.next()?),
            "--webhook-secret" => options.webhook_secret = args.next()?,
            "--slack-app-url" => options.slack_app_url = Some(args.next()?),
            "--freshbooks-redirect-uri" => options.freshbooks_redirect_uri = Some(args.next()?),
            _ => return None,
        }
    }
    if options.serve.is_empty() {
        options.serve = ALL.map(|(name, _)| name.to_owned()).to_vec();
    }
    Some(options)
}
