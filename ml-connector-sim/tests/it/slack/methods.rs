//! Every other method: scopes, limits, what is refused.

use std::time::Duration;

use http::StatusCode;
use ml_connector_sim::slack::{Channel, SlackConfig, User, UserGroup};
use serde_json::{Value, json};

use super::{ACCOUNTING, ANNA, APPROVALS, TOM, error, ok, workspace, workspace_with};

#[tokio::test]
async fn every_method_names_the_scope_it_misses() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.set_scopes(&["none"]);
    let ts = ts.as_str();
    for (method, args, needed) in [
        ("chat.update", json!({ "channel": ACCOUNTING, "ts": ts, "text": "x" }), "chat:write"),
        ("chat.delete", json!({ "channel": ACCOUNTING, "ts": ts }), "chat:write"),
        ("chat.postEphemeral", json!({ "channel": ACCOUNTING, "user": ANNA, "text": "x" }), "chat:write"),
        ("conversations.open", json!({ "users": ANNA }), "im:write"),
        ("conversations.open", json!({ "users": format!("{ANNA},{TOM}") }), "mpim:write"),
        ("conversations.join", json!({ "channel": ACCOUNTING }), "channels:join"),
        ("reactions.add", json!({ "channel": ACCOUNTING, "timestamp": ts, "name": "x" }), "reactions:write"),
        (
            "reactions.remove",
            json!({ "channel": ACCOUNTING, "timestamp": ts, "name": "x" }),
            "reactions:write",
        ),
    ] {
        let refused = workspace.call(method, args).await;
        assert_eq!((error(&refused), &refused.body["needed"]), ("missing_scope", &json!(needed)), "{method}");
        assert_eq!(refused.body["provided"], "none");
    }
    for (query, needed) in [
        (format!("conversations.info?channel={APPROVALS}"), "groups:read"),
        (format!("conversations.members?channel={ACCOUNTING}"), "channels:read"),
        (format!("conversations.replies?channel={ACCOUNTING}&ts={ts}"), "channels:history"),
        ("users.lookupByEmail?email=x".to_owned(), "users:read.email"),
        (format!("users.info?user={ANNA}"), "users:read"),
        ("usergroups.list".to_owned(), "usergroups:read"),
        ("usergroups.users.list?usergroup=S07APPROVE".to_owned(), "usergroups:read"),
        (format!("reactions.get?channel={ACCOUNTING}&timestamp={ts}"), "reactions:read"),
    ] {
        let refused = workspace.read(&query).await;
        assert_eq!((error(&refused), &refused.body["needed"]), ("missing_scope", &json!(needed)), "{query}");
    }
    workspace.sim.set_scopes(&["chat:write"]);
    let custom = json!({ "channel": ACCOUNTING, "text": "x", "username": "Boss" });
    assert_eq!(workspace.post(custom).await.body["needed"], "chat:write.customize");
}

#[tokio::test]
async fn every_form_only_method_sees_nothing_of_json() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    for (method, args, expected) in [
        ("conversations.info", json!({ "channel": ACCOUNTING }), "invalid_arguments"),
        ("conversations.members", json!({ "channel": ACCOUNTING }), "invalid_arguments"),
        ("conversations.replies", json!({ "channel": ACCOUNTING, "ts": ts }), "invalid_arguments"),
        ("users.info", json!({ "user": ANNA }), "user_not_found"),
        ("reactions.get", json!({ "channel": ACCOUNTING, "timestamp": ts }), "no_item_specified"),
        ("usergroups.users.list", json!({ "usergroup": "S07APPROVE" }), "invalid_arguments"),
        ("chat.getPermalink", json!({ "channel": ACCOUNTING, "message_ts": ts }), "invalid_arguments"),
    ] {
        assert_eq!(error(&workspace.call(method, args).await), expected, "{method}");
    }
}

