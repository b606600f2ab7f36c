//! The way between FreshBooks and the connector, on which everything goes wrong.

use http::StatusCode;
use ml_connector_core::{Connector, Secret};
use ml_connector_sim::{FreshBooksSim, freshbooks::WebhookDelivery};

use crate::proof::Dice;

/// What became of deliveries.
#[derive(Debug, Default)]
pub(super) struct Post {
    late: Vec<WebhookDelivery>,
    /// Whether nothing goes wrong any more.
    pub(super) is_reliable: bool,
    /// Every verifier that was ever handed over.
    pub(super) verifiers: Vec<String>,
    pub(super) lost: usize,
    pub(super) repeated: usize,
    pub(super) forged: usize,
}

impl Post {
    /// Delivers what waits: some are lost, some repeated, some late, some forged.
    pub(super) async fn run(&mut self, sim: &FreshBooksSim, connector: &Connector, dice: &mut Dice) {
        for delivery in sim.take_webhooks() {
            if delivery.about.name == "callback.verify" {
                let fields = url::form_urlencoded::parse(delivery.request.body());
                self.verifiers.extend(
                    fields.filter(|(name, _)| name == "verifier").map(|(_, value)| value.into_owned()),
                );
            }
            match dice.below(8) {
                _ if self.is_reliable => self.send(connector, &delivery).await,
                0 | 1 => self.lost += 1,
                2 => self.late.push(delivery),
                3 | 4 => {
                    self.repeated += 1;
                    self.send(connector, &delivery).await;
                    self.send(connector, &delivery).await;
                }
                _ => self.send(connector, &delivery).await,
            }
        }
        if dice.below(3) == 0 {
            self.forge(sim, connector, dice).await;
        }
        if dice.below(4) == 0 && !self.late.is_empty() {
            let some = usize::try_from(dice.below(self.late.len() as u64)).unwrap();
            let delivery = self.late.swap_remove(some);
            self.send(connector, &delivery).await;
        }
    }

    /// What is late arrives.
    pub(super) async fn flush(&mut self, connector: &Connector) {
        for delivery in std::mem::take(&mut self.late) {
            self.send(connector, &delivery).await;
        }
    }

    async fn send(&self, connector: &Connector, delivery: &WebhookDelivery) {
        let status = connector.receive(delivery.request.clone()).await.status();
        // What was signed with a key that is long replaced, or before any was handed over, is nobody's.
        assert!(
            matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED),
            "{status} for {}",
            delivery.about.name
        );
    }

    /// A change with another key, or a handshake that nobody has sent.
    async fn forge(&mut self, sim: &FreshBooksSim, connector: &Connector, dice: &mut Dice) {
        let callbacks = sim.callbacks();
        let Some(callback) = callbacks.get(usize::try_from(dice.below(8)).unwrap()) else { return };
        self.forged += 1;
        let (id, account) = (callback.id.to_string(), callback.account_id.clone());
        let key = Secret::from("a forger's key");
        if dice.below(2) == 0 {
            let fields = [("name", "invoice.delete"), ("object_id", "502001"), ("account_id", &*account)];
            let request = FreshBooksSim::forge(&callback.uri, &fields, Some(&key)).unwrap();
            assert_eq!(connector.receive(request).await.status(), StatusCode::UNAUTHORIZED);
        } else {
            let fields = [
                ("name", "callback.verify"),
                ("object_id", &*id),
                ("account_id", &*account),
                ("verifier", "forged"),
            ];
            let request = FreshBooksSim::forge(&callback.uri, &fields, Some(&key)).unwrap();
            assert_eq!(connector.receive(request).await.status(), StatusCode::OK);
        }
    }
}
