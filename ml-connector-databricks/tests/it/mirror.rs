//! Tables equal the source after any changes, in any order, through any fault.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use ml_connector_core::{Scope, model::Delivery};
use ml_connector_databricks::{Config, Databricks};
use ml_connector_sim::Fault;
use proptest::prelude::*;

use crate::{
    lake::{Lake, TABLE},
    support::{delivery, event, gone},
};

/// What happens to a batch.
#[derive(Debug, Clone, Copy)]
enum Weather {
    Fine,
    AnswerLost,
    RequestLost,
    Failing,
    Conflict,
    Restart,
    Twice,
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        3 => Just(Weather::Fine),
        1 => Just(Weather::AnswerLost),
        1 => Just(Weather::RequestLost),
        1 => Just(Weather::Failing),
        1 => Just(Weather::Conflict),
        1 => Just(Weather::Restart),
        1 => Just(Weather::Twice),
    ]
}

/// A change of one of five records, and how far it is moved in the order.
fn change() -> impl Strategy<Value = (u8, bool, u32, usize)> {
    (0..5_u8, prop::bool::weighted(0.15), 0..100_000_u32, 0..6_usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn tables_mirror_the_source_whatever_happens_on_the_way(
        changes in prop::collection::vec(change(), 1..60),
        sizes in prop::collection::vec((1..12_usize, weather()), 60),
        log in prop::bool::weighted(0.2),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(mirror(&changes, &sizes, log));
    }
}

/// Hits the next statement.
fn on(fault: Fault) -> Fault {
    fault.on("/sql/statements").method(Method::POST)
}

async fn mirror(changes: &[(u8, bool, u32, usize)], sizes: &[(usize, Weather)], log: bool) {
    let lake = Lake::new();
    lake.sim.sql("CREATE VOLUME landing").unwrap();
    let connect = || {
        let builder =
            lake.builder().volume("landing").with(|config: &mut Config| config.max_parameter_bytes = 1_500);
        if log { builder.change_log() } else { builder }.build().unwrap()
    };
    // The truth, and the events in an order that is not theirs.
    let mut truth: BTreeMap<String, (u64, Option<u32>, bool)> = BTreeMap::new();
    let mut order: Vec<(usize, Delivery)> = Vec::new();
    for (place, (id, deleted, cents, moved)) in changes.iter().enumerate() {
        let id = id.to_string();
        let of = truth.entry(id.clone()).or_default();
        of.0 += 1;
        of.2 = *deleted;
        let event = if *deleted {
            gone(&id, of.0)
        } else {
            of.1 = Some(*cents);
            event(&id, of.0, &format!(r#"{{"total":{}.{:02}}}"#, cents / 100, cents % 100))
        };
        order.push((place + moved, delivery(place as u64 + 1, event)));
    }
    order.sort_by_key(|(place, _)| *place);
    let mut waiting: Vec<Delivery> = order.into_iter().map(|(_, delivery)| delivery).collect();
    let mut sink: Databricks = connect();
    let mut sizes = sizes.iter().cycle();
    while !waiting.is_empty() {
        let (size, weather) = *sizes.next().unwrap();
        let batch: Vec<Delivery> = waiting.drain(..size.min(waiting.len())).collect();
        match weather {
            Weather::AnswerLost => lake.sim.plant(on(Fault::reset().having_acted())),
            Weather::RequestLost => lake.sim.plant(on(Fault::reset())),
            Weather::Failing => lake.sim.plant(on(Fault::status(StatusCode::BAD_GATEWAY))),
            Weather::Conflict => lake.sim.tune(|tuning| tuning.conflicts = 2),
            Weather::Restart => sink = connect(),
            Weather::Fine | Weather::Twice => {}
        }
        if matches!(weather, Weather::Twice) {
            lake.deliver(&sink, &batch).await;
        }
        let results = lake.deliver(&sink, &batch).await;
        for (delivery, result) in batch.into_iter().zip(results) {
            if let Err(error) = result {
                assert_ne!(error.scope(), &Scope::Lane, "{error:?}");
                waiting.insert(0, delivery);
            }
        }
    }
    let rows = lake.rows(&format!("SELECT _id, _n, total, _deleted FROM {TABLE} ORDER BY _id"));
    assert_eq!(rows.len(), truth.len());
    for (row, (id, (n, cents, deleted))) in rows.iter().zip(&truth) {
        assert_eq!(
            (&row[0], &row[1], &*row[3]),
            (id, &n.to_string(), if *deleted { "true" } else { "false" })
        );
        if !deleted {
            let cents = cents.unwrap();
            assert_eq!(row[2], format!("{}.{:02}00", cents / 100, cents % 100));
        }
    }
    if log {
        assert_eq!(lake.sim.rows_of(&format!("{TABLE}_changes")), Some(changes.len()));
    }
}