#[tokio::test]
async fn a_direct_conversation_is_opened_once_with_people_who_are_there() {
    let workspace = workspace();
    workspace.sim.set_scopes(&["im:write", "mpim:write", "im:read", "mpim:read", "chat:write"]);
    workspace.sim.set_user(User::new("U07GONE001", "Gone", "gone@ledgerworks.example").deactivated());
    let open = async |args: Value| workspace.call("conversations.open", args).await;
    let nine = ["U1", "U2", "U3", "U4", "U5", "U6", "U7", "U8", "U9"].join(",");
    for (args, expected) in [
        (json!({}), "users_list_not_supplied"),
        (json!({ "users": nine }), "too_many_users"),
        (json!({ "users": "U07NOBODY1" }), "user_not_found"),
        (json!({ "users": "U07GONE001" }), "user_disabled"),
        (json!({ "users": "U07MLBOT01" }), "invalid_user_combination"),
        (json!({ "users": ANNA, "prevent_creation": true }), "channel_not_found"),
        (json!({ "channel": ACCOUNTING }), "channel_not_found"),
    ] {
        assert_eq!(error(&open(args.clone()).await), expected, "{args}");
    }
    let first = open(json!({ "users": ANNA })).await;
    let id = ok(&first)["channel"]["id"].as_str().unwrap().to_owned();
    assert_eq!(first.body["channel"], json!({ "id": id }));
    let again = open(json!({ "users": ANNA, "return_im": true })).await;
    assert_eq!((&ok(&again)["already_open"], &again.body["channel"]["user"]), (&json!(true), &json!(ANNA)));
    assert_eq!(again.body["channel"]["id"], id.as_str());
    let posted = workspace.post(json!({ "channel": ANNA, "text": "x" })).await;
    assert_eq!(ok(&posted)["channel"], id.as_str());
    // Nobody else sees it, and an update takes the conversation's id only.
    assert!(workspace.sim.react(TOM, &id, posted.body["ts"].as_str().unwrap(), "eyes").is_err());
    let update = json!({ "channel": ANNA, "ts": posted.body["ts"], "text": "y" });
    assert_eq!(error(&workspace.call("chat.update", update).await), "channel_not_found");
    let both = open(json!({ "users": format!("{TOM}, {ANNA}"), "return_im": true })).await;
    assert_eq!(ok(&both)["channel"]["is_mpim"], true);
}

#[tokio::test]
async fn an_ephemeral_message_is_for_members_and_outside_history() {
    let workspace = workspace();
    workspace.sim.set_channel(Channel::new("C07SMALL01", "small").with_members(&[ANNA]));
    let whisper = async |channel: &str, user: &str, text: &str| {
        let args = json!({ "channel": channel, "user": user, "text": text });
        workspace.call("chat.postEphemeral", args).await
    };
    assert_eq!(error(&whisper("C07SMALL01", TOM, "x").await), "user_not_in_channel");
    assert_eq!(error(&whisper("C07NONE001", ANNA, "x").await), "channel_not_found");
    assert_eq!(error(&whisper("C07SMALL01", ANNA, "").await), "no_text");
    let shown = whisper("C07SMALL01", ANNA, "only you").await;
    let ts = ok(&shown)["message_ts"].as_str().unwrap();
    assert_eq!(workspace.sim.ephemerals(ANNA)[0].ts, ts);
    let history = workspace.read("conversations.history?channel=C07SMALL01").await;
    assert_eq!(ok(&history)["messages"], json!([]));
    for method in ["chat.update", "chat.delete"] {
        let args = json!({ "channel": "C07SMALL01", "ts": ts, "text": "x" });
        let expected = method.replace("chat.", "cant_") + "_message";
        assert_eq!(error(&workspace.call(method, args).await), expected);
    }
}

#[tokio::test]
async fn an_update_keeps_to_the_window_and_to_rich_text() {
    let mut config = SlackConfig::default();
    config.edit_window = Some(Duration::from_secs(60));
    let workspace = workspace_with(config);
    let rich = json!([{ "type": "rich_text", "elements": [] }]);
    let posted = workspace.post(json!({ "channel": ACCOUNTING, "text": "a", "blocks": rich })).await;
    let ts = ok(&posted)["ts"].clone();
    let update = async |fields: Value| {
        let mut args = json!({ "channel": ACCOUNTING, "ts": ts });
        args.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        workspace.call("chat.update", args).await
    };
    let divider = json!([{ "type": "divider" }]);
    assert_eq!(error(&update(json!({ "text": "b", "blocks": divider })).await), "block_mismatch");
    let attached = update(json!({ "text": "b", "blocks": rich, "attachments": [{ "text": "x" }] })).await;
    assert_eq!(ok(&attached)["message"]["attachments"][0]["text"], "x");
    let kept = update(json!({ "text": "c" })).await;
    assert!(ok(&kept)["message"].get("attachments").is_some());
    let removed = update(json!({ "attachments": [], "metadata": {} })).await;
    assert!(ok(&removed)["message"].get("attachments").is_none());
    let texts: Vec<String> = workspace
        .sim
        .revisions(ACCOUNTING, ts.as_str().unwrap())
        .into_iter()
        .map(|revision| revision.text)
        .collect();
    assert_eq!(texts, ["a", "b", "c"]);
    workspace.clock.advance(Duration::from_secs(61));
    assert_eq!(error(&update(json!({ "text": "late" })).await), "edit_window_closed");
    workspace.sim.archive_channel(ACCOUNTING, ANNA);
    assert_eq!(error(&update(json!({ "text": "late" })).await), "is_inactive");
}

