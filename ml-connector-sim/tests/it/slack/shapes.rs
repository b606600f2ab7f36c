//! What is sent has the fields of the requests in Slack's documentation, no fewer and no others.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ACCOUNTING, ANNA, APPROVALS, ok, workspace};

fn fields(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Compares the fields at each pointer.
fn check(sent: &Value, documented: &str, pointers: &[&str]) {
    let documented: Value = serde_json::from_str(documented).unwrap();
    for pointer in pointers {
        let (sent, documented) = (sent.pointer(pointer).unwrap(), documented.pointer(pointer).unwrap());
        assert_eq!(fields(sent), fields(documented), "{pointer}");
    }
}

#[tokio::test]
async fn a_click_has_the_documented_fields() {
    let workspace = workspace();
    let request: Value =
        serde_json::from_str(include_str!("../../fixtures/slack/chat.postMessage.request.json")).unwrap();
    ok(&workspace.post(request).await);
    let ts = workspace.sim.posts(APPROVALS)[0].ts.clone();
    workspace.sim.click(APPROVALS, &ts, "mlc.approve", ANNA).unwrap();
    let documented = include_str!("../../fixtures/slack/block_actions_approve.payload.json");
    let mut sent = workspace.interaction().await;
    // Sent by this client with a message id of its own, which Slack keeps.
    sent["message"].as_object_mut().unwrap().remove("client_msg_id");
    check(
        &sent,
        documented,
        &[
            "",
            "/user",
            "/team",
            "/container",
            "/channel",
            "/state",
            "/message",
            "/actions/0",
            "/actions/0/confirm",
        ],
    );
}

#[tokio::test]
async fn modals_have_the_documented_fields() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    let documented = include_str!("../../fixtures/slack/view_submission_reject.payload.json");
    let view: Value = serde_json::from_str::<Value>(documented).unwrap()["view"].clone();
    let kept =
        ["type", "title", "blocks", "submit", "close", "private_metadata", "callback_id", "notify_on_close"];
    let asked: Value = kept.iter().map(|name| ((*name).to_owned(), view[name].clone())).collect();
    let open = async || {
        let trigger = workspace.sim.click(ACCOUNTING, &ts, "reject", ANNA).unwrap().trigger_id;
        workspace.deliver().await;
        let opened = workspace.call("views.open", json!({ "trigger_id": trigger, "view": asked })).await;
        ok(&opened)["view"]["id"].as_str().unwrap().to_owned()
    };
    let id = open().await;
    workspace.sim.submit_view(ANNA, &id, &[("mlc.reason", "too dear")]).unwrap();
    check(
        &workspace.interaction().await,
        documented,
        &["", "/view", "/view/state/values/mlc.reason/mlc.reason.text"],
    );
    let id = open().await;
    workspace.sim.close_view(ANNA, &id).unwrap();
    let documented = include_str!("../../fixtures/slack/view_closed.payload.json");
    check(&workspace.interaction().await, documented, &["", "/user", "/view"]);
}

#[tokio::test]
async fn events_and_commands_have_the_documented_fields() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    workspace.sim.tell_rate_limited();
    workspace.deliver().await;
    let heard = workspace.app.heard();
    let reaction = include_str!("../../fixtures/slack/event_reaction_added.json");
    check(&heard[0].json(), reaction, &["", "/event", "/event/item", "/authorizations/0"]);
    check(&heard[1].json(), include_str!("../../fixtures/slack/app_rate_limited.json"), &[""]);

    workspace.sim.set_scopes(&["commands"]);
    workspace.sim.command(ACCOUNTING, ANNA, "/overdue", "30 days").unwrap();
    workspace.deliver().await;
    let names = |form: &[u8]| -> BTreeSet<String> {
        url::form_urlencoded::parse(form).map(|(name, _)| name.into_owned()).collect()
    };
    let documented = include_bytes!("../../fixtures/slack/slash_command.form");
    assert_eq!(names(&workspace.app.heard()[0].body), names(documented));
}
