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
//! `--log` opens a log alone, which is enough to search, explain and settle. With `--connections` the file's systems are connected,
//! too, which `health`, `expiries` and the replay of signals need. Nothing is read or sent: what is replayed or resumed is done by
//! the host that runs on the same log. All changes but `resume` are shown first, and done with `--yes`;
//! without `--state` they are about dead entries, `cancel` about all that fit. What is only looked at
//! can be JSON (`--json`). Set `ML_CONNECTOR_KEY` where the log is encrypted, or is to be: `reencrypt` then encrypts what is in clear
//! or under an older key. A log without a chain begins one when `ML_CONNECTOR_CHAIN` is set: `verify` then says whether anybody
//! has changed it behind its back.

mod arguments;
mod change;
mod look;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use ml_connector_core::{Connector, Error, ErrorKind, Result, audit::EntryState};
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
    let needs_systems =
        matches!(arguments.command, Command::Health | Command::Expiries | Command::Resume { .. });
    if needs_systems && arguments.connections.is_none() {
        let message = "this needs --connections: a log alone does not know the systems";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let stores = Stores::as_they_are(&database).await?;
    let (log, chain, encrypted) = (stores.log.clone(), stores.chain.clone(), stores.encrypted.clone());
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
        Command::Verify { heads } => verify::verify(&*chain, heads.as_deref(), json).await,
        Command::Reencrypt => change::reencrypt(encrypted.as_deref(), json).await,
        Command::Replay { which, nonce, reroute, yes } => {
            change::replay(&connector, which.of(EntryState::Dead).query()?, nonce, reroute, yes).await
        }
        Command::Acknowledge(settle) => {
            change::settle(&connector, "acknowledge", settle.of(EntryState::Dead)).await
        }
        Command::Discard(settle) => change::settle(&connector, "discard", settle.of(EntryState::Dead)).await,
        Command::Cancel(settle) => change::settle(&connector, "cancel", settle).await,
        Command::Resume { connection, by } => change::resume(&connector, connection, by).await,
        Command::Prune { days, yes } => change::prune(&*log, days, yes).await,
    }
}
