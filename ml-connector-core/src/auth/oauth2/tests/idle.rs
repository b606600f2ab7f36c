//! Connections that nobody uses for weeks.

use super::{
    vendor::{Reply, VendorRules},
    *,
};

const DAY: u64 = 24 * 3600;
const MONTH: Duration = Duration::from_secs(30 * DAY);

/// A vendor that forgets a refresh token after 30 days without use, as Exact Online does.
fn forgetful() -> Arc<Vendor> {
    Vendor::new(VendorRules { idle_life: Some(MONTH), ..VendorRules::default() })
}

fn idle(initial: &str) -> OAuth2Config {
    OAuth2Config { idle_life: Some(MONTH), ..exact(initial) }
}

/// Looks every hour, on two hosts at once, as two engines do that do not know of each other.
async fn look_after(hosts: &[OAuth2; 2], ctx: &Context, days: u64) {
    for _ in 0..days * 24 {
        drop(tokio::join!(hosts[0].keep_alive(ctx), hosts[1].keep_alive(ctx)));
        after(3600).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_nobody_uses_is_used_every_fifteen_days() {
    let (vendor, store) = (forgetful(), Arc::new(MemoryTokenStore::new()));
    let ctx = context(&vendor, &store);
    // Half of the time each with other processes: what is due is in the store.
    for days in [20, 40] {
        look_after(&[host(idle("r0")), host(idle("r0"))], &ctx, days).await;
    }
    // On days 0, 15, 30 and 45.
    assert_eq!((vendor.requests(), vendor.refused(), vendor.most_in_flight()), (4, 0, 1));
    assert_eq!(token(&host(idle("r0")), &ctx).await, "Bearer a5");
}

#[tokio::test(start_paused = true)]
async fn without_it_the_connection_is_dead_after_sixty_days() {
    let vendor = forgetful();
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    for config in [idle("r0"), exact("r0")] {
        token(&host(config), &ctx).await;
    }
    look_after(&[host(exact("r0")), host(exact("r0"))], &ctx, 60).await;
    assert_eq!(vendor.requests(), 1, "no idle life is declared: nothing is done");
    let error = host(idle("r0")).authorize(&ctx).await.unwrap_err();
    assert_eq!((error.kind(), vendor.refused()), (ErrorKind::Unauthenticated, 1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_days_at_the_wrong_time_costs_nothing() {
    let vendor = forgetful();
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let hosts = [host(idle("r0")), host(idle("r0"))];
    look_after(&hosts, &ctx, 14).await;
    vendor.then(vec![Reply::Answer(503, "<html>"); 240]);
    for _ in 0..60 * 24 {
        drop(hosts[0].keep_alive(&ctx).await);
        after(3600).await;
    }
    assert_eq!(vendor.refused(), 0);
    // One, 240 that failed, an hour apart, and one for each of the fifteen days that remain.
    assert_eq!(vendor.requests(), 1 + 240 + 4);
    token(&hosts[1], &ctx).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_left_alone() {
    let vendor = forgetful();
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    look_after(&[host(idle("dead")), host(idle("dead"))], &ctx, 60).await;
    assert_eq!(vendor.requests(), 1);
    let nobody = [host(idle("")), host(idle(""))];
    look_after(&nobody, &ctx, 1).await;
    assert_eq!(vendor.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_used_needs_nothing_more() {
    let vendor = forgetful();
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let host = host(idle("r0"));
    for _ in 0..60 {
        token(&host, &ctx).await;
        host.keep_alive(&ctx).await.unwrap();
        after(DAY).await;
    }
    assert_eq!(vendor.requests(), 60);
}
