//! Later events about a record go on from the first: as replies, or by rewriting it.

use vendor::webhook;
use wall::{Fate, Wall, WallSink};

use super::*;
use crate::{
    audit::EntryState,
    model::{Follow, Status},
    route::Target,
};

struct Room {
    world: World,
    wall: Arc<Wall>,
}

impl Room {
    fn new() -> Self {
        Self { world: World::new(), wall: Arc::default() }
    }

    fn connector(&self, follow: Follow) -> Connector {
        let connector = self.world.connector();
        connector.remove(&"board".into());
        connector.add_sink(WallSink::new(&self.wall)).unwrap();
        let target = Target::new("board", Destination::from("a")).following(follow);
        connector.set_routes(vec![Route::new("all").to_target(target)]).unwrap();
        connector
    }

    /// Something happens to an invoice, and its webhook comes.
    async fn happens(&self, connector: &Connector, id: &str, status: Status) {
        self.world.ledger.put(id, status, "2026-06-01");
        connector.receive(webhook(&format!("account:books {id}"), "good")).await;
    }

    /// The same, one after the other: each becomes an event of its own.
    async fn story(&self, connector: &Connector, id: &str, story: &[Status]) {
        for status in story {
            self.happens(connector, id, status.clone()).await;
            self.world.run(connector, Duration::from_millis(300)).await;
        }
    }

    async fn states(&self) -> Vec<EntryState> {
        self.world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect()
    }
}

const LIFE: [Status; 3] = [Status::Open, Status::PartiallyPaid, Status::Paid];

