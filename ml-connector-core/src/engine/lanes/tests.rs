//! The scheduler without a clock.

use std::time::Duration;

use super::{
    held::{HELD, Place},
    scheduler::WINDOW,
    *,
};
use crate::{
    Timestamp,
    audit::{EntryKind, Pending},
    model::{ConnectionId, Partition, Seq},
    rate::QuotaKey,
};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn pending(kind: EntryKind, connection: &str, lane: u64, seq: u64, due: i64) -> Pending {
    let due = if due == i64::MAX { Pending::NEVER } else { at(due) };
    Pending { seq: Seq(seq), kind, connection: connection.into(), lane, due, attempt: 0, uncertain: false }
}

fn lanes(entries: &[Pending]) -> Lanes {
    let mut lanes = Lanes::default();
    entries.iter().for_each(|entry| lanes.add(Partition::new(0), entry, at(0)));
    lanes
}

fn take(lanes: &mut Lanes, now: i64) -> Option<(LaneId, Vec<u64>)> {
    let max = if lanes.lanes.keys().any(|id| id.kind == Signal) { 100 } else { 1 };
    let appetite =
        |_: &ConnectionId, _| Appetite { max, ahead: Duration::from_secs(2), linger: Duration::ZERO };
    lanes.take(at(now), appetite).map(|b| (b.lane, b.items.iter().map(|item| item.seq.0).collect()))
}

fn finish(lanes: &mut Lanes, lane: LaneId, waits: &[Item], hold: Hold, now: Timestamp) {
    finish_from(lanes, lane, None, waits, hold, now);
}

fn finish_from(
    lanes: &mut Lanes,
    lane: LaneId,
    gate: Option<QuotaKey>,
    waits: &[Item],
    hold: Hold,
    now: Timestamp,
) {
    let connection = lanes.lanes.get(&lane).map_or("gone".into(), |lane| lane.connection.clone());
    let batch = Batch { lane, connection, items: Vec::new(), blocked_since: None, gate };
    lanes.finish(&batch, waits, hold, now);
}

use EntryKind::{Delivery, Signal};

// Proves: order.
#[test]
fn deliveries_of_a_lane_go_one_by_one_in_the_order_of_the_log() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 7, 1, 0), pending(Delivery, "slack", 7, 2, 0)]);
    let (lane, first) = take(&mut lanes, 0).unwrap();
    assert_eq!(first, [1]);
    assert_eq!(take(&mut lanes, 0), None, "one is under way");
    let again = Item { seq: Seq(1), due: at(5), attempt: 1, uncertain: false };
    finish(&mut lanes, lane, &[again], Hold::Blocked, at(0));
    assert_eq!(take(&mut lanes, 4), None, "the second waits behind the first");
    assert_eq!(take(&mut lanes, 5).unwrap().1, [1]);
    finish(&mut lanes, lane, &[], Hold::None, at(5));
    assert_eq!(take(&mut lanes, 5).unwrap().1, [2]);
    finish(&mut lanes, lane, &[], Hold::None, at(5));
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
    finish(&mut lanes, lane, &[], Hold::None, at(2));
    assert_eq!(take(&mut lanes, 2).unwrap().1, [5]);
    finish(&mut lanes, lane, &[], Hold::None, at(2));
    assert_eq!(lanes.next_at(), Some(at(90_000)));
}

#[test]
fn a_signal_that_waits_for_its_next_try_is_answered_by_the_next_read_and_a_day_to_come_is_not() {
    let mut lanes = lanes(&[(1, 0), (2, 1_000)].map(|(seq, due)| pending(Signal, "books", 7, seq, due)));
    let (lane, first) = take(&mut lanes, 0).unwrap();
    assert_eq!(first, [1]);
    let again = Item { seq: Seq(1), due: at(900), attempt: 1, uncertain: false };
    finish(&mut lanes, lane, &[again], Hold::None, at(0));
    assert_eq!(take(&mut lanes, 5), None);
    lanes.add(Partition::new(0), &pending(Signal, "books", 7, 3, 10), at(5));
    assert_eq!(take(&mut lanes, 10).unwrap().1, [3, 1]);
    finish(&mut lanes, lane, &[], Hold::None, at(10));
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
    finish(&mut lanes, lane, &[again], outage, at(0));
    assert_eq!(take(&mut lanes, 30), None);
    lanes.add(Partition::new(0), &other, at(30));
    assert_eq!(take(&mut lanes, 30).unwrap().1, [9], "other connections go on");

    let (probe, items) = take(&mut lanes, 60).unwrap();
    assert_eq!(take(&mut lanes, 60), None, "one probe at a time");
    let again = Item { seq: Seq(items[0]), due: at(0), attempt: 0, uncertain: false };
    let outage = Hold::Outage(at(200));
    finish(&mut lanes, probe, &[again], outage, at(60));
    assert_eq!(take(&mut lanes, 199), None, "not before the vendor said");

    let (probe, _) = take(&mut lanes, 200).unwrap();
    finish(&mut lanes, probe, &[], Hold::None, at(200));
    assert_eq!(std::iter::from_fn(|| take(&mut lanes, 200)).count(), 2, "everything else is free again");
}

