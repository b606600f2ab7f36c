//! What must not happen unseen: what hosts change, what waits for long, and what could not be read.

use futures_util::{FutureExt, StreamExt};
use vendor::webhook;

use super::{
    super::{Act, StepKind, TroubleKind},
    *,
};
use crate::{
    CheckResult, Clock, Connection, ErrorKind,
    audit::EntryState,
    model::Status,
    rate::{Feedback, Quota, RateLimiter},
    token::Blob,
};

async fn tell(world: &World, connector: &Connector, id: &str, status: Status) {
    world.ledger.put(id, status, "2026-04-01");
    connector.receive(webhook(&format!("account:books {id}"), "good")).await;
}

/// Who did what, in order, and whether it is done.
async fn acts(world: &World) -> Vec<(String, String, bool)> {
    let by = |body: &[u8]| {
        let act: serde_json::Value = serde_json::from_slice(body).unwrap();
        act["by"].as_str().unwrap().to_owned()
    };
    let told = |act: &Entry| {
        let name = act.index.name.as_deref().unwrap_or_default().to_owned();
        (by(act.body.as_ref().unwrap()), name, act.state == EntryState::Done)
    };
    world.entries(EntryKind::Act).await.iter().map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_host_changes_and_asks_for_is_in_the_log_with_who_did_it() {
    let world = World::new();
    let connector = world.connector();
    assert!(acts(&world).await.is_empty(), "a host that sets itself up changes nothing");
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    let pause = || tokio::time::sleep(Duration::from_millis(50));
    let polled = |id: &str| LedgerSource::new(id, &world.ledger).polled(crate::SourceMode::Both);

    connector.set_routes(vec![Route::new("now").to("board", Destination::from("b"))]).unwrap();
    pause().await;
    connector.add_source(polled("second")).unwrap();
    pause().await;
    connector.connect_as("anna", [Connection::new().source(polled("third"))]).await.unwrap();
    connector.resume(&"board".into()).await.unwrap();
    pause().await;
    connector.poll_now(&"second".into(), "invoices").await.unwrap();
    connector.backfill(&"third".into(), "invoices", None).await.unwrap();
    let record = crate::model::EntityRef::new("invoice", "1");
    connector.read_again(&"books".into(), &record).await.unwrap();
    connector.tell_again(&"books".into(), &record).await.unwrap();
    assert!(connector.remove(&"third".into()));
    pause().await;
    assert!(!connector.remove(&"third".into()), "nothing was there");
    pause().await;
    let removed = connector.act("ben", Act::Remove { connection: "second".into() }).await.unwrap();
    assert_eq!(removed.changed, 1);
    let refused = connector.poll_now(&"second".into(), "invoices").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);

    let told: Vec<_> = acts(&world).await;
    let told: Vec<_> = told.iter().map(|(by, what, done)| (&**by, &**what, *done)).collect();
    assert_eq!(
        told,
        [
            ("host", "set_routes", true),
            ("host", "connect", true),
            ("anna", "connect", true),
            ("host", "resume", true),
            ("host", "poll", true),
            ("host", "backfill", true),
            ("host", "read", true),
            ("host", "read", true),
            ("host", "remove", true),
            ("ben", "remove", true),
            ("host", "poll", false),
        ]
    );
    let nobody = connector.connect_as(" ", [Connection::new().source(polled("fourth"))]).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidRequest);
    assert!(
        connector.connections().iter().all(|one| one.id != "fourth".into()),
        "nothing is attached in nobody's name"
    );
    let taken = connector.connect_as("anna", [Connection::new().source(polled("books"))]).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(acts(&world).await.len(), 11, "what was refused was not done");
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_waits_for_a_limit_for_long_is_told_once_and_goes_on_by_itself() {
    let world = World::new();
    *world.board.quota.lock().unwrap() = Some(Quota::Rolling { limit: 1, window: secs(2 * 3600) });
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    for id in ["1", "2", "3"] {
        tell(&world, &connector, id, Status::Open).await;
        tokio::time::sleep(secs(1)).await;
    }
    tokio::time::sleep(secs(14 * 60)).await;
    assert!(troubles.next().now_or_never().is_none(), "a while is no trouble");
    tokio::time::sleep(secs(3 * 60)).await;
    let trouble = troubles.next().now_or_never().unwrap().unwrap();
    assert_eq!((trouble.kind, trouble.connection), (TroubleKind::PutOff, Some("board".into())));
    assert!(
        trouble.reason.contains("board/a") && trouble.reason.contains("until 2026-03-01T14:"),
        "{}",
        trouble.reason
    );
    let head = world.entries(EntryKind::Delivery).await[1].seq;
    assert_eq!(trouble.seq, Some(head));
    tokio::time::sleep(secs(3600)).await;
    assert!(troubles.next().now_or_never().is_none(), "each is told once");
    let check = connector.check().await;
    let limits = check.host.iter().find(|step| step.step == "limits").unwrap();
    assert_eq!(limits.result, CheckResult::Warning);
    assert!(limits.found.as_ref().unwrap().contains("board/a until"), "{limits:?}");
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.sent 2"]);
    assert_eq!(connector.stats().dead, 0);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_check_passes_limits_that_have_room() {
    let world = World::new();
    let connector = world.connector();
    let result = async || {
        let check = connector.check().await;
        check.host.iter().find(|step| step.step == "limits").unwrap().result
    };
    assert_eq!(result().await, CheckResult::Passed);
    let now = world.clock.now();
    world.limiter.report(&"k".into(), Feedback::PausedUntil(now + secs(60)), now).await.unwrap();
    assert_eq!(result().await, CheckResult::Warning);
}

#[tokio::test(start_paused = true)]
async fn values_that_could_not_be_read_are_counted_in_health_and_history_and_named_by_explain() {
    let world = World::new();
    let connector = world.connector();
    world.ledger.put("1", Status::Open, "2026-04-01");
    world.ledger.invoices.lock().unwrap().get_mut("1").unwrap().reference = Some("odd".into());
    connector.receive(webhook("account:books 1", "good")).await;
    tell(&world, &connector, "2", Status::Open).await;
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(130)).await;
    let health = connector.health().await.unwrap();
    assert_eq!(health.connections[&"books".into()].left_out, 1);
    assert!(health.is_good(), "the record is told all the same");
    let history = connector.history(&"books".into()).await.unwrap();
    assert_eq!(history.minutes.iter().map(|bucket| bucket.tally.left_out).sum::<u64>(), 1);
    let event = world.entries(EntryKind::Event).await.remove(0);
    let story = connector.explain(event.seq).await.unwrap();
    let named = story.steps.iter().any(|step| match &step.what {
        StepKind::Event { left_out, .. } => left_out.iter().any(|left| left.path == "due"),
        _ => false,
    });
    assert!(named && story.to_string().contains("left out due (unreadable)"), "{story}");
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_told_with_its_last_amount() {
    let world = World::new();
    let connector = world.connector();
    tell(&world, &connector, "1", Status::Open).await;
    world.run(&connector, secs(5)).await;
    world.ledger.remove("1");
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(&connector, secs(5)).await;
    let deleted = world.entries(EntryKind::Event).await.remove(1);
    assert_eq!(deleted.index.name.as_deref(), Some("invoice.deleted"));
    let total = crate::Money::parse("100.00", "USD").unwrap();
    assert_eq!(deleted.index.amount, Some(total), "it is found by its amount");
    let event = crate::model::Event::from_cloudevent(deleted.body.as_ref().unwrap()).unwrap();
    assert_eq!(event.record().and_then(|record| record.total), Some(total));
    assert_eq!(event.record().and_then(|record| record.number.clone()).as_deref(), Some("INV-1"));
}

/// What can be asked of a connection's token and accounts.
#[tokio::test(start_paused = true)]
async fn health_says_which_scopes_were_granted_and_views_say_which_accounts_are_read() {
    let world = World::new();
    let tokens = crate::token::MemoryTokenStore::new();
    let mut blob = Blob::new(None);
    blob.scopes = vec!["invoices.read".into()];
    let key = crate::token::TokenKey::new(&"books".into());
    crate::TokenStore::swap(&tokens, &key, None, Some(blob.encode().unwrap())).await.unwrap();
    let connector = Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .token_store(tokens)
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .source(LedgerSource::new("books", &world.ledger))
        .build()
        .unwrap();
    let health = connector.health().await.unwrap();
    assert_eq!(health.connections[&"books".into()].token.as_ref().unwrap().scopes, ["invoices.read"]);
    let accounts: Vec<_> = connector.connections()[0].accounts.iter().map(|one| one.to_string()).collect();
    assert_eq!(accounts, ["account:books"]);
}

/// A row that does not even say which record it is: nothing can be told of it, and nobody has to guess that.
#[tokio::test(start_paused = true)]
async fn a_row_without_an_id_is_one_note_that_health_counts_and_explain_shows() {
    let world = World::new();
    let connector = world.polled(|source| source.polled(crate::SourceMode::Poll));
    let row = crate::model::LostRow::new(3, "invalid_response: expected an id (member=id)", "a row");
    world.ledger.lost.lock().unwrap().push(row.clone());
    let (stop, running) = start(&connector);
    // The baseline, and five looks after it, show the same row.
    tokio::time::sleep(secs(5000)).await;
    let health = connector.health().await.unwrap();
    assert_eq!(health.connections[&"books".into()].left_out, 1);
    assert!(health.is_good(), "the feed works all the same");
    let notes = world.entries(EntryKind::Note).await;
    let [note] = &notes[..] else { panic!("one row is one note: {notes:?}") };
    assert!(note.repeats.is_some_and(|repeats| repeats.count >= 4), "{note:?}");
    let story = connector.explain(note.seq).await.unwrap();
    let shown = story.steps.iter().any(|step| step.what == StepKind::LostRow { row: row.clone() });
    assert!(shown && story.to_string().contains("row 3 of its page cannot be read"), "{story}");
    // Another row is another note.
    let another = crate::model::LostRow::new(3, "invalid_response", "another");
    world.ledger.lost.lock().unwrap().push(another);
    tokio::time::sleep(secs(1000)).await;
    assert_eq!(world.entries(EntryKind::Note).await.len(), 2);
    assert_eq!(connector.health().await.unwrap().connections[&"books".into()].left_out, 2);
    stop.send(()).unwrap();
    running.await.unwrap();
}
