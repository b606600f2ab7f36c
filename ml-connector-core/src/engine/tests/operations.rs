//! What operators ask and do: each answer is wrong in a test if it lies.

use vendor::{Fault, webhook};

use super::{
    super::{Act, Replay, StepKind},
    *,
};
use crate::{
    Effect, Error, ErrorKind, Retry, Scope,
    audit::{EntryState, Outcome},
    model::Status,
};

fn refusal() -> Fault {
    Fault::Before(ErrorKind::InvalidRequest, Effect::None, Scope::Entry, Retry::Never)
}

fn dead() -> Query {
    Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead)
}

async fn tell(world: &World, connector: &Connector, id: &str, proof: &str) -> http::StatusCode {
    world.ledger.put(id, Status::Open, "2026-04-01");
    connector.receive(webhook(&format!("account:books {id}"), proof)).await.status()
}

/// Health while the connector runs, and when it has run for a time.
async fn health_after(connector: &Connector, time: Duration) -> super::super::Health {
    let (stop, running) = start(connector);
    tokio::time::sleep(time).await;
    let health = connector.health().await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap();
    health
}

async fn with_two_dead() -> (World, Connector) {
    let world = World::new();
    let connector = world.connector();
    for id in ["1", "2"] {
        world.board.fault(refusal());
        tell(&world, &connector, id, "good").await;
        world.run(&connector, secs(5)).await;
    }
    let health = health_after(&connector, secs(5)).await;
    assert_eq!((health.is_good(), health.connections[&"board".into()].dead), (false, 2));
    (world, connector)
}

#[tokio::test(start_paused = true)]
async fn health_recovers_when_what_is_dead_is_replayed() {
    let (world, connector) = with_two_dead().await;
    connector.replay(&Replay::new("again", dead())).await.unwrap();
    let health = health_after(&connector, secs(10)).await;
    assert!(health.is_good(), "{health:#?}");
    let original = &world.entries(EntryKind::Delivery).await[0];
    assert_eq!(original.state, EntryState::Replayed);
    let replay = &world.entries(EntryKind::Delivery).await[2];
    assert_eq!((original.replayed_by(), replay.state), (Some(replay.seq), EntryState::Done));
    world.board.fault(refusal());
    tell(&world, &connector, "3", "good").await;
    assert!(!health_after(&connector, secs(10)).await.is_good(), "the next one is dead again");
}

#[tokio::test(start_paused = true)]
async fn health_recovers_when_what_is_dead_is_acknowledged_or_discarded_and_the_log_says_by_whom() {
    let (world, connector) = with_two_dead().await;
    let first = Query { after: None, ..dead().with_limit(1) };
    let why = || "told by phone".into();
    let acted = connector.act("jane", Act::Acknowledge { selection: first, why: why() }).await.unwrap();
    assert_eq!(acted.changed, 1);
    assert_eq!(health_after(&connector, secs(5)).await.connections[&"board".into()].dead, 1);
    let others = dead().with_acknowledged(false);
    assert_eq!(
        connector.act("joe", Act::Discard { selection: others, why: why() }).await.unwrap().changed,
        1
    );
    assert!(health_after(&connector, secs(5)).await.is_good());

    let deliveries = world.entries(EntryKind::Delivery).await;
    let said = Outcome::Acknowledged { by: "jane".into(), why: why() };
    assert_eq!(deliveries[0].outcomes.last().unwrap().outcome, said);
    assert_eq!((deliveries[0].state, deliveries[1].state), (EntryState::Dead, EntryState::Discarded));
    let acts = world.entries(EntryKind::Act).await;
    let shown: Vec<_> = acts.iter().map(|act| (act.index.name.as_deref(), act.receipt())).collect();
    assert_eq!(shown, [(Some("acknowledge"), Some("1 entries")), (Some("discard"), Some("1 entries"))]);
    let body = String::from_utf8(acts[0].body.clone().unwrap().to_vec()).unwrap();
    assert!(body.contains("jane") && body.contains("told by phone"), "{body}");
    let nobody = connector.act(" ", Act::Resume { connection: "board".into() }).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn what_waits_can_be_cancelled_and_is_not_delivered() {
    let world = World::new();
    let connector = world.connector();
    tell(&world, &connector, "1", "good").await;
    let signals = Query::of_kind(EntryKind::Signal).with_state(EntryState::Pending);
    let act = Act::Cancel { selection: signals, why: "a test invoice".into() };
    assert_eq!(connector.act("jane", act).await.unwrap().changed, 1);
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("a"), [""; 0]);
    assert_eq!(world.entries(EntryKind::Signal).await[0].state, EntryState::Cancelled);
}

