//! The way between FreshBooks and the connector, on which everything goes wrong.

use http::StatusCode;
use ml_connector_core::{Connector, Secret};
use ml_connector_sim::FreshBooksSim;

use crate::{mirror, proof::Dice};

/// What became of deliveries.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) way: mirror::Post,
    /// Every verifier that was ever handed over.
    pub(super) verifiers: Vec<String>,
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
            self.way.hand_over(connector, dice, delivery.request).await;
        }
        if dice.below(3) == 0 {
            self.forge(sim, connector, dice).await;
        }
        self.way.hand_over_late(connector, dice).await;
    }

    /// What is late arrives.
    pub(super) async fn flush(&mut self, connector: &Connector) {
        self.way.flush(connector).await;
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
