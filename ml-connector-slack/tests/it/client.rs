//! Every other method on the wire: encoding, arguments, what is read of the answer, and what it spends.

use ml_connector_core::{Effect, ErrorKind, Retry, Scope, rate::QuotaKey};
use ml_connector_slack::{
    MessageRef,
    blocks::{Block, Blocks, TextInput, View},
    models::HistoryQuery,
};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::*;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json; charset=utf-8";

fn card() -> MessageRef {
    "C07APPROV1/1767225605.000219".parse().unwrap()
}

/// The one request for a method: its content type and its body.
async fn sent(world: &World, method: &str) -> (String, String) {
    let requests = world.requests(method).await;
    assert_eq!(requests.len(), 1);
    let kind = requests[0].headers["content-type"].to_str().unwrap().to_owned();
    (kind, String::from_utf8(requests[0].body.clone()).unwrap())
}

fn spent(world: &World) -> Vec<String> {
    world.limiter.admitted.lock().unwrap().iter().map(|cost| cost.key.to_string()).collect()
}

async fn form(world: &World, method: &str, expected: &str) {
    assert_eq!(sent(world, method).await, (FORM.to_owned(), expected.to_owned()));
    assert_eq!(spent(world), [format!("slack/T07LEDGER1/{method}")]);
}

#[tokio::test]
async fn channels_are_read_and_joined() {
    let world = World::new().await;
    world.answer("conversations.info", ok("conversations.info.ok.json")).await;
    let channel = world.slack().client().conversations_info(&world.ctx, "C07APPROV1").await.unwrap();
    assert_eq!((&*channel.name, channel.is_private, channel.is_member), ("invoice-approvals", true, true));
    form(&world, "conversations.info", "channel=C07APPROV1").await;

    let world = World::new().await;
    world.answer("conversations.join", ok("conversations.join.ok.already_in_channel.json")).await;
    let channel = world.slack().client().conversations_join(&world.ctx, "C07ACCTNG1").await.unwrap();
    assert_eq!(channel.id, "C07ACCTNG1", "being a member already is no failure");
    form(&world, "conversations.join", "channel=C07ACCTNG1").await;

    let world = World::new().await;
    let private = ok("conversations.join.error.method_not_supported_for_channel_type.json");
    world.answer("conversations.join", private).await;
    let refused = world.slack().client().conversations_join(&world.ctx, "C07APPROV1").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_thread_is_read_with_its_metadata() {
    let world = World::new().await;
    world.answer("conversations.replies", ok("conversations.replies.ok.json")).await;
    let card = card();
    let query = HistoryQuery {
        channel: &card.channel,
        oldest: "1767225600.000000",
        limit: 15,
        cursor: Some("bmV4dA=="),
    };
    let page = world.slack().client().conversations_replies(&world.ctx, &card.ts, query).await.unwrap();
    assert_eq!(page.messages[0].ts, card.ts);
    assert!(page.messages.len() > 1);
    form(
        &world,
        "conversations.replies",
        "channel=C07APPROV1&ts=1767225605.000219&oldest=1767225600.000000&inclusive=true\
         &include_all_metadata=true&limit=15&cursor=bmV4dA%3D%3D",
    )
    .await;
}

#[tokio::test]
async fn people_are_found_by_address_and_by_id() {
    let world = World::new().await;
    world.answer("users.lookupByEmail", ok("users.lookupByEmail.ok.json")).await;
    let found =
        world.slack().client().users_lookup_by_email(&world.ctx, "Anna.Verhoeven@Ledgerworks.example").await;
    let anna = found.unwrap();
    assert_eq!(
        (&*anna.id, anna.names().next(), anna.is_reachable()),
        ("U07APPROV1", Some("Anna Verhoeven"), true)
    );
    assert!(!format!("{anna:?}").contains("Anna"));
    form(&world, "users.lookupByEmail", "email=anna.verhoeven%40ledgerworks.example").await;

    let world = World::new().await;
    world.answer("users.info", ok("users.info.ok.json")).await;
    let jo = world.slack().client().users_info(&world.ctx, "U07CLERK01").await.unwrap();
    assert_eq!(jo.profile.email.as_deref(), Some("jo.clerk@ledgerworks.example"));
    form(&world, "users.info", "user=U07CLERK01").await;

    let world = World::new().await;
    world.answer("usergroups.users.list", ok("usergroups.users.list.ok.json")).await;
    let members = world.slack().client().usergroups_users_list(&world.ctx, "S07MANAGE1").await.unwrap();
    assert_eq!(members, ["U07APPROV1"]);
    form(&world, "usergroups.users.list", "usergroup=S07MANAGE1").await;
}

#[tokio::test]
async fn reactions_are_read_in_full() {
    let world = World::new().await;
    world.answer("reactions.get", ok("reactions.get.ok.json")).await;
    let reactions = world.slack().client().reactions_get(&world.ctx, &card()).await.unwrap();
    assert!(!reactions.is_empty());
    assert!(reactions.iter().all(|reaction| !reaction.name.is_empty() && reaction.count > 0));
    form(&world, "reactions.get", "channel=C07APPROV1&timestamp=1767225605.000219&full=true").await;

    let world = World::new().await;
    world.answer("reactions.get", ok("reactions.get.error.message_not_found.json")).await;
    let gone = world.slack().client().reactions_get(&world.ctx, &card()).await.unwrap_err();
    assert_eq!((gone.kind(), gone.scope()), (ErrorKind::NotFound, &Scope::Entry));
}

fn modal() -> View {
    let reason = TextInput::new("reject.reason").multiline().with_length(3, 500);
    View::new("Reject bill", Blocks::new().with(Block::input("reject.reason", "Reason", reason)))
        .with_submit("Reject")
        .with_callback("reject", "C07APPROV1/1767225605.000219")
}

#[tokio::test]
async fn a_modal_is_opened_and_rewritten() {
    let world = World::new().await;
    world.answer("views.open", ok("views.open.ok.json")).await;
    world.answer("views.update", ok("views.open.ok.json")).await;
    let slack = world.slack();
    assert_eq!(modal().validate(), Ok(()));
    let open = slack.client().views_open(&world.ctx, "1.2.3", &modal()).await.unwrap();
    assert_eq!((&*open.id, &*open.hash), ("V07REJECT01", "1767225730.kQz7Yb1E"));
    let (kind, body) = sent(&world, "views.open").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&*kind, &body["trigger_id"]), (JSON, &json!("1.2.3")));
    assert_eq!(body["view"]["type"], "modal");
    assert_eq!(body["view"]["private_metadata"], "C07APPROV1/1767225605.000219");
    assert_eq!(
        body["view"]["blocks"][0],
        json!({
            "type": "input", "block_id": "reject.reason", "optional": false,
            "label": {"type": "plain_text", "text": "Reason", "emoji": false},
            "element": {
                "type": "plain_text_input", "action_id": "reject.reason", "multiline": true,
                "min_length": 3, "max_length": 500,
            },
        })
    );

    slack.client().views_update(&world.ctx, &open, &modal()).await.unwrap();
    let (_, body) = sent(&world, "views.update").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["view_id"], &body["hash"]), (&json!("V07REJECT01"), &json!("1767225730.kQz7Yb1E")));
    assert_eq!(spent(&world), ["slack/T07LEDGER1/views.open", "slack/T07LEDGER1/views.update"]);
}

