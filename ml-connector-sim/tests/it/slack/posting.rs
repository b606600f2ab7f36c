//! Posting and updating: what is refused, and what is kept.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_sim::slack::{Channel, RateLimitAnswer, SlackConfig};
use serde_json::{Value, json};

use super::{ACCOUNTING, FORM, JSON, error, ok, workspace, workspace_with};
use crate::{post, send};

#[tokio::test]
async fn a_token_is_needed_known_and_installed() {
    let mut workspace = workspace();
    let me = workspace.call("auth.test", json!({})).await;
    assert_eq!(ok(&me)["user_id"], "U07MLBOT01");
    assert!(me.header("x-oauth-scopes").unwrap().starts_with("chat:write,"));
    assert_eq!(me.header("x-slack-req-id").unwrap().len(), 32);

    let bare = Request::post("https://slack.com/api/auth.test").body(Bytes::new()).unwrap();
    assert_eq!(error(&send(&workspace.transport, bare).await.unwrap()), "not_authed");
    let good = std::mem::replace(&mut workspace.token, "Bearer xoxb-other".to_owned());
    assert_eq!(error(&workspace.call("auth.test", json!({})).await), "invalid_auth");
    workspace.token = good;
    workspace.sim.uninstall();
    assert_eq!(error(&workspace.call("auth.test", json!({})).await), "account_inactive");
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let workspace = workspace();
    workspace.sim.set_scopes(&["channels:read"]);
    let refused = workspace.post(json!({ "channel": ACCOUNTING, "text": "x" })).await;
    assert_eq!(error(&refused), "missing_scope");
    assert_eq!(
        (&refused.body["needed"], &refused.body["provided"]),
        (&json!("chat:write"), &json!("channels:read"))
    );
    assert_eq!(
        error(&workspace.read(&format!("conversations.history?channel={ACCOUNTING}")).await),
        "missing_scope"
    );
    assert!(workspace.sim.posts(ACCOUNTING).is_empty());
}

#[tokio::test]
async fn a_channel_has_to_be_there_open_and_reachable() {
    let workspace = workspace();
    workspace.sim.set_channel(Channel::new("C07OLD0001", "old").archived());
    workspace.sim.set_channel(Channel::new("C07SECRET1", "secret").private().without_bot());
    for (channel, expected) in [
        ("C07NONE001", "channel_not_found"),
        ("C07OLD0001", "is_archived"),
        ("C07SECRET1", "channel_not_found"),
        ("invoice-approvals", "channel_not_found"),
    ] {
        assert_eq!(
            error(&workspace.post(json!({ "channel": channel, "text": "x" })).await),
            expected,
            "{channel}"
        );
    }
    // Public, the bot is not in it: allowed by chat:write.public, and only by it.
    ok(&workspace.post(json!({ "channel": "#exec-alerts", "text": "x" })).await);
    assert_eq!(error(&workspace.read("conversations.history?channel=C07EXECAL1").await), "not_in_channel");
    workspace.sim.set_scopes(&["chat:write", "channels:join"]);
    assert_eq!(
        error(&workspace.post(json!({ "channel": "C07EXECAL1", "text": "x" })).await),
        "not_in_channel"
    );
    ok(&workspace.call("conversations.join", json!({ "channel": "C07EXECAL1" })).await);
    let again = workspace.call("conversations.join", json!({ "channel": "C07EXECAL1" })).await;
    assert_eq!(ok(&again)["warning"], "already_in_channel");
    ok(&workspace.post(json!({ "channel": "C07EXECAL1", "text": "x" })).await);
    assert_eq!(
        error(&workspace.call("conversations.join", json!({ "channel": "C07APPROV1" })).await),
        "method_not_supported_for_channel_type"
    );
    let direct = workspace.post(json!({ "channel": "U07CLERK01", "text": "x" })).await;
    assert!(ok(&direct)["channel"].as_str().unwrap().starts_with('D'));
}

