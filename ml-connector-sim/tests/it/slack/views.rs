//! Modals: what opens them, what is refused, what an answer does.

use std::time::Duration;

use ml_connector_core::ErrorKind;
use ml_connector_sim::slack::View;
use serde_json::{Value, json};

use super::{ACCOUNTING, ANNA, TOM, Workspace, error, ok, workspace};
use crate::Answered;

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text })
}

fn modal() -> Value {
    json!({
        "type": "modal", "callback_id": "reject", "private_metadata": "key-1", "notify_on_close": true,
        "title": plain("Reject"), "submit": plain("Reject"), "close": plain("Cancel"),
        "blocks": [{ "type": "input", "block_id": "reason", "label": plain("Reason"), "element": {
            "type": "plain_text_input", "action_id": "reason.text", "min_length": 3, "max_length": 20,
        } }],
    })
}

impl Workspace {
    /// A `trigger_id` of a click by Anna.
    async fn trigger(&self) -> String {
        let ts = match self.sim.posts(ACCOUNTING).last() {
            Some(card) => card.ts.clone(),
            None => self.card(ACCOUNTING).await,
        };
        self.sim.click(ACCOUNTING, &ts, "approve", ANNA).unwrap().trigger_id
    }

    async fn open(&self, view: Value) -> Answered {
        let trigger_id = self.trigger().await;
        self.call("views.open", json!({ "trigger_id": trigger_id, "view": view })).await
    }

    /// Opens the modal, and returns its id.
    async fn opened(&self) -> String {
        let opened = self.open(modal()).await;
        self.deliver().await;
        self.app.heard();
        ok(&opened)["view"]["id"].as_str().unwrap().to_owned()
    }

    fn view(&self, id: &str) -> View {
        self.sim.views(ANNA).into_iter().find(|view| view.id == id).unwrap()
    }

    /// Anna submits, and the app answers so.
    async fn submit(&self, id: &str, answer: (u16, Value)) -> View {
        self.sim.submit_view(ANNA, id, &[("reason", "too dear")]).unwrap();
        let (status, body) = answer;
        self.app.answers(status, if body.is_null() { String::new() } else { body.to_string() });
        assert_eq!(self.deliver().await.len(), 1);
        self.view(id)
    }
}

#[tokio::test]
async fn a_trigger_opens_one_modal_within_three_seconds() {
    let workspace = workspace();
    let open = async |trigger: &str| {
        workspace.call("views.open", json!({ "trigger_id": trigger, "view": modal() })).await
    };
    assert_eq!(error(&open("1.2.3").await), "invalid_trigger_id");
    let trigger = workspace.trigger().await;
    workspace.clock.advance(Duration::from_secs(3));
    ok(&open(&trigger).await);
    assert_eq!(error(&open(&trigger).await), "exchanged_trigger_id");
    let late = workspace.trigger().await;
    workspace.clock.advance(Duration::from_millis(3001));
    assert_eq!(error(&open(&late).await), "expired_trigger_id");
    assert_eq!(workspace.sim.views(ANNA).len(), 1);
    assert!(workspace.sim.views(TOM).is_empty());
}

#[tokio::test]
async fn a_view_that_breaks_a_rule_is_refused_with_a_pointer_and_keeps_the_trigger() {
    let workspace = workspace();
    let trigger = workspace.trigger().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut view = modal();
        change(&mut view);
        view
    };
    for (view, message) in [
        (
            with(&|view| view["title"] = Value::Null),
            "[ERROR] missing required field: title [json-pointer:/view]",
        ),
        (
            with(&|view| view["title"] = plain(&"x".repeat(25))),
            "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        (
            with(&|view| view["submit"] = Value::Null),
            "[ERROR] missing required field: submit [json-pointer:/view]",
        ),
        (
            with(&|view| view["private_metadata"] = "x".repeat(3001).into()),
            "[ERROR] must be less than 3001 characters [json-pointer:/view/private_metadata]",
        ),
        (
            with(&|view| view["blocks"] = vec![json!({ "type": "divider" }); 101].into()),
            "[ERROR] no more than 100 blocks allowed [json-pointer:/view/blocks]",
        ),
        (
            with(&|view| view["blocks"][0]["element"]["max_length"] = 3001.into()),
            "[ERROR] must be from 1 to 3000 [json-pointer:/view/blocks/0/element/max_length]",
        ),
    ] {
        let refused = workspace.call("views.open", json!({ "trigger_id": trigger, "view": view })).await;
        assert_eq!(error(&refused), "invalid_arguments");
        assert_eq!(refused.body["response_metadata"]["messages"][0], message);
    }
    let huge = with(&|view| view["blocks"][0]["extra"] = "x".repeat(250_000).into());
    let refused = workspace.call("views.open", json!({ "trigger_id": trigger, "view": huge })).await;
    assert_eq!(error(&refused), "view_too_large");
    ok(&workspace.call("views.open", json!({ "trigger_id": trigger, "view": modal() })).await);
    let named = with(&|view| view["external_id"] = "one".into());
    ok(&workspace.open(named.clone()).await);
    assert_eq!(error(&workspace.open(named).await), "duplicate_external_id");
}

