//! Waiting for what comes by itself.

use std::time::Duration;

use ml_connector_core::{
    Connector, Error, ErrorKind, Result,
    audit::{EntryKind, EntryState, Query},
};

/// How often is looked.
const STEP: Duration = Duration::from_millis(100);
/// How long is waited.
const MINUTE: Duration = Duration::from_secs(60);

/// Waits for what `look` finds.
///
/// # Errors
/// [`ErrorKind::NotFound`] when it has not come within a minute.
pub async fn until<T>(what: &'static str, look: impl FnMut() -> Option<T>) -> Result<T> {
    within(MINUTE, what, look).await
}

/// Waits for what `look` finds, for so long.
///
/// # Errors
/// [`ErrorKind::NotFound`] when it has not come.
pub async fn within<T>(
    limit: Duration,
    what: &'static str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    for _ in 0..limit.as_millis() / STEP.as_millis() {
        if let Some(found) = look() {
            return Ok(found);
        }
        tokio::time::sleep(STEP).await;
    }
    Err(Error::new(ErrorKind::NotFound, what))
}

/// Waits until everything has come to rest, for two minutes at most; tells whether it has.
///
/// # Errors
/// Those of the log.
pub async fn rest(connector: &Connector) -> Result<bool> {
    let waiting = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Pending).with_limit(1);
    let mut before = connector.stats();
    let mut calm = 0;
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = connector.stats();
        let kept = connector.search(&waiting).await?.is_empty();
        calm = if now == before && kept { calm + 1 } else { 0 };
        before = now;
        if calm == 5 {
            return Ok(true);
        }
    }
    Ok(false)
}
