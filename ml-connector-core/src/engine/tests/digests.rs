//! Deliveries that wait for their time, and go as one message.

use vendor::webhook;
use wall::{Fate, Wall, WallSink};

use super::*;
use crate::{
    Clock,
    audit::EntryState,
    engine::Replay,
    model::{Status, Weekday, Zone},
    route::{Digest, Schedule, Target},
};

struct Room {
    world: World,
    wall: Arc<Wall>,
}

impl Room {
    fn new() -> Self {
        Self { world: World::new(), wall: Arc::default() }
    }

    fn connector(&self, schedule: &Schedule) -> Connector {
        let connector = self.world.connector();
        connector.remove(&"board".into());
        connector.add_sink(WallSink::new(&self.wall)).unwrap();
        connector.set_routes(vec![route(schedule)]).unwrap();
        connector
    }

    /// Invoices are issued, and the connector runs for a time.
    async fn issue(&self, connector: &Connector, ids: std::ops::Range<u32>, time: Duration) {
        for id in ids {
            self.world.ledger.put(&id.to_string(), Status::Open, "2026-06-01");
            connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        }
        self.world.run(connector, time).await;
    }

    fn sizes(&self) -> Vec<usize> {
        self.wall.lines().iter().map(Vec::len).collect()
    }

    async fn states(&self) -> Vec<EntryState> {
        self.world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect()
    }
}

fn route(schedule: &Schedule) -> Route {
    let target = Target::new("board", Destination::from("a")).scheduled(schedule.clone());
    Route::new("all").to_target(target)
}

/// Four of them, or after a minute.
fn four() -> Schedule {
    Schedule::default().as_digest(Digest::new(4, 60))
}

