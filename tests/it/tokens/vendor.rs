//! A token endpoint with Exact Online's rules: each refresh token works once, and not too early.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Form, Json, Router, extract::State, routing::post};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Lives in the test's process. Its tokens are numbered: `r0`, then `a1` and `r1`, and so on.
#[derive(Debug)]
pub(super) struct Vendor {
    life: Duration,
    floor: Duration,
    chain: Mutex<Chain>,
}

#[derive(Debug, Default)]
struct Chain {
    granted: u32,
    at: Option<Instant>,
    refused: Vec<&'static str>,
}

impl Vendor {
    pub(super) async fn serve(life: Duration, floor: Duration) -> (Arc<Self>, SocketAddr) {
        let vendor = Arc::new(Self { life, floor, chain: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/token", post(token)).with_state(Arc::clone(&vendor));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (vendor, address)
    }

    /// How many refreshes there were.
    pub(super) fn granted(&self) -> u32 {
        self.chain.lock().unwrap().granted
    }

    /// The codes of the refusals.
    pub(super) fn refused(&self) -> Vec<&'static str> {
        self.chain.lock().unwrap().refused.clone()
    }
}

async fn token(
    State(vendor): State<Arc<Vendor>>,
    Form(form): Form<Vec<(String, String)>>,
) -> (StatusCode, Json<Value>) {
    #[allow(clippy::disallowed_methods)] // the vendor's own time
    let now = Instant::now();
    let mut chain = vendor.chain.lock().unwrap();
    let sent = form.iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value.as_str());
    let refusal = if sent != Some(format!("r{}", chain.granted).as_str()) {
        Some("invalid_grant")
    } else if chain.at.is_some_and(|at| now.duration_since(at) < vendor.floor) {
        Some("access_denied")
    } else {
        None
    };
    if let Some(error) = refusal {
        chain.refused.push(error);
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    }
    chain.granted += 1;
    chain.at = Some(now);
    let n = chain.granted;
    let answer = json!({
        "access_token": format!("a{n}"),
        "refresh_token": format!("r{n}"),
        "token_type": "bearer",
        "expires_in": vendor.life.as_secs().to_string(),
    });
    (StatusCode::OK, Json(answer))
}
