//! What a builder accepts.

use ml_connector_core::{ErrorKind, Source, SourceMode};
use ml_connector_zoho::{Builder, Config, DataCenter, Plan, ZohoBooks};

use crate::support::{SECRET, builder};

#[test]
fn build_names_the_setting_that_is_missing_or_wrong() {
    let complete = || {
        serde_json::json!({
            "connection": "books", "organization_id": "778812345", "data_center": "eu", "client_id": "id",
            "client_secret": "secret", "refresh_token": "token", "webhook_secrets": [SECRET],
            "time_zone": "Europe/Berlin",
        })
    };
    let build = |config| Builder::from(serde_json::from_value::<Config>(config).unwrap()).build();
    build(complete()).unwrap();
    for (setting, value) in [
        ("organization_id", serde_json::json!("")),
        ("organization_id", serde_json::json!("77881 2345")),
        ("connection", serde_json::json!("My Books")),
        ("data_center", serde_json::Value::Null),
        ("client_id", serde_json::json!("")),
        ("client_secret", serde_json::json!("")),
        ("webhook_secrets", serde_json::json!([])),
        ("webhook_secrets", serde_json::json!([SECRET, "tooShort"])),
        ("webhook_secrets", serde_json::json!(["with-characters-zoho-refuses"])),
        ("time_zone", serde_json::json!("PST8")),
        ("api_url", serde_json::json!("http://www.zohoapis.eu")),
        ("accounts_url", serde_json::json!("http://10.0.0.1")),
        ("accounts_url", serde_json::json!("accounts.zoho.eu")),
        ("web_url", serde_json::json!("http://books.zoho.eu")),
        ("endpoint", serde_json::json!("a/b")),
        ("resources", serde_json::json!([])),
        ("resources", serde_json::json!(["invoice", "invoice"])),
        ("resources", serde_json::json!(["journal_entry"])),
    ] {
        let mut config = complete();
        config[setting] = value;
        let error = build(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{setting}");
        let named = error.to_string().contains(setting)
            || error.to_string().contains(&setting.trim_end_matches('s').replace('_', " "));
        assert!(named || setting == "connection", "{setting}: {error}");
    }
}

#[test]
fn a_misspelled_setting_is_refused() {
    let config = r#"{"connection":"books","organisation_id":"1"}"#;
    assert!(serde_json::from_str::<Config>(config).is_err());
}

#[test]
fn simulators_on_this_machine_need_no_tls_and_no_data_center() {
    for host in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
        ZohoBooks::builder("books")
            .organization_id("1")
            .api_url(host)
            .accounts_url(host)
            .web_url(host)
            .client("id", "secret")
            .webhook_secret(SECRET)
            .time_zone("UTC")
            .build()
            .unwrap();
    }
}

#[test]
fn the_engine_learns_account_affinity_zone_and_thresholds() {
    let source = builder().overdue_after([1, 30]).endpoint("books-9f3c").plan(Plan::Free).build().unwrap();
    let info = source.info();
    assert_eq!((info.connection.as_str(), info.endpoint.as_str()), ("books", "books-9f3c"));
    assert_eq!(info.accounts[0].as_str(), "org:778812345");
    assert_eq!((info.affinity.as_str(), info.zone.name()), ("zoho/778812345", "America/New_York"));
    assert_eq!(info.overdue_after, [1, 30]);
    let feeds: Vec<_> = info.feeds.iter().map(|feed| (feed.name, feed.every.as_secs() / 60)).collect();
    assert_eq!(feeds, ["invoices", "bills", "customerpayments", "vendorpayments"].map(|name| (name, 60)));
    assert_eq!((info.sweeps.len(), info.mode), (4, SourceMode::Poll), "the plan has no webhooks");
    let info = builder().poll_minutes(5).build().unwrap().info().clone();
    assert_eq!((info.feeds[0].every.as_secs(), info.mode), (300, SourceMode::Both));
    assert_eq!(builder().build().unwrap().info().feeds[0].every.as_secs(), 900);
    for wrong in [builder().plan(Plan::Standard).mode(SourceMode::Webhook), builder().poll_minutes(0)] {
        assert_eq!(wrong.build().unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
    assert_eq!(builder().build().unwrap().info().overdue_after, [7], "the product's figure");
}

#[test]
fn tokens_of_one_data_center_are_not_taken_to_another() {
    let crossed = builder().api_url("https://www.zohoapis.eu").build().unwrap_err();
    assert_eq!((crossed.kind(), crossed.context("api")), (ErrorKind::ConfigInvalid, Some("eu")));
    let crossed = builder().accounts_url("https://accounts.zohocloud.ca").build().unwrap_err();
    assert_eq!((crossed.context("api"), crossed.context("tokens")), (Some("us"), Some("ca")));
}

#[test]
fn the_resources_that_are_wanted_are_the_feeds() {
    use ml_connector_core::model::RecordKind;
    let kinds = [RecordKind::Contact, RecordKind::Currency, RecordKind::Account];
    let source = builder().resources(kinds).build().unwrap();
    let names =
        |feeds: &[ml_connector_core::FeedInfo]| feeds.iter().map(|feed| feed.name).collect::<Vec<_>>();
    assert_eq!(names(&source.info().feeds), ["contacts", "currencies", "chartofaccounts"]);
    assert_eq!(names(&source.info().sweeps), names(&source.info().feeds));
}

#[test]
fn no_secret_is_shown() {
    let config = format!(
        r#"{{"connection":"books","client_secret":"planted-client-secret","refresh_token":"planted-refresh-token",
            "webhook_secrets":["{SECRET}"]}}"#
    );
    let config: Config = serde_json::from_str(&config).unwrap();
    let source = builder().data_center(DataCenter::Ca).build().unwrap();
    let error = builder().webhook_secret("planted secret with spaces").build().unwrap_err();
    let shown = format!("{config:?} {:?} {source:?} {error:?} {error}", builder());
    for secret in ["planted", SECRET] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