#[tokio::test(start_paused = true)]
async fn what_follows_is_a_reply_to_the_first_or_rewrites_it_also_after_a_restart() {
    for follow in [Follow::Thread, Follow::Update] {
        let room = Room::new();
        for status in LIFE {
            let connector = room.connector(follow);
            room.story(&connector, "1", &[status]).await;
            room.world.run(&connector, secs(5)).await;
        }
        room.story(&room.connector(follow), "2", &[Status::Open]).await;
        let notes = room.wall.notes.lock().unwrap().clone();
        assert_eq!(notes.len(), 2, "one for each record: {notes:?}");
        if follow == Follow::Thread {
            assert_eq!(notes[0].lines, ["invoice.sent 1 n1"]);
            assert_eq!(notes[0].replies, ["invoice.partially_paid 1 n2", "invoice.paid 1 n3"]);
        } else {
            assert_eq!((&*notes[0].lines, notes[0].rewritten), (&["invoice.paid 1 n3".to_owned()][..], 2));
        }
        assert_eq!(notes[1].lines, ["invoice.sent 2 n1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_queue_before_the_first_is_told_make_one_root() {
    for follow in [Follow::Thread, Follow::Update] {
        let room = Room::new();
        let connector = room.connector(follow);
        *room.wall.takes.lock().unwrap() = secs(3);
        let (stop, running) = start(&connector);
        for status in LIFE {
            room.happens(&connector, "1", status).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        tokio::time::sleep(secs(30)).await;
        let notes = room.wall.notes.lock().unwrap().clone();
        assert_eq!(notes.len(), 1, "{follow:?}: {notes:?}");
        let (last, told) = match follow {
            Follow::Thread => (notes[0].replies.last(), notes[0].replies.len()),
            _ => (notes[0].lines.last(), notes[0].rewritten),
        };
        assert_eq!((last.map(String::as_str), told), (Some("invoice.paid 1 n3"), 2), "{follow:?}");
        drop(stop);
        running.await.unwrap();
        let open = room.states().await.iter().filter(|state| !state.is_settled()).count();
        assert_eq!(open, 0);
    }
}

/// The second event waits behind other posts while the third, made after the first was told, goes past them.
#[tokio::test(start_paused = true)]
async fn an_update_waits_for_no_post_and_an_older_one_never_overwrites_a_newer() {
    let room = Room::new();
    let connector = room.connector(Follow::Update);
    *room.wall.takes.lock().unwrap() = secs(2);
    let (stop, running) = start(&connector);
    room.happens(&connector, "1", Status::Open).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for id in ["2", "3", "4"] {
        room.happens(&connector, id, Status::Open).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    room.happens(&connector, "1", Status::PartiallyPaid).await;
    // The first is told by now; posts of the others are under way.
    tokio::time::sleep(secs(2)).await;
    room.happens(&connector, "1", Status::Paid).await;
    tokio::time::sleep(secs(3)).await;
    assert_eq!(room.wall.note(0).lines, ["invoice.paid 1 n3"], "it waits for no post");
    tokio::time::sleep(secs(30)).await;
    assert_eq!(room.wall.note(0).lines, ["invoice.paid 1 n3"]);
    assert_eq!((room.wall.lines().len(), room.wall.note(0).rewritten), (4, 1));
    assert_eq!(*room.wall.calls.lock().unwrap(), 5, "what is superseded costs no call");
    drop(stop);
    running.await.unwrap();
    let outcomes = room.world.outcomes(EntryKind::Delivery).await;
    assert!(outcomes.iter().any(|outcome| outcome.contains("superseded")), "{outcomes:?}");
}

/// The card of a request with its reminders: an answer below it says nothing about what it shows.
#[tokio::test(start_paused = true)]
async fn a_reply_supersedes_no_update() {
    let room = Room::new();
    let connector = room.connector(Follow::Update);
    let to = |follow| Target::new("board", Destination::from("a")).following(follow);
    let cards = Route::new("cards").on("invoice.sent").on("invoice.partially_paid");
    let replies = Route::new("replies").on("invoice.paid");
    let routes = vec![cards.to_target(to(Follow::Update)), replies.to_target(to(Follow::Thread))];
    connector.set_routes(routes).unwrap();
    // The update fails once, and comes again after the reply.
    room.wall.fates(&[Fate::Fine, Fate::Vanished]);
    let (stop, running) = start(&connector);
    for status in LIFE {
        room.happens(&connector, "1", status).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!((room.wall.note(0).rewritten, room.wall.note(0).replies.len()), (0, 1));
    tokio::time::sleep(secs(60)).await;
    let note = room.wall.note(0);
    assert_eq!(
        (note.lines, note.replies),
        (vec!["invoice.partially_paid 1 n2".into()], vec!["invoice.paid 1 n3".into()])
    );
    drop(stop);
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_root_whose_answer_is_lost_is_found_and_followed() {
    for fate in [Fate::Lost, Fate::Vanished, Fate::Hangs] {
        for follow in [Follow::Thread, Follow::Update] {
            let room = Room::new();
            room.wall.fates(&[fate]);
            // Killed in the middle: the grace period ends before the call does.
            room.story(&room.connector(follow), "1", &LIFE[..1]).await;
            room.story(&room.connector(follow), "1", &LIFE[1..]).await;
            room.world.run(&room.connector(follow), secs(60)).await;
            let notes = room.wall.notes.lock().unwrap().clone();
            assert_eq!(notes.len(), 1, "{fate:?} {follow:?}: {notes:?}");
            let last = if follow == Follow::Thread { &notes[0].replies } else { &notes[0].lines };
            assert_eq!(last.last().map(String::as_str), Some("invoice.paid 1 n3"), "{fate:?} {follow:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_first_is_dead_the_next_one_is_the_first() {
    let room = Room::new();
    let connector = room.connector(Follow::Thread);
    room.wall.fates(&[Fate::Refused]);
    room.story(&connector, "1", &LIFE).await;
    room.world.run(&connector, secs(10)).await;
    let note = room.wall.note(0);
    assert_eq!(note.lines, ["invoice.partially_paid 1 n2"]);
    assert_eq!(note.replies, ["invoice.paid 1 n3"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_while_the_first_is_told_loses_no_thread() {
    for failing in 1..8 {
        let room = Room::new();
        let connector = room.connector(Follow::Thread);
        let (stop, running) = start(&connector);
        room.happens(&connector, "1", Status::Open).await;
        room.world.log.fail_next_commits(failing);
        tokio::time::sleep(secs(120)).await;
        room.happens(&connector, "1", Status::Paid).await;
        tokio::time::sleep(secs(30)).await;
        let notes = room.wall.notes.lock().unwrap().clone();
        assert_eq!((notes.len(), notes[0].replies.len()), (1, 1), "{failing} commits failed: {notes:?}");
        drop(stop);
        running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_first_message_was_taken_down_the_next_one_is_the_first() {
    for follow in [Follow::Thread, Follow::Update] {
        let room = Room::new();
        let connector = room.connector(follow);
        room.wall.fates(&[Fate::Fine, Fate::Gone]);
        room.story(&connector, "1", &LIFE).await;
        room.world.run(&connector, secs(10)).await;
        let notes = room.wall.notes.lock().unwrap().clone();
        assert_eq!((notes.len(), connector.stats().dead), (2, 0));
        if follow == Follow::Thread {
            assert_eq!(notes[1].lines, ["invoice.partially_paid 1 n2"]);
            assert_eq!(notes[1].replies, ["invoice.paid 1 n3"]);
        } else {
            assert_eq!((&*notes[1].lines, notes[1].rewritten), (&["invoice.paid 1 n3".to_owned()][..], 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_that_the_sink_does_not_know_is_refused_with_its_route() {
    let room = Room::new();
    let connector = room.connector(Follow::Thread);
    let target = |name: &str| Target::new("board", Destination::from("a")).with_template(name);
    let route = Route::new("cards").to_target(target("short")).to_target(target("long"));
    let error = connector.set_routes(vec![route]).unwrap_err();
    assert_eq!((error.context("route"), error.context("field")), (Some("cards"), Some("to[1]")), "{error}");
}

/// What was superseded or moved is no call, so it does not prove that the connection works again.
#[tokio::test(start_paused = true)]
async fn what_costs_no_call_ends_no_outage() {
    let room = Room::new();
    let connector = room.connector(Follow::Update);
    let admin = Route::new("admin").on("connection.*").to("board", Destination::from("admin"));
    let all = Target::new("board", Destination::from("a")).following(Follow::Update);
    connector.set_routes(vec![Route::new("all").to_target(all), admin]).unwrap();
    room.story(&connector, "1", &LIFE[..1]).await;
    room.wall.fates(&[Fate::Dead]);
    let (stop, running) = start(&connector);
    room.happens(&connector, "2", Status::Open).await;
    tokio::time::sleep(secs(5)).await;
    for status in [Status::PartiallyPaid, Status::Paid] {
        room.happens(&connector, "1", status).await;
        tokio::time::sleep(secs(5)).await;
    }
    let events = room.world.entries(EntryKind::Event).await;
    let resumed = events.iter().filter(|entry| entry.index.name.as_deref() == Some("connection.resumed"));
    assert_eq!(resumed.count(), 0);
    tokio::time::sleep(secs(120)).await;
    assert_eq!(room.wall.note(0).lines, ["invoice.paid 1 n3"]);
    drop(stop);
    running.await.unwrap();
}

/// The second event's turn comes while the third, made after the first was told, is under way.
#[tokio::test(start_paused = true)]
async fn two_updates_of_one_message_are_never_under_way_together() {
    let room = Room::new();
    let connector = room.connector(Follow::Update);
    *room.wall.takes.lock().unwrap() = secs(2);
    let (stop, running) = start(&connector);
    for (id, status) in [("1", Status::Open), ("2", Status::Open), ("1", Status::PartiallyPaid)] {
        room.happens(&connector, id, status).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    room.happens(&connector, "1", Status::Paid).await;
    tokio::time::sleep(secs(30)).await;
    assert_eq!(
        (&*room.wall.note(0).lines, room.wall.note(0).rewritten),
        (&["invoice.paid 1 n3".to_owned()][..], 1)
    );
    drop(stop);
    running.await.unwrap();
    let outcomes = room.world.outcomes(EntryKind::Delivery).await;
    assert!(outcomes.iter().any(|outcome| outcome.contains("goes on in the lane")), "{outcomes:?}");
    let open = room.states().await.iter().filter(|state| !state.is_settled()).count();
    assert_eq!((outcomes.len(), open), (5, 0));
}

/// A host that heard late that a sink was forgotten removes what it knows of it; by then another of its name may tell.
#[tokio::test(start_paused = true)]
async fn a_sink_that_is_attached_anew_keeps_its_threads_from_hosts_that_still_forget() {
    let room = Room::new();
    let (other, connector) = (room.connector(Follow::Thread), room.connector(Follow::Thread));
    room.story(&connector, "1", &[Status::Open]).await;
    connector.forget(["board".into()]).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    connector.add_sink(WallSink::new(&room.wall)).unwrap();
    let target = Target::new("board", Destination::from("a")).following(Follow::Thread);
    connector.set_routes(vec![Route::new("all").to_target(target)]).unwrap();
    room.story(&connector, "1", &[Status::PartiallyPaid]).await;
    other.obey_forgotten().await.unwrap();
    room.story(&connector, "1", &[Status::Paid]).await;
    let replies: Vec<usize> = room.wall.notes.lock().unwrap().iter().map(|note| note.replies.len()).collect();
    assert_eq!(replies, [0, 1]);
}