fn new_york(schedule: &[&str]) -> Schedule {
    let at: Vec<_> = schedule.iter().map(|at| at.parse().unwrap()).collect();
    Schedule::daily(at, Zone::named("America/New_York").unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_digest_goes_out_with_so_many_events_or_after_so_long() {
    let room = Room::new();
    let connector = room.connector(&four());
    room.issue(&connector, 10..19, secs(20)).await;
    assert_eq!(room.sizes(), [4, 4], "the ninth waits for others");
    room.world.run(&connector, secs(60)).await;
    assert_eq!(room.sizes(), [4, 4, 1]);
    let all: Vec<String> = room.wall.lines().concat();
    let expected: Vec<_> = (10..19).map(|id| format!("invoice.sent {id} n1")).collect();
    assert_eq!(
        {
            let mut all = all;
            all.sort();
            all
        },
        expected
    );
    let receipts: Vec<_> = room.world.entries(EntryKind::Delivery).await;
    let receipts: Vec<_> = receipts.iter().map(|entry| entry.receipt().unwrap().to_owned()).collect();
    assert_eq!(
        receipts.iter().filter(|receipt| *receipt == "note/0").count(),
        4,
        "each is settled by itself"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_digest_survives_restarts_and_waits_no_longer_for_them() {
    let room = Room::new();
    for id in 10..13 {
        room.issue(&room.connector(&four()), id..id + 1, secs(15)).await;
    }
    assert_eq!(room.sizes(), [0; 0]);
    room.world.run(&room.connector(&four()), secs(25)).await;
    assert_eq!(room.sizes(), [3], "a minute after the first");
    room.issue(&room.connector(&four()), 20..22, secs(5)).await;
    tokio::time::sleep(secs(3600)).await;
    room.world.run(&room.connector(&four()), secs(5)).await;
    assert_eq!(room.sizes(), [3, 2], "what was due while nothing ran goes out at once");
}

#[tokio::test(start_paused = true)]
async fn a_window_opens_at_its_local_time_also_when_clocks_change_and_on_its_days_only() {
    let schedule = new_york(&["09:00"]).on_days(Weekday::WORKING).as_digest(Digest::default());
    let room = Room::new();
    let connector = room.connector(&schedule);
    // A Sunday, noon in UTC. Clocks change on the Sunday after.
    let (stop, running) = start(&connector);
    for day in 0..9 {
        for id in 0..3 {
            let id = 10 + day * 3 + id;
            room.world.ledger.put(&id.to_string(), Status::Open, "2026-06-01");
            connector.receive(webhook(&format!("account:books {id}"), "good")).await;
        }
        tokio::time::sleep(secs(86_400)).await;
    }
    drop(stop);
    running.await.unwrap();
    let at: Vec<_> = room.wall.notes.lock().unwrap().iter().map(|note| note.at.to_string()).collect();
    let day = |text: &String| {
        text.split_once('T').map(|(day, time)| (day.to_owned(), time[..5].to_owned())).unwrap()
    };
    let winter = (2..7).map(|day| (format!("2026-03-0{day}"), "14:00".to_owned()));
    let summer = [("2026-03-09".to_owned(), "13:00".to_owned())];
    assert_eq!(at.iter().map(day).collect::<Vec<_>>(), winter.chain(summer).collect::<Vec<_>>());
    assert_eq!(room.sizes(), [6, 3, 3, 3, 3, 9], "the weekend's wait for Monday");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_without_a_digest_tells_one_by_one_in_order_and_keeps_nobody_else_waiting() {
    let room = Room::new();
    let connector = room.connector(&Schedule::every_minutes(30));
    let scheduled = route(&Schedule::every_minutes(30)).on("invoice.sent");
    let at_once = Route::new("at once").on("invoice.paid").to("board", Destination::from("a"));
    connector.set_routes(vec![scheduled, at_once]).unwrap();
    room.issue(&connector, 10..13, secs(60)).await;
    assert_eq!(room.sizes(), [0; 0]);
    room.world.ledger.put("99", Status::Paid, "2026-06-01");
    connector.receive(webhook("account:books 99", "good")).await;
    room.world.run(&connector, secs(60)).await;
    let told = |room: &Room| room.wall.lines().concat();
    assert_eq!(told(&room), ["invoice.paid 99 n1"]);
    room.world.run(&connector, secs(1800)).await;
    assert_eq!(room.sizes(), [1, 1, 1, 1, 1]);
    assert_eq!(room.wall.note(1).at.as_secs() % 1800, 0);
    assert_eq!(told(&room).iter().filter(|line| line.contains("sent")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_digest_in_doubt_is_looked_up_once_for_all_its_members() {
    for (fate, calls) in [(Fate::Lost, 1), (Fate::Vanished, 2), (Fate::Hangs, 1)] {
        let room = Room::new();
        room.wall.fates(&[fate]);
        room.issue(&room.connector(&four()), 10..14, secs(3)).await;
        // Another process goes on.
        room.world.run(&room.connector(&four()), secs(120)).await;
        assert_eq!(room.sizes(), [4], "{fate:?}");
        assert_eq!(*room.wall.calls.lock().unwrap(), calls, "{fate:?}");
        assert_eq!(room.wall.looked_up.lock().unwrap().len(), 1, "{fate:?}");
        assert_eq!(room.states().await, [EntryState::Done; 4], "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_member_leaves_the_others_told_and_goes_alone_when_it_is_replayed() {
    let room = Room::new();
    let connector = room.connector(&four());
    room.wall.fates(&[Fate::OneRefused]);
    room.issue(&connector, 10..14, secs(10)).await;
    assert_eq!(room.sizes(), [3]);
    let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
    assert_eq!(connector.replay(&Replay::new("again", dead)).await.unwrap().appended, 1);
    room.world.run(&connector, secs(120)).await;
    assert_eq!(room.sizes(), [3, 1]);
    assert_eq!(connector.stats().delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn a_digest_that_is_refused_as_a_whole_comes_apart_until_the_culprit_is_alone() {
    let room = Room::new();
    let connector = room.connector(&four());
    room.wall.fates(&[Fate::Refused, Fate::Refused, Fate::Refused]);
    room.issue(&connector, 10..14, secs(300)).await;
    assert_eq!(room.wall.lines().concat().len(), 3);
    let states = room.states().await;
    assert_eq!(states.iter().filter(|state| **state == EntryState::Dead).count(), 1, "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn deliveries_keep_their_time_when_the_routes_are_replaced_and_two_digests_stay_apart() {
    let room = Room::new();
    let connector = room.connector(&four());
    room.issue(&connector, 10..12, secs(5)).await;
    let other = Target::new("board", Destination::from("a")).scheduled(four()).with_template("short");
    connector.set_routes(vec![Route::new("all").to_target(other)]).unwrap();
    room.issue(&connector, 20..22, secs(120)).await;
    assert_eq!(room.sizes(), [2, 2]);
    assert!(room.wall.note(0).at < room.wall.note(1).at && room.world.clock.now() > room.wall.note(1).at);
}

#[tokio::test(start_paused = true)]
async fn a_digest_for_a_sink_that_makes_none_is_refused() {
    let world = World::new();
    let error = world.connector().set_routes(vec![route(&four())]).unwrap_err();
    assert_eq!(error.context("field"), Some("to.schedule.digest"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn more_than_a_digest_takes_are_several_in_order() {
    let room = Room::new();
    let half = Schedule::every_minutes(30).as_digest(Digest::default());
    room.issue(&room.connector(&half), 10..35, secs(60)).await;
    assert_eq!(room.sizes(), [0; 0]);
    room.world.run(&room.connector(&half), secs(1800)).await;
    assert_eq!(room.sizes(), [10, 10, 5]);
    let told: Vec<String> = room.wall.lines().concat();
    let events = room.world.entries(EntryKind::Event).await;
    let happened =
        events.iter().map(|entry| format!("invoice.sent {} n1", entry.index.entity.as_ref().unwrap().id));
    assert_eq!(told, happened.collect::<Vec<_>>());
}
