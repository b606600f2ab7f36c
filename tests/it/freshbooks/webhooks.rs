//! FreshBooks' callbacks in a connector that runs: bad requests, callbacks that are disabled or not proven, and the end.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    AuditLog, Secret,
    audit::Query,
    route::Route,
    webhook::{Encoding, HmacSha256},
};
use ml_connector_sim::{FreshBooksSim, freshbooks::Invoice};
use ml_connector_slack::channel;

use super::slack::{ACCOUNTING, World};
use crate::world::{amount, secs};

const SIGNATURE: &str = "x-freshbooks-hmac-sha256";

fn routes() -> Vec<Route> {
    vec![Route::new("daily").on("invoice.*").to("slack", channel(ACCOUNTING))]
}

#[tokio::test(start_paused = true)]
async fn bad_requests_are_answered_as_they_deserve_and_good_ones_are_not_lost() {
    let mut world =
        World::new(vec![Route::new("daily").on("invoice.*").to("slack", channel(ACCOUNTING))]).await;
    let uri = "https://erp.example.com/books-3f2a/invoice";
    let key = Secret::from("a forger's key");
    let forged = |uri: &str, fields: &[(&str, &str)]| FreshBooksSim::forge(uri, fields, Some(&key)).unwrap();
    let update = [("name", "invoice.update"), ("object_id", "502317"), ("account_id", "Zq84Xk")];
    let json = Request::post(uri)
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    let form = |body: &'static str| {
        let request = Request::post(uri).header("content-type", "application/x-www-form-urlencoded");
        request.body(Bytes::from_static(body.as_bytes())).unwrap()
    };
    let huge = form("").map(|_| Bytes::from(vec![b'a'; 8 << 20]));
    // The genuine key, used as some clients do: over the body, in hexadecimal, twice.
    let own = world.verifiers["invoice"].clone();
    let genuine = |fields: &[(&str, &str)]| FreshBooksSim::forge(uri, fields, Some(&own)).unwrap();
    let signed = |signature: String| {
        let mut request = genuine(&update);
        request.headers_mut().insert(SIGNATURE, signature.parse().unwrap());
        request
    };
    let hmac = HmacSha256::new([&own]).unwrap();
    let body = genuine(&update).into_body();
    let raw = signed(hmac.sign(&[&body[..]], Encoding::Base64));
    let hex = signed(hmac.sign(&[&body[..]], Encoding::Hex));
    let mut twice = genuine(&update);
    let again = twice.headers()[SIGNATURE].clone();
    twice.headers_mut().append(SIGNATURE, again);
    let reordered = genuine(&update).map(|_| "object_id=502317&name=invoice.update&account_id=Zq84Xk".into());
    let not_utf8 = genuine(&update).map(|_| Bytes::from_static(b"name=invoice.update&object_id=%ff"));
    for (request, status) in [
        (forged(uri, &update), StatusCode::UNAUTHORIZED),
        (form("name=invoice.update&object_id=502317&account_id=Zq84Xk"), StatusCode::UNAUTHORIZED),
        (form("a=1&a=2"), StatusCode::UNAUTHORIZED),
        (form(""), StatusCode::UNAUTHORIZED),
        (json, StatusCode::UNAUTHORIZED),
        (huge, StatusCode::PAYLOAD_TOO_LARGE),
        (raw, StatusCode::UNAUTHORIZED),
        (hex, StatusCode::UNAUTHORIZED),
        (twice, StatusCode::UNAUTHORIZED),
        (reordered, StatusCode::UNAUTHORIZED),
        (not_utf8, StatusCode::UNAUTHORIZED),
        (forged("https://erp.example.com/books-3f2a/timesheet", &update), StatusCode::NOT_FOUND),
        (forged("https://erp.example.com/books/invoice", &update), StatusCode::NOT_FOUND),
    ] {
        let path = request.uri().path().to_owned();
        assert_eq!(world.receive(request).await, status, "{path}");
    }
    // What is proven and of no use is answered with a success: it would only come again.
    for fields in [
        [("name", "timesheet.create"), ("object_id", "1"), ("account_id", "Zq84Xk")],
        [("name", "invoice.update"), ("object_id", "none"), ("account_id", "Zq84Xk")],
        [("name", "invoice.update"), ("object_id", "502317"), ("account_id", "Other1")],
    ] {
        assert_eq!(world.receive(genuine(&fields)).await, StatusCode::OK, "{fields:?}");
    }
    // A handshake that nobody waits for is noted, without its verifier.
    let verify = [
        ("name", "callback.verify"),
        ("object_id", "2417"),
        ("account_id", "Zq84Xk"),
        ("verifier", "planted"),
    ];
    assert_eq!(world.receive(forged(uri, &verify)).await, StatusCode::OK);
    let client = world.client();
    world.sim.create(Invoice::new(client, amount(10_000)).sent()).unwrap();
    world.settle().await;
    assert_eq!(world.texts(ACCOUNTING).len(), 1);
    let mut everything = Query::default().with_limit(usize::MAX);
    everything.bodies = true;
    let entries = world.log.query(&everything).await.unwrap();
    for entry in &entries {
        let body = String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned();
        assert!(!body.contains("planted"), "{entry:?}");
    }
    world.running.stop().await;
}

