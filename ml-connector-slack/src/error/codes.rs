//! Slack's words for what went wrong, and what each one means.

use ml_connector_core::{Effect, ErrorKind};

/// How much of the traffic a code concerns.
pub(super) enum Reach {
    Message,
    Channel,
    Connection,
}

pub(super) struct Meaning {
    pub(super) kind: ErrorKind,
    pub(super) effect: Effect,
    pub(super) reach: Reach,
    pub(super) retry: Again,
    pub(super) message: &'static str,
}

pub(super) enum Again {
    Never,
    Soon,
    Later,
}

/// Not executed; trying again helps.
fn again(retry: Again, reach: Reach, message: &'static str) -> Meaning {
    meaning(ErrorKind::Unavailable, reach, message, retry)
}

/// May have been executed.
fn ambiguous(message: &'static str) -> Meaning {
    Meaning { effect: Effect::Unknown, ..again(Again::Soon, Reach::Message, message) }
}

/// Somebody has to do something about the destination; everything for it waits.
fn target(kind: ErrorKind, message: &'static str) -> Meaning {
    meaning(kind, Reach::Channel, message, Again::Never)
}

/// This message will never be accepted.
fn refused(message: &'static str) -> Meaning {
    meaning(ErrorKind::InvalidRequest, Reach::Message, message, Again::Never)
}

/// Slack refused the call as malformed.
fn malformed() -> Meaning {
    refused("Slack did not understand the call; this is a defect of the SDK")
}

/// The token or the installation is dead.
fn credential(message: &'static str) -> Meaning {
    meaning(ErrorKind::Unauthenticated, Reach::Connection, message, Again::Never)
}

/// The app, the token's kind or the workspace's rules have to be changed by somebody.
fn setup(kind: ErrorKind, message: &'static str) -> Meaning {
    meaning(kind, Reach::Connection, message, Again::Never)
}

fn meaning(kind: ErrorKind, reach: Reach, message: &'static str, retry: Again) -> Meaning {
    Meaning { kind, effect: Effect::None, reach, retry, message }
}

