//! Refresh tokens that are configured after a customer has consented anew.

use super::{vendor::Reply, *};

const ANEW: &str = r#"{"access_token":"b1","expires_in":600,"refresh_token":"n1"}"#;

#[tokio::test(start_paused = true)]
async fn one_that_is_new_replaces_a_chain_that_works_on_all_hosts() {
    let vendor = Vendor::scripted([Reply::ByRule, Reply::Answer(200, ANEW)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let old = host(config("r0"));
    assert_eq!(token(&old, &ctx).await, "Bearer a1");
    let new = host(config("n0"));
    assert_eq!(token(&new, &ctx).await, "Bearer b1");
    // The host that has not been given it yet does not bring the old one back, nor does a restart.
    for host in [&old, &new, &host(config("n0")), &host(config("r0")), &host(config(""))] {
        assert_eq!(token(host, &ctx).await, "Bearer b1");
    }
    assert_eq!(vendor.requests(), 2);
    vendor.then([Reply::Answer(200, ANEW)]);
    after(600).await;
    token(&old, &ctx).await;
    assert_eq!((vendor.uses("r0"), vendor.uses("r1"), vendor.uses("n0"), vendor.uses("n1")), (1, 0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_new_replaces_a_dead_chain_and_a_known_one_does_not() {
    let dead = Reply::Answer(400, r#"{"error":"invalid_grant"}"#);
    // The former token is tried again when the new one is refused.
    let vendor = Vendor::scripted([dead.clone(), dead.clone(), dead, Reply::Answer(200, ANEW)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    for initial in ["r0", "x0", "r0", "x0"] {
        host(config(initial)).authorize(&ctx).await.unwrap_err();
        after(600).await;
    }
    assert_eq!((vendor.requests(), vendor.uses("r0"), vendor.uses("x0")), (3, 2, 1));
    assert_eq!(token(&host(config("n0")), &ctx).await, "Bearer b1");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_leaves_the_chain_that_works() {
    let vendor = Vendor::scripted([]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    assert_eq!(token(&host(config("r0")), &ctx).await, "Bearer a1");
    for _ in 0..3 {
        assert_eq!(token(&host(config("mistyped")), &ctx).await, "Bearer a2");
    }
    assert_eq!((vendor.uses("mistyped"), vendor.uses("r1"), vendor.requests()), (1, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_restarts_with_the_same_one_change_nothing() {
    let vendor = Vendor::new(vendor::VendorRules::default());
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    for n in 1..=100 {
        for _ in 0..3 {
            assert_eq!(token(&host(exact("r0")), &ctx).await, format!("Bearer a{n}"));
        }
        after(595).await;
    }
    assert_eq!((vendor.requests(), vendor.refused(), vendor.uses("r0")), (100, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_connects_is_newer_than_what_is_configured() {
    let vendor = Vendor::scripted([Reply::ByRule, Reply::Answer(200, ANEW)]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let host = host(config("r0"));
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    host.connect(&ctx, Secret::from("consented")).await.unwrap();
    assert_eq!(token(&host, &ctx).await, "Bearer b1");
    assert_eq!((vendor.uses("consented"), vendor.requests()), (1, 2));
}
