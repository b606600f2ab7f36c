//! Reading back: history, threads, lists.

use std::time::Duration;

use http::StatusCode;
use ml_connector_sim::slack::SlackConfig;
use serde_json::json;

use super::{ACCOUNTING, error, ok, workspace, workspace_with};
use crate::{Answered, NOW};

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
