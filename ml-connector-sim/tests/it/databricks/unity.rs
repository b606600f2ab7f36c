use http::StatusCode;
use serde_json::json;

use super::{Bench, refusal};

const UNITY: &str = "/api/2.1/unity-catalog";

#[tokio::test]
async fn what_is_not_there_is_named() {
    let bench = Bench::new().await;
    for (path, code, message) in [
        (
            "tables/main.ml_finance.nope",
            "TABLE_DOES_NOT_EXIST",
            "Table 'main.ml_finance.nope' does not exist.",
        ),
        ("schemas/main.nope", "SCHEMA_DOES_NOT_EXIST", "Schema 'main.nope' does not exist."),
        ("catalogs/nope", "CATALOG_DOES_NOT_EXIST", "Catalog 'nope' does not exist."),
        (
            "volumes/main.ml_finance.nope",
            "VOLUME_DOES_NOT_EXIST",
            "Volume 'main.ml_finance.nope' does not exist.",
        ),
    ] {
        let answer = bench.get(&format!("{UNITY}/{path}")).await;
        assert_eq!(refusal(&answer), (404, code.to_owned(), message.to_owned()));
    }
    let exists = bench.get(&format!("{UNITY}/tables/main.ml_finance.nope/exists")).await;
    assert_eq!(exists.body, json!({ "table_exists": false }));
}

#[tokio::test]
async fn a_table_shows_its_columns_and_what_is_put_on_it() {
    let bench = Bench::new().await;
    bench.rows("CREATE TABLE inv (`_Id` STRING NOT NULL COMMENT 'key', total DECIMAL(18,4), lines ARRAY<STRUCT<n: INT>>) CLUSTER BY (_id) COMMENT 'all' TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')").await;
    bench
        .lake
        .set_row_filter("main.ml_finance.inv", Some(("main.sec.only_mine", "_id <> 'hidden'")))
        .unwrap();
    bench.lake.set_mask("main.ml_finance.inv", "_id", Some(("main.sec.mask", "'***'"))).unwrap();
    let table = bench.get(&format!("{UNITY}/tables/main.ml_finance.INV")).await.body;
    assert_eq!(table["columns"][0]["name"], "_Id");
    assert_eq!(table["columns"][0]["nullable"], false);
    assert_eq!(table["columns"][0]["mask"]["function_name"], "main.sec.mask");
    assert_eq!(
        (&table["columns"][1]["type_text"], &table["columns"][1]["type_scale"]),
        (&json!("decimal(18,4)"), &json!(4))
    );
    assert_eq!(table["columns"][2]["type_text"], "array<struct<n:int>>");
    assert_eq!(table["row_filter"]["function_name"], "main.sec.only_mine");
    assert_eq!(table["properties"]["delta.enableChangeDataFeed"], "true");
    bench.rows("INSERT INTO inv (_id) VALUES ('hidden'), ('seen')").await;
    assert_eq!(bench.rows("SELECT _id FROM inv").await, json!([["***"]]));
    assert_eq!(bench.lake.rows_of("main.ml_finance.inv"), Some(2));
}

#[tokio::test]
async fn privileges_are_effective_and_can_be_taken_away() {
    let bench = Bench::new().await;
    let path = format!("{UNITY}/effective-permissions/schema/main.ml_finance");
    let shown = bench.get(&path).await.body;
    let privileges = shown["privilege_assignments"][0]["privileges"].as_array().unwrap();
    assert!(privileges.contains(&json!({ "privilege": "MODIFY" })));
    assert!(privileges.contains(&json!({
        "privilege": "USE_CATALOG", "inherited_from_type": "CATALOG", "inherited_from_name": "main"
    })));
    bench.lake.revoke("CREATE TABLE", "main.ml_finance");
    let failed = bench.submit("CREATE TABLE t (a INT)", json!({})).await.body;
    assert_eq!(failed["status"]["sql_state"], "42501");
    bench.lake.revoke("USE SCHEMA", "main.ml_finance");
    assert_eq!(bench.get(&format!("{UNITY}/schemas/main.ml_finance")).await.status, StatusCode::FORBIDDEN);
}
