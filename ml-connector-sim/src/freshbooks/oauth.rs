//! The consent page, the token endpoint and revocation.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::json;

use super::{config::Quirks, errors::JSON, identity::IDENTITY_ID, list::Query};
use crate::toolkit::{
    exchange,
    gate::Call,
    oauth::{Consent, Issued, Mint, OAuthServer, RefreshTokens, Refused, Rules, TokenRequest},
    seed::Seed,
};

/// What a caller needs to connect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Credentials {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// Where the consent page sends people back to; every token request names it.
    pub redirect_uri: String,
    /// A refresh token that was granted already. It works once.
    pub refresh_token: String,
    /// The account it reaches.
    pub account_id: String,
    /// The business of the account.
    pub business_id: u64,
    /// The same business in paths of the chart of accounts.
    pub business_uuid: String,
    /// The login's id.
    pub identity_id: u64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("account_id", &self.account_id)
            .field("business_id", &self.business_id)
            .finish_non_exhaustive()
    }
}

/// The app that every simulator knows.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) redirect_uri: String,
    /// The scopes that are ticked on it.
    pub(super) scopes: Vec<String>,
}

impl App {
    pub(super) fn new(seed: &mut Seed, scopes: Vec<String>) -> Self {
        Self {
            id: seed.hex(),
            secret: seed.hex(),
            redirect_uri: "https://connect.example.com/freshbooks/callback".to_owned(),
            scopes,
        }
    }

    /// The login allows these scopes to the app.
    pub(super) fn consent(&self, scopes: Vec<String>) -> Consent {
        Consent {
            client_id: self.id.clone(),
            realm: String::new(),
            owner: IDENTITY_ID.to_string(),
            scopes,
            redirect_uri: Some(self.redirect_uri.clone()),
        }
    }
}

/// A token endpoint with FreshBooks's rules.
pub(super) fn server(app: &App, seed: Seed) -> OAuthServer {
    let rules = Rules {
        mint: |mint, hex| match mint {
            // About as long as a real one.
            Mint::Access => format!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{}.{hex}", hex.repeat(14)),
            Mint::Code | Mint::Refresh => hex.to_owned(),
        },
        code_life: Duration::from_secs(5 * 60),
        access_life: Some(Duration::from_secs(12 * 3600)),
        refresh: RefreshTokens::OneUse,
        idle_life: None,
        earliest: None,
        live_tokens: None,
        // One refresh token is alive per login and app.
        grants_per_owner: Some(1),
        quotas: Vec::new(),
        checks_redirect: true,
        client_credentials: false,
    };
    let mut server = OAuthServer::new(rules, seed);
    server.register(&app.id, &app.secret);
    server
}

/// `POST /auth/oauth/token`. `first` is when the login's first token was issued.
pub(super) fn token(
    server: &mut OAuthServer,
    app: &App,
    quirks: &Quirks,
    first: &mut Option<i64>,
    call: &Call<'_>,
) -> Response<Bytes> {
    let request = TokenRequest::read(call.request);
    let (id, secret) = request.client();
    let needed = match request.grant_type() {
        "refresh_token" => "refresh_token",
        _ => "code",
    };
    let given = |name: &'static str| match name {
        "client_id" => !id.is_empty(),
        "client_secret" => !secret.is_empty(),
        _ => !request.get(name).is_empty(),
    };
    let all = ["client_id", "client_secret", "grant_type", "redirect_uri", needed];
    if let Some(missing) = all.into_iter().find(|name| !given(name)) {
        let description = format!("The request is missing the required parameter {missing}.");
        return refused(StatusCode::BAD_REQUEST, "invalid_request", &description);
    }
    if request.grant_type() == "refresh_token" && request.get("redirect_uri") != app.redirect_uri {
        return refused_grant();
    }
    match server.token(&request, "", call.now) {
        Ok(issued) => granted(&issued, quirks, first),
        Err(Refused::UnknownClient | Refused::WrongSecret) => refused_client(),
        Err(Refused::UnsupportedGrant) => refused(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "The authorization grant type is not supported.",
        ),
        Err(_) => refused_grant(),
    }
}

fn granted(issued: &Issued, quirks: &Quirks, first: &mut Option<i64>) -> Response<Bytes> {
    if issued.is_first {
        *first = Some(issued.issued.as_secs());
    }
    let is_original = quirks.original_created_at && !issued.is_first;
    let created_at = first.filter(|_| is_original).unwrap_or(issued.issued.as_secs());
    let lives = issued.expires_in.unwrap_or_default();
    let mut body = json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": if is_original { lives - 1 } else { lives },
        "refresh_token": issued.refresh_token,
        "created_at": created_at,
        "direct_buy_tokens": {},
    });
    if !quirks.no_scope_in_token_answers {
        body["scope"] = issued.scopes.join(" ").into();
    }
    exchange::json(StatusCode::OK, JSON, body)
}

fn refused_client() -> Response<Bytes> {
    refused(StatusCode::UNAUTHORIZED, "invalid_client", "The client could not be authenticated.")
}

fn refused_grant() -> Response<Bytes> {
    refused(
        StatusCode::BAD_REQUEST,
        "invalid_grant",
        "The grant supplied is not valid: it expired, was revoked, was already used, or belongs to another client.",
    )
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response<Bytes> {
    exchange::json(status, JSON, json!({ "error": error, "error_description": description }))
}

/// `POST /auth/oauth/revoke`: an access token is dead at once, a refresh token with all that it led to. One that nobody
/// knows is as good as revoked.
pub(super) fn revoke(server: &mut OAuthServer, request: &Request<Bytes>) -> Response<Bytes> {
    let request = TokenRequest::read(request);
    if !server.is_client(&request) {
        return refused_client();
    }
    let token = request.get("token");
    if !server.revoke_grant(token) {
        server.revoke_access(token);
    }
    exchange::json(StatusCode::OK, JSON, json!({}))
}

/// `GET /oauth/authorize`: the person allows everything at once, and is sent back with a code.
pub(super) fn authorize(server: &mut OAuthServer, app: &App, call: &Call<'_>) -> Response<Bytes> {
    let query = Query::parse(call.request.uri().query().unwrap_or_default());
    let given = |name| query.get(name).unwrap_or_default();
    if given("client_id") != app.id {
        return page(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    }
    let asked: Vec<String> = given("scope").split_whitespace().map(str::to_owned).collect();
    let is_ticked = asked.iter().all(|scope| app.scopes.contains(scope));
    if !is_ticked || given("redirect_uri") != app.redirect_uri || given("response_type") != "code" {
        return page(StatusCode::OK, "The requested scope is invalid, unknown, or malformed.");
    }
    let scopes = if asked.is_empty() { app.scopes.clone() } else { asked };
    let code = server.code(app.consent(scopes), call.now);
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("code", &code);
    if let Some(state) = query.get("state") {
        pairs.append_pair("state", state);
    }
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::try_from(format!("{}?{}", app.redirect_uri, pairs.finish())) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}

fn page(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(format!("<!DOCTYPE html><html><body>{text}</body></html>")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}
