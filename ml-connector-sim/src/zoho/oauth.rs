//! Zoho Accounts: the token endpoint.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use super::DataCenter;
use crate::toolkit::{
    exchange::json,
    gate::Call,
    oauth::{Consent, Issued, Mint, OAuthServer, RefreshTokens, Refused, Rules, TokenRequest},
    seed::Seed,
    windows::Period,
};

const JSON: &str = "application/json;charset=UTF-8";

/// What a caller needs to connect.
#[derive(Clone)]
pub struct Credentials {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// A refresh token that was granted already.
    pub refresh_token: String,
    /// The organization it reaches.
    pub organization_id: String,
    /// The origin of the token endpoint.
    pub accounts_server: String,
    /// The origin of the API.
    pub api_domain: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("organization_id", &self.organization_id)
            .field("accounts_server", &self.accounts_server)
            .field("api_domain", &self.api_domain)
            .finish_non_exhaustive()
    }
}

/// The client that every simulator knows.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) secret: String,
}

impl App {
    pub(super) fn new(seed: &mut Seed) -> Self {
        let hex = seed.hex();
        Self { id: format!("1000.{}", hex[..30].to_ascii_uppercase()), secret: seed.hex()[..42].to_owned() }
    }

    /// The app is allowed these scopes in a data center.
    pub(super) fn consent(&self, center: DataCenter, scopes: impl IntoIterator<Item = String>) -> Consent {
        let scopes: BTreeSet<String> = scopes.into_iter().collect();
        Consent {
            client_id: self.id.clone(),
            realm: realm(center),
            scopes: scopes.into_iter().collect(),
            ..Consent::default()
        }
    }
}

/// The accounts service as its "Token Validity" page tells it.
pub(super) fn server(app: &App, seed: Seed) -> OAuthServer {
    let rules = Rules {
        mint: |mint, hex| match mint {
            Mint::Code | Mint::Access | Mint::Refresh => format!("1000.{}.{}", &hex[..32], &hex[32..]),
        },
        // Codes of server-based applications live for about two minutes.
        code_life: Duration::from_secs(120),
        access_life: Some(Duration::from_secs(3600)),
        refresh: RefreshTokens::Lasting,
        idle_life: None,
        earliest: None,
        live_tokens: Some(15),
        grants_per_owner: Some(20),
        quotas: vec![(10, Period::Rolling(Duration::from_secs(600)))],
        checks_redirect: false,
        client_credentials: false,
    };
    let mut server = OAuthServer::new(rules, seed);
    server.register(&app.id, &app.secret);
    server
}

/// Where a token is known.
pub(super) fn realm(center: DataCenter) -> String {
    format!("{center:?}")
}

/// `POST /oauth/v2/token`. Failures come with status 200.
pub(super) fn answer(
    server: &mut OAuthServer,
    center: DataCenter,
    api_domain: &str,
    throttle_status: StatusCode,
    call: &Call<'_>,
) -> Response<Bytes> {
    let request = TokenRequest::read(call.request);
    match server.token(&request, &realm(center), call.now) {
        Ok(issued) => granted(&issued, api_domain),
        Err(Refused::UnknownClient) => failed("invalid_client"),
        Err(Refused::WrongSecret) => failed("invalid_client_secret"),
        Err(Refused::UnsupportedGrant) => failed("unsupported_grant_type"),
        Err(Refused::Throttled { .. }) => {
            let throttled = json!({
                "error_description":
                    "You have made too many requests continuously. Please try again after some time.",
                "error": "Access Denied",
                "status": "failure",
            });
            json(throttle_status, JSON, throttled)
        }
        Err(_) => failed("invalid_code"),
    }
}

fn granted(issued: &Issued, api_domain: &str) -> Response<Bytes> {
    let mut answer = json!({
        "access_token": issued.access_token,
        "scope": issued.scopes.join(" "),
        "api_domain": api_domain,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
    });
    if let Some(refresh_token) = &issued.refresh_token {
        answer["refresh_token"] = refresh_token.clone().into();
    }
    json(StatusCode::OK, JSON, answer)
}

fn failed(error: &str) -> Response<Bytes> {
    json(StatusCode::OK, JSON, json!({ "error": error }))
}
