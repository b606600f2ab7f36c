//! Slack: posting, limits, blocks, history, the page.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use ml_connector_core::{HttpTransport, ManualClock, http::Limits};
use ml_connector_sim::{
    SimTransport, SlackSim,
    slack::{Channel, RateLimitAnswer, SlackConfig},
};
use serde_json::{Value, json};

use crate::{Answered, NOW, clock, get, post, send};

const JSON: &str = "application/json; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";
const ACCOUNTING: &str = "C07ACCTNG1";

struct Workspace {
    sim: SlackSim,
    transport: SimTransport,
    clock: Arc<ManualClock>,
    token: String,
}

fn workspace() -> Workspace {
    workspace_with(SlackConfig::default())
}

fn workspace_with(config: SlackConfig) -> Workspace {
    let clock = clock();
    let sim = SlackSim::with_config(clock.clone(), config);
    let token = format!("Bearer {}", sim.bot_token());
    Workspace { transport: SimTransport::new().with_slack(&sim), sim, clock, token }
}

impl Workspace {
    async fn call(&self, method: &str, args: Value) -> Answered {
        let url = format!("https://slack.com/api/{method}");
        send(&self.transport, post(&url, &self.token, JSON, args.to_string())).await.unwrap()
    }

    async fn read(&self, method_and_query: &str) -> Answered {
        let url = format!("https://slack.com/api/{method_and_query}");
        send(&self.transport, get(&url, &self.token)).await.unwrap()
    }

    async fn post(&self, args: Value) -> Answered {
        self.clock.advance(Duration::from_secs(1));
        self.call("chat.postMessage", args).await
    }

    async fn page(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(format!("https://slack.com{path}")).body(Bytes::new()).unwrap();
        let answer = self.transport.send(request, Limits::default()).await.unwrap();
        (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap())
    }
}

fn error(answer: &Answered) -> &str {
    assert_eq!((answer.status, &answer.body["ok"]), (StatusCode::OK, &Value::Bool(false)), "{answer:?}");
    answer.body["error"].as_str().unwrap()
}

