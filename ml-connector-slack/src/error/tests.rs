use bytes::Bytes;
use ml_connector_core::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Answer::new(response.body(Bytes::from(body.to_owned())).unwrap(), NOW)
}

fn code(code: &str) -> Error {
    check(&answer(200, &[], &format!(r#"{{"ok":false,"error":"{code}"}}"#))).unwrap_err()
}

/// The classes of the vendor sheet, each with all that follows from it.
fn class(error: &Error) -> &'static str {
    match (error.effect(), error.scope(), error.retry(), error.kind()) {
        (Effect::Unknown, Scope::Entry, Retry::Backoff, _) => "AMBIG",
        (Effect::None, _, Retry::At(at), ErrorKind::Unavailable) if at == NOW + LONG_PAUSE => "RETRY long",
        (Effect::None, _, Retry::Backoff | Retry::At(_), _) => "RETRY",
        (Effect::None, Scope::Lane, Retry::Never, _) => "MSG target",
        (Effect::None, Scope::Connection, Retry::Never, ErrorKind::Unauthenticated) => "CRED",
        (
            Effect::None,
            Scope::Connection,
            Retry::Never,
            ErrorKind::ConfigInvalid | ErrorKind::PermissionDenied,
        ) => "CONFIG",
        (Effect::None, Scope::Entry, Retry::Never, _) => "MSG",
        other => panic!("no class: {other:?}"),
    }
}

#[test]
fn every_documented_code_has_its_class() {
    let table: &[(&str, &str)] = &[
        ("RETRY", "rate_limited ratelimited request_timeout streaming_state_conflict update_failed"),
        ("RETRY long", "team_added_to_org org_login_required message_limit_exceeded"),
        (
            "AMBIG",
            "service_unavailable internal_error fatal_error duplicate_channel_not_found \
             duplicate_message_not_found file_update_failed",
        ),
        (
            "MSG target",
            "channel_not_found not_in_channel is_archived is_inactive messages_tab_disabled restricted_action \
             restricted_action_read_only_channel restricted_action_thread_only_channel \
             restricted_action_non_threadable_channel restricted_action_thread_locked ekm_access_denied \
             user_not_found user_disabled user_not_visible users_not_found user_not_in_channel \
             method_not_supported_for_channel_type channel_is_limited_access too_many_members \
             invalid_channel posting_to_channel_denied channels_limit_exceeded external_channel_migrating",
        ),
        // chat.*
        (
            "MSG",
            "cannot_reply_to_message no_text msg_too_long msg_blocks_too_long invalid_blocks \
             invalid_blocks_format invalid_attachments too_many_attachments too_many_contact_cards \
             attachment_payload_limit_exceeded markdown_text_conflict invalid_metadata_format \
             invalid_metadata_schema metadata_too_large draft_anything missing_file_data \
             slack_connect_file_upload_blocked send_on_behalf_not_allowed as_user_not_supported \
             message_not_found cant_update_message edit_window_closed cant_delete_message block_mismatch \
             no_dual_broadcast_content_update cant_broadcast_message thread_not_found a_code_of_tomorrow",
        ),
        // Files, user groups, reactions, modals. `already_reacted` would be a success to who reacts; nobody does here.
        (
            "MSG",
            "file_deleted file_is_deleted file_not_found unable_to_share_files max_file_sharing_exceeded \
             file_share_limit_reached blocked_file_type alt_txt_too_large snippet_too_large \
             unknown_snippet_type file_type_not_allowed file_uploads_disabled \
             file_uploads_except_images_disabled file_upload_size_restricted storage_limit_reached \
             no_such_subteam plan_upgrade_required bad_timestamp no_item_specified already_reacted invalid_name \
             too_many_emoji too_many_reactions not_reactable thread_locked no_access expired_trigger_id \
             exchanged_trigger_id invalid_trigger_id trigger_expired trigger_exchanged view_too_large \
             duplicate_external_id push_limit_reached not_found hash_conflict",
        ),
        (
            "CRED",
            "invalid_auth account_inactive token_revoked token_expired two_factor_setup_required invalid_code \
             code_already_used \
             invalid_code_verifier pkce_not_allowed user_email_unverified invalid_refresh_token \
             token_already_exchanged",
        ),
        (
            "CONFIG",
            "accesslimited team_not_found app_access_restricted metadata_must_be_sent_from_app not_authed \
             missing_scope no_permission access_denied team_access_not_granted enterprise_is_restricted \
             not_allowed_token_type is_bot method_deprecated deprecated_endpoint unknown_method \
             upgrade_required forbidden_team insecure_request bad_redirect_uri bad_client_secret \
             invalid_client_id invalid_grant_type no_scopes oauth_authorization_url_mismatch \
             cannot_install_an_org_installed_app preview_feature_not_available token_rotation_not_enabled \
             invalid_scope invalid_team_for_non_distributed_app scope_not_allowed_on_enterprise \
             unapproved_scope",
        ),
        // Defects of the SDK concern the one message; the connection stays healthy.
        (
            "MSG",
            "invalid_arguments missing_argument missing_args invalid_arg_name invalid_array_arg invalid_charset \
             invalid_form_data invalid_post_type missing_post_type invalid_json json_not_object invalid_cursor \
             invalid_limit limit_required invalid_types invalid_ts_latest invalid_ts_oldest \
             invalid_metadata_filter_keys users_list_not_supplied not_enough_users too_many_users \
             invalid_user_combination",
        ),
    ];
    for (expected, codes) in table {
        for word in codes.split_whitespace() {
            let error = code(word);
            assert_eq!(class(&error), *expected, "{word}: {error:?}");
            assert_eq!(error.context("code"), Some(word));
            let known = !matches!(word, "a_code_of_tomorrow");
            assert_eq!(error.kind() != ErrorKind::Unexpected, known, "{word}");
        }
    }
}

#[test]
fn only_a_code_of_tomorrow_is_unexpected() {
    assert_eq!(code("a_code_of_tomorrow").kind(), ErrorKind::Unexpected);
    assert_eq!(code("restricted_action").kind(), ErrorKind::PermissionDenied);
}

#[test]
fn every_status_has_its_class() {
    for (status, body, expected) in [
        (500, "", "AMBIG"),
        (502, "<html>", "AMBIG"),
        (503, r#"{"ok":false,"error":"channel_not_found"}"#, "AMBIG"),
        (504, "", "AMBIG"),
        (301, "", "CONFIG"),
        (401, "", "CONFIG"),
        (403, "blocked by proxy", "CONFIG"),
        (404, "", "CONFIG"),
        (403, r#"{"ok":false,"error":"invalid_auth"}"#, "CRED"),
        (400, "", "MSG"),
        (413, "", "MSG"),
        (429, "", "RETRY"),
        (200, "", "AMBIG"),
        (200, "<html>", "AMBIG"),
        (200, "[]", "AMBIG"),
        (200, r#"{"ok":"yes"}"#, "AMBIG"),
        (200, r#"{"channel":"C1"}"#, "AMBIG"),
        (200, r#"{"ok":true,"channel":"C0"#, "AMBIG"),
        (200, r#"{"ok":false}"#, "AMBIG"),
    ] {
        let error = check(&answer(status, &[], body)).unwrap_err();
        assert_eq!(class(&error), expected, "{status} {body}: {error:?}");
    }
}

#[test]
fn a_429_waits_as_long_as_slack_says_and_thirty_seconds_if_it_does_not() {
    let at = |status, headers: &[(&str, &str)], body| {
        let error = check(&answer(status, headers, body)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        error.retry()
    };
    let in_secs = |secs| Retry::At(NOW + Duration::from_secs(secs));
    let body = r#"{"ok":false,"error":"ratelimited"}"#;
    let other = r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#;
    assert_eq!(at(429, &[("retry-after", "7")], body), in_secs(7));
    assert_eq!(at(429, &[("retry-after", "1")], other), in_secs(1));
    assert_eq!(at(200, &[("retry-after", "3")], other), in_secs(3));
    assert_eq!(at(429, &[("retry-after", "soon")], body), in_secs(30));
    assert_eq!(at(429, &[], "<html>"), in_secs(30));
    assert_eq!(at(200, &[], other), in_secs(30));
}

#[test]
fn the_context_tells_what_an_operator_needs_and_quotes_nothing() {
    let body = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"users:read"}"#;
    let error = check(&answer(200, &[("x-slack-req-id", "abc123")], body)).unwrap_err();
    assert_eq!(error.context("needed"), Some("chat:write"));
    assert_eq!(error.context("provided"), Some("users:read"));
    assert_eq!(error.context("request_id"), Some("abc123"));

    let body = r#"{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":[
        "[ERROR] planted-secret is too long [json-pointer:/blocks/1/text/text]"]}}"#;
    let error = check(&answer(200, &[], body)).unwrap_err();
    assert_eq!(error.context("pointer"), Some("/blocks/1/text/text"));
    assert!(!format!("{error:?}").contains("planted-secret"));
}

#[test]
fn surprises_beside_the_code_do_not_hide_it() {
    let body = r#"{"ok":false,"error":"is_archived","response_metadata":"odd","warning":null}"#;
    assert_eq!(class(&check(&answer(200, &[], body)).unwrap_err()), "MSG target");
    let long = code(&"x".repeat(5000));
    assert!(long.to_string().len() < 1000);
}

#[test]
fn warnings_never_fail_a_call() {
    for body in [
        r#"{"ok":true,"warning":"message_truncated,missing_charset"}"#,
        r#"{"ok":true,"warning":null,"response_metadata":{"warnings":["a", 1, null]}}"#,
        r#"{"ok":true,"response_metadata":{"warnings":{}}}"#,
    ] {
        assert!(check(&answer(200, &[], body)).is_ok(), "{body}");
    }
}

#[test]
fn every_fixture_has_its_class() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        // What Slack sends by itself, and what is sent to it, is no answer.
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if !name.ends_with(".http.json") && json["ok"].is_null() {
            continue;
        }
        let verdict = check(&fixture(&name, &text));
        let expected = match name.split('.').collect::<Vec<_>>()[..] {
            ["any", "503", ..] => "AMBIG",
            ["chat", _, "429" | "429_rate_limited", ..] => "RETRY",
            [.., "error", "internal_error" | "fatal_error", "json"] => "AMBIG",
            [
                ..,
                "error",
                "invalid_auth"
                | "account_inactive"
                | "token_expired"
                | "token_revoked"
                | "invalid_code"
                | "invalid_refresh_token",
                "json",
            ] => "CRED",
            ["oauth", _, _, "error", _, "json"] | [.., "error", "missing_scope" | "not_authed", "json"] => {
                "CONFIG"
            }
            [
                ..,
                "error",
                "channel_not_found"
                | "is_archived"
                | "not_in_channel"
                | "restricted_action"
                | "user_disabled"
                | "users_not_found"
                | "user_not_found"
                | "user_not_in_channel"
                | "method_not_supported_for_channel_type",
                "json",
            ] => "MSG target",
            [.., "error", _, "json"] => "MSG",
            _ => "OK",
        };
        let found = verdict.as_ref().err().map_or("OK", class);
        assert_eq!(found, expected, "{name}: {verdict:?}");
        seen += 1;
    }
    assert!(seen >= 30, "{seen}");
}

/// `.http.json` holds status, headers and body; the others are bodies of a 200.
fn fixture(name: &str, text: &str) -> Answer {
    if !name.ends_with(".http.json") {
        return answer(200, &[], text);
    }
    let http: serde_json::Value = serde_json::from_str(text).unwrap();
    let headers = http["headers"].as_object().unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
    let body = http["body_text"].as_str().map_or_else(|| http["body"].to_string(), str::to_owned);
    answer(u16::try_from(http["status"].as_u64().unwrap()).unwrap(), &headers, &body)
}
