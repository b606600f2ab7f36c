//! The methods there are: how each is called, how often, with which scope.

use ml_connector_core::Timestamp;
use serde_json::json;

use super::{
    args::Args, chat, conversations, modals, oauth, reactions, refusal::Outcome, users, workspace::Workspace,
};

/// "Rate limits" page: calls a minute of the tiers.
const TIER_2: Option<u32> = Some(20);
const TIER_3: Option<u32> = Some(50);
const TIER_4: Option<u32> = Some(100);
/// For methods whose limit is not published: hundreds a minute.
const SPECIAL: Option<u32> = Some(600);
/// Posting has limits of its own.
const POSTING: Option<u32> = None;

type Run = fn(&mut Workspace, &Args, Timestamp) -> Outcome;

/// What is known of a method before it runs.
pub(super) struct Spec {
    pub(super) takes_json: bool,
    pub(super) only_post: bool,
    pub(super) needs_token: bool,
    /// Calls a minute; `None` where posting's own limits hold.
    pub(super) per_minute: Option<u32>,
    pub(super) scope: Option<&'static str>,
    pub(super) run: Run,
}

impl Spec {
    /// Read by GET or as a form.
    fn form(per_minute: Option<u32>, run: Run) -> Self {
        Self { takes_json: false, only_post: false, needs_token: true, per_minute, scope: None, run }
    }

    /// Read as JSON too.
    fn json(per_minute: Option<u32>, run: Run) -> Self {
        Self { takes_json: true, ..Self::form(per_minute, run) }
    }

    /// Written by POST, as JSON too.
    fn write(per_minute: Option<u32>, run: Run) -> Self {
        Self { only_post: true, ..Self::json(per_minute, run) }
    }

    fn scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }
}

/// A method by its name, which is case-sensitive.
pub(super) fn spec(method: &str) -> Option<Spec> {
    Some(match method {
        "api.test" => Spec { needs_token: false, ..Spec::json(SPECIAL, api_test) },
        "auth.test" => Spec::json(SPECIAL, oauth::test),
        "auth.revoke" => Spec::form(TIER_3, oauth::revoke),
        "oauth.v2.access" => {
            Spec { needs_token: false, only_post: true, ..Spec::form(SPECIAL, oauth::access) }
        }
        "chat.postMessage" => Spec::write(POSTING, chat::post_message).scope("chat:write"),
        "chat.postEphemeral" => Spec::write(TIER_4, chat::post_ephemeral).scope("chat:write"),
        "chat.update" => Spec::write(TIER_3, chat::update).scope("chat:write"),
        "chat.delete" => Spec::write(TIER_3, chat::delete).scope("chat:write"),
        "chat.getPermalink" => Spec::form(SPECIAL, chat::get_permalink),
        "conversations.history" => Spec::json(TIER_3, conversations::history),
        "conversations.replies" => Spec::form(TIER_3, conversations::replies),
        "conversations.list" => Spec::form(TIER_2, conversations::list),
        "conversations.info" => Spec::form(TIER_3, conversations::info),
        "conversations.members" => Spec::form(TIER_4, conversations::members),
        "conversations.join" => Spec::write(TIER_3, conversations::join).scope("channels:join"),
        "conversations.open" => Spec::write(TIER_3, conversations::open),
        "users.lookupByEmail" => Spec::form(TIER_3, users::lookup_by_email).scope("users:read.email"),
        "users.info" => Spec::form(TIER_4, users::info).scope("users:read"),
        "usergroups.list" => Spec::form(TIER_2, users::groups).scope("usergroups:read"),
        "usergroups.users.list" => Spec::form(TIER_2, users::group_users).scope("usergroups:read"),
        "reactions.get" => Spec::form(TIER_3, reactions::get).scope("reactions:read"),
        "reactions.add" => Spec::write(TIER_3, reactions::add).scope("reactions:write"),
        "reactions.remove" => Spec::write(TIER_2, reactions::remove).scope("reactions:write"),
        "views.open" => Spec::write(TIER_4, modals::open),
        "views.push" => Spec::write(TIER_4, modals::push),
        "views.update" => Spec::write(TIER_4, modals::update),
        _ => return None,
    })
}

/// Says back what it was told, or fails with the error it was told.
fn api_test(_: &mut Workspace, args: &Args, _: Timestamp) -> Outcome {
    match args.text("error") {
        Some(error) => Err(error.as_str().into()),
        None => Ok(json!({ "args": args.all() })),
    }
}
