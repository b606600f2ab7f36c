//! The consent page and the token endpoint.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::{answer::Refusal, books::USER};
use crate::toolkit::{
    exchange,
    gate::Call,
    oauth::{Consent, Issued, Mint, OAuthServer, RefreshTokens, Refused, Rules, TokenRequest},
    params::Params,
    seed::Seed,
};

/// The app that every simulator knows.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) webhook_secret: String,
    pub(super) redirect_uri: String,
}

impl App {
    pub(super) fn new(seed: &mut Seed) -> Self {
        Self {
            id: super::books::guid(&seed.hex()),
            secret: seed.hex()[..12].to_owned(),
            webhook_secret: seed.hex()[..24].to_owned(),
            redirect_uri: "https://connect.example.com/exact-online/callback".to_owned(),
        }
    }

    pub(super) fn consent(&self) -> Consent {
        Consent {
            client_id: self.id.clone(),
            realm: String::new(),
            owner: USER.to_owned(),
            scopes: Vec::new(),
            redirect_uri: Some(self.redirect_uri.clone()),
        }
    }
}

/// A token endpoint with Exact's rules.
pub(super) fn server(app: &App, seed: Seed, lasting: bool) -> OAuthServer {
    let rules = Rules {
        mint: |mint, hex| match mint {
            Mint::Code => format!("stampNL001.{}!{}", &hex[..4], &hex[4..]),
            Mint::Access => format!("stampNL001.gAAAA{}!{hex}", hex.repeat(10)),
            Mint::Refresh => format!("stampNL001.{}!IAAA{hex}", &hex[..6]),
        },
        code_life: Duration::from_secs(180),
        access_life: Some(Duration::from_secs(600)),
        refresh: if lasting { RefreshTokens::UntilSuccessorIsUsed } else { RefreshTokens::OneUse },
        idle_life: Some(Duration::from_secs(30 * 86_400)),
        earliest: Some(Duration::from_secs(570)),
        live_tokens: None,
        // A second consent ends the chain of the first.
        grants_per_owner: Some(1),
        quotas: Vec::new(),
        checks_redirect: true,
        client_credentials: false,
    };
    let mut server = OAuthServer::new(rules, seed);
    server.register(&app.id, &app.secret);
    server
}

/// `POST /api/oauth2/token`. Says why not, for those who count it.
pub(super) fn token(server: &mut OAuthServer, call: &Call<'_>) -> Result<Response<Bytes>, Refusal> {
    let request = TokenRequest::read(call.request);
    let needed = match request.grant_type() {
        "refresh_token" => "refresh_token",
        _ => "code",
    };
    let is_whole = ["grant_type", "client_id", "client_secret", needed];
    if request.is_json || is_whole.iter().any(|name| request.get(name).is_empty()) {
        return Err(declined(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#, None));
    }
    match server.token(&request, "", call.now) {
        Ok(issued) => Ok(granted(&issued)),
        Err(Refused::TooEarly { .. }) => Err(declined(
            StatusCode::BAD_REQUEST,
            r#"{ "error":"access_denied","error_description":"Rate limit exceeded: access_token not expired" }"#,
            Some("TooEarlyToRefreshTokens: Rate limit exceeded: access_token not expired"),
        )),
        Err(Refused::UsedRefreshToken) => Err(declined(
            StatusCode::UNAUTHORIZED,
            r#"{"error":"unauthorized_client","error_description":"Old refresh token used."}"#,
            None,
        )),
        Err(Refused::UnknownClient | Refused::WrongSecret) => {
            Err(declined(StatusCode::BAD_REQUEST, r#"{"error":"invalid_client"}"#, None))
        }
        Err(Refused::UnsupportedGrant | Refused::WrongRedirect) => {
            Err(declined(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#, None))
        }
        Err(_) => Err(declined(
            StatusCode::BAD_REQUEST,
            r#"{ "error":"invalid_grant","error_description":"Token is not allowed, because of invalid or empty chainId" }"#,
            Some("Unknown: Token is not allowed, because of invalid or empty chainId"),
        )),
    }
}

fn granted(issued: &Issued) -> Response<Bytes> {
    exchange::json(
        StatusCode::OK,
        "application/json; charset=utf-8",
        json!({
            "access_token": issued.access_token,
            "token_type": "bearer",
            "expires_in": issued.expires_in.unwrap_or_default().to_string(),
            "refresh_token": issued.refresh_token,
        }),
    )
}

fn declined(status: StatusCode, body: &'static str, reason: Option<&'static str>) -> Refusal {
    Box::new(refused(status, body, reason))
}

fn refused(status: StatusCode, body: &'static str, reason: Option<&'static str>) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(reason) = reason {
        headers.insert(HeaderName::from_static("reason"), HeaderValue::from_static(reason));
    }
    answer
}

/// `GET /api/oauth2/auth`: the person allows everything, or refuses, and is sent back.
pub(super) fn authorize(
    server: &mut OAuthServer,
    app: &App,
    refuses: bool,
    call: &Call<'_>,
) -> Response<Bytes> {
    let params = Params::parse([call.request.uri().query().unwrap_or_default().as_bytes()]);
    let given = |name| params.get(name).unwrap_or_default();
    let fits = given("client_id") == app.id && given("redirect_uri") == app.redirect_uri;
    if !fits || given("response_type") != "code" {
        return refused(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#, None);
    }
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    match refuses {
        true => pairs.append_pair("error", "access_denied"),
        false => pairs.append_pair("code", &server.code(app.consent(), call.now)),
    };
    params.get("state").into_iter().for_each(|state| {
        pairs.append_pair("state", state);
    });
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::try_from(format!("{}?{}", app.redirect_uri, pairs.finish())) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}
