//! Settings: what is missing or contradictory is named.

use ml_connector_core::{ErrorKind, Sink, model::Destination};
use ml_connector_databricks::{Builder, Config, Databricks, table};

use crate::support::*;

#[test]
fn what_is_missing_or_contradictory_is_named() {
    type Change = fn(Builder) -> Builder;
    let wrong: [(&str, Change); 17] = [
        ("host", |builder| builder.host("")),
        ("host", |builder| builder.host("http://acme.cloud.databricks.com")),
        ("warehouse_id", |builder| builder.warehouse("")),
        ("warehouse_id", |builder| builder.warehouse("/sql/1.0/warehouses/")),
        ("schema", |builder| builder.schema("main", "")),
        ("schema", |builder| builder.schema("main", "a.b")),
        ("catalog", |builder| builder.schema("a b", "books")),
        ("volume", |builder| builder.volume("a/b")),
        ("workspace_id", |builder| builder.with(|config| config.workspace_id = Some("x".into()))),
        ("client_secret", |builder| builder.service_principal("id", "")),
        ("client_id", |builder| builder.service_principal("", "")),
        ("token", |builder| builder.personal_access_token("dapi1")),
        ("tenant", |builder| builder.entra("", "id", "secret")),
        ("token_url", |builder| {
            builder.with(|config| config.token_url = Some("http://elsewhere.example/t".into()))
        }),
        ("max_rows", |builder| builder.with(|config| config.max_rows = 513)),
        ("max_bytes", |builder| builder.with(|config| config.max_bytes = 5_000)),
        ("max_bytes", |builder| builder.with(|config| config.max_bytes = (8 << 20) + 1)),
    ];
    for (setting, change) in wrong {
        let error = change(builder()).build().unwrap_err();
        assert_eq!(
            (error.kind(), error.context("setting")),
            (ErrorKind::ConfigInvalid, Some(setting)),
            "{error}"
        );
    }
    let twice = builder().with(|config| _ = config.tables.insert("ledger/invoice".into(), "a b".into()));
    assert_eq!(twice.build().unwrap_err().context("setting"), Some("tables"));
}

#[test]
fn settings_come_from_a_file_and_nothing_secret_is_shown() {
    let config: Config = serde_json::from_str(
        r#"{"connection": "lake", "host": "adb-1.7.azuredatabricks.net", "warehouse_id": "0a", "schema": "books",
            "client_id": "app", "client_secret": "planted-secret", "tenant": "t-1", "drift": "freeze", "table_prefix": ""}"#,
    )
    .unwrap();
    let builder = Builder::from(config).tables_of(&Ledger::new());
    let shown = format!("{builder:?}");
    let sink: Databricks = builder.build().unwrap();
    assert!(!format!("{shown}{sink:?}").contains("planted"), "{shown}");
    assert!(serde_json::from_str::<Config>(r#"{"hots": "x"}"#).is_err());
    assert_eq!(sink.info().affinity.as_str(), "databricks/adb-1.7.azuredatabricks.net/main/books");
}

#[test]
fn a_table_has_one_lane_and_what_has_no_table_is_refused() {
    let sink = sink();
    let lane =
        |delivery: &ml_connector_core::model::Delivery| sink.plan(delivery).map(|plan| plan.lane.to_string());
    let mut one = delivery(1, event("1", 1, "{}"));
    assert_eq!(lane(&one).unwrap(), "main.books.ledger_invoices");
    one.destination = table("AR");
    assert_eq!(lane(&one).unwrap(), "main.books.ar");
    for refused in [Destination::new("channel:x"), table("a.b"), table("")] {
        one.destination = refused;
        assert_eq!(lane(&one).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    let mut other = event("1", 1, "{}");
    other.entity = ml_connector_core::model::EntityRef::new("approval", "1");
    assert_eq!(lane(&delivery(2, other)).unwrap_err().kind(), ErrorKind::InvalidRequest);
}