/// The codes of the methods this crate calls (Slack docs: each method's page, section "Errors").
pub(super) fn classify(code: &str) -> Meaning {
    use ErrorKind::{ConfigInvalid, Conflict, NotFound, PermissionDenied};
    match code {
        "service_unavailable" | "internal_error" | "fatal_error" => {
            ambiguous("Slack failed, and part of the call may have been done")
        }
        "duplicate_channel_not_found" | "duplicate_message_not_found" => {
            ambiguous("Slack knows the message's id, but not the message")
        }
        "request_timeout" => again(Again::Soon, Reach::Message, "the request reached Slack incomplete"),
        "streaming_state_conflict" | "update_failed" => {
            again(Again::Soon, Reach::Message, "the message could not be changed just now")
        }
        "file_update_failed" => ambiguous("Slack could not finish with a file, and may have shared it"),
        "team_added_to_org" | "org_login_required" => {
            again(Again::Later, Reach::Connection, "the workspace is being moved by its admins")
        }
        "message_limit_exceeded" => {
            again(Again::Later, Reach::Connection, "the workspace has used up its plan's messages")
        }
        // It takes longer than a delivery is tried for: the channel waits, and is tried now and then.
        "external_channel_migrating" => {
            target(ErrorKind::Unavailable, "the channel is being moved: it goes on once that is done")
        }

        "channel_not_found" => target(
            NotFound,
            "no such channel for this bot: check the id, and invite the bot if the channel is private",
        ),
        "not_in_channel" => target(
            PermissionDenied,
            "the bot is not in the channel: invite it, or add the scope chat:write.public for public channels",
        ),
        "is_archived" | "is_inactive" => {
            target(Conflict, "the channel is archived: unarchive it, or route to another one")
        }
        "messages_tab_disabled" => target(
            PermissionDenied,
            "the app takes no direct messages: switch its messages tab on in the app's settings",
        ),
        "ekm_access_denied" => target(PermissionDenied, "the workspace's admins have suspended sending"),
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "restricted_action_thread_locked"
        | "channel_is_limited_access" => {
            target(PermissionDenied, "the channel's rules forbid this post: let an admin allow the app")
        }
        "channels_limit_exceeded" | "invalid_channel" | "posting_to_channel_denied" => {
            target(PermissionDenied, "files cannot be shared to this channel")
        }
        "user_not_found"
        | "users_not_found"
        | "user_not_visible"
        | "user_disabled"
        | "user_not_in_channel" => target(NotFound, "no such person for this bot: check the user id"),
        "method_not_supported_for_channel_type" | "too_many_members" => {
            target(PermissionDenied, "this kind of conversation does not allow the call")
        }

        "no_text" => refused("the message shows nothing"),
        "msg_too_long" => refused("the message's text is too long"),
        "msg_blocks_too_long" => refused("the message's blocks are too long together"),
        "invalid_blocks" | "invalid_blocks_format" | "invalid_attachments" | "block_mismatch" => {
            refused("Slack refused the message's blocks")
        }
        "invalid_metadata_format" | "invalid_metadata_schema" | "metadata_too_large" => {
            refused("Slack refused the message's metadata")
        }
        "too_many_attachments"
        | "too_many_contact_cards"
        | "attachment_payload_limit_exceeded"
        | "markdown_text_conflict"
        | "cannot_reply_to_message"
        | "missing_file_data"
        | "send_on_behalf_not_allowed"
        | "as_user_not_supported"
        | "no_dual_broadcast_content_update"
        | "cant_broadcast_message" => refused("Slack does not accept this message"),
        "message_not_found" | "thread_not_found" => {
            meaning(NotFound, Reach::Message, "the message no longer exists", Again::Never)
        }
        "file_not_found" | "file_deleted" | "file_is_deleted" => {
            meaning(NotFound, Reach::Message, "the file no longer exists", Again::Never)
        }
        "no_such_subteam" => {
            meaning(NotFound, Reach::Message, "no such user group: check its id", Again::Never)
        }
        "plan_upgrade_required" => meaning(
            PermissionDenied,
            Reach::Message,
            "the workspace's plan has no user groups: name people instead",
            Again::Never,
        ),
        "already_reacted" | "invalid_name" | "too_many_emoji" | "too_many_reactions" | "not_reactable"
        | "thread_locked" | "no_access" => refused("Slack does not take this reaction"),
        "bad_timestamp" | "no_item_specified" => malformed(),

        "expired_trigger_id"
        | "trigger_expired"
        | "exchanged_trigger_id"
        | "trigger_exchanged"
        | "invalid_trigger_id" => meaning(
            Conflict,
            Reach::Message,
            "the click is too old or was answered already: it has to be made again",
            Again::Never,
        ),
        "view_too_large" | "duplicate_external_id" | "push_limit_reached" => {
            refused("Slack does not accept this modal")
        }
        "not_found" | "hash_conflict" => {
            meaning(Conflict, Reach::Message, "the modal was closed or has changed", Again::Never)
        }

        "alt_txt_too_large"
        | "blocked_file_type"
        | "file_share_limit_reached"
        | "file_type_not_allowed"
        | "file_upload_size_restricted"
        | "file_uploads_disabled"
        | "file_uploads_except_images_disabled"
        | "max_file_sharing_exceeded"
        | "snippet_too_large"
        | "storage_limit_reached"
        | "unable_to_share_files"
        | "unknown_snippet_type" => refused("Slack does not take this file"),
        "cant_update_message" | "edit_window_closed" | "cant_delete_message" => {
            meaning(PermissionDenied, Reach::Message, "the message can no longer be changed", Again::Never)
        }

        "invalid_auth" => credential(
            "Slack refused the token: it is wrong, or this machine's address is not in the app's allow-list",
        ),
        "account_inactive" | "token_revoked" => {
            credential("the app was removed from the workspace: install it again")
        }
        "token_expired" => credential("the token has expired: rotation is on, so it has to be renewed"),
        "invalid_code"
        | "code_already_used"
        | "invalid_code_verifier"
        | "pkce_not_allowed"
        | "user_email_unverified"
        | "invalid_refresh_token"
        | "token_already_exchanged" => {
            credential("Slack takes this code or refresh token no more: install the app again")
        }
        "two_factor_setup_required" => credential("the token's user has to set up two-factor authentication"),

        "missing_scope" => {
            setup(PermissionDenied, "the token lacks a scope: add it and install the app again")
        }
        "no_permission"
        | "access_denied"
        | "team_access_not_granted"
        | "enterprise_is_restricted"
        | "app_access_restricted"
        | "accesslimited"
        | "forbidden_team" => setup(PermissionDenied, "the workspace does not allow the app to do this"),
        "not_allowed_token_type" | "is_bot" | "metadata_must_be_sent_from_app" => {
            setup(ConfigInvalid, "expected a bot token")
        }
        "bad_client_secret" | "invalid_client_id" => {
            setup(ConfigInvalid, "Slack does not know the client id or its secret")
        }
        "bad_redirect_uri" | "oauth_authorization_url_mismatch" => {
            setup(ConfigInvalid, "the redirect URI is not the one that the app is registered with")
        }
        "cannot_install_an_org_installed_app"
        | "invalid_grant_type"
        | "invalid_scope"
        | "invalid_team_for_non_distributed_app"
        | "no_scopes"
        | "preview_feature_not_available"
        | "scope_not_allowed_on_enterprise"
        | "token_rotation_not_enabled"
        | "unapproved_scope" => {
            setup(ConfigInvalid, "Slack refuses the app's settings: compare them with the app's page")
        }
        "not_authed" => setup(ConfigInvalid, "Slack saw no token: something on the way removed it"),
        "team_not_found" => setup(ConfigInvalid, "an organization-wide token needs channel ids, not names"),
        "method_deprecated"
        | "deprecated_endpoint"
        | "unknown_method"
        | "upgrade_required"
        | "insecure_request" => {
            setup(ConfigInvalid, "Slack does not offer this method: check the base URL, or update the SDK")
        }

        "invalid_arguments"
        | "missing_argument"
        | "missing_args"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_charset"
        | "invalid_form_data"
        | "invalid_post_type"
        | "missing_post_type"
        | "invalid_json"
        | "json_not_object"
        | "invalid_limit"
        | "invalid_types"
        | "limit_required"
        | "invalid_ts_latest"
        | "invalid_ts_oldest"
        | "invalid_metadata_filter_keys"
        | "users_list_not_supplied"
        | "not_enough_users"
        | "too_many_users"
        | "invalid_user_combination" => malformed(),
        "invalid_cursor" => refused("the list's cursor is too old: begin the list again"),

        code if code.starts_with("draft_")
            || code.starts_with("slack_connect_") && code.ends_with("_blocked") =>
        {
            refused("Slack does not accept this message")
        }
        // Never looped on: what is not known to be temporary is final until somebody has looked.
        _ => meaning(
            ErrorKind::Unexpected,
            Reach::Message,
            "Slack answered with an unknown code",
            Again::Never,
        ),
    }
}
