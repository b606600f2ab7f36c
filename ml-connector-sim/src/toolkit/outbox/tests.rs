use http::StatusCode;

use super::*;

fn start() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn outbox(retries: RetryTable) -> Outbox<u32> {
    let mut outbox = Outbox::new(retries, 1);
    outbox.put(start(), |_| (1, Request::new(Bytes::from_static(b"{}"))));
    outbox
}

fn answer(status: u16) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"no"));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// Fails every attempt at its time; tells the pauses between them.
fn pauses(mut outbox: Outbox<u32>) -> Vec<Duration> {
    let (mut now, mut pauses) = (start(), Vec::new());
    while let Some(delivery) = outbox.take(now).pop() {
        let refused = answer(503);
        let attempt = outbox.settle(delivery, Reception::of(Ok(&refused)), Some(&refused), now);
        assert_eq!((attempt.failure, attempt.status), (Some("http_error"), Some(refused.status())));
        assert_eq!(attempt.again, outbox.next_due());
        let Some(due) = attempt.again else { break };
        if due > now {
            assert!(
                outbox.take(Timestamp::from_millis(due.as_millis() - 1)).is_empty(),
                "it came before its time"
            );
        }
        pauses.push(due.saturating_since(now));
        now = due;
    }
    assert_eq!(outbox.attempts.len(), pauses.len() + 1);
    pauses
}

#[test]
fn what_fails_is_tried_as_often_as_the_table_says_and_then_dropped() {
    assert!(pauses(outbox(RetryTable::none())).is_empty());
    let table = RetryTable::of(&[Duration::ZERO, minutes(1)]).then(minutes(60), 2);
    assert_eq!(pauses(outbox(table)), [Duration::ZERO, minutes(1), minutes(60), minutes(60)]);
    let doubled = pauses(outbox(RetryTable::doubling(minutes(2), 10)));
    assert_eq!((doubled.len(), doubled[0], doubled[9]), (10, minutes(2), minutes(1024)));
}

#[test]
fn what_was_received_or_given_up_does_not_come_again() {
    for verdict in [Reception::Received, Reception::GiveUp("gone")] {
        let mut outbox = outbox(RetryTable::of(&[minutes(1)]));
        let delivery = outbox.take(start()).remove(0);
        let attempt = outbox.settle(delivery, verdict, Some(&answer(200)), start());
        assert_eq!((attempt.again, outbox.next_due()), (None, None));
        assert_eq!(attempt.failure, verdict.failure());
    }
}

#[test]
fn no_answer_is_a_failure_by_its_phase() {
    for (phase, failure) in [
        (Phase::NotWritten, "connection_failed"),
        (Phase::Written, "http_timeout"),
        (Phase::StatusRead(StatusCode::OK), "unknown_error"),
    ] {
        let verdict = Reception::of(Err(&TransportError::new(phase, "broke off")));
        assert_eq!(verdict, Reception::Again(failure));
    }
}

#[test]
fn deliveries_are_lost_doubled_and_late_as_tuned() {
    let mut outbox = Outbox::new(RetryTable::none(), 1);
    outbox.tuning.lose = 1;
    outbox.tuning.duplicates = 2;
    outbox.tuning.delay = minutes(1);
    outbox.put(start(), |copy| (copy, Request::default()));
    assert_eq!(outbox.next_due(), None, "the first one is lost");
    outbox.put(start(), |copy| (copy, Request::default()));
    assert!(outbox.take(start()).is_empty());
    let copies: Vec<u32> = outbox.take(start() + minutes(1)).iter().map(|delivery| delivery.about).collect();
    assert_eq!(copies, [0, 1, 2]);
}

#[test]
fn a_shuffled_batch_loses_nothing() {
    let mut outbox = Outbox::new(RetryTable::none(), 1);
    outbox.tuning.shuffle = true;
    (0..20).for_each(|n| outbox.put(start(), |_| (n, Request::default())));
    let mut taken: Vec<u32> = outbox.take(start()).iter().map(|delivery| delivery.about).collect();
    assert_ne!(taken, (0..20).collect::<Vec<_>>());
    taken.sort_unstable();
    assert_eq!(taken, (0..20).collect::<Vec<_>>());
}

#[test]
fn nothing_is_signed_with_the_right_secret_when_it_must_not_be() {
    let right = Secret::from("right");
    let mut tuning = DeliveryTuning::default();
    assert_eq!(tuning.secret(&right).unwrap().expose(), "right");
    tuning.wrong_secret = true;
    assert_ne!(tuning.secret(&right).unwrap().expose(), "right");
    tuning.unsigned = true;
    assert!(tuning.secret(&right).is_none());
}