fn ok(answer: &Answered) -> &Value {
    assert_eq!((answer.status, &answer.body["ok"]), (StatusCode::OK, &Value::Bool(true)), "{answer:?}");
    &answer.body
}

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
async fn history_shows_the_newest_first_and_metadata_when_asked() {
    let workspace = workspace();
    let metadata =
        |id: &str| json!({ "event_type": "mlc_notification", "event_payload": { "delivery_id": id } });
    workspace.sim.say(ACCOUNTING, "U07CLERK01", "good morning");
    let mut stamps = Vec::new();
    for id in ["d-1", "d-2", "d-3"] {
        let posted =
            workspace.post(json!({ "channel": ACCOUNTING, "text": id, "metadata": metadata(id) })).await;
        stamps.push(ok(&posted)["ts"].as_str().unwrap().to_owned());
    }
    ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": "reply", "thread_ts": stamps[0] })).await);
    assert_eq!(stamps[0], format!("{}.000000", NOW + 1));
    assert!(stamps.is_sorted());

    let path = format!("conversations.history?channel={ACCOUNTING}");
    let texts = |answer: &Answered| -> Vec<String> {
        let messages = ok(answer)["messages"].as_array().unwrap().iter();
        messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    let plain = workspace.read(&path).await;
    assert_eq!(texts(&plain), ["d-3", "d-2", "d-1", "good morning"]);
    assert_eq!(plain.body["messages"][0]["metadata"], json!({ "event_type": "mlc_notification" }));
    let full = workspace.read(&format!("{path}&include_all_metadata=true&limit=1")).await;
    assert_eq!(full.body["messages"][0]["metadata"], metadata("d-3"));
    assert_eq!(full.body["messages"][0]["app_id"], "A07MLCONN1");

    let cursor = full.body["response_metadata"]["next_cursor"].as_str().unwrap().replace('=', "%3D");
    assert_eq!(texts(&workspace.read(&format!("{path}&limit=2&cursor={cursor}")).await), ["d-2", "d-1"]);
    assert_eq!(error(&workspace.read(&format!("{path}&cursor=bm9uZQ%3D%3D")).await), "invalid_cursor");
    let since = workspace.read(&format!("{path}&oldest={}&inclusive=true", stamps[1])).await;
    assert_eq!(texts(&since), ["d-3", "d-2"]);
    assert_eq!(texts(&workspace.read(&format!("{path}&oldest={}", stamps[1])).await), ["d-3"]);

    let thread =
        workspace.read(&format!("conversations.replies?channel={ACCOUNTING}&ts={}", stamps[0])).await;
    assert_eq!(texts(&thread), ["d-1", "reply"]);
    assert!(workspace.sim.duplicates().is_empty());
    workspace.post(json!({ "channel": "C07APPROV1", "text": "x", "metadata": metadata("d-2") })).await;
    assert_eq!(workspace.sim.duplicates(), ["d-2"]);
}

#[tokio::test]
async fn history_can_lag_and_be_restricted() {
    let mut config = SlackConfig::default();
    config.history_lag = Duration::from_secs(3);
    config.restricted_history = true;
    let workspace = workspace_with(config);
    for _ in 0..20 {
        ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": "x" })).await);
    }
    let path = format!("conversations.history?channel={ACCOUNTING}&limit=999");
    let page = workspace.read(&path).await;
    assert_eq!(ok(&page)["messages"].as_array().map(Vec::len), Some(15));
    assert_eq!(page.body["messages"][0]["ts"], workspace.sim.posts(ACCOUNTING)[16].ts.as_str());
    let refused = workspace.read(&path).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("60")));
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
async fn channels_are_listed_in_pages() {
    let workspace = workspace();
    let path = "conversations.list?types=public_channel,private_channel&limit=2";
    let first = workspace.read(path).await;
    let cursor = ok(&first)["response_metadata"]["next_cursor"].as_str().unwrap().replace('=', "%3D");
    let second = workspace.read(&format!("{path}&cursor={cursor}")).await;
    let names = |answer: &Answered| -> Vec<String> {
        let channels = ok(answer)["channels"].as_array().unwrap().iter();
        channels.map(|channel| channel["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!([names(&first), names(&second)].concat(), ["accounting", "invoice-approvals", "exec-alerts"]);
    assert_eq!(second.body["response_metadata"]["next_cursor"], "");
    let info = workspace.read("conversations.info?channel=C07APPROV1").await;
    assert_eq!(
        (&ok(&info)["channel"]["is_private"], &info.body["channel"]["is_member"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn the_page_shows_messages_as_a_person_sees_them() {
    let workspace = workspace();
    let request = include_str!("../fixtures/slack/chat.postMessage.request.json");
    ok(&workspace.post(serde_json::from_str(request).unwrap()).await);
    let (status, page) = workspace.page("/").await;
    assert_eq!(status, StatusCode::OK);
    for text in [
        "<h2>Purchase invoice needs approval</h2>",
        "<b>Vendor</b><br>Northwind &amp; Sons Ltd",
        "31 Jan 2026 UTC",
        "@Anna Verhoeven",
        "<span class=\"button primary\">Approve and post</span>",
        "# accounting",
        "12 Mar 2026, 14:05:01 UTC",
        "ml-connector is not a member",
    ] {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    assert!(!page.contains("delivery_id"));
    let (_, only) = workspace.page("/channels/C07ACCTNG1").await;
    assert!(only.contains("No messages yet.") && !only.contains("Approve and post"));
    assert_eq!(workspace.page("/channels/C07NONE001").await.0, StatusCode::NOT_FOUND);
    let posted = Request::builder()
        .method(Method::POST)
        .uri("https://slack.com/")
        .header(header::HOST, "x")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(send(&workspace.transport, posted).await.unwrap().status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn nothing_posted_becomes_a_tag_on_the_page() {
    let workspace = workspace();
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let text = |kind: &str| json!({ "type": kind, "text": evil });
    let blocks = json!([
        { "type": "header", "text": text("plain_text") },
        { "type": "section", "text": text("mrkdwn"), "fields": [text("mrkdwn"), text("plain_text")] },
        { "type": "context", "elements": [text("mrkdwn"), { "type": "image", "image_url": "https://x.example", "alt_text": evil }] },
        { "type": "actions", "elements": [{ "type": "button", "text": { "type": "plain_text", "text": "<script>" }, "action_id": "a" }] },
        { "type": "table", "rows": [[{ "type": "raw_text", "text": evil }]] },
        { "type": "markdown", "text": evil },
        { "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [{ "type": "text", "text": evil }] }] },
    ]);
    ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": evil, "blocks": blocks })).await);
    ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": evil })).await);
    workspace.sim.say(ACCOUNTING, evil, evil);
    workspace.sim.set_channel(Channel::new("C07EVIL001", evil));
    let (_, page) = workspace.page("/").await;
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;"));
}
