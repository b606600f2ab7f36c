//! The page, by its text.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use ml_connector_core::{HttpTransport, http::Limits};
use ml_connector_sim::slack::Channel;
use serde_json::json;

use super::{ACCOUNTING, ANNA, APPROVALS, FORM, TOM, Workspace, ok, workspace};
use crate::{post, send};

impl Workspace {
    /// Sends a form of the page.
    async fn form(&self, action: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = post(&format!("https://slack.com/page/{action}"), "", FORM, body);
        self.transport.send(request, Limits::default()).await.unwrap()
    }
}

fn location(answer: &Response<Bytes>) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[header::LOCATION].to_str().unwrap()
}

fn text(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

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
        "Jan 31, 2026",
        "@Anna Verhoeven",
        "<button class=\"button primary\" name=\"action_id\" value=\"mlc.approve\">Approve and post</button>",
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

#[tokio::test]
async fn a_button_that_asks_first_is_clicked_in_two_steps() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let click = |action| {
        vec![
            ("as", ANNA),
            ("here", ACCOUNTING),
            ("channel", ACCOUNTING),
            ("ts", ts.as_str()),
            ("action_id", action),
            ("in.why", "in order"),
        ]
    };
    let asked = workspace.form("click", &click("approve")).await;
    for part in ["Sure?", "It will be posted.", ">Post</button>", ">Cancel</a>", "value=\"in order\""] {
        assert!(text(&asked).contains(part), "{part} is missing in {}", text(&asked));
    }
    assert!(workspace.deliver().await.is_empty());
    let mut confirmed = click("approve");
    confirmed.push(("confirmed", "1"));
    assert_eq!(location(&workspace.form("click", &confirmed).await), "/channels/C07ACCTNG1?as=U07APPROV1");
    let (_, page) = workspace.page(&format!("/channels/{ACCOUNTING}?as={ANNA}")).await;
    assert!(page.contains("Waiting for the app") && page.contains("http-equiv=\"refresh\" content=\"1\""));
    let payload = workspace.interaction().await;
    assert_eq!(
        (&payload["user"]["id"], &payload["actions"][0]["action_id"]),
        (&json!(ANNA), &json!("approve"))
    );
    assert_eq!(payload["state"]["values"]["why"]["why.text"]["value"], "in order");
    // One that does not ask is clicked at once.
    location(&workspace.form("click", &click("reject")).await);
    assert_eq!(workspace.deliver().await[0].about.name, "reject");
    let gone = workspace.form("click", &click("pay")).await;
    assert!(text(&gone).contains("the message has no such button"));
}

#[tokio::test]
async fn a_page_with_something_to_fill_in_does_not_draw_itself_again() {
    let workspace = workspace();
    let refreshes = async |path: &str| workspace.page(path).await.1.contains("http-equiv");
    assert!(refreshes("/").await);
    assert!(!refreshes(&format!("/channels/{ACCOUNTING}?as={ANNA}&write=1")).await);
    workspace.card(ACCOUNTING).await;
    assert!(!refreshes("/").await);
    assert!(refreshes(&format!("/channels/{APPROVALS}")).await);
}

#[tokio::test]
async fn a_button_with_an_address_leads_there_and_is_a_click_too() {
    let workspace = workspace();
    let button = |url: &str| {
        let text = json!({ "type": "plain_text", "text": "Open" });
        json!([{ "type": "actions", "elements": [{ "type": "button", "action_id": "open", "url": url, "text": text }] }])
    };
    let url = "https://books.example/1";
    ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": "x", "blocks": button(url) })).await);
    let ts = workspace.sim.posts(ACCOUNTING)[0].ts.clone();
    let fields = [("as", ANNA), ("channel", ACCOUNTING), ("ts", &ts), ("action_id", "open")];
    assert_eq!(location(&workspace.form("click", &fields).await), url);
    assert_eq!(workspace.interaction().await["actions"][0]["url"], url);
}

#[tokio::test]
async fn emojis_are_added_and_taken_back_by_the_person_chosen() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let fields = [("as", TOM), ("channel", ACCOUNTING), ("ts", &ts), ("name", "white_check_mark")];
    location(&workspace.form("react", &fields).await);
    let (_, toms) = workspace.page(&format!("/?as={TOM}")).await;
    assert!(toms.contains("class=\"mine\"") && toms.contains("title=\"Tom Baker\"") && toms.contains("✅ 1"));
    assert!(toms.contains("formaction=\"/page/unreact\""));
    assert!(!workspace.page(&format!("/?as={ANNA}")).await.1.contains("class=\"mine\""));
    assert!(text(&workspace.form("react", &fields).await).contains("the reaction was refused"));
    location(&workspace.form("unreact", &fields).await);
    assert!(workspace.sim.posts(ACCOUNTING)[0].reactions.is_empty());
    assert_eq!(workspace.deliver().await.len(), 2);
}

