//! Rights, limits, errors and overload.

use std::time::Duration;

use http::StatusCode;
use ml_connector_sim::{
    Conditions, ExactOnlineSim, Fault,
    exact::{Kind, NewDocument, Right},
};
use serde_json::Value;

use super::{BASE, amount, assert_recorded, at, world};

#[tokio::test]
async fn a_missing_right_is_an_empty_list_or_a_plain_refusal() {
    let world = world().await;
    let id =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    let list = format!("purchaseentry/PurchaseEntries?$select=EntryID&$filter=EntryID eq guid'{id}'&$top=1");
    let ask = "users/UserHasRights?endpoint='purchaseentry/PurchaseEntries'&action='GET'";
    for (right, status, has) in [
        (Right::MissingInRole, 200, false),
        (Right::ForbiddenByRole, 403, false),
        (Right::ForbiddenByModule, 403, true),
    ] {
        world.sim.refuse(Kind::PurchaseEntries, Some(right));
        let answer = world.get(&list).await;
        assert_eq!(answer.status, status, "{right:?}");
        assert_eq!(answer.header("reason"), None);
        if status == 200 {
            assert_eq!(answer.body, serde_json::json!({ "d": [] }));
        }
        assert_eq!(world.get(ask).await.body["d"]["UserHasRights"], has, "{right:?}");
    }
    world.sim.refuse(Kind::PurchaseEntries, None);
    world.sim.tune(|quirks| quirks.bare_rights = true);
    assert_eq!(world.get(ask).await.body, serde_json::json!({ "d": true }));
    assert_eq!(world.rows(&list).await.len(), 1);
}

#[tokio::test]
async fn rows_of_another_company_may_come() {
    let world = world().await;
    let other = world.sim.within(3_141_594);
    other.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("1")));
    world.sim.tune(|quirks| quirks.other_division = Some(3_141_594));
    let rows = world.rows("purchaseentry/PurchaseEntries?$select=EntryID,Division&$top=1").await;
    assert_eq!(rows[0]["Division"], 3_141_594);
    assert!(rows[0]["__metadata"]["uri"].as_str().unwrap().contains("/3141594/"));
}

#[tokio::test]
async fn windows_are_aligned_to_the_clock_and_told_as_recorded() {
    let world = world().await;
    let url = "system/Divisions?$select=Code";
    for call in 0..60 {
        assert_eq!(world.get(url).await.status, 200, "{call}");
    }
    assert_recorded(&world.get(url).await, "error_429_minutely");
    let refused = world.get(url).await;
    assert_eq!(refused.header("x-ratelimit-minutely-reset"), Some("1773306960000"));
    assert_eq!(refused.header("x-ratelimit-remaining"), None);
    world.clock.set(at("2026-03-12T09:16:00Z"));
    let answer = world.get(url).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-minutely-remaining")), (200, Some("59")));
    assert_eq!(answer.header("x-ratelimit-reset"), Some("1773360000000"));
    world.sim.set_limits(60, 61);
    assert_eq!(world.get(&format!("{BASE}/api/v1/3141594/{url}")).await.status, 200, "its own limits");
    let daily = world.get(url).await;
    assert_eq!((daily.status.as_u16(), daily.header("x-ratelimit-minutely-limit")), (429, None));
    assert_eq!((daily.header("x-ratelimit-remaining"), &daily.body), (Some("0"), &Value::Null));
    assert_eq!(world.sim.limit_violations(), 3);
}

#[tokio::test]
async fn the_11th_error_of_an_endpoint_blocks_it_for_an_hour() {
    let mut world = world().await;
    let bad = "purchaseentry/PurchaseEntries?$select=Nonsense";
    for _ in 0..11 {
        assert_eq!(world.get(bad).await.status, 400);
    }
    let good = "purchaseentry/PurchaseEntries?$select=EntryID";
    let blocked = world.get(good).await;
    assert_eq!((blocked.status.as_u16(), blocked.header("x-ratelimit-limit")), (429, None));
    assert_eq!(world.get("system/Divisions").await.status, 200, "another endpoint");
    world.clock.advance(Duration::from_secs(3600));
    let refresh = world.sim.grant();
    world.bearer = world.token(&refresh).await.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get(good).await.status, 200);
    assert_eq!(world.sim.tallies().blocked_calls, 1);
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_double_one_row_and_lose_another() {
    let world = world().await;
    for _ in 0..3 {
        world.invoice("10");
    }
    let mut slow = Conditions::kind();
    slow.latency = Duration::from_millis(50);
    world.sim.set_conditions(slow);
    let url = "salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20";
    let (one, two) = tokio::join!(world.rows(url), world.rows(url));
    let distinct = |rows: &[Value]| {
        rows.iter().map(|row| row["InvoiceID"].to_string()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((one.len(), two.len()), (3, 3));
    assert_eq!(distinct(&one).min(distinct(&two)), 2);
    assert_eq!(distinct(&world.rows(url).await), 3);
    assert!(world.sim.tallies().parallel_calls >= 1);
}

#[tokio::test]
async fn overload_is_408_and_599() {
    let world = world().await;
    let url = "cashflow/Receivables?$select=ID";
    world.sim.plant(ExactOnlineSim::timed_out("/cashflow/Receivables"));
    world.sim.plant(ExactOnlineSim::network_timed_out("/cashflow/Receivables"));
    assert_eq!(world.get(url).await.status.as_u16(), 408);
    assert_eq!(world.get(url).await.status.as_u16(), 599);
    assert_eq!(world.get(url).await.status.as_u16(), 200);
    world.sim.plant(Fault::html(StatusCode::SERVICE_UNAVAILABLE).times(1));
    assert_eq!(world.get(url).await.status.as_u16(), 503);
}
