//! One refresh, whoever asks.

use super::{vendor::VendorRules, *};

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_cause_one_refresh() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    let callers = (0..100).map(|_| {
        let (ctx, host) = (ctx.clone(), host.clone());
        tokio::spawn(async move { token(&host, &ctx).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap(), "Bearer a1");
    }
    assert_eq!(vendor.requests(), 1);
}
