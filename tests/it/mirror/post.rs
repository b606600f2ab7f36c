//! The way from a vendor to the host: some webhooks are lost, some come late, some twice.

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::Connector;

use crate::proof::Dice;

/// Delivers webhooks as badly as it happens.
#[derive(Debug, Default)]
pub(crate) struct Post {
    late: Vec<Request<Bytes>>,
    /// Of eight webhooks, how many are lost.
    losses: u64,
    /// Whether nothing goes wrong any more.
    pub(crate) is_reliable: bool,
    pub(crate) lost: usize,
    pub(crate) repeated: usize,
    pub(crate) delayed: usize,
}

impl Post {
    /// Loses so many of eight webhooks.
    pub(crate) fn that_loses(losses: u64) -> Self {
        Self { losses, ..Self::default() }
    }

    /// Delivers one webhook, or not.
    pub(crate) async fn hand_over(
        &mut self,
        connector: &Connector,
        dice: &mut Dice,
        request: Request<Bytes>,
    ) {
        match dice.below(8) {
            _ if self.is_reliable => send(connector, &request).await,
            n if n < self.losses => self.lost += 1,
            n if n == self.losses => {
                self.delayed += 1;
                self.late.push(request);
            }
            n if n <= self.losses + 2 => {
                self.repeated += 1;
                send(connector, &request).await;
                send(connector, &request).await;
            }
            _ => send(connector, &request).await,
        }
    }

    /// Something that was late arrives, sometimes.
    pub(crate) async fn hand_over_late(&mut self, connector: &Connector, dice: &mut Dice) {
        if dice.below(4) == 0 && !self.late.is_empty() {
            let some = usize::try_from(dice.below(self.late.len() as u64)).unwrap();
            let request = self.late.swap_remove(some);
            send(connector, &request).await;
        }
    }

    /// All that is late arrives.
    pub(crate) async fn flush(&mut self, connector: &Connector) {
        for request in std::mem::take(&mut self.late) {
            send(connector, &request).await;
        }
    }
}

async fn send(connector: &Connector, request: &Request<Bytes>) {
    let status = connector.receive(request.clone()).await.status();
    // What was signed with a key that is long replaced, or before any was handed over, is nobody's.
    assert!(matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED), "{status} for {}", request.uri());
}
