//! The night in which clocks are set back: people work through the hour that is there twice, and no webhook arrives.

use std::time::Duration;

use ml_connector_core::{
    Timestamp,
    model::{Change, Event},
};
use ml_connector_sim::exact::Kind;

use super::office::World;

/// Clocks show 02:00 in summer time half an hour later, and for the second time another hour later.
const BEGINS: &str = "2026-10-24T23:30:00Z";
const STEP: Duration = Duration::from_secs(600);
/// Until 03:30 in winter time.
const STEPS: usize = 18;
/// An hour later by the clock and by the calendar, the order of then is approved: it was created when clocks showed the same.
const AN_HOUR: usize = 6;
/// Polls come every ten minutes, and take a while.
const TOLD_WITHIN: Duration = Duration::from_secs(25 * 60);

/// What somebody did, and when it really was.
#[derive(Debug)]
struct Done {
    connection: &'static str,
    change: Change,
    id: String,
    at: Timestamp,
}

/// What was done in the night.
#[derive(Debug, Default)]
pub(super) struct Night(Vec<Done>);

impl Night {
    /// Lets people work in both companies that are watched, and goes on until then.
    pub(super) async fn pass(world: &mut World, until: Timestamp) -> Self {
        let begins = Timestamp::parse(BEGINS).unwrap();
        world.settle(begins.saturating_since(world.now())).await;
        assert_eq!(world.now(), begins);
        let (mut done, mut orders) = (Vec::new(), Vec::new());
        for step in 0..STEPS {
            let mut note = |world: &World, company: usize, at: usize, change| {
                let (connection, id) = world.vendor.companies[company].about(at);
                done.push(Done { connection, change, id, at: world.now() });
            };
            for company in 0..2 {
                let order = world.enter(company, Kind::PurchaseOrders);
                note(world, company, order, Change::Submitted);
                let bill = world.enter(company, Kind::PurchaseEntries);
                note(world, company, bill, Change::Created);
                orders.push((step, company, order));
            }
            // Stamps of two changes never have the same milliseconds.
            tokio::time::sleep(Duration::from_secs(7)).await;
            for (_, company, order) in orders.iter().copied().filter(|(then, ..)| then + AN_HOUR == step) {
                world.vendor.companies[company].process(order);
                note(world, company, order, Change::Approved);
            }
            world.lose_the_post();
            tokio::time::sleep(STEP - Duration::from_secs(7)).await;
        }
        world.settle(until.saturating_since(world.now())).await;
        Self(done)
    }

    /// Each was told once, soon, and with the time at which it was.
    pub(super) fn is_told(&self, events: &[Event]) {
        assert_eq!(self.0.len(), 2 * (2 * STEPS + STEPS - AN_HOUR));
        for Done { connection, change, id, at } in &self.0 {
            let is_it = |event: &&Event| {
                event.connection.as_str() == *connection
                    && &*event.entity.id == id.as_str()
                    && event.changes.contains(change)
            };
            let told: Vec<&Event> = events.iter().filter(is_it).collect();
            let [event] = told[..] else { panic!("{connection} {change:?} {id} at {at}: {told:#?}") };
            assert!(
                event.at >= *at && event.at < *at + TOLD_WITHIN,
                "{change:?} at {at}, told at {}",
                event.at
            );
            let record = event.content.as_ref().unwrap().record().unwrap();
            assert_eq!(record.modified_at, Some(*at), "{change:?} {id}");
            if *change != Change::Approved {
                assert_eq!(record.created_at, Some(*at), "{change:?} {id}");
            }
        }
    }
}
