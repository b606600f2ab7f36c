//! Connections that somebody has repaired: written down, so that the host that works for them hears of it, whichever that is.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, Timestamp,
    audit::{Committed, DocKey, Transaction},
    engine::{
        documents::{JsonDocument, Loaded},
        shared::Shared,
        writes::commit,
    },
    model::ConnectionId,
};

/// How often it is looked for what other hosts were told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long it is kept: a host that hears of it later has started since, or tried by itself.
const KEPT: Duration = Duration::from_secs(3600);
/// How often the document is read again because another host wrote it meanwhile.
const STALE_TRIES: usize = 8;

/// When connections were said to work again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Resumed(BTreeMap<ConnectionId, Timestamp>);

impl JsonDocument for Resumed {
    const NAME: &'static str = "which connections were resumed";
}

/// Writes down that a connection may work again. This host tries it at once, and others when they hear of it.
pub(crate) async fn resume(shared: &Shared, connection: &ConnectionId) -> Result<()> {
    match write(shared, connection).await {
        Ok(at) => {
            shared.mailbox.hear_resumed(connection, at);
            Ok(())
        }
        Err(error) => {
            shared.mailbox.resume(connection.clone());
            Err(error)
        }
    }
}

/// Returns under which time it is known.
async fn write(shared: &Shared, connection: &ConnectionId) -> Result<Timestamp> {
    for _ in 0..STALE_TRIES {
        let now = shared.clock.now();
        let known: Loaded<Resumed> = shared.load(key()).await?;
        let Resumed(mut all) = known.value.clone().unwrap_or_default();
        all.retain(|_, at| now.saturating_since(*at) < KEPT);
        // Each time is another one, whatever the clocks of hosts say.
        let at = all.get(connection).map_or(now, |last| now.max(*last + Duration::from_millis(1)));
        all.insert(connection.clone(), at);
        let transaction =
            Transaction { documents: vec![known.replace(&Resumed(all))?], ..Transaction::default() };
        if let Committed::Applied(_) = commit(shared, transaction).await? {
            return Ok(at);
        }
    }
    Err(Error::new(ErrorKind::Unavailable, "others kept writing which connections were resumed: try again")
        .with_context("connection", connection))
}

/// Hears which connections other hosts were told to resume. Never ends.
pub(crate) async fn hear_resumed(shared: &Shared) {
    loop {
        match shared.load::<Resumed>(key()).await {
            Ok(known) => {
                let Resumed(all) = known.value.unwrap_or_default();
                all.iter().for_each(|(connection, at)| shared.mailbox.hear_resumed(connection, *at));
            }
            Err(error) => tracing::debug!(%error, "the log cannot say which connections were resumed"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn key() -> DocKey {
    DocKey::new("resumed", &"engine".into(), "all")
}
