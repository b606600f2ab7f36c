//! The tokens of the installation.

use std::time::Duration;

use ml_connector_core::{Secret, Timestamp};

use super::{SlackConfig, ids::digits, refusal::Refusal};
use crate::toolkit::{
    oauth::{Consent, Issued, Mint, OAuthServer, RefreshTokens, Rejected, Rules},
    seed::Seed,
};

/// What the app needs for OAuth.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AppCredentials {
    /// The app's id.
    pub app_id: String,
    /// Public.
    pub client_id: String,
    /// Proves that it is the app.
    pub client_secret: Secret,
}

/// The tokens of the installation.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) rotation: bool,
    pub(super) uninstalled: bool,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) server: OAuthServer,
    newest: String,
    newest_refresh: Option<String>,
}

impl Tokens {
    pub(super) fn new(seed: &mut Seed, config: &SlackConfig, now: Timestamp) -> Self {
        let drawn = seed.hex();
        let own = u64::from_str_radix(&seed.hex()[..16], 16).unwrap_or_default();
        let rotation = config.token_rotation;
        let mut tokens = Self {
            rotation,
            uninstalled: false,
            client_id: format!("{}.{}", digits(&drawn), digits(&drawn[13..])),
            client_secret: drawn[32..].to_owned(),
            server: OAuthServer::new(rules(rotation, config.refresh_grace), Seed::new(own)),
            newest: String::new(),
            newest_refresh: None,
        };
        tokens.server.register(&tokens.client_id, &tokens.client_secret);
        let consent = tokens.consent(None, &[]);
        let issued = tokens.server.install(consent, now);
        tokens.note(&issued);
        tokens
    }

    /// The newest access token.
    pub(super) fn newest(&self) -> String {
        self.newest.clone()
    }

    /// The newest refresh token.
    pub(super) fn newest_refresh(&self) -> Option<String> {
        self.newest_refresh.clone()
    }

    /// A one-time code, as the redirect after the consent page carries it.
    pub(super) fn code(&mut self, redirect_uri: Option<&str>, scopes: &[&str], now: Timestamp) -> String {
        let consent = self.consent(redirect_uri, scopes);
        self.server.code(consent, now)
    }

    /// Ends the life of every access token.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.server.expire_access(now);
    }

    /// Whether a token opens something.
    pub(super) fn check(&mut self, token: &str, now: Timestamp) -> Result<(), Refusal> {
        let checked = self.server.check(token, now).map(drop);
        match checked {
            Err(Rejected::Unknown) => Err("invalid_auth".into()),
            _ if self.uninstalled => Err("account_inactive".into()),
            Err(Rejected::Revoked) => Err("account_inactive".into()),
            Err(Rejected::Expired) => Err("token_expired".into()),
            Ok(()) => Ok(()),
        }
    }

    /// Whole seconds that a token lives from now on.
    pub(super) fn expires_in(&self, token: &str, now: Timestamp) -> Option<u64> {
        Some(self.server.find(token)?.expires?.saturating_since(now).as_secs())
    }

    fn consent(&self, redirect_uri: Option<&str>, scopes: &[&str]) -> Consent {
        Consent {
            client_id: self.client_id.clone(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            redirect_uri: redirect_uri.map(str::to_owned),
            ..Consent::default()
        }
    }

    pub(super) fn note(&mut self, issued: &Issued) {
        self.newest.clone_from(&issued.access_token);
        self.newest_refresh.clone_from(&issued.refresh_token);
    }
}

/// "Installing with OAuth" and "Token rotation" pages. Without rotation a token lives for ever.
fn rules(rotation: bool, grace: Duration) -> Rules {
    Rules {
        mint: if rotation { rotating } else { lasting },
        code_life: Duration::from_secs(600),
        access_life: rotation.then_some(Duration::from_secs(43_200)),
        refresh: if rotation { RefreshTokens::Grace(grace) } else { RefreshTokens::None },
        idle_life: None,
        earliest: None,
        live_tokens: rotation.then_some(2),
        grants_per_owner: None,
        quotas: Vec::new(),
        checks_redirect: true,
        client_credentials: false,
    }
}

fn lasting(mint: Mint, hex: &str) -> String {
    match mint {
        Mint::Access => format!("xoxb-simulated-{}", &hex[..24]),
        Mint::Code | Mint::Refresh => hex.to_owned(),
    }
}

fn rotating(mint: Mint, hex: &str) -> String {
    match mint {
        Mint::Access => format!("xoxe.xoxb-1-simulated-{}", &hex[..24]),
        Mint::Refresh => format!("xoxe-1-simulated-{}", &hex[..24]),
        Mint::Code => hex.to_owned(),
    }
}
