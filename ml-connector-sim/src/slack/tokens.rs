//! Tokens: OAuth v2, rotation, revocation.

use std::time::Duration;

use ml_connector_core::{Secret, Timestamp};
use serde_json::{Value, json};

use super::{
    SlackConfig,
    args::Args,
    methods::{Outcome, Refusal},
    responses::digits,
    workspace::{APP_ID, BOT_ID, BOT_USER, Workspace},
};
use crate::toolkit::{
    oauth::{Consent, Issued, Mint, OAuthServer, RefreshTokens, Refused, Rejected, Rules, TokenRequest},
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
    server: OAuthServer,
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
    fn expires_in(&self, token: &str, now: Timestamp) -> Option<u64> {
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

    fn note(&mut self, issued: &Issued) {
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

/// Answers `oauth.v2.access`: a code or a refresh token becomes tokens.
pub(super) fn access(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let request = TokenRequest::of(args.params(), args.basic.clone());
    let refreshes = request.grant_type() == "refresh_token";
    let issued = workspace.tokens.server.token(&request, "", now).map_err(|refused| match refused {
        Refused::UnknownClient => "invalid_client_id",
        Refused::WrongSecret => "bad_client_secret",
        Refused::WrongRedirect => "bad_redirect_uri",
        // Without a code there is nothing else that could be meant.
        Refused::UnsupportedGrant if request.grant_type().is_empty() => "invalid_code",
        Refused::UnsupportedGrant => "invalid_grant_type",
        _ if refreshes => "invalid_refresh_token",
        _ => "invalid_code",
    })?;
    workspace.tokens.note(&issued);
    // Scopes are only ever added.
    for scope in issued.scopes {
        if !workspace.has_scope(&scope) {
            workspace.config.scopes.push(scope);
        }
    }
    let mut answer = granted(workspace, now);
    if issued.is_first {
        workspace.tokens.uninstalled = false;
        answer["authed_user"] = json!({ "id": workspace.config.users.first().map(|user| user.id.clone()) });
    }
    Ok(answer)
}

fn granted(workspace: &Workspace, now: Timestamp) -> Value {
    let config = &workspace.config;
    let token = workspace.tokens.newest();
    let mut answer = json!({
        "app_id": APP_ID,
        "scope": config.scopes.join(","),
        "token_type": "bot",
        "access_token": token,
        "bot_user_id": BOT_USER,
        "team": { "id": config.team_id, "name": config.team_name },
        "enterprise": null,
        "is_enterprise_install": false,
    });
    if workspace.tokens.rotation {
        answer["refresh_token"] = workspace.tokens.newest_refresh().into();
        answer["expires_in"] = workspace.tokens.expires_in(&token, now).into();
    }
    answer
}

pub(super) fn test(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let config = &workspace.config;
    let mut answer = json!({
        "url": format!("https://{}.slack.com/", workspace.domain()),
        "team": config.team_name,
        "user": "mlconnector",
        "team_id": config.team_id,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": false,
    });
    if let Some(secs) = workspace.tokens.expires_in(&args.token, now) {
        answer["expires_in"] = secs.into();
    }
    Ok(answer)
}

/// Without rotation the installation goes with the token.
pub(super) fn revoke(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    if args.flag("test") {
        return Ok(json!({ "revoked": false }));
    }
    if workspace.tokens.rotation {
        workspace.tokens.server.revoke_access(&args.token);
    } else {
        workspace.uninstall(now);
    }
    Ok(json!({ "revoked": true }))
}

impl Workspace {
    /// Removes the app: it hears so, and then nothing more.
    pub(super) fn uninstall(&mut self, now: Timestamp) {
        if self.tokens.uninstalled {
            return;
        }
        self.outbox.outbox.retain(|_| false);
        self.emit(&json!({ "type": "tokens_revoked", "tokens": { "oauth": [], "bot": [BOT_USER] } }), now);
        self.emit(&json!({ "type": "app_uninstalled" }), now);
        self.tokens.uninstalled = true;
        self.tokens.server.revoke_all();
    }
}
