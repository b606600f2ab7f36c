//! Tokens: of the workspace, of Entra, and personal ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;
use serde_json::json;

use super::{
    answer::{JSON, html, numeric, ok},
    config::{DatabricksConfig, DatabricksTuning, ExpiryWording},
};
use crate::toolkit::{
    exchange,
    oauth::{Mint, OAuthServer, RefreshTokens, Refused, Rejected, Rules, TokenRequest},
    seed::Seed,
};

/// The id of the AzureDatabricks resource, the same for every workspace.
const AZURE_RESOURCE: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";
const SCOPES: [&str; 6] = ["all-apis", "sql", "email", "offline_access", "openid", "profile"];

/// What a connector needs to connect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Credentials {
    /// The service principal's application id.
    pub client_id: String,
    /// Its secret, issued by Databricks.
    pub client_secret: String,
    /// The Entra tenant of an Azure workspace.
    pub tenant_id: String,
    /// The secret that Entra issued for the same application.
    pub entra_secret: String,
    /// A personal access token.
    pub token: String,
    /// The warehouse's id.
    pub warehouse_id: String,
    /// The workspace's id.
    pub workspace_id: String,
    /// The account's id.
    pub account_id: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("warehouse_id", &self.warehouse_id)
            .field("workspace_id", &self.workspace_id)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Auth {
    pub(super) credentials: Credentials,
    workspace: OAuthServer,
    entra: OAuthServer,
    personal: BTreeSet<String>,
}

impl Auth {
    pub(super) fn new(seed: &mut Seed, config: &DatabricksConfig) -> Self {
        let credentials = Credentials {
            client_id: uuid(&seed.hex()),
            client_secret: format!("dose{}", &seed.hex()[..32]),
            tenant_id: uuid(&seed.hex()),
            entra_secret: format!("entra~{}", &seed.hex()[..34]),
            token: format!("dapi{}", &seed.hex()[..32]),
            warehouse_id: seed.hex()[..16].to_owned(),
            workspace_id: config.workspace_id.clone(),
            account_id: uuid(&seed.hex()),
        };
        let rules = Rules {
            mint: |_: Mint, hex| format!("eyJraWQiOiJtYWRlLXVwIn0.{}.{}", &hex[..40], &hex[40..]),
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
        let mut workspace = OAuthServer::new(rules.clone(), Seed::new(config.seed.wrapping_add(1)));
        workspace.register(&credentials.client_id, &credentials.client_secret);
        let mut entra = OAuthServer::new(rules, Seed::new(config.seed.wrapping_add(2)));
        entra.register(&credentials.client_id, &credentials.entra_secret);
        let personal = BTreeSet::from([credentials.token.clone()]);
        Self { credentials, workspace, entra, personal }
    }

    pub(super) fn issued(&self) -> u64 {
        self.workspace.issued() + self.entra.issued()
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.workspace.expire_access(now);
        self.entra.expire_access(now);
    }

    /// Gives the client another secret.
    pub(super) fn rotate(&mut self, secret: &str) {
        secret.clone_into(&mut self.credentials.client_secret);
        self.workspace.register(&self.credentials.client_id, secret);
    }

    /// Why a request to `/api` may not pass.
    pub(super) fn refusal(
        &mut self,
        request: &Request<Bytes>,
        now: Timestamp,
        tuning: &DatabricksTuning,
    ) -> Option<Response<Bytes>> {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            let message = "Credential was not sent or was of an unsupported type for this API.";
            return Some(numeric(StatusCode::UNAUTHORIZED, message));
        };
        if self.personal.contains(token) {
            return None;
        }
        let checked = match self.workspace.check(token, now) {
            Err(Rejected::Unknown) => self.entra.check(token, now),
            checked => checked,
        };
        match checked {
            Ok(_) => None,
            Err(Rejected::Unknown | Rejected::Revoked) => {
                Some(numeric(StatusCode::FORBIDDEN, "Invalid access token."))
            }
            Err(Rejected::Expired) => Some(match tuning.expiry {
                ExpiryWording::InvalidAccessToken => numeric(StatusCode::FORBIDDEN, "Invalid access token."),
                ExpiryWording::JwtExpired => numeric(StatusCode::FORBIDDEN, "JWT has expired"),
                ExpiryWording::ExpiringSoon => {
                    numeric(StatusCode::FORBIDDEN, "Token is expiring within 30 seconds.")
                }
                ExpiryWording::BadRequest => numeric(
                    StatusCode::BAD_REQUEST,
                    "io.jsonwebtoken.ExpiredJwtException: JWT expired, the difference is 30 seconds.",
                ),
                ExpiryWording::Unauthorized => numeric(
                    StatusCode::UNAUTHORIZED,
                    "Credential was not sent or was of an unsupported type for this API.",
                ),
            }),
        }
    }

