//! One refresh, whoever asks, and at the right time.

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

#[tokio::test(start_paused = true)]
async fn two_hosts_refresh_once_per_period_for_a_day_under_exacts_rules() {
    let floor = Duration::from_secs(570);
    let vendor = Vendor::new(VendorRules { floor, ..VendorRules::default() });
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let hosts = [host(exact("r0")), host(exact("r0"))];
    // 100 callers on each host ask every 3 s: 5.8 million calls would only be slower, not different.
    let day = 24 * 3600;
    for round in 0..day / 3 {
        let everybody = round % 190 == 0 || round < 3;
        let callers = hosts.iter().flat_map(|host| {
            (0..if everybody { 100 } else { 1 }).map(|_| {
                let (ctx, host) = (ctx.clone(), host.clone());
                tokio::spawn(async move { host.authorize(&ctx).await.unwrap() })
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        after(3).await;
    }
    assert_eq!(vendor.refused(), 0);
    assert_eq!(vendor.most_in_flight(), 1);
    let periods = vendor.requests();
    assert!((day / 600..=day / 570 + 1).contains(&u64::try_from(periods).unwrap()), "{periods}");
    assert_eq!((0..periods).map(|n| vendor.uses(&format!("r{n}"))).max(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_refresh_that_is_merely_early() {
    let vendor = Vendor::new(VendorRules { life: 3600, ..VendorRules::default() });
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    after(3299).await;
    assert_eq!((token(&host, &ctx).await, vendor.requests()), ("Bearer a1".into(), 1));
    after(1).await;
    vendor.then([vendor::Reply::Slow(Duration::from_secs(20))]);
    let asked = ctx.now();
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    assert_eq!(ctx.now(), asked);
    after(21).await;
    assert_eq!((token(&host, &ctx).await, vendor.requests()), ("Bearer a2".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_by_age_too() {
    let vendor = Vendor::new(VendorRules { life: 43_200, ..VendorRules::default() });
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let host = host(OAuth2Config { refresh_after: Some(Duration::from_secs(3300)), ..config("r0") });
    assert_eq!(token(&host, &ctx).await, "Bearer a1");
    after(3300).await;
    token(&host, &ctx).await;
    after(1).await;
    assert_eq!(token(&host, &ctx).await, "Bearer a2");
}

#[tokio::test(start_paused = true)]
async fn two_refreshes_across_a_restart_use_the_rotated_token() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    assert_eq!(token(&host(exact("r0")), &ctx).await, "Bearer a1");
    assert_eq!(token(&host(exact("r0")), &ctx).await, "Bearer a1");
    after(595).await;
    assert_eq!(token(&host(exact("r0")), &ctx).await, "Bearer a2");
    after(595).await;
    assert_eq!(token(&host(exact("r0")), &ctx).await, "Bearer a3");
    assert_eq!((vendor.uses("r0"), vendor.uses("r1"), vendor.uses("r2")), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let vendor = Vendor::new(VendorRules { rotates: false, ..VendorRules::default() });
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    for n in 1..=3 {
        assert_eq!(token(&host, &ctx).await, format!("Bearer a{n}"));
        after(600).await;
    }
    assert_eq!(vendor.uses("r0"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_dropped_once() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let hosts = [host(config("r0")), host(config("r0"))];
    let refused = hosts[0].authorize(&ctx).await.unwrap();
    hosts[0].rejected(&ctx, &refused).await.unwrap();
    assert_eq!(token(&hosts[0], &ctx).await, "Bearer a2");
    for host in &hosts {
        host.rejected(&ctx, &refused).await.unwrap();
        assert_eq!(token(host, &ctx).await, "Bearer a2");
    }
    assert_eq!(vendor.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_cannot_be_replaced_yet_is_kept() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(exact("r0")));
    let refused = host.authorize(&ctx).await.unwrap();
    let error = host.rejected(&ctx, &refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let floor = EPOCH + Duration::from_millis(200) + Duration::from_secs(570);
    assert_eq!(error.retry(), crate::Retry::At(floor));
    assert_eq!((token(&host, &ctx).await, vendor.requests()), ("Bearer a1".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn credentials_of_the_app_need_no_refresh_token() {
    let vendor = Vendor::scripted([
        vendor::Reply::Answer(200, r#"{"access_token":"m1","token_type":"Bearer","expires_in":3600}"#),
        vendor::Reply::Answer(200, r#"{"access_token":"m2","token_type":"Bearer","expires_in":3600}"#),
    ]);
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let grant = Grant::ClientCredentials { scopes: vec!["all-apis".into()] };
    let host = host(OAuth2Config { grant, client_auth: ClientAuth::Basic, ..config("") });
    assert_eq!(token(&host, &ctx).await, "Bearer m1");
    after(3595).await;
    assert_eq!(token(&host, &ctx).await, "Bearer m2");
    assert_eq!(vendor.body(0), "grant_type=client_credentials&scope=all-apis");
    // client-1:planted-client-secret
    let basic = "Basic Y2xpZW50LTE6cGxhbnRlZC1jbGllbnQtc2VjcmV0";
    assert_eq!(vendor.header(0, "authorization").as_deref(), Some(basic));
}

/// Signs with its name.
#[derive(Debug)]
struct Signer(&'static str);

#[async_trait]
impl crate::auth::ClientAssertion for Signer {
    fn key_id(&self) -> &str {
        self.0
    }

    async fn sign(&self, client_id: &str, audience: &url::Url, now: Timestamp) -> Result<Secret> {
        if self.0 == "broken" {
            return Err(Error::new(ErrorKind::Unavailable, "the vault is locked"));
        }
        Ok(Secret::from(format!("{}.{client_id}.{audience}.{}", self.0, now.as_secs() - EPOCH.as_secs())))
    }
}

#[tokio::test(start_paused = true)]
async fn an_assertion_stands_for_the_secret_and_each_request_has_its_own() {
    let vendor = Vendor::scripted([
        vendor::Reply::Answer(401, r#"{"error":"invalid_client"}"#),
        vendor::Reply::Answer(200, r#"{"access_token":"m1","token_type":"Bearer","expires_in":3599}"#),
    ]);
    let ctx = context(&vendor, &Arc::new(MemoryTokenStore::new()));
    let with = |signer| {
        let grant = Grant::ClientCredentials { scopes: vec!["https://api.example.com/.default".into()] };
        let client_auth = ClientAuth::Assertion(Arc::new(Signer(signer)));
        host(OAuth2Config { grant, client_auth, client_secret: Secret::from(""), ..config("") })
    };
    assert_eq!(with("broken").authorize(&ctx).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(vendor.requests(), 0, "nothing is sent without a signature");
    after(30).await;
    assert_eq!(with("old").authorize(&ctx).await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    // Another key is another configuration: it is tried at once.
    assert_eq!(token(&with("new"), &ctx).await, "Bearer m1");
    for (n, signed) in [(0, "old"), (1, "new")] {
        let body = vendor.body(n);
        let form: std::collections::BTreeMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).collect();
        let expected = [
            ("client_assertion", format!("{signed}.client-1.https://accounts.example.com/oauth/token.30")),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()),
            ("client_id", "client-1".into()),
            ("grant_type", "client_credentials".into()),
            ("scope", "https://api.example.com/.default".into()),
        ];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(form.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_sends_what_rfc_6749_and_the_vendor_want() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let form = vec![("redirect_uri", "https://host.example.com/callback".into())];
    token(&host(OAuth2Config { form, ..config("r0") }), &ctx).await;
    let mut fields: Vec<_> = vendor.body(0).split('&').map(str::to_owned).collect();
    fields.sort();
    let expected = [
        "client_id=client-1",
        "client_secret=planted-client-secret",
        "grant_type=refresh_token",
        "redirect_uri=https%3A%2F%2Fhost.example.com%2Fcallback",
        "refresh_token=r0",
    ];
    assert_eq!(fields, expected);
    let content_type = vendor.header(0, "content-type");
    assert_eq!(content_type.as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(vendor.header(0, "authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_an_end_is_used_until_it_is_refused() {
    let vendor = Vendor::scripted([vendor::Reply::Answer(200, r#"{"access_token":"x","ok":true}"#)]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    token(&host, &ctx).await;
    after(365 * 24 * 3600).await;
    assert_eq!((token(&host, &ctx).await, vendor.requests()), ("Bearer x".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_deadline_gives_up_and_the_refresh_goes_on() {
    let vendor = Vendor::scripted([vendor::Reply::Slow(Duration::from_secs(10))]);
    let store = Arc::new(MemoryTokenStore::new());
    let (ctx, host) = (context(&vendor, &store), host(config("r0")));
    let error = host.authorize(&ctx.within(Duration::from_secs(2))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    after(9).await;
    assert_eq!((token(&host, &ctx).await, vendor.requests()), ("Bearer a1".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_due_from_the_first_moment_is_used_all_the_same() {
    let vendor = Vendor::new(VendorRules::default());
    let store = Arc::new(MemoryTokenStore::new());
    let ctx = context(&vendor, &store);
    let host = host(OAuth2Config { refresh_after: Some(Duration::ZERO), ..config("r0") });
    for _ in 0..60 {
        host.authorize(&ctx).await.unwrap();
        after(1).await;
    }
    assert_eq!(vendor.requests(), 5);
}