#[test]
fn a_resumed_connection_is_tried_at_once() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0), pending(Delivery, "slack", 2, 2, 0)]);
    let (lane, items) = take(&mut lanes, 0).unwrap();
    let again = Item { seq: Seq(items[0]), due: at(0), attempt: 0, uncertain: false };
    finish(&mut lanes, lane, &[again], Hold::Outage(at(900)), at(0));
    assert_eq!(take(&mut lanes, 1), None);
    lanes.resume(&"slack".into());
    assert_eq!(std::iter::from_fn(|| take(&mut lanes, 1)).count(), 2);
}

#[test]
fn a_parked_head_blocks_its_lane_and_goes_alone() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, i64::MAX), pending(Delivery, "slack", 1, 2, 0)]);
    let (lane, probe) = take(&mut lanes, 0).unwrap();
    assert_eq!(probe, [1], "after a restart it is tried once");
    let parked = Item { seq: Seq(1), due: Pending::NEVER, attempt: 0, uncertain: false };
    finish(&mut lanes, lane, &[parked], Hold::Parked, at(0));
    assert_eq!(take(&mut lanes, 59), None);
    assert_eq!(take(&mut lanes, 60).unwrap().1, [1]);
    finish(&mut lanes, lane, &[], Hold::None, at(60));
    assert_eq!(take(&mut lanes, 60).unwrap().1, [2]);
}

