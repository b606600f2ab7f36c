//! Trouble: what somebody has to know, told to the host without any sink. Sinks may be what is broken.

use std::sync::Arc;

use futures_util::{StreamExt, stream, stream::BoxStream};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    Timestamp,
    model::{ConnectionId, Seq},
};

/// How many troubles are kept for a listener that is slow; of more the oldest are lost to it.
const KEPT: usize = 256;

/// Something that somebody has to know. Holds no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trouble {
    /// When it was noticed.
    pub at: Timestamp,
    /// What has happened.
    pub kind: TroubleKind,
    /// Of which connection; `None` = of the connector as a whole.
    pub connection: Option<ConnectionId>,
    /// Which entry of the log it is about, if it is about one.
    pub seq: Option<Seq>,
    /// Why: codes and ids.
    pub reason: Arc<str>,
}

/// Why nothing of a connection works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Down {
    /// Codes and ids, and what to do.
    pub(crate) reason: Arc<str>,
    /// It passes by itself, as an outage does. Otherwise somebody has to act.
    pub(crate) passes: bool,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TroubleKind {
    /// A connection does not work. Everything of it waits.
    ConnectionDown,
    /// It works again.
    ConnectionResumed,
    /// A delivery was given up.
    DeliveryDead,
    /// A delivery waits for somebody to repair something.
    DeliveryParked,
    /// A signal was given up.
    SignalDead,
    /// Deliveries have waited for room in a limit for longer than
    /// [`Settings::max_block`](crate::engine::Settings::max_block). They go on by themselves.
    PutOff,
    /// The log takes no writes. Nothing is read and nothing is sent.
    LogDown,
    /// The log works again.
    LogResumed,
}

/// Tells whoever listens.
#[derive(Debug)]
pub(crate) struct Troubles(broadcast::Sender<Trouble>);

impl Default for Troubles {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Troubles {
    pub(crate) fn tell(&self, trouble: Trouble) {
        let Trouble { kind, connection, seq, reason, .. } = &trouble;
        let (connection, seq) = (connection.as_ref().map(ConnectionId::as_str), seq.map(|seq| seq.0));
        match kind {
            TroubleKind::ConnectionResumed | TroubleKind::LogResumed => {
                tracing::info!(?kind, connection, "trouble is over");
            }
            _ => tracing::error!(?kind, connection, seq, %reason, "trouble: somebody has to know"),
        }
        // Nobody has to listen.
        let _ = self.0.send(trouble);
    }
}

impl Troubles {
    /// What is told from now on.
    pub(crate) fn listen(&self) -> BoxStream<'static, Trouble> {
        stream::unfold(self.0.subscribe(), |mut listener| async {
            loop {
                match listener.recv().await {
                    Ok(trouble) => return Some((trouble, listener)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "a listener to trouble was too slow");
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}
