//! What a builder accepts.

use ml_connector_core::{ErrorKind, Source, SourceMode, model::RecordKind};
use ml_connector_freshbooks::{Builder, Config, FreshBooks};

fn complete() -> serde_json::Value {
    serde_json::json!({
        "connection": "books", "account_id": "Zq84Xk", "client_id": "id", "client_secret": "planted-client-secret",
        "redirect_uri": "https://erp.example.com/connected", "refresh_token": "planted-refresh-token",
        "time_zone": "America/Toronto",
    })
}

fn build(config: serde_json::Value) -> ml_connector_core::Result<FreshBooks> {
    Builder::from(serde_json::from_value::<Config>(config).unwrap()).build()
}

#[test]
fn build_names_the_setting_that_is_missing_or_wrong() {
    build(complete()).unwrap();
    for (setting, value) in [
        ("account_id", serde_json::json!("")),
        ("account_id", serde_json::json!("Zq84/Xk")),
        ("business_id", serde_json::json!("Zq84Xk")),
        ("connection", serde_json::json!("My Books")),
        ("client_id", serde_json::json!("")),
        ("client_secret", serde_json::json!("")),
        ("redirect_uri", serde_json::json!("")),
        ("redirect_uri", serde_json::json!("http://erp.example.com")),
        ("time_zone", serde_json::json!("PST8")),
        ("api_url", serde_json::json!("http://api.freshbooks.com")),
        ("web_url", serde_json::json!("my.freshbooks.com")),
        ("login", serde_json::json!("")),
        ("endpoint", serde_json::json!("a/b")),
        ("calls_per_second", serde_json::json!(0)),
        ("concurrent_calls", serde_json::json!(0)),
        ("poll_minutes", serde_json::json!(0)),
        ("resources", serde_json::json!([])),
        ("resources", serde_json::json!(["invoice", "invoice"])),
        ("resources", serde_json::json!(["credit"])),
        ("resources", serde_json::json!(["journal_entry"])),
    ] {
        let mut config = complete();
        config[setting] = value;
        let error = build(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{setting}");
        let unnamed = ["connection", "client_secret", "time_zone", "endpoint"];
        assert!(error.to_string().contains(setting) || unnamed.contains(&setting), "{setting}: {error}");
    }
    let mut config = complete();
    config["resources"] = serde_json::json!(["account"]);
    assert!(build(config).unwrap_err().to_string().contains("business_uuid"));
    assert!(serde_json::from_str::<Config>(r#"{"connection":"books","account":"1"}"#).is_err());
}

#[test]
fn the_engine_learns_account_affinity_feeds_and_an_endpoint_that_nobody_can_guess() {
    let source = build(complete()).unwrap();
    let info = source.info();
    assert_eq!(info.accounts[0].as_str(), "account:Zq84Xk");
    assert_eq!((info.affinity.as_str(), info.mode), ("freshbooks/id/books", SourceMode::Both));
    let feeds: Vec<_> = info.feeds.iter().map(|feed| (feed.name, feed.every.as_secs() / 60)).collect();
    let expected =
        [("invoices", 15), ("payments", 15), ("bills", 60), ("bill_payments", 60), ("expenses", 15)];
    assert_eq!((feeds, info.sweeps.len()), (expected.to_vec(), 5));
    assert!(info.kinds.contains(&"credit") && info.statuses.contains(&"internal"));
    let endpoint = info.endpoint.as_str();
    assert!(endpoint.starts_with("books-") && endpoint.len() == "books-".len() + 32, "{endpoint}");
    assert_eq!(build(complete()).unwrap().info().endpoint, info.endpoint, "on every host the same");
    let mut other = complete();
    other["client_secret"] = "another".into();
    assert_ne!(build(other).unwrap().info().endpoint, info.endpoint);
}

#[test]
fn the_resources_that_are_wanted_are_the_feeds() {
    let mut config = complete();
    config["resources"] = serde_json::json!(["contact", "bill_vendor", "item", "category", "account"]);
    config["business_uuid"] = "5d0f3c1e-8a47-4b1e-9c7d-2f6e4b90a113".into();
    let names: Vec<_> = build(config).unwrap().info().feeds.iter().map(|feed| feed.name).collect();
    assert_eq!(names, ["clients", "bill_vendors", "items", "categories", "ledger_accounts"]);
    let own = Config::new("books").resources;
    assert_eq!(own.last(), Some(&RecordKind::Expense));
}

#[test]
fn no_secret_is_shown() {
    let config: Config = serde_json::from_value(complete()).unwrap();
    let source = build(complete()).unwrap();
    let shown = format!("{config:?} {:?} {source:?}", Builder::from(config.clone()));
    assert!(!shown.contains("planted"), "{shown}");
}
