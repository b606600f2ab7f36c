//! What changes something: shown first, done with `--yes`.

use ml_connector_core::{
    AuditLog, Clock, Connector, Error, ErrorKind, Result, SystemClock, Timestamp,
    audit::Query,
    encryption::EncryptedLog,
    engine::{Act, Replay},
};
use ml_connector_examples::bars;
use serde_json::json;

use crate::{arguments::Settle, look};

/// A day.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// How many entries are removed, or encrypted, at once: webhooks wait meanwhile.
const PAGE: usize = 1_000;

/// Sends again, or counts what would be.
pub(crate) async fn replay(
    connector: &Connector,
    selection: Query,
    nonce: Option<String>,
    reroute: bool,
    yes: bool,
) -> Result<()> {
    let nonce = nonce.unwrap_or_else(|| format!("operator {}", SystemClock.now()));
    let mut replay = Replay::new(nonce.as_str(), selection);
    if reroute {
        replay = replay.reroute();
    }
    let limit = replay.selection.effective_limit();
    let would = connector.replay(&replay.clone().dry_run()).await?;
    println!("{} entries can be sent again.", would.selected);
    if would.selected == limit {
        println!("There may be more: --limit takes more.");
    }
    if yes {
        bars::replay(connector, replay).await?;
        println!("Sent again under {nonce:?}: the same goes on, and adds nothing.");
    } else {
        println!("Nothing has been sent: --yes does it.");
    }
    Ok(())
}

/// Settles entries, or shows which would be.
pub(crate) async fn settle(connector: &Connector, how: &'static str, settle: Settle) -> Result<()> {
    let Settle { which, why, by, yes } = settle;
    let selection = which.query()?;
    if !yes {
        println!("{}", look::entries(&connector.search(&selection).await?));
        println!("Nothing has changed: --yes does it with those that it fits.");
        return Ok(());
    }
    let why = why.into();
    let act = match how {
        "acknowledge" => Act::Acknowledge { selection, why },
        "discard" => Act::Discard { selection, why },
        _ => Act::Cancel { selection, why },
    };
    let done = connector.act(by, act).await?;
    println!("{} entries changed; #{} says who did so and why.", done.changed, done.act);
    Ok(())
}

/// Tries a connection again.
pub(crate) async fn resume(connector: &Connector, connection: String, by: String) -> Result<()> {
    let done = connector.act(by, Act::Resume { connection: connection.into() }).await?;
    println!("Asked for; #{} says by whom.", done.act);
    Ok(())
}

/// Removes what is older.
pub(crate) async fn prune(log: &dyn AuditLog, days: u32, yes: bool) -> Result<()> {
    if days == 0 {
        return Err(Error::new(ErrorKind::InvalidRequest, "at least one day has to be kept"));
    }
    let before = Timestamp::from_millis(SystemClock.now().as_millis() - i64::from(days) * DAY_MS);
    if !yes {
        println!("What began before {before} and is settled would be removed: --yes does it.");
        return Ok(());
    }
    let bar = bars::counting("removed");
    loop {
        let gone = log.prune(before, PAGE).await?;
        if gone == 0 {
            break;
        }
        bar.inc(gone as u64);
    }
    bar.finish();
    println!("{} entries that began before {before} were removed.", bar.position());
    Ok(())
}

/// Encrypts with the active key what is in clear, and what an older key encrypted.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] without a key; those of [`EncryptedLog::reencrypt`].
pub(crate) async fn reencrypt(log: Option<&EncryptedLog>, json: bool) -> Result<()> {
    let Some(log) = log else {
        let message = "there is no key to encrypt with: set ML_CONNECTOR_KEY, as examples/.env.example says";
        return Err(Error::new(ErrorKind::ConfigInvalid, message));
    };
    let bar = bars::counting("encrypted");
    loop {
        let so_far = log.reencrypt(PAGE).await?;
        bar.set_position(so_far.entries + so_far.documents);
        if !so_far.is_done {
            continue;
        }
        bar.finish_and_clear();
        if json {
            return look::print(&json!({ "entries": so_far.entries, "documents": so_far.documents }));
        }
        println!(
            "{} entries and {} documents were looked at: all of them are under the active key.",
            so_far.entries, so_far.documents
        );
        println!("Tokens are encrypted when they are next renewed.");
        return Ok(());
    }
}