#[tokio::test]
async fn what_an_input_forbids_never_reaches_the_app() {
    let workspace = workspace();
    let id = workspace.opened().await;
    for entered in ["", "no", "far more than twenty letters"] {
        let refused = workspace.sim.submit_view(ANNA, &id, &[("reason", entered)]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
        assert!(workspace.view(&id).errors.contains_key("reason"));
    }
    assert_eq!(workspace.sim.submit_view(TOM, &id, &[]).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(workspace.deliver().await.is_empty());
}

#[tokio::test]
async fn a_submission_carries_the_view_and_an_empty_answer_closes_it() {
    let workspace = workspace();
    let id = workspace.opened().await;
    let view = workspace.submit(&id, (200, Value::Null)).await;
    assert!(!view.is_open);
    let payload = workspace.app.heard().pop().unwrap().payload();
    assert_eq!((&payload["type"], &payload["user"]["id"]), (&json!("view_submission"), &json!(ANNA)));
    assert_eq!(
        (&payload["view"]["callback_id"], &payload["view"]["private_metadata"], &payload["view"]["id"]),
        (&json!("reject"), &json!("key-1"), &json!(id))
    );
    assert_eq!(
        payload["view"]["state"]["values"]["reason"]["reason.text"],
        json!({ "type": "plain_text_input", "value": "too dear" })
    );
    assert!(payload.get("message").is_none() && payload.get("channel").is_none());
    assert!(workspace.sim.submit_view(ANNA, &id, &[("reason", "too dear")]).is_err());
}

#[tokio::test]
async fn errors_are_shown_and_a_wrong_answer_keeps_the_modal_open() {
    let workspace = workspace();
    let id = workspace.opened().await;
    let errors = |block: &str| json!({ "response_action": "errors", "errors": { block: "say more" } });
    let shown = workspace.submit(&id, (200, errors("reason"))).await;
    assert_eq!((shown.is_open, shown.errors["reason"].as_str(), shown.trouble), (true, "say more", None));
    for answer in [
        (500, Value::Null),
        (200, errors("nowhere")),
        (200, json!({ "response_action": "dance" })),
        (200, json!({ "response_action": "update", "view": { "type": "modal" } })),
    ] {
        let shown = workspace.submit(&id, answer).await;
        assert!(shown.is_open && shown.trouble.is_some());
    }
    // Submitted once more it may close.
    assert!(!workspace.submit(&id, (200, json!({ "response_action": "clear" }))).await.is_open);
}

#[tokio::test]
async fn views_are_updated_and_pushed_three_deep() {
    let workspace = workspace();
    let first = workspace.opened().await;
    let renamed = json!({ "type": "modal", "title": plain("Done"), "blocks": [{ "type": "divider" }] });
    let push = json!({ "response_action": "push", "view": modal() });
    workspace.submit(&first, (200, push.clone())).await;
    let top = |workspace: &Workspace| workspace.sim.views(ANNA).pop().unwrap();
    let second = top(&workspace);
    assert_eq!(
        (second.below.as_ref(), second.view["root_view_id"].as_str()),
        (Some(&first), Some(first.as_str()))
    );
    assert!(workspace.sim.submit_view(ANNA, &first, &[("reason", "below")]).is_err());
    workspace.submit(&second.id, (200, push.clone())).await;
    let third = top(&workspace).id;
    assert!(workspace.submit(&third, (200, push)).await.trouble.is_some());
    let trigger = workspace.sim.submit_view(ANNA, &third, &[("reason", "again")]).unwrap().trigger_id;
    let too_deep = workspace.call("views.push", json!({ "trigger_id": trigger, "view": modal() })).await;
    assert_eq!(error(&too_deep), "push_limit_reached");

    let hash = top(&workspace).view["hash"].clone();
    let update = async |args: Value| workspace.call("views.update", args).await;
    assert_eq!(error(&update(json!({ "view_id": "V1", "view": renamed })).await), "not_found");
    let stale = json!({ "view_id": third, "hash": "1.x", "view": renamed });
    assert_eq!(error(&update(stale).await), "hash_conflict");
    let updated = update(json!({ "view_id": third, "hash": hash, "view": renamed })).await;
    assert_eq!(ok(&updated)["view"]["title"]["text"], "Done");
    assert_ne!(updated.body["view"]["hash"], hash);
    assert_eq!(workspace.sim.submit_view(ANNA, &third, &[]).unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn closing_is_told_to_who_asked() {
    let workspace = workspace();
    let id = workspace.opened().await;
    workspace.sim.close_view(ANNA, &id).unwrap();
    let told = workspace.interaction().await;
    assert_eq!((&told["type"], &told["is_cleared"]), (&json!("view_closed"), &json!(false)));
    assert!(told.get("trigger_id").is_none());
    assert!(workspace.sim.close_view(ANNA, &id).is_err());
}
