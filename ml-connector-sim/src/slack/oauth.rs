//! `oauth.v2.access` and `auth.*`: tokens for the app, and their end.

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    ids::{APP_ID, BOT_ID, BOT_USER},
    refusal::Outcome,
    workspace::Workspace,
};
use crate::toolkit::oauth::{Refused, TokenRequest};

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