#[tokio::test]
async fn a_trigger_that_is_used_up_is_refused_and_not_sent_again() {
    for name in ["expired_trigger_id", "exchanged_trigger_id", "invalid_arguments"] {
        let world = World::new().await;
        world.answer("views.open", ok(&format!("views.open.error.{name}.json"))).await;
        let refused = world.slack().client().views_open(&world.ctx, "1.2.3", &modal()).await.unwrap_err();
        assert_eq!((refused.effect(), refused.retry()), (Effect::None, Retry::Never), "{name}");
        assert_eq!(world.requests("views.open").await.len(), 1);
    }
}

#[tokio::test]
async fn a_429_pauses_its_own_method_only() {
    let world = World::new().await;
    let later = || ResponseTemplate::new(429).insert_header("retry-after", "90");
    world.answer("views.open", later()).await;
    world.answer("users.info", later()).await;
    let slack = world.slack();
    let key = |method: &str| Scope::Quota(QuotaKey::new(format!("slack/T07LEDGER1/{method}")));
    let refused = slack.client().views_open(&world.ctx, "1.2.3", &modal()).await.unwrap_err();
    assert_eq!(refused.scope(), &key("views.open"));
    let refused = slack.client().users_info(&world.ctx, "U07CLERK01").await.unwrap_err();
    assert_eq!(refused.scope(), &key("users.info"));
}