#[tokio::test]
async fn a_thread_tells_its_replies_and_survives_its_parent() {
    let workspace = workspace();
    let root = workspace.card(ACCOUNTING).await;
    let reply = workspace.post(json!({ "channel": ACCOUNTING, "text": "re", "thread_ts": root })).await;
    assert_eq!(ok(&reply)["message"]["parent_user_id"], "U07MLBOT01");
    let thread = format!("conversations.replies?channel={ACCOUNTING}&ts={root}");
    let parent = ok(&workspace.read(&thread).await)["messages"][0].clone();
    assert_eq!((&parent["reply_count"], &parent["latest_reply"]), (&json!(1), &reply.body["ts"]));
    let delete =
        async |ts: &Value| workspace.call("chat.delete", json!({ "channel": ACCOUNTING, "ts": ts })).await;
    ok(&delete(&json!(root)).await);
    let messages = ok(&workspace.read(&thread).await)["messages"].clone();
    assert_eq!((&messages[0]["subtype"], &messages[1]["text"]), (&json!("tombstone"), &json!("re")));
    assert_eq!(error(&delete(&json!(root)).await), "message_not_found");
    ok(&delete(&reply.body["ts"]).await);
    assert_eq!(error(&delete(&reply.body["ts"]).await), "message_not_found");
    workspace.sim.say(ACCOUNTING, TOM, "mine");
    let theirs = json!(workspace.sim.posts(ACCOUNTING).last().unwrap().ts);
    assert_eq!(error(&delete(&theirs).await), "cant_delete_message");
    let unknown = format!("conversations.replies?channel={ACCOUNTING}&ts=1.000000");
    assert_eq!(error(&workspace.read(&unknown).await), "thread_not_found");
}

#[tokio::test]
async fn reactions_are_added_once_counted_and_taken_back() {
    let workspace = workspace();
    let ts = workspace.card(ACCOUNTING).await;
    workspace.sim.set_scopes(&["reactions:read", "reactions:write"]);
    let react = async |method: &str, ts: &str, name: &str| {
        let args = json!({ "channel": ACCOUNTING, "timestamp": ts, "name": name });
        workspace.call(&format!("reactions.{method}"), args).await
    };
    assert_eq!(error(&react("add", &ts, ":eyes:").await), "invalid_name");
    assert_eq!(error(&react("add", "soon", "eyes").await), "bad_timestamp");
    assert_eq!(error(&react("add", "1773324300.000000", "eyes").await), "message_not_found");
    ok(&react("add", &ts, "eyes").await);
    assert_eq!(error(&react("add", &ts, "eyes").await), "already_reacted");
    workspace.sim.react(ANNA, ACCOUNTING, &ts, "eyes").unwrap();
    let got = workspace.read(&format!("reactions.get?channel={ACCOUNTING}&timestamp={ts}&full=true")).await;
    assert_eq!(
        ok(&got)["message"]["reactions"],
        json!([{ "name": "eyes", "users": ["U07MLBOT01", ANNA], "count": 2 }])
    );
    assert!(got.body["message"]["permalink"].as_str().unwrap().contains("/archives/C07ACCTNG1/p17733243"));
    ok(&react("remove", &ts, "eyes").await);
    assert_eq!(error(&react("remove", &ts, "eyes").await), "no_reaction");
    // The bot hears of its own, too.
    assert_eq!(workspace.deliver().await.len(), 3);
    let link = workspace.read(&format!("chat.getPermalink?channel={ACCOUNTING}&message_ts={ts}")).await;
    assert_eq!(ok(&link)["permalink"], got.body["message"]["permalink"]);
}

#[tokio::test]
async fn people_and_their_groups_are_found_by_those_who_may() {
    let workspace = workspace();
    workspace.sim.set_usergroup(UserGroup::new("S07TEAM001", "team", &[ANNA, TOM]));
    let mut old = UserGroup::new("S07OLD0001", "old", &[TOM]);
    old.disabled = true;
    workspace.sim.set_usergroup(old);
    let listed = workspace.read("usergroups.list?include_count=true").await;
    let groups = ok(&listed)["usergroups"].as_array().unwrap();
    let counts: Vec<_> = groups.iter().map(|group| (&group["id"], &group["user_count"])).collect();
    assert_eq!(counts, [(&json!("S07APPROVE"), &json!("1")), (&json!("S07TEAM001"), &json!("2"))]);
    let users = workspace.read("usergroups.users.list?usergroup=S07TEAM001").await;
    assert_eq!(ok(&users)["users"], json!([ANNA, TOM]));
    assert_eq!(error(&workspace.read("usergroups.users.list?usergroup=S1").await), "no_such_subteam");

    assert_eq!(error(&workspace.read("users.info?user=U07NOBODY1").await), "user_not_found");
    let anna = workspace.read(&format!("users.info?user={ANNA}")).await;
    let profile = &ok(&anna)["user"]["profile"];
    assert_eq!(profile["email"], "anna.verhoeven@ledgerworks.example");
    assert_eq!((&profile["real_name"], &profile["display_name"]), (&json!("Anna Verhoeven"), &json!("Anna")));
    assert_eq!(ok(&workspace.read("users.info?user=U07MLBOT01").await)["user"]["is_bot"], true);
    workspace.sim.set_scopes(&["users:read"]);
    let anna = workspace.read(&format!("users.info?user={ANNA}")).await;
    assert!(ok(&anna)["user"]["profile"].get("email").is_none());

    let mut config = SlackConfig::default();
    config.free_plan = true;
    let free = workspace_with(config);
    assert_eq!(error(&free.read("usergroups.list").await), "plan_upgrade_required");
}

