//! What settings lead to.

use std::time::Duration;

use ml_connector_core::{ErrorKind, Source, SourceMode, model::RecordKind};
use ml_connector_exact::{Builder, Config, ExactOnline, Invoices, Region};

fn builder() -> Builder {
    ExactOnline::builder("books")
        .division(3_141_593)
        .client("59b57242-c074-5d5b-8e88-30b3b2babc08", "planted-secret")
        .webhook_secret("planted-webhook-secret")
        .refresh_token("planted-token")
}

#[test]
fn a_setting_that_is_missing_or_wrong_is_named() {
    for (builder, setting) in [
        (builder().division(0), "division"),
        (builder().client("", "s"), "client_id"),
        (builder().client("my app/1", "s"), "client_id"),
        (builder().client("app-ä", "s"), "client_id"),
        (builder().client("a", ""), "client_secret"),
        (builder().resources([]), "resources"),
        (builder().currency("euro"), "currency"),
        (builder().base_url("http://start.exactonline.nl"), "base_url"),
        (builder().redirect_uri("ftp://erp.example.com"), "redirect_uri"),
        (builder().pace(0, 5_000), "calls_per_minute"),
        (builder().poll_minutes(0), "poll_minutes"),
        (builder().login(""), "login"),
        (builder().contract(""), "contract"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(
            (error.kind(), error.context("setting")),
            (ErrorKind::ConfigInvalid, Some(setting)),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("planted"));
    }
    let twice = builder().resources([RecordKind::Bill, RecordKind::Bill]).build().unwrap_err();
    assert_eq!(twice.context("kind"), Some("bill"));
    let unknown = builder().resources([RecordKind::Expense]).build().unwrap_err();
    assert_eq!(unknown.context("kind"), Some("expense"));
    assert!(builder().time_zone("Europe/Nijmegen").build().is_err());
}

#[test]
fn where_the_connection_was_before_has_tokens_of_its_own() {
    let former = |change: fn(&mut Config)| {
        let mut former = Config::new("books");
        (former.region, former.division) = (Region::Be, 441_609);
        (former.client_id, former.client_secret) = ("app-of-belgium".into(), "planted-secret".into());
        change(&mut former);
        builder().formerly(former)
    };
    // Another app has another chain.
    former(|_| {}).build().unwrap();
    for (builder, setting) in [
        (former(|former| former.client_id = "59b57242-c074-5d5b-8e88-30b3b2babc08".into()), "login"),
        (former(|former| former.division = 0), "division"),
        (
            former(|former| (former.login, former.client_id) = (Some("sanne-be".into()), String::new())),
            "client_id",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!((error.context("setting"), error.context("within")), (Some(setting), Some("formerly")));
    }
    // The same app, and another company: one chain.
    let mut same = Config::new("books");
    (same.division, same.client_secret) = (7, "planted-secret".into());
    same.client_id = "59b57242-c074-5d5b-8e88-30b3b2babc08".into();
    builder().formerly(same).build().unwrap();
}

#[test]
fn a_webhook_secret_is_needed_unless_the_connection_only_polls() {
    let config = || {
        let mut config = Config::new("books");
        (config.division, config.client_id) = (3_141_593, "app".to_owned());
        config.client_secret = "secret".into();
        Builder::from(config)
    };
    assert_eq!(config().build().unwrap_err().context("setting"), Some("webhook_secrets"));
    config().mode(SourceMode::Poll).build().unwrap();
}

#[test]
fn companies_of_one_login_share_an_owner_and_companies_of_one_app_an_endpoint() {
    let [one, other] =
        [3_141_593, 3_141_594].map(|division| builder().division(division).login("sanne").build().unwrap());
    assert_eq!(one.info().affinity, other.info().affinity);
    assert_eq!(one.info().endpoint, other.info().endpoint);
    assert_ne!(one.info().accounts, other.info().accounts);
    let key = |books: &ExactOnline| books.info().tokens.as_ref().unwrap().key().clone();
    assert_eq!(key(&one), key(&other));
    // A consent in the name of the login ends where they look for it.
    let (app, back) = ("59b57242-c074-5d5b-8e88-30b3b2babc08", "https://erp.example.com/connected");
    let consent =
        ExactOnline::authorizer_config(Region::Nl, app, "planted".into(), back.parse().unwrap()).unwrap();
    assert_eq!((consent.token_key)(app, &"sanne".into()), key(&one));
    // Two apps of one login have two chains.
    let another_app = builder().login("sanne").client("another-app", "planted").build().unwrap();
    assert_ne!(key(&another_app), key(&one));
    let belgian = builder().region(Region::Be).build().unwrap();
    assert_eq!(belgian.info().accounts[0].as_str(), "division:start.exactonline.be/3141593");
    assert!(!format!("{one:?}").contains("planted"), "{one:?}");
}

#[test]
fn feeds_follow_from_what_is_read() {
    let names = |builder: Builder| {
        let source = builder.build().unwrap();
        let name = |feeds: &[ml_connector_core::FeedInfo]| {
            feeds.iter().map(|feed| feed.name).collect::<Vec<_>>().join(" ")
        };
        (name(&source.info().feeds), name(&source.info().sweeps))
    };
    assert_eq!(
        names(builder()),
        (
            "sales_invoices purchase_orders transaction_lines payment_terms deleted".into(),
            "all_sales_invoices purchase_entries all_purchase_orders general_journal_entries bank_entries cash_entries".into()
        )
    );
    let entries = builder().invoices(Invoices::Entries).resources([RecordKind::Invoice]);
    assert_eq!(names(entries), ("transaction_lines".into(), "sales_entries".into()));
    let reference = builder().resources([RecordKind::Contact, RecordKind::CostCenter, RecordKind::CostUnit]);
    assert_eq!(
        names(reference),
        ("deleted accounts cost_centers cost_units".into(), "accounts cost_centers cost_units".into())
    );
    // Only terms know what is open of an invoice, so nothing is told as overdue.
    let all = builder().build().unwrap();
    assert!(all.info().overdue_after.is_empty());
    let daily = builder().resources([RecordKind::Account]).build().unwrap();
    assert_eq!(daily.info().feeds[1].every, Duration::from_secs(86_400));
}

/// What a feed has shown at the beginning is what its look through the list is compared with.
#[test]
fn a_feed_that_begins_with_what_is_open_is_not_taken_for_a_look_through_the_whole_list() {
    let all = [
        RecordKind::Invoice,
        RecordKind::Bill,
        RecordKind::PurchaseOrder,
        RecordKind::CostTransaction,
        RecordKind::Contact,
        RecordKind::Account,
        RecordKind::CostCenter,
        RecordKind::CostUnit,
    ];
    let source = builder().resources(all).build().unwrap();
    let info = source.info();
    let both = info.sweeps.iter().filter(|sweep| info.feeds.iter().any(|feed| feed.name == sweep.name));
    let both: Vec<&str> = both.map(|sweep| sweep.name).collect();
    assert_eq!(
        both,
        ["accounts", "gl_accounts", "cost_centers", "cost_units"],
        "these begin with everything"
    );
}

#[test]
fn a_host_s_file_is_read_and_a_slip_in_it_is_noticed() {
    let read = |json: &str| serde_json::from_str::<Config>(json);
    let config = read(
        r#"{"connection":"books","region":"uk","division":7,"currency":"GBP","client_id":"a","client_secret":"planted",
            "webhook_secrets":["planted"],"invoices":"entries"}"#,
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("planted"));
    assert_eq!(
        (config.region, config.invoices, config.calls_per_minute),
        (Region::Uk, Invoices::Entries, 50)
    );
    Builder::from(config).build().unwrap();
    assert!(read(r#"{"connection":"books","devision":7}"#).is_err());
}
