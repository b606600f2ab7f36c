//! Tokens of Microsoft Entra: client credentials by secret or by assertion.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    answer,
    config::{BusinessCentralConfig, BusinessCentralTuning, Credentials},
};
use crate::toolkit::{
    exchange,
    oauth::{Mint, OAuthServer, RefreshTokens, Refused, Rules, TokenRequest},
    params::Params,
    seed::Seed,
};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Debug)]
pub(super) struct Auth {
    pub(super) credentials: Credentials,
    server: OAuthServer,
}

impl Auth {
    pub(super) fn new(seed: &mut Seed, config: &BusinessCentralConfig) -> Self {
        let credentials = Credentials {
            tenant: guid(&seed.hex()),
            environment: config.environment.clone(),
            company_id: guid(&seed.hex()),
            client_id: guid(&seed.hex()),
            client_secret: format!("rd~{}", &seed.hex()[..34]),
            poster_id: guid(&seed.hex()),
            poster_secret: format!("ps~{}", &seed.hex()[..34]),
        };
        let rules = Rules {
            mint: |_: Mint, hex| format!("eyJ0eXAiOiJKV1QifQ.{}.{}", &hex[..40], &hex[40..]),
            code_life: config.token_life,
            access_life: Some(config.token_life),
            refresh: RefreshTokens::None,
            idle_life: None,
            earliest: None,
            live_tokens: None,
            grants_per_owner: None,
            quotas: Vec::new(),
            checks_redirect: false,
            client_credentials: true,
        };
        let mut server = OAuthServer::new(rules, Seed::new(config.seed.wrapping_add(1)));
        server.register(&credentials.client_id, &credentials.client_secret);
        server.register(&credentials.poster_id, &credentials.poster_secret);
        Self { credentials, server }
    }

    pub(super) fn issued(&self) -> u64 {
        self.server.issued()
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.server.expire_access(now);
    }

    pub(super) fn rotate(&mut self, secret: &str) {
        secret.clone_into(&mut self.credentials.client_secret);
        self.server.register(&self.credentials.client_id, secret);
    }

    /// The application that calls.
    pub(super) fn caller(&mut self, request: &Request<Bytes>, now: Timestamp) -> Option<String> {
        let given = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let access = self.server.check(given.strip_prefix("Bearer ")?, now).ok()?;
        Some(access.client_id.clone())
    }

    /// Answers the token endpoint of a tenant.
    pub(super) fn token(
        &mut self,
        request: &Request<Bytes>,
        tenant: &str,
        now: Timestamp,
        tuning: &mut BusinessCentralTuning,
    ) -> Response<Bytes> {
        if tuning.entra_busy > 0 {
            tuning.entra_busy -= 1;
            return failed(503, "temporarily_unavailable", 90033);
        }
        let form = TokenRequest::read(request);
        if tenant != self.credentials.tenant {
            return failed(400, "invalid_request", 90002);
        }
        if form.get("grant_type") != "client_credentials" {
            return failed(400, "unsupported_grant_type", 70003);
        }
        if !form.get("scope").ends_with("/.default") {
            return failed(400, "invalid_scope", 70011);
        }
        let form = match form.get("client_assertion_type") {
            "" => form,
            ASSERTION => match self.vouched(&form, request) {
                Some(form) => form,
                None => return failed(401, "invalid_client", 700_027),
            },
            _ => return failed(400, "invalid_request", 900_144),
        };
        if form.client().1.is_empty() {
            return failed(401, "invalid_client", 7_000_218);
        }
        match self.server.token(&form, tenant, now) {
            Ok(issued) => {
                let life = issued.expires_in.unwrap_or_default();
                let life =
                    if tuning.expires_in_as_text { Value::from(life.to_string()) } else { Value::from(life) };
                let mut answer = exchange::json(
                    StatusCode::OK,
                    "application/json; charset=utf-8",
                    json!({ "token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": issued.access_token }),
                );
                answer
                    .headers_mut()
                    .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
                answer
            }
            Err(Refused::UnknownClient) => failed(400, "unauthorized_client", 700_016),
            Err(_) => failed(401, "invalid_client", 7_000_215),
        }
    }

    /// A request with an assertion, as if it had the secret. What the assertion says is compared; its signature is not
    /// verified, because nobody has registered a certificate.
    fn vouched(&self, form: &TokenRequest, request: &Request<Bytes>) -> Option<TokenRequest> {
        let mut parts = form.get("client_assertion").split('.');
        let (head, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (head, claims) = (read(head)?, read(claims)?);
        let client = claims["iss"].as_str()?;
        let good = matches!(head["alg"].as_str(), Some("PS256" | "RS256"))
            && (head["x5t#S256"].is_string() || head["x5t"].is_string())
            && claims["sub"] == claims["iss"]
            && claims["jti"].is_string()
            && claims["aud"].as_str().is_some_and(|audience| audience.ends_with(request.uri().path()))
            && !signature.is_empty();
        let secret = match client {
            _ if !good => return None,
            id if id == self.credentials.client_id => &self.credentials.client_secret,
            id if id == self.credentials.poster_id => &self.credentials.poster_secret,
            _ => return None,
        };
        let mut params = Params::parse([request.body().as_ref()]);
        params.push("client_secret", secret);
        Some(TokenRequest::of(params, None))
    }
}

/// The token is good and opens nothing here: the same answer for five different causes.
pub(super) fn unauthorized() -> Response<Bytes> {
    answer::refused(
        401,
        "Authentication_InvalidCredentials",
        "The server has rejected the client credentials.",
    )
}

fn failed(status: u16, error: &str, number: u32) -> Response<Bytes> {
    let description = format!(
        "AADSTS{number}: made-up text. Trace ID: 0\r\nCorrelation ID: 0\r\nTimestamp: 2026-03-14 09:26:53Z"
    );
    exchange::json(
        StatusCode::from_u16(status).unwrap_or_default(),
        "application/json; charset=utf-8",
        json!({
            "error": error, "error_description": description, "error_codes": [number],
            "timestamp": "2026-03-14 09:26:53Z", "trace_id": "0", "correlation_id": "0",
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        }),
    )
}

/// A GUID of hexadecimal digits.
pub(super) fn guid(hex: &str) -> String {
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
