use http::{Method, Request, StatusCode, header};
use ml_connector_sim::databricks::ExpiryWording;
use serde_json::json;

use super::{Bench, refusal};
use crate::send;

#[tokio::test]
async fn a_token_is_refused_in_the_words_of_the_token_endpoint() {
    let bench = Bench::new().await;
    let credentials = bench.lake.credentials();
    let wrong = bench.token_at("/oidc/v1/token", (&credentials.client_id, "dose-wrong"), &[]).await;
    let expected = json!({ "error": "invalid_client", "error_description": "Client authentication failed" });
    assert_eq!((wrong.status, wrong.body), (StatusCode::UNAUTHORIZED, expected.clone()));
    // A secret of Entra does not work here.
    let entra =
        bench.token_at("/oidc/v1/token", (&credentials.client_id, &credentials.entra_secret), &[]).await;
    assert_eq!((entra.status, entra.body), (StatusCode::UNAUTHORIZED, expected));
    let scope = bench.token(&[("scope", "everything")]).await;
    assert_eq!((scope.status, &scope.body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_scope")));
    let grant = bench.token(&[("grant_type", "password")]).await;
    assert_eq!(
        (grant.status, &grant.body["error"]),
        (StatusCode::BAD_REQUEST, &json!("unsupported_grant_type"))
    );
    // Once refused although all was right: the body has an id.
    bench.lake.tune(|tuning| tuning.false_invalid_clients = 1);
    assert!(bench.token(&[]).await.body["error_id"].is_string());
    let right = bench.token(&[]).await;
    assert_eq!((&right.body["token_type"], &right.body["expires_in"]), (&json!("Bearer"), &json!(3600)));
}

#[tokio::test]
async fn entra_gives_tokens_for_its_own_secret_and_tenant() {
    let mut bench = Bench::new().await;
    let credentials = bench.lake.credentials();
    let ask = async |tenant: &str, secret: &str| {
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={secret}&scope=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d%2F.default",
            credentials.client_id
        );
        let request = Request::post(format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into());
        send(&bench.transport, request.unwrap()).await.unwrap()
    };
    let wrong = ask(&credentials.tenant_id, "nope").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.body["error_description"].as_str().unwrap().starts_with("AADSTS7000215: "));
    assert_eq!(ask("elsewhere", &credentials.entra_secret).await.body["error_codes"], json!([90002]));
    let right = ask(&credentials.tenant_id, &credentials.entra_secret).await;
    assert_eq!(right.body["expires_in"], 3599);
    bench.token = right.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.rows("SELECT 1").await, json!([["1"]]));
}

#[tokio::test]
async fn the_door_answers_with_numbers() {
    let mut bench = Bench::new().await;
    let none =
        Request::get(format!("{}/api/2.0/preview/scim/v2/Me", bench.lake.host())).body("".into()).unwrap();
    let none = send(&bench.transport, none).await.unwrap();
    assert_eq!(refusal(&none).0, 401);
    assert_eq!(none.body["error_code"], 401);
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"DatabricksRealm\""));
    bench.lake.expire_tokens();
    for (wording, status, message) in [
        (ExpiryWording::InvalidAccessToken, 403, "Invalid access token."),
        (ExpiryWording::JwtExpired, 403, "JWT has expired"),
        (ExpiryWording::ExpiringSoon, 403, "Token is expiring within 30 seconds."),
        (ExpiryWording::BadRequest, 400, "io.jsonwebtoken.ExpiredJwtException: JWT expired"),
    ] {
        bench.lake.tune(|tuning| tuning.expiry = wording);
        let answer = bench.submit("SELECT 1", json!({})).await;
        let (found, code, text) = refusal(&answer);
        assert_eq!((found, code), (status, status.to_string()));
        assert!(text.starts_with(message), "{text}");
        assert!(
            answer.header("x-databricks-reason-phrase").is_some_and(|reason| reason.starts_with(message))
        );
    }
    bench.token = bench.lake.credentials().token;
    bench.rows("SELECT 1").await;
    bench.token = "dapi-wrong".to_owned();
    assert_eq!(refusal(&bench.submit("SELECT 1", json!({})).await).0, 403);
}

#[tokio::test]
async fn a_blocked_address_looks_like_a_token_error_but_names_the_address() {
    let bench = Bench::new().await;
    bench.lake.tune(|tuning| tuning.blocked_address = Some("203.0.113.7".to_owned()));
    let answer = bench.submit("SELECT 1", json!({})).await;
    let (status, code, message) = refusal(&answer);
    assert_eq!((status, code.as_str()), (403, "403"));
    assert!(
        message.starts_with("Source IP address: 203.0.113.7 is blocked by Databricks IP ACL for workspace:")
    );
    assert_eq!(bench.token(&[]).await.status, StatusCode::OK);
    bench.lake.tune(|tuning| tuning.blocks_tokens = true);
    assert!(refusal(&bench.token(&[]).await).2.ends_with("for account"));
}

#[tokio::test]
async fn an_account_level_host_wants_the_workspace_named() {
    let bench = Bench::new().await;
    bench.lake.tune(|tuning| tuning.account_level = true);
    let credentials = bench.lake.credentials();
    let redirect = bench.submit("SELECT 1", json!({})).await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (StatusCode::FOUND, Some("/login.html?next_url=%2Fapi"))
    );
    assert_eq!(bench.token(&[]).await.status, StatusCode::NOT_FOUND);
    let config = bench.get("/.well-known/databricks-config").await.body;
    assert_eq!(config["oidc_endpoint"], format!("{}/oidc/accounts/{{account_id}}", bench.lake.host()));
    let path = format!("/oidc/accounts/{}/v1/token", credentials.account_id);
    let client = (credentials.client_id.as_str(), credentials.client_secret.as_str());
    assert_eq!(bench.token_at(&path, client, &[]).await.status, StatusCode::OK);
    let mut request =
        bench.request(Method::POST, "/api/2.0/sql/statements", bench.body("SELECT 1", &json!({})));
    let workspace = credentials.workspace_id.parse().unwrap();
    request.headers_mut().insert("x-databricks-workspace-id", workspace);
    assert_eq!(send(&bench.transport, request).await.unwrap().body["status"]["state"], "SUCCEEDED");
}
