//! The simulator of Databricks seen from outside. What comes is compared with the vendor sheet's fixtures and cases.

mod auth;
mod files;
mod statements;
mod unity;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use ml_connector_core::{HttpTransport, ManualClock, http::Limits};
use ml_connector_sim::{DatabricksSim, SimTransport, databricks::WarehouseState};
use serde_json::{Value, json};

use crate::{Answered, clock, send};

pub(crate) struct Bench {
    clock: std::sync::Arc<ManualClock>,
    lake: DatabricksSim,
    transport: SimTransport,
    token: String,
}

impl Bench {
    /// With a token, and a running warehouse.
    async fn new() -> Self {
        let clock = clock();
        let lake = DatabricksSim::new(clock.clone());
        let transport = SimTransport::new().with_databricks(&lake);
        let mut bench = Self { clock, lake, transport, token: String::new() };
        bench.login().await;
        bench
    }

    async fn login(&mut self) {
        let answer = self.token(&[]).await;
        self.token = answer.body["access_token"].as_str().unwrap().to_owned();
    }

    /// Asks for a token with HTTP Basic; `form` replaces fields.
    async fn token(&self, form: &[(&str, &str)]) -> Answered {
        let credentials = self.lake.credentials();
        self.token_at("/oidc/v1/token", (&credentials.client_id, &credentials.client_secret), form).await
    }

    async fn token_at(&self, path: &str, (id, secret): (&str, &str), form: &[(&str, &str)]) -> Answered {
        let mut fields = vec![("grant_type", "client_credentials"), ("scope", "all-apis")];
        fields.retain(|(name, _)| !form.iter().any(|(other, _)| other == name));
        fields.extend(form);
        let body = url_encoded(&fields);
        let request = Request::post(format!("{}{path}", self.lake.host()))
            .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(body));
        send(&self.transport, request.unwrap()).await.unwrap()
    }

    fn request(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.lake.host()))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(body.into())
            .unwrap()
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answered {
        send(&self.transport, self.request(method, path, body)).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answered {
        self.call(Method::GET, path, "").await
    }

    /// Submits a statement; `with` adds or replaces fields.
    async fn submit(&self, statement: &str, with: Value) -> Answered {
        self.call(Method::POST, "/api/2.0/sql/statements", self.body(statement, &with)).await
    }

    fn body(&self, statement: &str, with: &Value) -> String {
        let mut body = json!({
            "statement": statement,
            "warehouse_id": self.lake.credentials().warehouse_id,
            "catalog": "main",
            "schema": "ml_finance",
            "wait_timeout": "30s",
        });
        for (name, value) in with.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    }

    /// Submits a statement that must succeed, and gives its rows.
    async fn rows(&self, statement: &str) -> Value {
        let answer = self.submit(statement, json!({})).await;
        assert_eq!(answer.body["status"]["state"], "SUCCEEDED", "{statement}: {}", answer.body);
        answer.body["result"]["data_array"].clone()
    }

    async fn poll(&self, id: &Value) -> Answered {
        self.get(&format!("/api/2.0/sql/statements/{}", id.as_str().unwrap())).await
    }
}

fn url_encoded(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{name}={}", value.replace('/', "%2F"))).collect();
    fields.join("&")
}

/// The error's code and the beginning of its message.
fn refusal(answer: &Answered) -> (u16, String, String) {
    let code = match &answer.body["error_code"] {
        Value::String(code) => code.clone(),
        other => other.to_string(),
    };
    (answer.status.as_u16(), code, answer.body["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_unknown_path_says_so() {
    let bench = Bench::new().await;
    let answer = bench.call(Method::POST, "/api/2.0/sql/statements/execute", "{}").await;
    let expected =
        (404, "ENDPOINT_NOT_FOUND".to_owned(), "No API found for 'POST /sql/statements/execute'".to_owned());
    assert_eq!(refusal(&answer), expected);
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn controls_work_over_http() {
    let bench = Bench::new().await;
    bench.call(Method::POST, "/_sim/sql", r#"{"statement":"CREATE TABLE t (a INT)"}"#).await;
    let rows = bench.call(Method::POST, "/_sim/sql", r#"{"statement":"SELECT count(*) FROM t"}"#).await;
    assert_eq!(rows.body, json!({ "rows": [["0"]] }));
    let bad = bench.call(Method::POST, "/_sim/sql", r#"{"statement":"SELEC"}"#).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    bench.call(Method::POST, "/_sim/warehouse/stop", "").await;
    bench.lake.warehouse(|warehouse| assert_eq!(warehouse.state, WarehouseState::Stopped));
}

async fn lost(bench: &Bench, request: Request<Bytes>) -> bool {
    bench.transport.send(request, Limits::within(Duration::from_secs(5))).await.is_err()
}
