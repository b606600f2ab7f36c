//! Tokens: OAuth v2, rotation, revocation.

use std::time::Duration;

use ml_connector_core::{Secret, Timestamp};
use serde_json::{Value, json};

use super::{
    args::Args,
    methods::{Outcome, Refusal},
    responses::digits,
    workspace::{APP_ID, BOT_ID, BOT_USER, Workspace},
};
use crate::toolkit::seed::Seed;

/// "Installing with OAuth" page.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// "Token rotation" page.
const TOKEN_LIFE: Duration = Duration::from_secs(43_200);
const MAX_ACTIVE: usize = 2;

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
    access: Vec<Access>,
    refresh: Vec<Refresh>,
    codes: Vec<Code>,
}

#[derive(Debug)]
struct Access {
    value: String,
    expires: Option<Timestamp>,
    revoked: bool,
}

#[derive(Debug)]
struct Refresh {
    value: String,
    used: Option<Timestamp>,
}

#[derive(Debug)]
struct Code {
    value: String,
    redirect_uri: Option<String>,
    scopes: Vec<String>,
    issued: Timestamp,
    used: bool,
}

impl Tokens {
    pub(super) fn new(seed: &mut Seed, rotation: bool, now: Timestamp) -> Self {
        let drawn = seed.hex();
        let mut tokens = Self {
            rotation,
            uninstalled: false,
            client_id: format!("{}.{}", digits(&drawn), digits(&drawn[13..])),
            client_secret: drawn[32..].to_owned(),
            access: Vec::new(),
            refresh: Vec::new(),
            codes: Vec::new(),
        };
        tokens.issue(seed, now);
        tokens
    }

    /// The newest access token.
    pub(super) fn newest(&self) -> String {
        self.access.last().map(|access| access.value.clone()).unwrap_or_default()
    }

    /// The newest refresh token.
    pub(super) fn newest_refresh(&self) -> Option<String> {
        self.refresh.last().map(|refresh| refresh.value.clone())
    }

    /// A one-time code, as the redirect after the consent page carries it.
    pub(super) fn code(
        &mut self,
        seed: &mut Seed,
        redirect_uri: Option<&str>,
        scopes: &[&str],
        now: Timestamp,
    ) -> String {
        let value = seed.hex();
        let redirect_uri = redirect_uri.map(str::to_owned);
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.codes.push(Code { value: value.clone(), redirect_uri, scopes, issued: now, used: false });
        value
    }

    /// Ends the life of every access token.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.access.iter_mut().for_each(|access| access.expires = Some(now));
    }

    /// What a token is good for.
    pub(super) fn check(&self, token: &str, now: Timestamp) -> Result<(), Refusal> {
        let access = self.access.iter().find(|access| access.value == token).ok_or("invalid_auth")?;
        if self.uninstalled || access.revoked {
            return Err("account_inactive".into());
        }
        if access.expires.is_some_and(|expires| expires <= now) {
            return Err("token_expired".into());
        }
        Ok(())
    }

    /// Whole seconds that a token lives from now on.
    fn expires_in(&self, token: &str, now: Timestamp) -> Option<u64> {
        let access = self.access.iter().find(|access| access.value == token)?;
        Some(access.expires?.saturating_since(now).as_secs())
    }

    fn issue(&mut self, seed: &mut Seed, now: Timestamp) {
        let prefix = if self.rotation { "xoxe.xoxb-1-simulated" } else { "xoxb-simulated" };
        self.access.push(Access {
            value: format!("{prefix}-{}", &seed.hex()[..24]),
            expires: self.rotation.then(|| now + TOKEN_LIFE),
            revoked: false,
        });
        if self.rotation {
            let value = format!("xoxe-1-simulated-{}", &seed.hex()[..24]);
            self.refresh.push(Refresh { value, used: None });
            let active: Vec<usize> = (0..self.access.len()).filter(|at| !self.access[*at].revoked).collect();
            for at in active.into_iter().rev().skip(MAX_ACTIVE) {
                self.access[at].revoked = true;
            }
        }
    }
}

/// Answers `oauth.v2.access`: a code or a refresh token becomes tokens.
pub(super) fn access(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let (client_id, client_secret) = match args.basic.clone() {
        Some((id, secret)) => (Some(id), Some(secret)),
        None => (args.text("client_id"), args.text("client_secret")),
    };
    if client_id.is_none_or(|id| id != workspace.tokens.client_id) {
        return Err("invalid_client_id".into());
    }
    if client_secret.is_none_or(|secret| secret != workspace.tokens.client_secret) {
        return Err("bad_client_secret".into());
    }
    match args.text("grant_type").as_deref() {
        Some("refresh_token") => refresh(workspace, args, now),
        None | Some("authorization_code") => exchange_code(workspace, args, now),
        Some(_) => Err("invalid_grant_type".into()),
    }
}

fn exchange_code(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let given = args.text("code").ok_or("invalid_code")?;
    let code = workspace.tokens.codes.iter_mut().find(|code| code.value == given).ok_or("invalid_code")?;
    if code.used || code.issued + CODE_LIFE <= now {
        return Err("invalid_code".into());
    }
    if code.redirect_uri != args.text("redirect_uri") {
        return Err("bad_redirect_uri".into());
    }
    code.used = true;
    // Scopes are only ever added.
    for scope in std::mem::take(&mut code.scopes) {
        if !workspace.has_scope(&scope) {
            workspace.config.scopes.push(scope);
        }
    }
    workspace.tokens.uninstalled = false;
    workspace.tokens.issue(&mut workspace.seed, now);
    let mut answer = granted(workspace, now);
    answer["authed_user"] = json!({ "id": workspace.config.users.first().map(|user| user.id.clone()) });
    Ok(answer)
}

fn refresh(workspace: &mut Workspace, args: &Args, now: Timestamp) -> Outcome {
    let given = args.text("refresh_token").ok_or("invalid_refresh_token")?;
    let grace = workspace.config.refresh_grace;
    let tokens = &mut workspace.tokens;
    let known = tokens.refresh.iter_mut().find(|refresh| refresh.value == given);
    let refresh = known.filter(|_| !tokens.uninstalled).ok_or("invalid_refresh_token")?;
    if refresh.used.is_some_and(|used| used + grace <= now) {
        return Err("invalid_refresh_token".into());
    }
    refresh.used.get_or_insert(now);
    tokens.issue(&mut workspace.seed, now);
    Ok(granted(workspace, now))
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
        let access = workspace.tokens.access.iter_mut().find(|access| access.value == args.token);
        access.into_iter().for_each(|access| access.revoked = true);
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
        self.outbox.clear();
        self.emit(&json!({ "type": "tokens_revoked", "tokens": { "oauth": [], "bot": [BOT_USER] } }), now);
        self.emit(&json!({ "type": "app_uninstalled" }), now);
        self.tokens.uninstalled = true;
    }
}
