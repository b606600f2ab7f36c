//! What operators ask on a terminal, and what they do.
//!
//! ```console
//! ML_CONNECTOR_LOG=demo.db cargo run --example zoho_books_to_slack   # a log to look into
//! cargo run --example operator -- --log demo.db search --newest --limit 20
//! cargo run --example operator -- --log demo.db explain 42
//! cargo run --example operator -- --connections examples/connections.toml health
//! cargo run --example operator -- --connections examples/connections.toml replay --state dead --from 2026-03-12T06:00:00Z
//! ```
//!
//! `--log` opens a log alone, which is enough to look into it. With `--connections` the file's systems are connected, too, but
//! nothing is read or sent: what is replayed or resumed is done by the host that runs on the same log. Whatever changes
//! something shows first what it would do, and does it with `--yes`. Every command takes `--json`.

mod arguments;
mod change;
mod look;

use std::process::ExitCode;

use clap::Parser;
use ml_connector_core::{Connector, Result};
use ml_connector_examples::{
    connections::Connections,
    host::{exit, log_from},
    stores::Stores,
};

use self::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    log_from("warn");
    let arguments = Arguments::parse();
    exit(run(arguments).await.map(|()| true))
}

async fn run(arguments: Arguments) -> Result<()> {
    let database = match &arguments.connections {
        Some(file) => Connections::read(file)?.database,
        None => arguments.log.clone(),
    };
    let stores = Stores::open(&database).await?;
    let log = stores.log.clone();
    let connector = match &arguments.connections {
        Some(file) => Connections::read(file)?.connect_to(stores)?.build()?,
        None => Connector::builder().audit_log(stores.log).token_store(stores.tokens).build()?,
    };
    let json = arguments.json;
    match arguments.command {
        Command::Health => look::health(&connector, json).await,
        Command::Lanes => look::lanes(&connector, json).await,
        Command::Expiries => look::expiries(&connector, json).await,
        Command::Search(which) => look::search(&connector, &which.query()?, json).await,
        Command::Explain { entry } => look::explain(&connector, entry, json).await,
        Command::Dead { limit } => look::dead(&connector, limit, json).await,
        Command::Replay { which, nonce, reroute, yes } => {
            change::replay(&connector, which.query()?, nonce, reroute, yes).await
        }
        Command::Acknowledge(settle) => change::settle(&connector, "acknowledge", settle).await,
        Command::Discard(settle) => change::settle(&connector, "discard", settle).await,
        Command::Cancel(settle) => change::settle(&connector, "cancel", settle).await,
        Command::Resume { connection, by } => change::resume(&connector, connection, by).await,
        Command::Prune { days, yes } => change::prune(&*log, days, yes).await,
    }
}