#[tokio::test]
async fn json_is_invisible_to_form_only_methods() {
    let workspace = workspace();
    let email = "TOM.baker@ledgerworks.example";
    assert_eq!(
        error(&workspace.call("users.lookupByEmail", json!({ "email": email })).await),
        "invalid_arguments"
    );
    let found = workspace.read(&format!("users.lookupByEmail?email={email}")).await;
    assert_eq!(ok(&found)["user"]["id"], "U07CLERK01");
    assert_eq!(error(&workspace.read("users.lookupByEmail?email=nobody@x.example").await), "users_not_found");
}

#[tokio::test]
async fn bodies_and_verbs_are_checked() {
    let workspace = workspace();
    let url = "https://slack.com/api/chat.postMessage";
    for (content_type, body, expected) in [
        (JSON, "{", "invalid_json"),
        (JSON, "[]", "json_not_object"),
        ("text/csv", "a", "invalid_post_type"),
        (JSON, "{}", "invalid_arguments"),
        (FORM, "channel=C07ACCTNG1&text=", "no_text"),
        (FORM, "channel=C07ACCTNG1&blocks=%7B", "invalid_blocks_format"),
        (FORM, "channel=C07ACCTNG1&text=x&metadata=%7B%22a%22%3A1%7D", "invalid_metadata_format"),
    ] {
        workspace.clock.advance(Duration::from_secs(1));
        let answer =
            send(&workspace.transport, post(url, &workspace.token, content_type, body)).await.unwrap();
        assert_eq!(error(&answer), expected, "{body}");
    }
    assert_eq!(
        error(&workspace.read("chat.postMessage?channel=C07ACCTNG1&text=x").await),
        "invalid_post_type"
    );
    assert_eq!(error(&workspace.call("chat.postmessage", json!({})).await), "unknown_method");
    workspace.clock.advance(Duration::from_secs(1));
    let warned = send(
        &workspace.transport,
        post(
            url,
            &workspace.token,
            "application/json",
            json!({ "channel": ACCOUNTING, "text": "x" }).to_string(),
        ),
    )
    .await
    .unwrap();
    assert_eq!(ok(&warned)["warning"], "missing_charset");
    assert_eq!(workspace.sim.posts(ACCOUNTING).len(), 1);
}

