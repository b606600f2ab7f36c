use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Bench, refusal};

const FILES: &str = "/api/2.0/fs/files/Volumes/main/ml_finance/landing";
const DIRECTORIES: &str = "/api/2.0/fs/directories/Volumes/main/ml_finance/landing";

async fn with_volume() -> Bench {
    let bench = Bench::new().await;
    bench.submit("CREATE VOLUME IF NOT EXISTS main.ml_finance.landing", json!({})).await;
    bench
}

/// A recorded body without the parts that differ from run to run.
fn recorded(text: &str) -> Value {
    let mut body: Value = serde_json::from_str(text).unwrap();
    if let Some(details) = body["details"].as_array_mut() {
        details.retain(|detail| detail["@type"] != "type.googleapis.com/google.rpc.RequestInfo");
    }
    body
}

#[tokio::test]
async fn a_missing_volume_and_a_missing_grant_are_told_apart() {
    let bench = with_volume().await;
    let path = "/api/2.0/fs/files/Volumes/main/ml_finance/_ml_landing/a.json?overwrite=true";
    let gone = bench.call(Method::PUT, path, "x").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(gone.body, recorded(include_str!("../../fixtures/databricks/files_put_404_volume.json")));
    bench.lake.revoke("WRITE VOLUME", "main.ml_finance.landing");
    let denied = bench.call(Method::PUT, &format!("{FILES}/a.json?overwrite=true"), "x").await;
    let message = "User does not have WRITE VOLUME on Volume 'main.ml_finance.landing'.".to_owned();
    assert_eq!(refusal(&denied), (403, "PERMISSION_DENIED".to_owned(), message));
    for path in ["/api/2.0/fs/files/tmp/a", "/api/2.0/fs/files/Volumes/main/ml_finance/landing/../x"] {
        assert_eq!(bench.call(Method::PUT, path, "x").await.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn a_file_is_put_read_listed_and_deleted() {
    let bench = with_volume().await;
    let file = format!("{FILES}/in%20voices/x%231.json");
    let put = bench.call(Method::PUT, &format!("{file}?overwrite=false"), "{\"id\":\"1\"}\n").await;
    assert_eq!(put.status, StatusCode::NO_CONTENT);
    let again = bench.call(Method::PUT, &format!("{file}?overwrite=false"), "other").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.body, recorded(include_str!("../../fixtures/databricks/files_put_409_exists.json")));
    let head = bench.call(Method::HEAD, &file, "").await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::OK, Some("11")));
    let rows = bench.rows("SELECT id FROM read_files('/Volumes/main/ml_finance/landing/in voices/x#1.json', format => 'json', schema => 'id STRING', mode => 'FAILFAST')").await;
    assert_eq!(rows, json!([["1"]]));
    let list = bench.get(&format!("{DIRECTORIES}/in%20voices")).await.body;
    assert_eq!(list["contents"][0]["path"], "/Volumes/main/ml_finance/landing/in voices/x#1.json");
    let full = bench.call(Method::DELETE, &format!("{DIRECTORIES}/in%20voices"), "").await;
    assert_eq!(full.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        full.body,
        recorded(include_str!("../../fixtures/databricks/files_dir_delete_400_not_empty.json"))
    );
    assert_eq!(bench.call(Method::DELETE, &file, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.call(Method::DELETE, &file, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(bench.call(Method::HEAD, &file, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        bench.call(Method::DELETE, &format!("{DIRECTORIES}/in%20voices"), "").await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn an_empty_volume_looks_gone_to_directory_calls_only() {
    let bench = with_volume().await;
    assert_eq!(bench.call(Method::HEAD, DIRECTORIES, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(refusal(&bench.get(DIRECTORIES).await).2, "The directory being accessed is not found.");
    assert_eq!(
        bench.get("/api/2.1/unity-catalog/volumes/main.ml_finance.landing").await.status,
        StatusCode::OK
    );
    assert_eq!(bench.call(Method::PUT, DIRECTORIES, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        bench.call(Method::PUT, &format!("{FILES}/a.json?overwrite=true"), "{}").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(bench.call(Method::HEAD, DIRECTORIES, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_long_directory_comes_in_pages() {
    let bench = with_volume().await;
    for n in 0..5 {
        bench.call(Method::PUT, &format!("{FILES}/{n}.json?overwrite=true"), "{}").await;
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = bench.get(&format!("{DIRECTORIES}?page_size=2&page_token={token}")).await.body;
        names.extend(
            page["contents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["name"].as_str().unwrap().to_owned()),
        );
        token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((names.join(" "), token), ("0.json 1.json 2.json 3.json 4.json".to_owned(), String::new()));
}
