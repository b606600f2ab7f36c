//! One short program for each topic, on simulators and in virtual time: all of them take less than a second.
//!
//! ```console
//! cargo run --example topics            # all
//! cargo run --example topics -- digest  # one
//! ```
//!
//! Each file is one topic, and as much of a host's code as it takes. What they share, Zoho Books and Slack in this process, is
//! in `support/lab.rs`.

mod alerts;
mod approvals;
mod cloud_events;
mod consent;
mod digest;
mod metrics;
mod open_telemetry;
mod route_by_amount;
mod routes_reloaded;
mod shutdown;
mod template;
mod tenants;
mod testing;
mod token_store;

use std::{future::Future, pin::Pin, process::ExitCode};

use ml_connector_core::{Error, ErrorKind, Result};
use ml_connector_examples::host::{exit, log_from};

type Topic = (&'static str, fn() -> Pin<Box<dyn Future<Output = Result<()>>>>);

const TOPICS: [Topic; 14] = [
    ("alerts", || Box::pin(alerts::run())),
    ("approvals", || Box::pin(approvals::run())),
    ("cloud_events", || Box::pin(cloud_events::run())),
    ("consent", || Box::pin(consent::run())),
    ("digest", || Box::pin(digest::run())),
    ("metrics", || Box::pin(metrics::run())),
    ("open_telemetry", || Box::pin(open_telemetry::run())),
    ("route_by_amount", || Box::pin(route_by_amount::run())),
    ("routes_reloaded", || Box::pin(routes_reloaded::run())),
    ("shutdown", || Box::pin(shutdown::run())),
    ("template", || Box::pin(template::run())),
    ("tenants", || Box::pin(tenants::run())),
    ("testing", || Box::pin(testing::run())),
    ("token_store", || Box::pin(token_store::run())),
];

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    log_from("off");
    exit(play(std::env::args().nth(1)).await.map(|()| true))
}

async fn play(only: Option<String>) -> Result<()> {
    let chosen = TOPICS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let mut played = 0;
    for (name, run) in chosen {
        println!("{name}");
        run().await?;
        played += 1;
    }
    let names = || TOPICS.map(|(name, _)| name).join(", ");
    if played == 0 {
        return Err(Error::new(ErrorKind::InvalidRequest, "no such topic").with_context("topics", names()));
    }
    Ok(())
}