/// Bulk replays are requests in the log: whoever runs goes on with what a process began.
#[tokio::test(start_paused = true)]
async fn a_replay_that_its_process_did_not_end_is_gone_on_with_by_another() {
    let (world, connector) = with_two_dead().await;
    let begun = connector.watch_replay(Replay::new("again", dead()));
    // The request is written down, and nothing more.
    drop(futures_util::StreamExt::into_future(begun).await);
    drop(connector);
    let other = world.connector();
    world.run(&other, secs(200)).await;
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.sent 2"]);
    assert_eq!(world.entries(EntryKind::Act).await[0].receipt(), Some("2 of 2 entries"));
    world.run(&other, secs(200)).await;
    assert_eq!(world.board.corner("a").len(), 2, "and no further");
}

/// One that cannot be read, such as after a downgrade, holds up none of the others.
#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_is_left_out_of_a_replay_and_counted() {
    use crate::{
        AuditLog,
        audit::{NewEntry, Settlement, Transaction},
        model::{Affinity, Seq},
    };

    let (world, connector) = with_two_dead().await;
    let partition = Affinity::from("board").partition();
    let event = world.entries(EntryKind::Event).await[0].seq;
    let broken = NewEntry {
        lane: Some(7),
        parent: crate::audit::Parent::Entry(event),
        body: Some("{}".into()),
        ..NewEntry::new(partition, EntryKind::Delivery, "board".into(), world.clock_now())
    };
    let append = Transaction { append: vec![broken], ..Transaction::default() };
    world.log.commit(vec![append], world.clock_now()).await.unwrap();
    let broken: Seq = world.entries(EntryKind::Delivery).await.last().unwrap().seq;
    let settle = vec![Settlement::new(broken, Outcome::Dead { error: "refused".into() })];
    world
        .log
        .commit(vec![Transaction { settle, ..Transaction::default() }], world.clock_now())
        .await
        .unwrap();
    // It is the first that is looked at.
    let selection = dead().newest_first();
    let would = connector.replay(&Replay::new("dry", selection.clone()).dry_run()).await.unwrap();
    assert_eq!(would.selected + would.unreadable, 3, "a dry run reads no events");
    let done = connector.replay(&Replay::new("again", selection)).await.unwrap();
    assert_eq!((done.selected, done.appended, done.unreadable), (2, 2, 1));
    world.run(&connector, secs(10)).await;
    assert_eq!(world.board.corner("a").len(), 2);
    let acts = world.entries(EntryKind::Act).await;
    assert_eq!(acts.last().unwrap().receipt(), Some("2 of 2 entries; 1 more cannot be read"));
    let left = connector.search(&dead()).await.unwrap();
    assert_eq!(
        left.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [broken],
        "it is still there, as dead"
    );
}