/// A handshake that never arrives is seen in health with its remedy, and polling carries on.
#[tokio::test(start_paused = true)]
async fn without_a_handshake_health_says_what_to_do_and_polls_go_on() {
    let mut world =
        World::new(vec![Route::new("daily").on("invoice.*").to("slack", channel(ACCOUNTING))]).await;
    let ids: Vec<u64> = world.sim.callbacks().iter().map(|callback| callback.id).collect();
    for id in ids {
        world.sim.unverify_callback(id);
    }
    let client = world.client();
    world.sim.create(Invoice::new(client, amount(10_000)).sent()).unwrap();
    for _ in 0..120 {
        tokio::time::sleep(secs(30)).await;
        drop(world.sim.take_webhooks());
    }
    let health = world.connector.health().await;
    let text = serde_json::to_string(&health.unwrap()).unwrap();
    assert!(text.contains("handshake does not arrive") && text.contains("10 seconds"), "{text}");
    assert_eq!(world.texts(ACCOUNTING).len(), 1, "found by polling");
    world.sim.create(Invoice::new(client, amount(20_000)).sent()).unwrap();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(world.texts(ACCOUNTING).len(), 2);
    world.settle().await;
    world.running.stop().await;
}

/// 8: FreshBooks disables what fails for long. The gap is filled, not only the callback repaired.
#[tokio::test(start_paused = true)]
async fn what_happens_while_callbacks_are_disabled_is_told_once_and_they_come_back() {
    let mut world = World::new(routes()).await;
    let before = world.verifiers.clone();
    for callback in world.sim.callbacks() {
        world.sim.unverify_callback(callback.id);
    }
    let client = world.client();
    world.sim.create(Invoice::new(client, amount(10_000)).sent()).unwrap();
    assert!(world.sim.take_webhooks().is_empty(), "nobody is told");
    for _ in 0..20 {
        world.settle().await;
    }
    assert!(world.sim.callbacks().iter().all(|callback| callback.verified), "{:?}", world.sim.callbacks());
    assert_eq!(world.sim.callbacks().len(), 4, "none is made again");
    assert_eq!(world.texts(ACCOUNTING).len(), 1, "{:#?}", world.texts(ACCOUNTING));
    let changed = world.verifiers.iter().all(|(noun, now)| before[noun].expose() != now.expose());
    assert!(changed, "each handed a new key over, and none was lost");
    assert!(world.connector.health().await.unwrap().connections[&"books".into()].webhooks.is_none());
    world.sim.create(Invoice::new(client, amount(20_000)).sent()).unwrap();
    world.settle().await;
    assert_eq!(world.texts(ACCOUNTING).len(), 2, "by webhook again");
    world.running.stop().await;
}

/// FreshBooks counts a redirect as a failure, and waits ten seconds.
#[tokio::test(start_paused = true)]
async fn a_delivery_is_answered_within_ten_seconds_and_never_by_a_redirect() {
    let world = World::new(routes()).await;
    let own = world.verifiers["invoice"].clone();
    let update = [("name", "invoice.update"), ("object_id", "502317"), ("account_id", "Zq84Xk")];
    for path in ["/books-3f2a/invoice", "/books-3f2a/invoice/", "//books-3f2a//invoice", "/books-3f2a", "/"] {
        let uri = format!("http://erp.example.com{path}");
        let answer = world.receive(FreshBooksSim::forge(&uri, &update, Some(&own)).unwrap());
        let status =
            tokio::time::timeout(secs(10), answer).await.unwrap_or_else(|_| panic!("{path}: no answer"));
        assert!(!status.is_redirection(), "{path}: {status}");
        assert_eq!(status == StatusCode::OK, path.contains("invoice"), "{path}: {status}");
    }
    world.running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_forgotten_leaves_no_callback() {
    let world = World::new(routes()).await;
    assert_eq!(world.sim.callbacks().len(), 4);
    let forgotten = world.connector.forget(["books".into()]).await.unwrap();
    assert!(forgotten.left.is_empty(), "{forgotten:?}");
    assert!(world.sim.callbacks().is_empty(), "{:?}", world.sim.callbacks());
    world.running.stop().await;
}