    /// Answers outside `/api`; `None` where nothing is served.
    pub(super) fn answer(
        &mut self,
        request: &Request<Bytes>,
        segments: &[&str],
        now: Timestamp,
        tuning: &mut DatabricksTuning,
    ) -> Option<Response<Bytes>> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let origin = match (request.uri().scheme_str(), request.uri().authority(), host) {
            (Some(scheme), Some(authority), _) => format!("{scheme}://{authority}"),
            (_, _, Some(host)) => format!("http://{host}"),
            _ => String::new(),
        };
        let account = self.credentials.account_id.clone();
        let is_account = |id: &str| id == account;
        Some(match segments {
            ["oidc", "v1", "token"] if tuning.account_level => {
                html(StatusCode::NOT_FOUND, "<html><title>not found</title></html>")
            }
            ["oidc", "v1", "token"] => self.token(request, now, tuning),
            ["oidc", "accounts", id, "v1", "token"] if is_account(id) => self.token(request, now, tuning),
            ["oidc", ".well-known", "oauth-authorization-server"] if !tuning.account_level => {
                ok(discovery(&format!("{origin}/oidc")))
            }
            ["oidc", "accounts", id, ".well-known", "oauth-authorization-server"] if is_account(id) => {
                ok(discovery(&format!("{origin}/oidc/accounts/{account}")))
            }
            [".well-known", "databricks-config"] => {
                if tuning.account_level {
                    ok(json!({
                        "oidc_endpoint": format!("{origin}/oidc/accounts/{{account_id}}"),
                        "account_id": account,
                        "cloud": "AWS",
                    }))
                } else {
                    ok(json!({
                        "oidc_endpoint": format!("{origin}/oidc"),
                        "account_id": account,
                        "workspace_id": self.credentials.workspace_id,
                        "cloud": "AWS",
                    }))
                }
            }
            [tenant, "oauth2", "v2.0", "token"] | [tenant, "oauth2", "token"] => {
                self.entra_token(request, tenant, now)
            }
            _ => return None,
        })
    }

    fn token(
        &mut self,
        request: &Request<Bytes>,
        now: Timestamp,
        tuning: &mut DatabricksTuning,
    ) -> Response<Bytes> {
        if let (Some(address), true) = (&tuning.blocked_address, tuning.blocks_tokens) {
            let message = format!("Source IP address: {address} is blocked by Databricks IP ACL for account");
            return numeric(StatusCode::FORBIDDEN, &message);
        }
        let Some(form) = form(request) else {
            return oauth_error(StatusCode::BAD_REQUEST, "invalid_request", "A form is expected");
        };
        let scope = form.get("scope").split_whitespace().find(|scope| !SCOPES.contains(scope));
        let falsely = tuning.false_invalid_clients > 0;
        tuning.false_invalid_clients = tuning.false_invalid_clients.saturating_sub(1);
        match self.workspace.token(&form, "", now) {
            Err(Refused::UnknownClient | Refused::WrongSecret) => invalid_client(None),
            Ok(_) if falsely => invalid_client(Some("0f5b6c1e-7b1a-4a5e-9d0e-000000000001")),
            Err(refused) => {
                oauth_error(StatusCode::BAD_REQUEST, refused.standard(), "The request is not valid")
            }
            Ok(_) if scope.is_some() => oauth_error(
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "Requested scope is not allowed for this client",
            ),
            Ok(issued) => ok(json!({
                "access_token": issued.access_token,
                "scope": form.get("scope"),
                "token_type": "Bearer",
                "expires_in": issued.expires_in,
            })),
        }
    }

    fn entra_token(&mut self, request: &Request<Bytes>, tenant: &str, now: Timestamp) -> Response<Bytes> {
        let Some(form) = form(request) else {
            return entra_error("invalid_request", 900_144, "The body is no form.");
        };
        if tenant != self.credentials.tenant_id {
            return entra_error("invalid_request", 90_002, "Tenant not found.");
        }
        if !form.get("scope").starts_with(AZURE_RESOURCE) && form.get("resource") != AZURE_RESOURCE {
            return entra_error("invalid_scope", 70_011, "The provided value for scope is not valid.");
        }
        match self.entra.token(&form, tenant, now) {
            Err(Refused::UnknownClient) => {
                entra_error("unauthorized_client", 700_016, "Application was not found in the directory.")
            }
            Err(Refused::WrongSecret) => {
                entra_error("invalid_client", 7_000_215, "Invalid client secret is provided.")
            }
            Err(_) => entra_error("unsupported_grant_type", 70_003, "The grant type is not supported."),
            Ok(issued) => {
                let left = issued.expires_in.unwrap_or_default().saturating_sub(1);
                ok(json!({
                    "token_type": "Bearer",
                    "expires_in": left,
                    "ext_expires_in": left,
                    "access_token": issued.access_token,
                }))
            }
        }
    }
}

fn form(request: &Request<Bytes>) -> Option<TokenRequest> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok())?;
    kind.starts_with("application/x-www-form-urlencoded").then(|| TokenRequest::read(request))
}

fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response<Bytes> {
    exchange::json(status, JSON, json!({ "error": error, "error_description": description }))
}

fn invalid_client(error_id: Option<&str>) -> Response<Bytes> {
    let mut body = json!({ "error": "invalid_client", "error_description": "Client authentication failed" });
    if let Some(id) = error_id {
        body["error_id"] = id.into();
    }
    exchange::json(StatusCode::UNAUTHORIZED, JSON, body)
}

fn entra_error(error: &str, code: u32, text: &str) -> Response<Bytes> {
    let trace = "1c0f3a77-52d0-4a60-9d16-0b6d6a3f2e00";
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text}\r\nTrace ID: {trace}\r\nTimestamp: 2026-03-02 09:15:27Z"),
        "error_codes": [code],
        "timestamp": "2026-03-02 09:15:27Z",
        "trace_id": trace,
    });
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    exchange::json(status, JSON, body)
}

fn discovery(issuer: &str) -> serde_json::Value {
    json!({
        "authorization_endpoint": format!("{issuer}/v1/authorize"),
        "token_endpoint": format!("{issuer}/v1/token"),
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks.json"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code", "id_token"],
        "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "request_uri_parameter_supported": false,
    })
}

/// Hexadecimal digits as a UUID.
pub(super) fn uuid(hex: &str) -> String {
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
