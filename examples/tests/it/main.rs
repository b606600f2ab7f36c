//! Examples as processes of their own: played to their end, killed at bad moments, and started again.
#![allow(clippy::unwrap_used)] // a test may

#[cfg(unix)]
#[path = "../../../ml-connector-sql/tests/it/postgres/cluster.rs"]
#[allow(dead_code)] // of the helpers, the store's own tests use more
mod cluster;
mod freshbooks;
mod integration;
mod introductions;
mod keys;
mod samples;
#[cfg(unix)]
mod stopping;
mod tools;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use ml_connector_core::{Secret, SystemClock, http::ReqwestTransport, model::Decimal};
use ml_connector_sim::{
    Conditions, Fault, Served, SlackSim, ZohoBooksSim, serve,
    zoho::{DataCenter, Entity, EventKind, NewDocument, WebhookRule},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const SECRET: &str = "simulatedSecret2026";
const CHANNEL: &str = "C07ACCTNG1";
/// What a killed process has spent of the vendors' limits is not known: its successor takes their windows of a minute as
/// spent.
const PATIENCE: Duration = Duration::from_secs(150);

/// Zoho Books and Slack, which outlive the processes that talk to them.
struct Vendors {
    books: ZohoBooksSim,
    slack: SlackSim,
    zoho: Served,
    web_api: Served,
    transport: ReqwestTransport,
}

impl Vendors {
    async fn start() -> Self {
        let (books, slack) = (ZohoBooksSim::new(Arc::new(SystemClock)), SlackSim::new(Arc::new(SystemClock)));
        books.set_conditions(Conditions::kind());
        slack.set_conditions(Conditions::kind());
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let zoho = serve(books.router(), free).await.unwrap();
        let web_api = serve(slack.router(), free).await.unwrap();
        books.set_api_domain(DataCenter::Us, &zoho.url());
        Self { books, slack, zoho, web_api, transport: ReqwestTransport::new() }
    }

    /// Starts the example on these vendors; returns it with the URL for webhooks.
    async fn example(&self, database: &Path) -> (Child, String) {
        let mut child = self.command(database).env("ZOHO_WEBHOOK_SECRET", SECRET).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(url) = line.strip_prefix("webhooks: ") {
                // Somebody has to read on: a program whose output is closed cannot go on printing.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return (child, url.to_owned());
            }
        }
        panic!("the example ended before it listened");
    }

    /// The example on these vendors, polling.
    fn command(&self, database: &Path) -> Command {
        let credentials = self.books.credentials();
        let mut command = Command::new(program("zoho_books_to_slack"));
        command
            .env("ZOHO_ORGANIZATION_ID", credentials.organization_id)
            .env("ZOHO_ACCOUNTS_URL", self.zoho.url())
            .env("ZOHO_API_URL", self.zoho.url())
            .env("ZOHO_CLIENT_ID", credentials.client_id)
            .env("ZOHO_CLIENT_SECRET", credentials.client_secret)
            .env("ZOHO_REFRESH_TOKEN", credentials.refresh_token)
            .env("SLACK_BOT_TOKEN", self.slack.bot_token())
            .env("SLACK_URL", self.web_api.url())
            .env("SLACK_CHANNEL", CHANNEL)
            .env("DATABASE", database)
            .env("LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Invoices are created; their webhooks are acknowledged by the example.
    async fn invoices(&self, url: &str, count: usize) {
        let rule = WebhookRule::new(
            Entity::Invoice,
            EventKind::Created,
            url.parse().unwrap(),
            Some(Secret::from(SECRET)),
        );
        self.books.add_webhook(rule).unwrap();
        for _ in 0..count {
            let invoice = NewDocument::new("Bluebird Logistics", Decimal::new(125_050, 2));
            self.books.create_invoice(invoice).unwrap();
        }
        let attempted = self.books.deliver_webhooks(&self.transport).await;
        let statuses: Vec<_> = attempted.iter().map(|attempted| attempted.status).collect();
        assert_eq!(statuses, vec![Some(StatusCode::OK); count]);
    }

    /// Waits for the message, and then long enough for a second one.
    async fn one_message(&self) {
        let waited = async {
            while self.slack.posts(CHANNEL).is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("the message arrives");
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert_eq!(self.slack.posts(CHANNEL).len(), 1, "{:?}", self.slack.posts(CHANNEL));
    }
}

/// Where cargo has put an example: it builds them before the tests.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(example)
}

/// Where a Postgres server of our own is, if there is one.
#[cfg(unix)]
fn postgres() -> Option<String> {
    let cluster = cluster::cluster()?;
    Some(format!("host={} user=postgres dbname=postgres", cluster.socket().display()))
}

#[cfg(not(unix))]
fn postgres() -> Option<String> {
    None
}

/// The names of all examples that play a story: each is a file beside the manifest.
fn examples() -> Vec<String> {
    let files = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_example_plays_its_story_to_the_end_and_finds_it_good() {
    let mut examples = examples();
    let database = postgres();
    // Skipped aloud where there is no server to start.
    examples.retain(|example| database.is_some() || !example.ends_with("_on_two_hosts"));
    assert!(examples.iter().any(|example| example == "zoho_books_to_slack"), "{examples:?}");
    // Side by side: they wait most of the time.
    futures_util::future::join_all(examples.iter().map(async |example| {
        // Without variables: on simulators.
        let mut program = Command::new(program(example));
        program.env_clear().envs(database.as_ref().map(|url| ("DATABASE_URL", url)));
        let run = program.kill_on_drop(true).output();
        let ended = tokio::time::timeout(PATIENCE, run).await;
        let output = ended.unwrap_or_else(|_| panic!("{example} does not end")).unwrap();
        let said = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
        assert!(output.status.success(), "{example} ended with {}:\n{said}", output.status);
    }))
    .await;
}

/// What the program says until it has told of so many first reads.
async fn said(command: &mut Command, baselines: usize) -> Vec<String> {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let told = async {
        while said.iter().filter(|line: &&String| line.contains("baseline of")).count() < baselines {
            said.push(lines.next_line().await.unwrap().expect("the example goes on"));
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("no baseline is told"));
    kill(child).await;
    said
}

#[tokio::test]
async fn on_real_accounts_it_says_whose_they_are_what_is_there_and_how_news_is_noticed() {
    let vendors = Vendors::start().await;
    for n in 0..3 {
        vendors
            .books
            .create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(125_050 + n, 2)))
            .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let polled = said(&mut vendors.command(&folder.path().join("polled.db")), 4).await;
    let has = |said: &[String], line: &str| said.iter().filter(|one| one.contains(line)).count();
    for line in [
        "books: connected as Harbor Lane",
        "books: polling every 15 minutes",
        "books: baseline of 3 invoices",
    ] {
        assert_eq!(has(&polled, line), 1, "{line}: {polled:#?}");
    }
    assert_eq!(has(&polled, "books: baseline of 0 bills"), 1, "{polled:#?}");
    assert_eq!(has(&polled, "ebhook"), 0, "nobody sends webhooks without a secret: {polled:#?}");
    assert_eq!(has(&polled, "The Slack app sends"), 0, "nor clicks: {polled:#?}");

    let mut command = vendors.command(&folder.path().join("told.db"));
    let told = said(command.env("ZOHO_WEBHOOK_SECRET", SECRET), 4).await;
    assert_eq!(has(&told, "books: webhooks, and polling every 15 minutes"), 1, "{told:#?}");
    assert!(has(&told, "mlc_event=invoice.changed") == 1 && has(&told, "webhooks: http") == 1, "{told:#?}");
}

async fn kill(mut child: Child) {
    // SIGKILL: nothing is flushed, nothing is given back.
    child.kill().await.unwrap();
}

#[tokio::test]
async fn killed_between_the_acknowledgement_and_the_post_it_posts_once_after_a_restart() {
    let vendors = Vendors::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("connector.db");
    let (first, url) = vendors.example(&database).await;
    vendors.invoices(&url, 1).await;
    kill(first).await;
    assert_eq!(vendors.slack.posts(CHANNEL).len(), 0, "it was killed before the post");

    let (second, _) = vendors.example(&database).await;
    vendors.one_message().await;
    kill(second).await;
}

#[tokio::test]
async fn killed_between_the_post_and_its_receipt_it_does_not_post_again() {
    let vendors = Vendors::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("connector.db");
    let (first, url) = vendors.example(&database).await;
    vendors.slack.plant(Fault::timeout().having_acted().on("/api/chat.postMessage"));
    vendors.invoices(&url, 1).await;
    while vendors.slack.posts(CHANNEL).is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kill(first).await;

    let (second, _) = vendors.example(&database).await;
    let looked = async {
        while !vendors.slack.received().iter().any(|call| call.path == "/api/conversations.history") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("what became of the attempt is looked up");
    vendors.one_message().await;
    kill(second).await;
}
