//! The page, by its text.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use ml_connector_sim::slack::Channel;
use serde_json::json;

use super::{ACCOUNTING, ok, workspace};
use crate::send;

#[tokio::test]
async fn the_page_shows_messages_as_a_person_sees_them() {
    let workspace = workspace();
    let request = include_str!("../../fixtures/slack/chat.postMessage.request.json");
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
