use super::{super::backlog::HELD, *};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn pending(kind: EntryKind, connection: &str, lane: u64, seq: u64, due: i64) -> Pending {
    let due = if due == i64::MAX { Timestamp::MAX } else { at(due) };
    Pending { seq: Seq(seq), kind, connection: connection.into(), lane, due, attempt: 0, uncertain: false }
}

fn lanes(entries: &[Pending]) -> Lanes {
    let mut lanes = Lanes::default();
    entries.iter().for_each(|entry| lanes.add(Partition::new(0), entry, at(0)));
    lanes
}

fn take(lanes: &mut Lanes, now: i64) -> Option<(LaneId, Vec<u64>)> {
    let max = if lanes.lanes.keys().any(|id| id.kind == Signal) { 100 } else { 1 };
    let appetite = |_: &ConnectionId| Appetite { max, ahead: Duration::from_secs(2) };
    lanes.take(at(now), appetite).map(|b| (b.lane, b.items.iter().map(|item| item.seq.0).collect()))
}

use EntryKind::{Delivery, Signal};

#[test]
fn deliveries_of_a_lane_go_one_by_one_in_the_order_of_the_log() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 7, 1, 0), pending(Delivery, "slack", 7, 2, 0)]);
    let (lane, first) = take(&mut lanes, 0).unwrap();
    assert_eq!(first, [1]);
    assert_eq!(take(&mut lanes, 0), None, "one is under way");
    let again = Item { seq: Seq(1), due: at(5), attempt: 1, uncertain: false };
    lanes.finish(lane, &[again], Hold::Blocked, at(0));
    assert_eq!(take(&mut lanes, 4), None, "the second waits behind the first");
    assert_eq!(take(&mut lanes, 5).unwrap().1, [1]);
    lanes.finish(lane, &[], Hold::None, at(5));
    assert_eq!(take(&mut lanes, 5).unwrap().1, [2]);
    lanes.finish(lane, &[], Hold::None, at(5));
    assert_eq!((lanes.waiting(), lanes.lanes.len()), (0, 0), "nothing is kept of an empty lane");
}

#[test]
fn signals_of_a_record_are_taken_together_but_not_those_of_another_day() {
    let entries = [(1, 2), (2, 3), (3, 90_000), (4, 1)];
    let mut lanes = lanes(&entries.map(|(seq, due)| pending(Signal, "books", 7, seq, due)));
    assert_eq!(take(&mut lanes, 0), None);
    assert_eq!(lanes.next_at(), Some(at(0).max(at(1))));
    let (lane, together) = take(&mut lanes, 1).unwrap();
    assert_eq!(together, [4, 1, 2]);
    lanes.add(Partition::new(0), &pending(Signal, "books", 7, 5, 1), at(1));
    assert_eq!(take(&mut lanes, 2), None, "a read is under way");
    lanes.finish(lane, &[], Hold::None, at(2));
    assert_eq!(take(&mut lanes, 2).unwrap().1, [5]);
    lanes.finish(lane, &[], Hold::None, at(2));
    assert_eq!(lanes.next_at(), Some(at(90_000)));
}

#[test]
fn a_signal_that_waits_for_its_next_try_is_answered_by_the_next_read_and_a_day_to_come_is_not() {
    let mut lanes = lanes(&[(1, 0), (2, 1_000)].map(|(seq, due)| pending(Signal, "books", 7, seq, due)));
    let (lane, first) = take(&mut lanes, 0).unwrap();
    assert_eq!(first, [1]);
    let again = Item { seq: Seq(1), due: at(900), attempt: 1, uncertain: false };
    lanes.finish(lane, &[again], Hold::None, at(0));
    assert_eq!(take(&mut lanes, 5), None);
    lanes.add(Partition::new(0), &pending(Signal, "books", 7, 3, 10), at(5));
    assert_eq!(take(&mut lanes, 10).unwrap().1, [3, 1]);
    lanes.finish(lane, &[], Hold::None, at(10));
    assert_eq!(take(&mut lanes, 900), None);
    assert_eq!(lanes.next_at(), Some(at(1_000)));
}