#[tokio::test]
async fn the_fourth_post_in_a_second_waits_and_other_channels_do_not() {
    let workspace = workspace();
    let args = json!({ "channel": ACCOUNTING, "text": "x" });
    for _ in 0..3 {
        ok(&workspace.call("chat.postMessage", args.clone()).await);
    }
    let refused = workspace.call("chat.postMessage", args.clone()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    assert_eq!(refused.body, json!({ "ok": false, "error": "ratelimited" }));
    // By name it is the same channel.
    let by_name = workspace.call("chat.postMessage", json!({ "channel": "accounting", "text": "x" })).await;
    assert_eq!(by_name.status, StatusCode::TOO_MANY_REQUESTS);
    ok(&workspace.call("chat.postMessage", json!({ "channel": "C07APPROV1", "text": "x" })).await);
    assert_eq!((workspace.sim.limit_violations(), workspace.sim.ignored_retry_afters()), (2, 1));

    workspace.sim.set_rate_limit_answer(RateLimitAnswer::RateLimited);
    let refused = workspace.call("chat.postMessage", args.clone()).await;
    assert_eq!(refused.body, json!({ "retry_after": 1, "ok": false, "error": "rate_limited" }));
    workspace.sim.set_rate_limit_answer(RateLimitAnswer::WithinOk);
    assert_eq!(error(&workspace.call("chat.postMessage", args.clone()).await), "rate_limited");
    assert_eq!(workspace.sim.posts(ACCOUNTING).len(), 3);

    workspace.clock.advance(Duration::from_secs(1));
    ok(&workspace.call("chat.postMessage", args).await);
}

#[tokio::test]
async fn the_workspace_and_every_method_have_limits_of_their_own() {
    let mut config = SlackConfig::default();
    config.posts_per_minute = 10;
    config.channels = (0..20).map(|i| Channel::new(&format!("C0000000{i:02}"), &format!("c{i}"))).collect();
    let workspace = workspace_with(config);
    let mut statuses = Vec::new();
    for i in 0..12 {
        let args = json!({ "channel": format!("C0000000{i:02}"), "text": "x" });
        statuses.push(workspace.call("chat.postMessage", args).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 429]);
    let mut listed = 0;
    while workspace.read("conversations.list").await.status == StatusCode::OK {
        listed += 1;
    }
    assert_eq!(listed, 22, "tier 2: 20 a minute and a tenth as a burst");
}

#[tokio::test]
async fn invalid_blocks_are_refused_with_a_pointer_and_not_posted() {
    let workspace = workspace();
    let text = |text: &str| json!({ "type": "plain_text", "text": text });
    let table = json!({ "type": "table", "rows": [[{ "type": "raw_text", "text": "a" }]] });
    let button = |text: Value, id: &str| json!({ "type": "button", "text": text, "action_id": id });
    for (blocks, expected) in [
        (
            json!([{ "type": "header", "text": text(&"x".repeat(151)) }]),
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            json!([{ "type": "divider" }, { "type": "section", "text": { "type": "mrkdwn", "text": "x".repeat(3001) } }]),
            "must be less than 3001 characters [json-pointer:/blocks/1/text/text]",
        ),
        (
            json!([{ "type": "header", "text": { "type": "mrkdwn", "text": "x" } }]),
            "must be a plain_text object [json-pointer:/blocks/0/text]",
        ),
        (json!([{ "type": "section" }]), "one of text and fields is required [json-pointer:/blocks/0]"),
        (
            json!([{ "type": "section", "fields": vec![text("x"); 11] }]),
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        (
            json!([{ "type": "section", "text": text("") }]),
            "must be more than 0 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            json!([{ "type": "context", "elements": [] }]),
            "no fewer than 1 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            json!([{ "type": "actions", "elements": [button(text("a"), "x"), button(text("b"), "x")] }]),
            "action_id must be unique in the block [json-pointer:/blocks/0/elements/1/action_id]",
        ),
        (
            json!([{ "type": "actions", "elements": [button(text(&"x".repeat(76)), "x")] }]),
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        (
            json!([{ "type": "divider", "block_id": "a" }, { "type": "divider", "block_id": "a" }]),
            "block_id must be unique in the message [json-pointer:/blocks/1/block_id]",
        ),
        (
            json!([{ "type": "table", "rows": [[{ "type": "raw_text", "text": "" }]] }]),
            "must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]",
        ),
        (json!([{ "type": "nonsense" }]), "unsupported type: nonsense [json-pointer:/blocks/0]"),
        (
            json!(vec![json!({ "type": "divider" }); 51]),
            "no more than 50 blocks allowed [json-pointer:/blocks]",
        ),
    ] {
        let refused = workspace.post(json!({ "channel": ACCOUNTING, "text": "x", "blocks": blocks })).await;
        assert_eq!(error(&refused), "invalid_blocks");
        assert_eq!(refused.body["response_metadata"]["messages"], json!([format!("[ERROR] {expected}")]));
    }
    let two_tables =
        workspace.post(json!({ "channel": ACCOUNTING, "text": "x", "blocks": [table, table] })).await;
    assert_eq!(error(&two_tables), "invalid_attachments");
    assert!(workspace.sim.posts(ACCOUNTING).is_empty());
    let fine = workspace.post(json!({ "channel": ACCOUNTING, "text": "x", "blocks": [table] })).await;
    assert_eq!(ok(&fine)["message"]["blocks"][0]["block_id"].as_str().map(str::len), Some(5));
}

#[tokio::test]
async fn a_client_message_id_is_recognized_where_that_is_on() {
    let mut config = SlackConfig::default();
    config.client_msg_id_dedupe = true;
    for (workspace, stored) in [(workspace_with(config), 1), (workspace(), 2)] {
        let args = json!({ "channel": ACCOUNTING, "text": "x", "client_msg_id": "0197f3c2-7a1e-7c55-9b0e-6d4f2a8c1e90" });
        let first = workspace.post(args.clone()).await;
        let second = workspace.post(args).await;
        assert_eq!(second.body["is_duplicate"] == true, stored == 1);
        assert_eq!(first.body["ts"] == second.body["ts"], stored == 1);
        assert_eq!(workspace.sim.posts(ACCOUNTING).len(), stored);
    }
}

#[tokio::test]
async fn an_update_keeps_and_removes_what_slack_says() {
    let workspace = workspace();
    let blocks = json!([{ "type": "divider", "block_id": "d" }]);
    let posted = workspace.post(json!({ "channel": ACCOUNTING, "text": "a", "blocks": blocks })).await;
    let ts = ok(&posted)["ts"].clone();
    let update = async |fields: Value| {
        let mut args = json!({ "channel": ACCOUNTING, "ts": ts });
        args.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        workspace.call("chat.update", args).await
    };
    let kept = update(json!({ "metadata": { "event_type": "e", "event_payload": {} } })).await;
    assert_eq!(ok(&kept)["message"]["blocks"], blocks);
    let removed = update(json!({ "text": "b" })).await;
    assert!(ok(&removed)["message"].get("blocks").is_none());
    assert_eq!(removed.body["message"]["metadata"]["event_type"], "e");
    assert_eq!(error(&update(json!({ "text": "x".repeat(4001) })).await), "msg_too_long");
    assert_eq!(error(&update(json!({ "ts": "1.000000", "text": "b" })).await), "message_not_found");
    assert_eq!(error(&update(json!({ "channel": "accounting", "text": "b" })).await), "channel_not_found");
    workspace.sim.say(ACCOUNTING, "U07CLERK01", "mine");
    let theirs = workspace.sim.posts(ACCOUNTING)[1].ts.clone();
    assert_eq!(error(&update(json!({ "ts": theirs, "text": "b" })).await), "cant_update_message");
    assert_eq!(
        (workspace.sim.posts(ACCOUNTING)[0].edits, workspace.sim.posts(ACCOUNTING)[0].text.as_str()),
        (2, "b")
    );
}

#[tokio::test]
async fn long_text_is_cut_with_a_warning() {
    let workspace = workspace();
    let posted = workspace.post(json!({ "channel": ACCOUNTING, "text": "é".repeat(40_001) })).await;
    assert_eq!(ok(&posted)["warning"], "message_truncated");
    assert_eq!(workspace.sim.posts(ACCOUNTING)[0].text.chars().count(), 40_000);
}

#[tokio::test]
async fn a_reply_to_what_is_gone_stands_in_the_channel_without_a_word_about_it() {
    let workspace = workspace();
    let root = ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": "root" })).await)["ts"].clone();
    ok(&workspace.call("chat.delete", json!({ "channel": ACCOUNTING, "ts": root })).await);
    let reply = json!({ "channel": ACCOUNTING, "text": "reply", "thread_ts": root });
    let posted = workspace.post(reply).await;
    assert!(ok(&posted)["message"].get("thread_ts").is_none(), "{posted:?}");
    let history = workspace.read(&format!("conversations.history?channel={ACCOUNTING}")).await;
    assert_eq!(ok(&history)["messages"][0]["ts"], posted.body["ts"]);
}

#[tokio::test]
async fn blocks_that_are_too_long_together_are_refused() {
    let mut config = SlackConfig::default();
    config.max_blocks_bytes = Some(1000);
    let workspace = workspace_with(config);
    let section = |length: usize| {
        let text = "x".repeat(length);
        json!({ "channel": ACCOUNTING, "text": "x", "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": text } },
        ] })
    };
    ok(&workspace.post(section(900)).await);
    assert_eq!(error(&workspace.post(section(1000)).await), "msg_blocks_too_long");
}