#[tokio::test]
async fn a_modal_lies_over_the_page_until_it_is_submitted_as_it_should() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let trigger = workspace.sim.click(ACCOUNTING, &ts, "reject", ANNA).unwrap().trigger_id;
    workspace.deliver().await;
    let plain = |text: &str| json!({ "type": "plain_text", "text": text });
    let view = json!({
        "type": "modal", "title": plain("Reject invoice"), "submit": plain("Reject"), "close": plain("Cancel"),
        "blocks": [{ "type": "input", "block_id": "reason", "label": plain("Reason"), "element": {
            "type": "plain_text_input", "action_id": "r", "multiline": true, "min_length": 3 } }],
    });
    let opened = workspace.call("views.open", json!({ "trigger_id": trigger, "view": view })).await;
    let id = ok(&opened)["view"]["id"].as_str().unwrap();
    let page = async |user: &str| workspace.page(&format!("/?as={user}")).await.1;
    let annas = page(ANNA).await;
    for part in ["Reject invoice", "<textarea name=\"in.reason\"", ">Reject</button>", ">Cancel</button>"] {
        assert!(annas.contains(part), "{part} is missing in {annas}");
    }
    assert!(!annas.contains("http-equiv"));
    assert!(!page(TOM).await.contains("Reject invoice"));

    let submit = |reason| vec![("as", ANNA), ("view", id), ("in.reason", reason)];
    location(&workspace.form("submit", &submit("no")).await);
    assert!(page(ANNA).await.contains("Please enter at least 3 characters."));
    assert!(workspace.deliver().await.is_empty());
    let errors = json!({ "response_action": "errors", "errors": { "reason": "Name the <rule>" } });
    for (answer, shown) in
        [(errors.to_string(), "Name the &lt;rule&gt;"), ("?".to_owned(), "We had some trouble")]
    {
        location(&workspace.form("submit", &submit("too dear")).await);
        let sent = page(ANNA).await;
        assert!(sent.contains("Waiting for the app") && sent.contains("http-equiv"));
        let delivery = workspace.sim.take_deliveries().remove(0);
        assert!(page(ANNA).await.contains("Waiting for the app"), "the answer is still to come");
        workspace.sim.settle(delivery, Ok(Response::new(answer.into())));
        let answered = page(ANNA).await;
        assert!(answered.contains(shown) && answered.contains(">too dear</textarea>"));
        assert!(!answered.contains("http-equiv"));
    }
    location(&workspace.form("close", &submit("")).await);
    assert!(!page(ANNA).await.contains("Reject invoice"));
}

#[tokio::test]
async fn threads_edits_and_what_only_one_person_sees_are_shown_as_such() {
    let workspace = workspace();
    let posted = workspace.post(json!({ "channel": ACCOUNTING, "text": "unedited" })).await;
    let ts = ok(&posted)["ts"].clone();
    ok(&workspace.post(json!({ "channel": ACCOUNTING, "text": "in the thread", "thread_ts": ts })).await);
    ok(&workspace.call("chat.update", json!({ "channel": ACCOUNTING, "ts": ts, "text": "second" })).await);
    let whisper = json!({ "channel": ACCOUNTING, "user": ANNA, "text": "not allowed" });
    ok(&workspace.call("chat.postEphemeral", whisper).await);
    let (_, annas) = workspace.page(&format!("/?as={ANNA}")).await;
    for part in ["second", "(edited)", "1 reply", "in the thread", "Only visible to you", "not allowed"] {
        assert!(annas.contains(part), "{part} is missing in {annas}");
    }
    assert!(!annas.contains("unedited"));
    let (_, toms) = workspace.page(&format!("/?as={TOM}")).await;
    assert!(!toms.contains("not allowed"));
    workspace.sim.set_channel(Channel::new(APPROVALS, "invoice-approvals").private().with_members(&[ANNA]));
    let hidden = workspace.page(&format!("/channels/{APPROVALS}?as={TOM}")).await.1;
    assert!(hidden.contains("You are not a member."));
}

#[tokio::test]
async fn people_write_and_type_commands_on_the_page() {
    let workspace = workspace();
    let say = |text| vec![("as", TOM), ("here", ACCOUNTING), ("channel", ACCOUNTING), ("text", text)];
    location(&workspace.form("say", &say("a < b")).await);
    assert_eq!(workspace.sim.posts(ACCOUNTING)[0].text, "a &lt; b");
    assert!(text(&workspace.form("say", &say("/overdue 30")).await).contains("no scope for commands"));
    workspace.sim.set_scopes(&["commands"]);
    location(&workspace.form("say", &say("/overdue 30")).await);
    assert_eq!(workspace.deliver().await[0].about.name, "/overdue");
    let stranger = [("as", "U07NOBODY1"), ("channel", ACCOUNTING), ("text", "x")];
    assert!(text(&workspace.form("say", &stranger).await).contains("no such active person"));
    assert_eq!(workspace.form("dance", &[]).await.status(), StatusCode::NOT_FOUND);
}