#[test]
fn a_partition_that_is_lost_leaves_nothing_behind() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0), pending(Signal, "books", 1, 2, 0)]);
    let (lane, _) = take(&mut lanes, 0).unwrap();
    lanes.forget(Partition::new(0));
    finish(&mut lanes, lane, &[], Hold::None, at(0));
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
        finish(&mut lanes, lane, &[], Hold::None, at(0));
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
        finish(&mut lanes, lane, &[], Hold::None, at(0));
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
            .take(at(0), |_, _| Appetite { max: 100, ahead: Duration::ZERO, linger: Duration::ZERO })
            .map(|batch| (batch.lane, batch.items))
    };
    let mut went = 0;
    while lanes.is_full(partition, &"books".into()) || went < HELD / 2 + 1 {
        let (lane, seqs) = go(&mut lanes).unwrap();
        went += seqs.len();
        finish(&mut lanes, lane, &[], Hold::None, at(0));
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
        finish(&mut lanes, lane, &[], Hold::None, at(0));
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
    finish(&mut lanes, lane, &[], Hold::None, at(0));
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

fn item(seq: u64) -> Item {
    Item { seq: Seq(seq), due: at(0), attempt: 0, uncertain: false }
}

fn take_batch(lanes: &mut Lanes, now: i64) -> Option<Batch> {
    lanes.take(at(now), |_, _| Appetite { max: 1, ahead: Duration::ZERO, linger: Duration::ZERO })
}

#[test]
fn before_a_gate_the_oldest_tries_first_and_the_next_when_it_is_admitted() {
    let key = QuotaKey::from("workspace");
    let mut lanes = lanes(&[3, 1, 2].map(|n| pending(Delivery, "slack", n, n, 0)));
    // In the order of the log, whatever the order of arrival.
    for n in [1, 2, 3] {
        let batch = take_batch(&mut lanes, 0).unwrap();
        assert_eq!(batch.items[0].seq, Seq(n));
        lanes.finish(&batch, &[item(n)], Hold::Quota(key.clone(), at(5)), at(0));
    }
    assert_eq!(take_batch(&mut lanes, 4), None);
    assert_eq!(lanes.next_at(), Some(at(5)));
    let first = take_batch(&mut lanes, 5).unwrap();
    assert_eq!((first.items[0].seq, first.gate.as_ref()), (Seq(1), Some(&key)));
    assert_eq!(take_batch(&mut lanes, 5), None, "one tries at a time");
    lanes.pass(first.gate.as_ref(), first.lane);
    let second = take_batch(&mut lanes, 5).unwrap();
    assert_eq!(second.items[0].seq, Seq(2), "the first was admitted");
    lanes.finish(&first, &[], Hold::None, at(5));
    assert_eq!(take_batch(&mut lanes, 5), None, "the second tries, whatever became of the first");
    lanes.finish(&second, &[item(2)], Hold::Quota(key, at(9)), at(5));
    assert_eq!(take_batch(&mut lanes, 8), None, "the second was refused: the third need not ask");
    let again = take_batch(&mut lanes, 9).unwrap();
    assert_eq!(again.items[0].seq, Seq(2), "and keeps its turn");
    lanes.finish(&again, &[], Hold::None, at(9));
    let third = take_batch(&mut lanes, 9).unwrap();
    lanes.finish(&third, &[], Hold::None, at(9));
    assert_eq!((take_batch(&mut lanes, 9), lanes.next_at()), (None, None));
}

#[test]
fn a_gate_whose_lane_was_lost_opens_for_the_next() {
    let key = QuotaKey::from("workspace");
    let mut lanes = lanes(&[pending(Delivery, "slack", 1, 1, 0)]);
    lanes.add(Partition::new(1), &pending(Delivery, "slack", 2, 2, 0), at(0));
    for n in [1, 2] {
        let batch = take_batch(&mut lanes, 0).unwrap();
        lanes.finish(&batch, &[item(n)], Hold::Quota(key.clone(), at(5)), at(0));
    }
    assert_eq!(take_batch(&mut lanes, 5).unwrap().items[0].seq, Seq(1));
    lanes.forget(Partition::new(0));
    assert_eq!(take_batch(&mut lanes, 5).unwrap().items[0].seq, Seq(2));
}

#[test]
fn connections_take_turns() {
    let mut entries: Vec<_> = (1..=5).map(|n| pending(Delivery, "busy", n, n, 0)).collect();
    entries.extend([6, 7].map(|n| pending(Delivery, "calm", n, n, 0)));
    let mut lanes = lanes(&entries);
    let order: Vec<u64> =
        std::iter::from_fn(|| take_batch(&mut lanes, 0)).map(|batch| batch.items[0].seq.0).collect();
    assert_eq!(order, [1, 6, 2, 7, 3, 4, 5]);
}

#[test]
fn what_was_about_to_begin_when_an_outage_began_waits_for_its_end() {
    let mut lanes = lanes(&[1, 2, 3].map(|n| pending(Delivery, "slack", n, n, 0)));
    let first = take_batch(&mut lanes, 0).unwrap();
    lanes.finish(&first, &[item(1)], Hold::Outage(at(0)), at(0));
    assert_eq!(take_batch(&mut lanes, 59), None);
    let probe = take_batch(&mut lanes, 60).unwrap();
    assert_eq!(take_batch(&mut lanes, 60), None);
    lanes.finish(&probe, &[], Hold::None, at(60));
    assert_eq!(std::iter::from_fn(|| take_batch(&mut lanes, 60)).count(), 2);
}

#[test]
fn a_connection_whose_probe_was_lost_with_its_partition_is_tried_again_when_it_is_held_anew() {
    let mut lanes = lanes(&[pending(Delivery, "slack", 7, 1, 0)]);
    let (lane, _) = take(&mut lanes, 0).unwrap();
    let again = Item { seq: Seq(1), due: at(0), attempt: 0, uncertain: false };
    finish(&mut lanes, lane, &[again], Hold::Outage(at(0)), at(0));
    assert_eq!(take(&mut lanes, 0), None, "it is left alone");
    assert_eq!(take(&mut lanes, 60).unwrap().1, [1], "the probe");
    lanes.forget(Partition::new(0));
    lanes.add(Partition::new(0), &pending(Delivery, "slack", 7, 1, 0), at(61));
    assert_eq!(take(&mut lanes, 61).unwrap().1, [1]);
}

#[test]
fn a_system_that_hangs_with_all_its_organizations_leaves_slots_to_other_systems_and_to_clicks() {
    let names: Vec<String> = (0..100).map(|n| format!("org-{n}")).collect();
    let class = |system, is_prompt| SlotClass { system, is_prompt };
    let hang = names.iter().map(|name| (name.as_str().into(), class("books", false)));
    let others = [("other".into(), class("ledger", false)), ("clicks".into(), class("chat", true))];
    let mut lanes = Lanes::with_slots(64);
    lanes.classify(hang.chain(others).collect());
    let one = |_: &ConnectionId, _| Appetite { max: 1, ahead: Duration::ZERO, linger: Duration::ZERO };
    let begin = |lanes: &mut Lanes| {
        let mut begun: Vec<String> = Vec::new();
        while let Some(batch) = lanes.take(at(0), one) {
            lanes.begin(&batch.connection);
            begun.push(batch.connection.to_string());
        }
        begun
    };
    for (name, n) in names.iter().zip(0..) {
        lanes.add(Partition::new(0), &pending(Signal, name, n, n + 1, 0), at(0));
    }
    assert_eq!(begin(&mut lanes).len(), 48);
    for n in 0..20 {
        lanes.add(Partition::new(0), &pending(Signal, "other", 200 + n, 200 + n, 0), at(0));
        lanes.add(Partition::new(0), &pending(Signal, "clicks", 300 + n, 300 + n, 0), at(0));
    }
    let begun = begin(&mut lanes);
    let of = |name: &str| begun.iter().filter(|begun| *begun == name).count();
    assert_eq!((of("other"), of("clicks")), (1, 8), "half of sixteen");
    lanes.end(&"other".into());
    lanes.end(&"clicks".into());
    lanes.add(Partition::new(0), &pending(Signal, "other", 400, 400, 0), at(0));
    assert_eq!(begin(&mut lanes).len(), 2, "what has ended makes room");
}

#[test]
fn a_connection_that_hangs_leaves_slots_to_the_others() {
    let entries = (0..40).map(|n| pending(Signal, if n < 36 { "hangs" } else { "works" }, n, n + 1, 0));
    let mut lanes = Lanes::with_slots(8);
    entries.for_each(|entry| lanes.add(Partition::new(0), &entry, at(0)));
    let mut taken = Vec::new();
    let one = |_: &ConnectionId, _| Appetite { max: 1, ahead: Duration::ZERO, linger: Duration::ZERO };
    while let Some(batch) = lanes.take(at(0), one) {
        lanes.begin(&batch.connection);
        taken.push(batch);
    }
    let of = |name: &str| taken.iter().filter(|batch| batch.connection.as_str() == name).count();
    assert_eq!((of("hangs"), of("works")), (3, 3), "the rest is for whoever has nothing under way");
    assert_eq!(lanes.next_at(), None, "nothing may begin before something ends");
    lanes.add(Partition::new(0), &pending(Signal, "click", 99, 99, 0), at(0));
    assert_eq!(lanes.next_at(), Some(at(0)));
    let click = lanes.take(at(0), one).unwrap();
    assert_eq!(click.connection.as_str(), "click");
    lanes.begin(&click.connection);
    let done = taken.iter().position(|batch| batch.connection.as_str() == "works").unwrap();
    let done = taken.remove(done);
    lanes.end(&done.connection);
    lanes.finish(&done, &[], Hold::None, at(1));
    lanes.end(&click.connection);
    lanes.finish(&click, &[], Hold::None, at(1));
    assert!(lanes.take(at(1), one).is_some(), "what has ended makes room");
}

#[test]
fn lanes_that_wait_for_the_same_quota_take_turns_whatever_their_backlogs() {
    let backlog = (1..=6).map(|seq| pending(Delivery, "slack", 1, seq, 0));
    let entries: Vec<_> = backlog.chain([pending(Delivery, "slack", 2, 7, 0)]).collect();
    let (mut lanes, key) = (lanes(&entries), QuotaKey::from("workspace"));
    let mut order = Vec::new();
    // One a second: whoever comes second in a second is refused.
    for now in 0..8 {
        let mut room = true;
        while let Some(batch) =
            lanes.take(at(now), |_, _| Appetite { max: 1, ahead: Duration::ZERO, linger: Duration::ZERO })
        {
            if std::mem::take(&mut room) {
                order.push(batch.items[0].seq.0);
                lanes.finish(&batch, &[], Hold::None, at(now));
            } else {
                let hold = Hold::Quota(key.clone(), at(now + 1));
                lanes.finish(&batch, &batch.items, hold, at(now));
            }
        }
    }
    let news = order.iter().position(|seq| *seq == 7).unwrap();
    assert!(news <= 2, "the news goes out after the backlog: {order:?}");
    assert_eq!(order.iter().filter(|seq| **seq < 7).copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}
