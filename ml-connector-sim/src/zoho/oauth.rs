//! Zoho Accounts: the token endpoint.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use ml_connector_core::Timestamp;
use serde_json::json;

use super::DataCenter;
use crate::toolkit::{exchange::json, params::Params, seed::Seed};

/// "Token Validity" page of Zoho CRM, for the shared Accounts service: how long an access token lives.
const ACCESS_LIFE: Duration = Duration::from_secs(3600);
/// The same page: access tokens per refresh token in ten minutes.
const REFRESHES: usize = 10;
const REFRESH_WINDOW: Duration = Duration::from_secs(600);
/// The same page: access tokens that live at once; one more ends the oldest.
const LIVE_TOKENS: usize = 15;
/// The same page: refresh tokens per user and client; one more ends the oldest.
const GRANTS: usize = 20;
/// Codes of server-based applications live for about two minutes.
const CODE_LIFE: Duration = Duration::from_secs(120);

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

/// The state behind the token endpoints of all data centers.
#[derive(Debug)]
pub(super) struct OAuth {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) scopes: BTreeSet<String>,
    /// Whether the throttle answers with 400 (as two public clients report) rather than with 200.
    pub(super) throttle_status: StatusCode,
    grants: VecDeque<Grant>,
    codes: HashMap<String, (DataCenter, BTreeSet<String>, Timestamp)>,
    tokens: HashMap<String, Access>,
    issued: u64,
}

#[derive(Debug)]
struct Grant {
    refresh_token: String,
    center: DataCenter,
    scopes: BTreeSet<String>,
    refreshed: VecDeque<Timestamp>,
    live: VecDeque<String>,
}

/// An access token that was handed out.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) center: DataCenter,
    pub(super) scopes: BTreeSet<String>,
    expires: Timestamp,
}

impl OAuth {
    pub(super) fn new(seed: &mut Seed, scopes: BTreeSet<String>) -> Self {
        let hex = seed.hex();
        Self {
            client_id: format!("1000.{}", hex[..30].to_ascii_uppercase()),
            client_secret: seed.hex()[..42].to_owned(),
            scopes,
            throttle_status: StatusCode::BAD_REQUEST,
            grants: VecDeque::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            issued: 0,
        }
    }

    /// A refresh token as of a consent in this data center.
    pub(super) fn grant(&mut self, seed: &mut Seed, center: DataCenter, scopes: BTreeSet<String>) -> String {
        let refresh_token = token(seed);
        if self.grants.len() >= GRANTS
            && let Some(oldest) = self.grants.pop_front()
        {
            oldest.live.iter().for_each(|token| drop(self.tokens.remove(token)));
        }
        self.grants.push_back(Grant {
            refresh_token: refresh_token.clone(),
            center,
            scopes,
            refreshed: VecDeque::new(),
            live: VecDeque::new(),
        });
        refresh_token
    }

    /// A one-time code, as the redirect after the consent carries it.
    pub(super) fn code(&mut self, seed: &mut Seed, center: DataCenter, now: Timestamp) -> String {
        let code = token(seed);
        self.codes.insert(code.clone(), (center, self.scopes.clone(), now + CODE_LIFE));
        code
    }

    /// The token, if it is alive and from this data center.
    pub(super) fn access(&self, token: &str, center: DataCenter, now: Timestamp) -> Option<&Access> {
        self.tokens.get(token).filter(|access| access.center == center && access.expires > now)
    }

    /// Ends all access tokens; refresh tokens stay.
    pub(super) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Ends everything that was granted.
    pub(super) fn revoke(&mut self) {
        self.tokens.clear();
        self.grants.clear();
    }

    /// How many access tokens were handed out.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// `POST /oauth/v2/token`. Failures come with status 200.
    pub(super) fn token(
        &mut self,
        seed: &mut Seed,
        center: DataCenter,
        api_domain: &str,
        params: &Params,
        now: Timestamp,
    ) -> Response<Bytes> {
        if params.get("client_id") != Some(self.client_id.as_str()) {
            return failed("invalid_client");
        }
        if params.get("client_secret") != Some(self.client_secret.as_str()) {
            return failed("invalid_client_secret");
        }
        match params.get("grant_type") {
            Some("refresh_token") => {
                let refresh_token = params.get("refresh_token").unwrap_or_default().to_owned();
                self.issue(seed, center, &refresh_token, api_domain, now, false)
            }
            Some("authorization_code") => {
                let code = params.get("code").unwrap_or_default();
                match self.codes.remove(code) {
                    Some((home, scopes, until)) if home == center && until > now => {
                        let refresh_token = self.grant(seed, center, scopes);
                        self.issue(seed, center, &refresh_token, api_domain, now, true)
                    }
                    _ => failed("invalid_code"),
                }
            }
            _ => failed("unsupported_grant_type"),
        }
    }

    fn issue(
        &mut self,
        seed: &mut Seed,
        center: DataCenter,
        refresh_token: &str,
        api_domain: &str,
        now: Timestamp,
        first: bool,
    ) -> Response<Bytes> {
        let known = |grant: &&mut Grant| grant.refresh_token == refresh_token && grant.center == center;
        let Some(grant) = self.grants.iter_mut().find(known) else { return failed("invalid_code") };
        while grant.refreshed.front().is_some_and(|at| now.saturating_since(*at) >= REFRESH_WINDOW) {
            grant.refreshed.pop_front();
        }
        if grant.refreshed.len() >= REFRESHES {
            let throttled = json!({
                "error_description":
                    "You have made too many requests continuously. Please try again after some time.",
                "error": "Access Denied",
                "status": "failure",
            });
            return json(self.throttle_status, JSON, throttled);
        }
        grant.refreshed.push_back(now);
        let access_token = token(seed);
        grant.live.push_back(access_token.clone());
        if grant.live.len() > LIVE_TOKENS
            && let Some(oldest) = grant.live.pop_front()
        {
            self.tokens.remove(&oldest);
        }
        let scopes = grant.scopes.clone();
        let mut answer = json!({
            "access_token": access_token,
            "scope": scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
            "api_domain": api_domain,
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFE.as_secs(),
        });
        if first {
            answer["refresh_token"] = refresh_token.into();
        }
        self.tokens.insert(access_token, Access { center, scopes, expires: now + ACCESS_LIFE });
        self.issued += 1;
        json(StatusCode::OK, JSON, answer)
    }
}

const JSON: &str = "application/json;charset=UTF-8";

fn failed(error: &str) -> Response<Bytes> {
    json(StatusCode::OK, JSON, json!({ "error": error }))
}

fn token(seed: &mut Seed) -> String {
    let hex = seed.hex();
    format!("1000.{}.{}", &hex[..32], &hex[32..])
}