#[tokio::test]
async fn members_come_in_pages_and_a_list_may_begin_with_an_empty_one() {
    let workspace = workspace();
    let path = format!("conversations.members?channel={ACCOUNTING}&limit=2");
    let first = workspace.read(&path).await;
    assert_eq!(ok(&first)["members"], json!([ANNA, TOM]));
    let cursor = first.body["response_metadata"]["next_cursor"].as_str().unwrap().replace('=', "%3D");
    let second = workspace.read(&format!("{path}&cursor={cursor}")).await;
    assert_eq!(
        (&ok(&second)["members"], &second.body["response_metadata"]["next_cursor"]),
        (&json!(["U07MLBOT01"]), &json!(""))
    );
    let mut config = SlackConfig::default();
    config.empty_first_pages = true;
    let workspace = workspace_with(config);
    let empty = workspace.read("conversations.list").await;
    assert_eq!(ok(&empty)["channels"], json!([]));
    let cursor = empty.body["response_metadata"]["next_cursor"].as_str().unwrap().replace('=', "%3D");
    let second = workspace.read(&format!("conversations.list?cursor={cursor}")).await;
    assert_eq!(ok(&second)["channels"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn each_tier_takes_its_calls_and_a_tenth_more() {
    let workspace = workspace();
    for (query, allowed) in [
        ("usergroups.list", 22),
        ("users.lookupByEmail?email=x@x.example", 55),
        ("conversations.members?channel=C07ACCTNG1", 110),
    ] {
        for call in 0..=allowed {
            let answer = workspace.read(query).await;
            let expected = if call < allowed { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
            assert_eq!(answer.status, expected, "{query} {call}");
        }
    }
    assert_eq!(workspace.sim.limit_violations(), 3);
}

#[tokio::test]
async fn direct_conversations_are_listed_by_their_kind_with_its_scope() {
    let mut config = SlackConfig::default();
    config.scopes.extend(["im:write", "mpim:write", "mpim:read"].map(str::to_owned));
    let workspace = workspace_with(config);
    for users in ["U07APPROV1", "U07APPROV1,U07CLERK01"] {
        ok(&workspace.call("conversations.open", json!({ "users": users })).await);
    }
    assert_eq!(error(&workspace.read("conversations.list?types=im").await), "missing_scope");
    workspace.sim.set_scopes(&["im:read", "mpim:read"]);
    for (types, kinds) in
        [("im", vec!["is_im"]), ("mpim", vec!["is_mpim"]), ("im,mpim", vec!["is_im", "is_mpim"])]
    {
        let list = workspace.read(&format!("conversations.list?types={types}")).await;
        let rows = ok(&list)["channels"].as_array().unwrap();
        assert_eq!(rows.len(), kinds.len(), "{types}");
        assert!(kinds.iter().all(|kind| rows.iter().any(|row| row[kind] == true)), "{types}: {rows:?}");
    }
}

#[tokio::test]
async fn api_test_says_back_what_it_was_told() {
    let workspace = workspace();
    let told = workspace.read("api.test?foo=bar").await;
    assert_eq!(ok(&told)["args"], json!({ "foo": "bar" }));
    assert_eq!(error(&workspace.read("api.test?error=my_error").await), "my_error");
}

#[tokio::test]
async fn a_message_may_come_as_a_multipart_form() {
    let workspace = workspace();
    let field = |name: &str, value: &str| {
        format!("--Bound\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!("{}{}--Bound--\r\n", field("channel", "C07ACCTNG1"), field("text", "as a form"));
    let url = "https://slack.com/api/chat.postMessage";
    let request = crate::post(url, &workspace.token, "multipart/form-data; boundary=Bound", body);
    ok(&crate::send(&workspace.transport, request).await.unwrap());
    assert_eq!(workspace.sim.posts("C07ACCTNG1")[0].text, "as a form");
}