#[test]
fn a_connection_that_does_not_work_is_tried_with_one_batch_and_then_goes_on_in_order() {
    let mut lanes = lanes(&[1, 2, 3].map(|n| pending(Delivery, "slack", n, n, 0)));
    let other = pending(Delivery, "other", 9, 9, 0);
    let (lane, first) = take(&mut lanes, 0).unwrap();
    let again = Item { seq: Seq(first[0]), due: at(0), attempt: 0, uncertain: false };
    let outage = Hold::Outage(at(0));
    lanes.finish(lane, &[again], outage, at(0));
    assert_eq!(take(&mut lanes, 30), None);
    lanes.add(Partition::new(0), &other, at(30));
    assert_eq!(take(&mut lanes, 30).unwrap().1, [9], "other connections go on");

    let (probe, items) = take(&mut lanes, 60).unwrap();
    assert_eq!(take(&mut lanes, 60), None, "one probe at a time");
    let again = Item { seq: Seq(items[0]), due: at(0), attempt: 0, uncertain: false };
    let outage = Hold::Outage(at(200));
    lanes.finish(probe, &[again], outage, at(60));
    assert_eq!(take(&mut lanes, 199), None, "not before the vendor said");

    let (probe, _) = take(&mut lanes, 200).unwrap();
    lanes.finish(probe, &[], Hold::None, at(200));
    assert_eq!(std::iter::from_fn(|| take(&mut lanes, 200)).count(), 2, "everything else is free again");
}

#[test]
fn a_resumed_connection_is_tried_at_once() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0), pending(Delivery, "slack", 2, 2, 0)]);
    let (lane, items) = take(&mut lanes, 0).unwrap();
    let again = Item { seq: Seq(items[0]), due: at(0), attempt: 0, uncertain: false };
    lanes.finish(lane, &[again], Hold::Outage(at(900)), at(0));
    assert_eq!(take(&mut lanes, 1), None);
    lanes.resume(&"slack".into());
    assert_eq!(std::iter::from_fn(|| take(&mut lanes, 1)).count(), 2);
}

#[test]
fn a_parked_head_blocks_its_lane_and_goes_alone() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, i64::MAX), pending(Delivery, "slack", 1, 2, 0)]);
    let (lane, probe) = take(&mut lanes, 0).unwrap();
    assert_eq!(probe, [1], "after a restart it is tried once");
    let parked = Item { seq: Seq(1), due: Timestamp::MAX, attempt: 0, uncertain: false };
    lanes.finish(lane, &[parked], Hold::Parked, at(0));
    assert_eq!(take(&mut lanes, 59), None);
    assert_eq!(take(&mut lanes, 60).unwrap().1, [1]);
    lanes.finish(lane, &[], Hold::None, at(60));
    assert_eq!(take(&mut lanes, 60).unwrap().1, [2]);
}

#[test]
fn a_partition_that_is_lost_leaves_nothing_behind() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0), pending(Signal, "books", 1, 2, 0)]);
    let (lane, _) = take(&mut lanes, 0).unwrap();
    lanes.forget(Partition::new(0));
    lanes.finish(lane, &[], Hold::None, at(0));
    assert_eq!(take(&mut lanes, 0), None);
    assert_eq!(lanes.waiting(), 0);
}

#[test]
fn a_long_lane_is_held_in_part_and_goes_on_in_order_from_the_log() {
    let log: Vec<Pending> = (1..=50).map(|seq| pending(Delivery, "slack", 7, seq, 0)).collect();
    let mut lanes = lanes(&log);
    assert_eq!(lanes.waiting(), WINDOW);
    let mut went = Vec::new();
    while let Some((lane, seqs)) = take(&mut lanes, 0) {
        went.extend(seqs);
        lanes.finish(lane, &[], Hold::None, at(0));
        for (id, after) in lanes.take_hungry() {
            let rest: Vec<Pending> =
                log.iter().filter(|pending| pending.seq > after).take(lanes.window()).cloned().collect();
            lanes.refill(id, &rest, rest.len() == lanes.window());
        }
        assert!(lanes.waiting() <= 2 * WINDOW);
    }
    assert_eq!(went, (1..=50).collect::<Vec<u64>>());
    assert_eq!(lanes.lanes.len(), 0);
    lanes.add(Partition::new(0), &pending(Delivery, "slack", 7, 51, 0), at(0));
    assert_eq!(take(&mut lanes, 0).unwrap().1, [51]);
}

