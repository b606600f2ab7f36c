//! People and their groups.

use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    args::Args,
    ids::{BOT_NAME, BOT_USER},
    model::User,
    refusal::{Outcome, Refusal},
    workspace::Workspace,
};

pub(super) fn lookup_by_email(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let email = args.text("email").ok_or_else(|| Refusal::missing_argument("email"))?;
    let user = workspace.config.users.iter().find(|user| user.email.eq_ignore_ascii_case(email.trim()));
    Ok(json!({ "user": shown(workspace, user.ok_or("users_not_found")?) }))
}

pub(super) fn info(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    let id = args.text("user").ok_or("user_not_found")?;
    if id == BOT_USER {
        let mut bot = shown(workspace, &User::new(BOT_USER, BOT_NAME, ""));
        bot["is_bot"] = true.into();
        return Ok(json!({ "user": bot }));
    }
    Ok(json!({ "user": shown(workspace, workspace.user(&id).ok_or("user_not_found")?) }))
}

pub(super) fn groups(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    paid(workspace)?;
    let groups: Vec<Value> = workspace
        .config
        .usergroups
        .iter()
        .filter(|group| !group.disabled || args.flag("include_disabled"))
        .map(|group| {
            let mut shown = json!({
                "id": group.id, "team_id": workspace.config.team_id, "is_usergroup": true,
                "name": group.handle, "handle": group.handle, "description": "", "is_external": false,
                "date_create": 1_735_689_600, "date_update": 1_735_689_600,
                "date_delete": if group.disabled { 1_735_689_700 } else { 0 },
            });
            if args.flag("include_users") {
                shown["users"] = group.users.clone().into();
            }
            if args.flag("include_count") {
                // A string, as Slack sends it.
                shown["user_count"] = group.users.len().to_string().into();
            }
            shown
        })
        .collect();
    Ok(json!({ "usergroups": groups }))
}

pub(super) fn group_users(workspace: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    paid(workspace)?;
    let id = args.text("usergroup").ok_or_else(|| Refusal::missing_argument("usergroup"))?;
    let group = workspace.config.usergroups.iter().find(|group| group.id == id).ok_or("no_such_subteam")?;
    let hidden = group.disabled && !args.flag("include_disabled");
    let users: &[String] = if hidden { &[] } else { &group.users };
    Ok(json!({ "users": users }))
}

fn paid(workspace: &Workspace) -> Result<(), Refusal> {
    if workspace.config.free_plan { Err("plan_upgrade_required".into()) } else { Ok(()) }
}

/// A person as the API shows them; the address only to those who may read it.
fn shown(workspace: &Workspace, user: &User) -> Value {
    let display_name = user.display_name();
    let mut profile = json!({
        "real_name": user.real_name, "real_name_normalized": user.real_name,
        "display_name": display_name, "display_name_normalized": display_name,
    });
    if workspace.has_scope("users:read.email") {
        profile["email"] = user.email.clone().into();
    }
    json!({
        "id": user.id,
        "team_id": workspace.config.team_id,
        "name": user.handle(),
        "deleted": user.deleted,
        "real_name": user.real_name,
        "tz": "Europe/Amsterdam",
        "tz_offset": 3600,
        "profile": profile,
        "is_admin": false,
        "is_owner": false,
        "is_restricted": user.guest,
        "is_ultra_restricted": false,
        "is_bot": false,
        "is_app_user": false,
        "is_email_confirmed": true,
        "updated": 1_764_547_200,
    })
}
