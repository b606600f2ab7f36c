//! What the programs say of real accounts when they begin: whose they are, what is there, and what cannot be read.

use std::{path::Path, process::Stdio};

use ml_connector_core::model::Decimal;
use ml_connector_examples::{business_central, exact_online, freshbooks};
use ml_connector_sim::{
    exact::Right,
    freshbooks::{Client, Invoice, Kind},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

use crate::{CHANNEL, PATIENCE, kill, program};

/// The example with what all of them take.
fn command(example: &str, slack: (String, String), database: &Path) -> Command {
    let mut command = Command::new(program(example));
    command
        .env("SLACK_BOT_TOKEN", slack.0)
        .env("SLACK_URL", slack.1)
        .env("SLACK_CHANNEL", CHANNEL)
        .env("DATABASE", database)
        .env("LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// What the program says until all of this has been said.
async fn said_until(mut command: Command, all: &[&str]) -> Vec<String> {
    let mut child = command.spawn().unwrap();
    let (send, mut lines) = unbounded_channel();
    forward(child.stdout.take().unwrap(), send.clone());
    forward(child.stderr.take().unwrap(), send);
    let mut said: Vec<String> = Vec::new();
    let told = async {
        while !all.iter().all(|wanted| said.iter().any(|line| line.contains(wanted))) {
            let Some(line) = lines.recv().await else { panic!("the example has ended: {said:#?}") };
            said.push(line);
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    assert!(told.is_ok(), "{all:#?} is not said: {said:#?}");
    kill(child).await;
    said
}

/// Sends each line on.
fn forward(from: impl AsyncRead + Send + Unpin + 'static, to: UnboundedSender<String>) {
    let mut lines = BufReader::new(from).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            drop(to.send(line));
        }
    });
}

/// A plan that lacks a list keeps nothing else waiting.
#[tokio::test]
async fn freshbooks_begins_without_a_list_that_the_plan_lacks() {
    let simulation = freshbooks::Simulation::start().await.unwrap();
    let client = simulation.books.create(Client::new("Larkspur Dental Group")).unwrap();
    simulation.books.create(Invoice::new(client, Decimal::new(125_050, 2)).sent()).unwrap();
    simulation.books.refuse(Kind::Bill, true);
    let known = simulation.books.credentials();
    let folder = tempfile::tempdir().unwrap();
    let slack = (simulation.slack.bot_token(), simulation.slack_server.url());
    let mut command = command("freshbooks_to_slack", slack, &folder.path().join("connector.db"));
    command
        .env("FRESHBOOKS_ACCOUNT_ID", known.account_id)
        .env("FRESHBOOKS_TIME_ZONE", "Asia/Tokyo")
        .env("FRESHBOOKS_CLIENT_ID", known.client_id)
        .env("FRESHBOOKS_CLIENT_SECRET", known.client_secret)
        .env("FRESHBOOKS_REDIRECT_URI", known.redirect_uri)
        .env("FRESHBOOKS_REFRESH_TOKEN", known.refresh_token)
        .env("FRESHBOOKS_API_URL", simulation.books_server.url())
        .arg("--backfill");
    let told = [
        "books: connected as",
        "books: warning time zone",
        "books: webhooks, and polling every",
        "books: baseline of 1 invoices",
        "books: bills cannot be read: ",
        // The past is read only when all of that is told.
        "invoices: 1 read, 0 failed",
        "bills: given up",
    ];
    said_until(command, &told).await;
}

#[tokio::test]
async fn exact_online_says_whose_company_it_is_and_which_list_is_refused() {
    let simulation = exact_online::Simulation::start().await.unwrap();
    simulation.books.refuse_path("sync/Cashflow/PaymentTerms", Some(Right::ForbiddenByModule));
    let known = simulation.books.credentials();
    let folder = tempfile::tempdir().unwrap();
    let slack = (simulation.slack.bot_token(), simulation.slack_server.url());
    let mut command = command("exact_online_to_slack", slack, &folder.path().join("connector.db"));
    command
        .env("EXACT_DIVISION", known.division.to_string())
        .env("EXACT_CLIENT_ID", known.client_id)
        .env("EXACT_CLIENT_SECRET", known.client_secret.as_str())
        .env("EXACT_REFRESH_TOKEN", known.refresh_token)
        .env("EXACT_BASE_URL", simulation.books_server.url())
        // The beginning and the check of what is there take more calls than Exact's minute has: the last list would wait for it.
        .env("EXACT_CALLS_PER_MINUTE", "1000")
        .env("EXACT_LARGE_FROM", "5000 EUR")
        .env("SLACK_PURCHASES_CHANNEL", exact_online::PURCHASES);
    let told = [
        "books: connected as Waalkade Groothandel B.V.",
        "books: polling every",
        "books: baseline of 0 sales_invoices",
        "books: payment_terms cannot be read: ",
    ];
    said_until(command, &told).await;
}

#[tokio::test]
async fn business_central_says_whose_company_it_is_and_what_is_there() {
    let simulation = business_central::Simulation::start().await.unwrap();
    let known = simulation.erp.credentials();
    let folder = tempfile::tempdir().unwrap();
    let slack = (simulation.slack.bot_token(), simulation.slack_server.url());
    let mut command = command("business_central_to_slack", slack, &folder.path().join("connector.db"));
    command
        .env("BC_TENANT", known.tenant)
        .env("BC_ENVIRONMENT", known.environment)
        .env("BC_COMPANY_ID", known.company_id)
        .env("BC_CLIENT_ID", known.client_id)
        .env("BC_CLIENT_SECRET", known.client_secret)
        .env("BC_LOGIN_URL", simulation.erp_server.url())
        .env("BC_API_URL", simulation.erp_server.url())
        .env("BC_SIGN_OFF_FROM", "1000 USD")
        .env("SLACK_SIGNING_SECRET", simulation.slack.signing_secret().expose())
        .env("SLACK_TEAM_ID", "T07LEDGER1")
        .env("SLACK_APPROVALS_CHANNEL", business_central::APPROVALS)
        .env("SLACK_APPROVERS", "anna.verhoeven@ledgerworks.example");
    let told = ["erp: connected as", "erp: polling every", "erp: baseline of 0 purchaseInvoices"];
    said_until(command, &told).await;
}