#[test]
fn a_lane_that_could_not_be_refilled_asks_again() {
    let mut lanes = lanes(&(1..=9).map(|seq| pending(Delivery, "slack", 7, seq, 0)).collect::<Vec<_>>());
    for _ in 0..WINDOW {
        let (lane, _) = take(&mut lanes, 0).unwrap();
        lanes.finish(lane, &[], Hold::None, at(0));
    }
    let [(lane, after)] = lanes.take_hungry()[..] else { panic!("one lane is hungry") };
    assert_eq!(after, Seq(8));
    lanes.stay_hungry(lane);
    assert_eq!(lanes.take_hungry(), [(lane, after)]);
    lanes.refill(lane, &[pending(Delivery, "slack", 7, 9, 0)], false);
    assert_eq!(take(&mut lanes, 0).unwrap().1, [9]);
}

#[test]
fn signals_that_were_passed_over_come_once_there_is_room() {
    let partition = Partition::new(0);
    let log: Vec<Pending> = (1..=HELD as u64 + 100).map(|n| pending(Signal, "books", n, n, 0)).collect();
    let mut lanes = lanes(&log);
    assert_eq!((lanes.waiting(), lanes.take_unread(at(0))), (HELD, vec![]));
    lanes.add(partition, &pending(Signal, "other", 1, 9, 0), at(0));
    assert_eq!(lanes.waiting(), HELD + 1, "another connection has room of its own");

    let go = |lanes: &mut Lanes| {
        lanes
            .take(at(0), |_| Appetite { max: 100, ahead: Duration::ZERO })
            .map(|batch| (batch.lane, batch.items))
    };
    let mut went = 0;
    while lanes.is_full(partition, &"books".into()) || went < HELD / 2 + 1 {
        let (lane, seqs) = go(&mut lanes).unwrap();
        went += seqs.len();
        lanes.finish(lane, &[], Hold::None, at(0));
    }
    let unread = lanes.take_unread(at(0));
    let [Place { ref connection, from, to: None, .. }] = unread[..] else { panic!("{unread:?}") };
    assert_eq!((connection.as_str(), from), ("books", Seq(HELD as u64 + 1)));
    // Reading a little too much does no harm.
    for pending in &log[HELD - 5..] {
        lanes.add_again(partition, pending, at(0));
    }
    while let Some((lane, seqs)) = go(&mut lanes) {
        went += seqs.len();
        lanes.finish(lane, &[], Hold::None, at(0));
    }
    assert_eq!(went, log.len() + 1, "each once");
}

#[test]
fn a_signal_of_a_far_day_is_left_in_the_log_until_then() {
    let mut lanes =
        lanes(&[(1, 90_000), (2, 80_000), (3, 0)].map(|(n, due)| pending(Signal, "books", 7, n, due)));
    assert_eq!(lanes.waiting(), 1);
    let (lane, seqs) = take(&mut lanes, 0).unwrap();
    assert_eq!(seqs, [3]);
    lanes.finish(lane, &[], Hold::None, at(0));
    assert_eq!(lanes.next_at(), Some(at(80_000)));
    assert_eq!(lanes.take_unread(at(79_999)), []);
    let [Place { from, .. }] = lanes.take_unread(at(80_000))[..] else { panic!("it is time") };
    assert_eq!(from, Seq(1));
    for (n, due) in [(1, 90_000), (2, 80_000)] {
        lanes.add_again(Partition::new(0), &pending(Signal, "books", 7, n, due), at(80_000));
    }
    assert_eq!(take(&mut lanes, 80_000).unwrap().1, [2]);
    assert_eq!(lanes.next_at(), Some(at(90_000)));
}