/// Does an act whose log fails after so many seconds, at one commit a second.
async fn act_in_part(world: &World, connector: &Connector, act: Act, commits: u64) {
    world.log.delay_commits(secs(1));
    let acting = tokio::spawn({
        let connector = connector.clone();
        async move { connector.act("jane", act).await }
    });
    tokio::time::sleep(secs(commits) + Duration::from_millis(500)).await;
    world.log.fail_next_commits(1);
    assert_eq!(acting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    world.log.delay_commits(Duration::ZERO);
}

/// What died since is nobody's wish.
#[tokio::test(start_paused = true)]
async fn an_act_that_is_gone_on_with_changes_nothing_that_came_after_it() {
    let acts: [fn() -> Act; 3] = [
        || Act::Discard { selection: dead(), why: "old".into() },
        || Act::Discard { selection: dead().newest_first(), why: "old".into() },
        || Act::Replay { replay: Replay::new("again", dead()) },
    ];
    for (i, act) in acts.into_iter().enumerate() {
        let (world, connector) = with_two_dead().await;
        act_in_part(&world, &connector, act(), 1).await;
        world.board.fault(refusal());
        tell(&world, &connector, "3", "good").await;
        world.run(&connector, secs(20)).await;
        world.run(&connector, secs(200)).await;
        let deliveries = world.entries(EntryKind::Delivery).await;
        let states: Vec<_> = deliveries[..3].iter().map(|entry| entry.state).collect();
        let changed = if i == 2 { EntryState::Replayed } else { EntryState::Discarded };
        assert_eq!(states, [changed, changed, EntryState::Dead], "{i}");
        assert_eq!(world.entries(EntryKind::Act).await[0].state, EntryState::Done);
    }
}

/// Its limit is not counted from nothing again.
#[tokio::test(start_paused = true)]
async fn an_act_that_is_gone_on_with_keeps_to_its_limit() {
    use crate::{
        AuditLog,
        audit::{NewEntry, Settlement, Transaction},
        model::Affinity,
    };

    let world = World::new();
    let connector = world.connector();
    let partition = Affinity::from("board").partition();
    let entry = || NewEntry {
        lane: Some(7),
        ..NewEntry::new(partition, EntryKind::Delivery, "board".into(), world.clock_now())
    };
    let append = (0..700).map(|_| entry()).collect();
    let appended =
        world.log.commit(vec![Transaction { append, ..Transaction::default() }], world.clock_now()).await;
    let crate::audit::Committed::Applied(appended) = &appended.unwrap()[0] else { unreachable!() };
    let killed =
        |of: &crate::audit::Appended| Settlement::new(of.seq(), Outcome::Dead { error: "refused".into() });
    let settle = appended.iter().map(killed).collect();
    world
        .log
        .commit(vec![Transaction { settle, ..Transaction::default() }], world.clock_now())
        .await
        .unwrap();
    let selection = dead().with_acknowledged(false).with_limit(300);
    let act = Act::Acknowledge { selection, why: "all of one cause".into() };
    act_in_part(&world, &connector, act, 2).await;
    world.run(&connector, secs(200)).await;
    assert_eq!(connector.count(&dead().with_acknowledged(true), 1000).await.unwrap(), 300);
    let act = &world.entries(EntryKind::Act).await[0];
    assert_eq!(act.receipt(), Some("300 entries"));
    assert!(world.log.document_keys().iter().all(|key| !key.as_str().starts_with("act/")));
}

/// A backfill of ten thousand records is one family.
#[tokio::test(start_paused = true)]
async fn the_story_of_one_of_ten_thousand_tells_of_that_one() {
    use crate::{
        AuditLog,
        audit::{Appended, Committed, NewEntry, Parent, Settlement, Transaction},
        model::Affinity,
    };

    let world = World::new();
    let connector = world.connector();
    let partition = Affinity::from("board").partition();
    let entry = |kind, parent| NewEntry {
        parent,
        lane: (kind == EntryKind::Delivery).then_some(7),
        ..NewEntry::new(partition, kind, "board".into(), world.clock_now())
    };
    let root = std::iter::once(entry(EntryKind::Note, Parent::None));
    let append = root.chain((0..10_100).map(|_| entry(EntryKind::Delivery, Parent::Nth(0)))).collect();
    let appended =
        world.log.commit(vec![Transaction { append, ..Transaction::default() }], world.clock_now()).await;
    let Committed::Applied(appended) = &appended.unwrap()[0] else { unreachable!() };
    let asked = appended.last().copied().map(Appended::seq).unwrap();
    let done = Outcome::Done { receipt: Some("board/the last".into()) };
    let settle = vec![Settlement::new(asked, done)];
    world
        .log
        .commit(vec![Transaction { settle, ..Transaction::default() }], world.clock_now())
        .await
        .unwrap();
    let story = connector.explain(asked).await.unwrap();
    let seqs: Vec<_> = story.entries.iter().map(|entry| entry.seq).collect();
    assert!(seqs.contains(&asked) && seqs.contains(&appended[0].seq()) && seqs.is_sorted());
    assert_eq!(story.entries.len() + story.left_out, 10_101);
    let text = story.to_string();
    assert!(text.contains("board/the last"), "{text}");
    assert!(text.contains("and 10099 other entries of the same family"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn webhooks_that_are_refused_are_seen_until_one_is_accepted() {
    let world = World::new();
    let connector = world.connector();
    assert!(health_after(&connector, secs(1)).await.is_good());
    for _ in 0..3 {
        assert_eq!(tell(&world, &connector, "1", "forged").await, http::StatusCode::UNAUTHORIZED);
    }
    let health = health_after(&connector, secs(1)).await;
    let hooks = &health.connections[&"books".into()].hooks;
    assert!(!health.is_good() && hooks.remedy.unwrap().contains("check the secret"), "{hooks:?}");
    assert_eq!((hooks.refused, hooks.accepted_at), (3, None));
    tell(&world, &connector, "1", "good").await;
    let health = health_after(&connector, secs(1)).await;
    let hooks = &health.connections[&"books".into()].hooks;
    assert!(health.is_good() && hooks.accepted_at.is_some() && hooks.refused == 0, "{hooks:?}");
    for _ in 0..100 {
        tell(&world, &connector, "1", "forged").await;
    }
    assert!(health_after(&connector, secs(1)).await.is_good(), "anybody can send what is not signed");
}

/// Anybody can send what is not signed.
#[tokio::test(start_paused = true)]
async fn a_burst_of_forged_webhooks_does_not_say_that_a_secret_is_wrong_which_was_right() {
    let world = World::new();
    let connector = world.connector();
    tell(&world, &connector, "1", "good").await;
    tokio::time::sleep(secs(5 * 3600)).await;
    let remedy = async || {
        let health = connector.health().await.unwrap();
        health.connections[&"books".into()].hooks.remedy
    };
    for _ in 0..30 {
        tell(&world, &connector, "1", "forged").await;
    }
    assert_eq!(remedy().await, None);
    tokio::time::sleep(secs(600)).await;
    tell(&world, &connector, "1", "forged").await;
    assert!(remedy().await.is_some(), "it goes on: perhaps the secret was changed");
    tokio::time::sleep(secs(25 * 3600)).await;
    assert_eq!(remedy().await, None, "a day ago");
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_counted_for_the_connection_that_was_meant() {
    let world = World::new();
    let connector = world.connector();
    connector.add_source(LedgerSource::new("other", &world.ledger)).unwrap();
    let send = async |body: &str, proof: &str| connector.receive(webhook(body, proof)).await.status();
    let health = async || {
        let health = connector.health().await.unwrap();
        let of = |id: &str| health.connections[&id.into()].hooks.clone();
        (of("books"), of("other"), health.endpoints[&"ledger".into()].clone())
    };
    // Both have the same secret: whoever verifies it first is not who is meant.
    assert_eq!(send("account:other 1", "good").await, http::StatusCode::OK);
    let (books, other, _) = health().await;
    assert_eq!((books.accepted_at, other.accepted_at.is_some()), (None, true));
    tokio::time::sleep(secs(3600)).await;

    for _ in 0..5 {
        send("account:books 1", "forged for account:books").await;
        tokio::time::sleep(secs(300)).await;
    }
    let (books, other, endpoint) = health().await;
    assert_eq!((books.refused, other.refused, endpoint.refused), (5, 0, 0));
    assert!(books.remedy.is_some() && other.remedy.is_none(), "{books:?} {other:?}");

    for _ in 0..5 {
        send("account:books 1", "forged").await;
        tokio::time::sleep(secs(300)).await;
    }
    let (books, other, endpoint) = health().await;
    assert_eq!((books.refused, other.refused, endpoint.refused), (5, 0, 5));
    assert!(other.remedy.is_none() && endpoint.remedy.is_some(), "nothing was accepted for an hour");
    // The secret that they share shows at each of them, and a connection with an endpoint of its own has none to share.
    let shown = connector.health().await.unwrap();
    for id in ["books", "other"] {
        assert_eq!(shown.connections[&id.into()].shared_hooks, Some(endpoint.clone()), "{id}");
    }
    assert!(shown.connections[&"board".into()].shared_hooks.is_none());
    send("account:books 1", "good").await;
    let (books, _, endpoint) = health().await;
    assert_eq!((books.refused, endpoint.refused, endpoint.remedy), (0, 0, None));
}

/// Nobody looks at health at the right moment: a restart, or another host, must not make a wrong secret unseen.
#[tokio::test(start_paused = true)]
async fn which_webhooks_were_accepted_and_refused_is_known_after_a_restart_and_on_every_host() {
    let world = World::new();
    let (first, second) = (world.connector(), world.connector());
    for connector in [&first, &second] {
        connector.add_source(LedgerSource::new("other", &world.ledger)).unwrap();
    }
    assert_eq!(tell(&world, &first, "1", "good").await, http::StatusCode::OK);
    tokio::time::sleep(secs(3600)).await;
    // The second takes webhooks and does no work, and is killed at last.
    for connector in [&first, &second, &first, &second] {
        let forged = connector.receive(webhook("account:other 1", "forged for account:other")).await;
        assert_eq!(forged.status(), http::StatusCode::UNAUTHORIZED);
        connector.receive(webhook("account:books 1", "forged")).await;
        tokio::time::sleep(secs(300)).await;
    }
    world.run(&first, secs(61)).await;
    drop((first, second));
    let third = world.connector();
    third.add_source(LedgerSource::new("other", &world.ledger)).unwrap();
    let health = health_after(&third, secs(1)).await;
    let of = |id: &str| health.connections[&id.into()].hooks.clone();
    assert_eq!((of("other").refused, of("other").accepted_at), (4, None));
    assert!(of("other").remedy.is_some() && of("books").remedy.is_none() && !health.is_good());
    assert_eq!(of("books").accepted_at, Some(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
    let endpoint = &health.endpoints[&"ledger".into()];
    assert_eq!((endpoint.refused, endpoint.remedy.is_some()), (4, true), "{endpoint:?}");
    let check = third.check().await;
    let shown = format!("{check:?}");
    assert!(shown.contains("4 were refused"), "{shown}");
    // And the end of it is known to all as well.
    assert_eq!(third.receive(webhook("account:other 1", "good")).await.status(), 200);
    world.run(&third, secs(1)).await;
    let health = health_after(&world.connector(), secs(1)).await;
    assert!(health.is_good(), "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_takes_no_writes_stops_reads_and_shows_in_health_until_it_works() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    tell(&world, &connector, "1", "good").await;
    world.log.fail_next_commits(usize::MAX);
    tokio::time::sleep(secs(3600)).await;
    let health = connector.health().await.unwrap();
    assert!(!health.is_good() && health.log.is_some(), "{health:?}");
    let reads = world.ledger.reads();
    assert!(reads <= 3, "an hour without a log costs {reads} reads");
    assert_eq!(tell(&world, &connector, "2", "good").await, http::StatusCode::SERVICE_UNAVAILABLE);
    world.log.fail_next_commits(0);
    tokio::time::sleep(secs(120)).await;
    let health = connector.health().await.unwrap();
    assert!(health.is_good(), "{health:#?}");
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// A disk that is full has room for a few bytes: an answer to a webhook, but not for what a read leads to.
#[tokio::test(start_paused = true)]
async fn a_log_that_takes_small_writes_only_is_no_log_that_works() {
    let world = World { lease: secs(3600), ..World::new() };
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(1)).await;
    world.log.fail_commits_over(500);
    for id in ["1", "2", "3", "4", "5"] {
        assert_eq!(tell(&world, &connector, id, "good").await, http::StatusCode::OK);
    }
    for _ in 0..60 {
        tokio::time::sleep(secs(60)).await;
        let health = connector.health().await.unwrap();
        assert!(!health.is_good() && health.log.is_some(), "{health:?}");
        // What is small is taken all the time.
        assert_eq!(tell(&world, &connector, "6", "good").await, http::StatusCode::OK);
    }
    let reads = world.ledger.reads();
    assert!(reads <= 12, "{reads} reads in an hour with a full disk");
    world.log.fail_commits_over(0);
    tokio::time::sleep(secs(180)).await;
    assert_eq!(world.board.corner("a").len(), 6);
    assert!(connector.health().await.unwrap().is_good());
    let told = futures_util::StreamExt::take(&mut troubles, 2);
    let told: Vec<_> = futures_util::StreamExt::collect::<Vec<_>>(told).await;
    let kinds: Vec<_> = told.iter().map(|trouble| trouble.kind).collect();
    assert_eq!(kinds, [super::super::TroubleKind::LogDown, super::super::TroubleKind::LogResumed]);
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Today's routes may be others.
#[tokio::test(start_paused = true)]
async fn a_story_tells_what_was_decided_then() {
    let world = World::new();
    let a = || Destination::from("a");
    let routes = vec![
        Route::new("sent").on("*.sent").to("board", a()),
        Route::new("paid").on("*.paid").to("board", a()),
        Route::new("void").on("*.voided").to("board", a()),
    ];
    let connector = world.connector_with(routes);
    for _ in 0..3 {
        tell(&world, &connector, "1", "good").await;
    }
    world.run(&connector, secs(10)).await;
    connector.set_routes(vec![Route::new("today").to("board", a())]).unwrap();
    let event = world.entries(EntryKind::Event).await.remove(0);
    let story = connector.explain(event.seq).await.unwrap();
    let routed = story.steps.iter().find_map(|step| match &step.what {
        StepKind::Routed { matched, others } => Some((matched.clone(), others.len())),
        _ => None,
    });
    assert_eq!(routed, Some((vec!["sent".into()], 2)));
    let text = story.to_string();
    assert!(text.contains("route \"sent\" matched; 2 other routes did not match"), "{text}");
    assert!(!text.contains("today"), "{text}");
    assert!(text.contains("the same read answered 2 more"), "{text}");
    let signals = world.entries(EntryKind::Signal).await;
    let coalesced = connector.explain(signals[1].seq).await.unwrap().to_string();
    assert!(coalesced.contains(&format!("dropped with #{}: coalesced", signals[0].seq)), "{coalesced}");
    let shown = serde_json::to_string(&story).unwrap();
    assert!(shown.contains("\"step\":\"routed\"") && shown.contains("\"sha256\":\""), "{shown}");
    assert!(serde_json::to_string(&connector.stats()).unwrap().contains("\"received\":3"));

    world.ledger.put("1", Status::Paid, "2026-04-01");
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(&connector, secs(10)).await;
    let paid = world.entries(EntryKind::Event).await.remove(1);
    let text = connector.explain(paid.seq).await.unwrap().to_string();
    assert!(text.contains("differs in status"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_with_a_call_that_succeeded_and_with_nothing_else() {
    let world = World::new();
    let connector = world.connector();
    for _ in 0..4 {
        world.ledger.fail(Error::new(ErrorKind::Unauthenticated, "revoked").with_scope(Scope::Connection));
    }
    tell(&world, &connector, "1", "good").await;
    world.run(&connector, secs(2)).await;
    let health = health_after(&connector, Duration::from_millis(10)).await;
    assert!(health.connections[&"books".into()].parked.is_some(), "{health:?}");
    let health = health_after(&connector, secs(600)).await;
    assert!(health.connections[&"books".into()].parked.is_none(), "{health:?}");
}

/// A look after the subscriptions makes no call here, and ends well all the time.
#[tokio::test(start_paused = true)]
async fn a_signal_that_needs_no_call_ends_no_outage() {
    use futures_util::StreamExt;

    use super::super::TroubleKind;

    let world = World { lease: secs(3600), ..World::new() };
    let connector = world.connector();
    let mut troubles = connector.troubles();
    let (stop, running) = start(&connector);
    tokio::time::sleep(secs(60)).await;
    let looked_after = || world.ledger.subscription.lock().unwrap().callbacks.len();
    let before = looked_after();
    for _ in 0..1000 {
        world.ledger.fail(Error::new(ErrorKind::Unauthenticated, "revoked").with_scope(Scope::Connection));
    }
    tell(&world, &connector, "1", "good").await;
    tokio::time::sleep(secs(10)).await;
    for _ in 0..30 {
        let health = connector.health().await.unwrap();
        assert!(health.connections[&"books".into()].parked.is_some(), "{health:?}");
        tokio::time::sleep(secs(600)).await;
    }
    assert!(looked_after() > before + 1, "it was looked after {} times", looked_after() - before);
    world.ledger.failures.lock().unwrap().clear();
    tokio::time::sleep(secs(1200)).await;
    assert!(connector.health().await.unwrap().connections[&"books".into()].parked.is_none());
    stop.send(()).unwrap();
    running.await.unwrap();
    let told: Vec<_> = troubles.by_ref().take(2).map(|trouble| trouble.kind).collect().await;
    assert_eq!(told, [TroubleKind::ConnectionDown, TroubleKind::ConnectionResumed]);
}

#[tokio::test(start_paused = true)]
async fn what_is_connected_and_what_waits_can_be_asked() {
    let world = World::new();
    let connector = world.connector();
    let views = connector.connections();
    let shown: Vec<_> = views.iter().map(|view| (view.id.as_str(), view.is_source, view.is_sink)).collect();
    assert_eq!(shown, [("board", false, true), ("books", true, false)]);
    assert_eq!(connector.routes().len(), 1);
    tell(&world, &connector, "1", "good").await;
    let backlog = connector.backlog().await.unwrap();
    assert_eq!((backlog.len(), backlog[0].connection.as_str(), backlog[0].due), (1, "books", 1));
    assert_eq!(connector.count(&Query::of_kind(EntryKind::Signal), 10).await.unwrap(), 1);
}

/// What waits for room says so, and until when.
#[tokio::test(start_paused = true)]
async fn health_names_the_limits_that_have_no_room() {
    let world = World::new();
    let connector = world.connector();
    assert_eq!(connector.health().await.unwrap().full_limits, []);
    let context = connector.context();
    let (now, key) = (context.now(), "slack/T1/channel/C1".into());
    context.limiter().report(&key, crate::rate::Feedback::PausedUntil(now + secs(30)), now).await.unwrap();
    let full = connector.health().await.unwrap().full_limits;
    assert_eq!((full[0].key.as_str(), full[0].full_until()), ("slack/T1/channel/C1", Some(now + secs(30))));
    tokio::time::advance(secs(30)).await;
    assert_eq!(connector.health().await.unwrap().full_limits, []);
}
