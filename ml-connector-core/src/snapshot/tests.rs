use super::*;
use crate::model::{Date, Money, Record, RecordKind, Status};

const DUE: &str = "2026-03-04";

fn policy<'a>(today: &str, overdue_after: &'a [u32]) -> ChangeRules<'a> {
    ChangeRules {
        today: Date::parse(today).unwrap(),
        overdue_after,
        watched_since: Timestamp::from_secs(1_000_000),
    }
}

fn record(kind: RecordKind, status: Status, balance: &str) -> Record {
    let mut record = Record::new(kind, "1", status);
    record.total = Some(Money::parse("100.00", "USD").unwrap());
    record.balance = Some(Money::parse(balance, "USD").unwrap());
    record.due_date = Some(Date::parse(DUE).unwrap());
    record.created_at = Some(Timestamp::from_secs(1_000_100));
    record
}

fn seen(record: &Record, version: &str, read_at: i64) -> Observation {
    Observation {
        entity: record.entity(),
        read_at: Timestamp::from_secs(read_at),
        state: Observed::present(Revision::of(version.as_bytes()), record.clone()),
    }
}

fn gone(record: &Record, read_at: i64) -> Observation {
    Observation {
        entity: record.entity(),
        read_at: Timestamp::from_secs(read_at),
        state: Observed::Gone(crate::model::DeletionProof::AbsentTwice),
    }
}

/// Plays observations and writes down the changes of each as text.
fn play(observations: &[Observation], policy: &ChangeRules<'_>) -> Vec<String> {
    let mut last: Option<Snapshot> = None;
    observations
        .iter()
        .map(|observation| match step(last.as_ref(), observation, policy) {
            SnapshotStep::Unchanged => "unchanged".to_owned(),
            SnapshotStep::Older => "older".to_owned(),
            SnapshotStep::Changed { snapshot, changes } => {
                assert_eq!(snapshot.n, last.as_ref().map_or(0, |last| last.n) + 1);
                last = Some(*snapshot);
                changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
        })
        .collect()
}

#[test]
fn every_transition_has_its_word() {
    use RecordKind::{Bill, CustomerPayment, Invoice};
    use Status::{Approved, Draft, Open, Paid, PartiallyPaid, PendingApproval, Rejected, Void};
    let other = || Status::Other("on_hold".into());
    for (kind, statuses, expected) in [
        (Invoice, vec![Draft, Open, PartiallyPaid, Paid], "created | sent | partially_paid | paid"),
        (Invoice, vec![Open, Void], "sent created | voided"),
        (Invoice, vec![Paid], "paid sent created"),
        (Invoice, vec![Draft, PendingApproval, Approved, Open], "created | submitted | approved | sent"),
        (Invoice, vec![PendingApproval, Open], "submitted created | approved sent"),
        (Invoice, vec![PendingApproval, Rejected, Draft], "submitted created | rejected | updated"),
        (Invoice, vec![Paid, Open], "paid sent created | updated"),
        (Invoice, vec![Draft, Approved], "created | approved"),
        (Bill, vec![Draft, PendingApproval, Open, Paid], "created | submitted | approved | paid"),
        (Bill, vec![Draft, Open, Paid], "created | posted | paid"),
        (Bill, vec![Draft, PendingApproval, Approved, Open], "created | submitted | approved | posted"),
        (Bill, vec![Approved, Open], "approved created | posted"),
        (Bill, vec![Open, other(), Paid], "created | updated | paid"),
        (CustomerPayment, vec![Paid], "created"),
        (CustomerPayment, vec![Draft, Paid], "created | paid"),
        (RecordKind::VendorPayment, vec![PendingApproval, Paid], "submitted created | paid approved"),
    ] {
        let observations: Vec<_> = (0..)
            .zip(statuses)
            .map(|(i, status)| seen(&record(kind.clone(), status, "100.00"), &i.to_string(), i))
            .collect();
        assert_eq!(play(&observations, &policy("2026-03-01", &[])).join(" | "), expected, "{kind}");
    }
}

#[test]
fn the_same_revision_is_no_event_and_another_one_with_equal_facts_is_an_update() {
    let invoice = record(RecordKind::Invoice, Status::Open, "100.00");
    let observations =
        [seen(&invoice, "a", 1), seen(&invoice, "a", 2), seen(&invoice, "b", 3), seen(&invoice, "b", 4)];
    assert_eq!(
        play(&observations, &policy("2026-03-01", &[])),
        ["sent created", "unchanged", "updated", "unchanged"]
    );
}

#[test]
fn a_second_part_payment_is_told() {
    let part = |balance| record(RecordKind::Invoice, Status::PartiallyPaid, balance);
    let observations = [seen(&part("60"), "a", 1), seen(&part("40.0"), "b", 2), seen(&part("40.00"), "c", 3)];
    let told = play(&observations, &policy("2026-03-01", &[]));
    assert_eq!(told, ["sent partially_paid created", "partially_paid", "updated"]);
}

#[test]
fn what_is_different_now_says_how_it_was() {
    let was = record(RecordKind::CustomerPayment, Status::Open, "100");
    let mut now = was.clone();
    assert_eq!(Facts::of(&was).before(&Facts::of(&now)), None);
    now.total = Some(Money::parse("60.00", "USD").unwrap());
    now.due_date = None;
    now.reference = Some("not kept".into());
    let before = Facts::of(&was).before(&Facts::of(&now)).unwrap();
    assert_eq!((before.total, before.due_date), (was.total, was.due_date));
    assert_eq!((before.status, before.balance), (None, None));
}

#[test]
fn an_unknown_record_older_than_the_connection_is_updated_not_created() {
    let mut old = record(RecordKind::Invoice, Status::Paid, "0");
    old.created_at = Some(Timestamp::from_secs(900_000));
    assert_eq!(play(&[seen(&old, "a", 1)], &policy("2026-03-01", &[])), ["updated"]);
}

#[test]
fn an_older_read_is_dropped_only_if_it_differs() {
    let open = record(RecordKind::Invoice, Status::Open, "100.00");
    let paid = record(RecordKind::Invoice, Status::Paid, "0");
    let observations = [seen(&paid, "b", 10), seen(&open, "a", 5), seen(&paid, "b", 5), gone(&paid, 5)];
    let told = play(&observations, &policy("2026-03-01", &[]));
    assert_eq!(told, ["paid sent created", "older", "unchanged", "older"]);
}

#[test]
fn a_vendor_s_own_order_beats_the_time_of_the_read() {
    let with_order = |version: &str, order, read_at| {
        let mut observation = seen(&record(RecordKind::Bill, Status::Open, "1"), version, read_at);
        let Observed::Present { order: own, .. } = &mut observation.state else { unreachable!() };
        *own = Some(order);
        observation
    };
    let observations = [with_order("b", 7, 10), with_order("a", 6, 11), with_order("c", 8, 9)];
    assert_eq!(play(&observations, &policy("2026-03-01", &[])), ["created", "older", "updated"]);
}

#[test]
fn gone_is_told_once_and_a_record_that_comes_back_is_created() {
    let bill = record(RecordKind::Bill, Status::Open, "1");
    let observations =
        [gone(&bill, 1), seen(&bill, "a", 2), gone(&bill, 3), gone(&bill, 4), seen(&bill, "a", 5)];
    let told = play(&observations, &policy("2026-03-01", &[]));
    assert_eq!(told, ["unchanged", "created", "deleted", "unchanged", "created"]);
}

#[test]
fn overdue_is_announced_once_per_threshold_and_due_date() {
    let invoice = record(RecordKind::Invoice, Status::Open, "100.00");
    let mut moved = invoice.clone();
    moved.due_date = Some(Date::parse("2026-03-05").unwrap());
    let mut last: Option<Snapshot> = None;
    let mut told = Vec::new();
    for (today, observation) in [
        ("2026-03-04", seen(&invoice, "a", 1)),
        ("2026-03-05", seen(&invoice, "a", 2)),
        ("2026-03-05", seen(&invoice, "a", 3)),
        ("2026-03-20", seen(&invoice, "a", 4)),
        ("2026-03-20", seen(&moved, "b", 5)),
        ("2026-03-21", seen(&record(RecordKind::Invoice, Status::Paid, "0"), "c", 6)),
    ] {
        match step(last.as_ref(), &observation, &policy(today, &[1, 7])) {
            SnapshotStep::Changed { snapshot, changes } => {
                last = Some(*snapshot);
                told.push(changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            }
            other => told.push(format!("{other:?}")),
        }
    }
    assert_eq!(told, ["sent created", "overdue:1", "Unchanged", "overdue:7", "overdue:1 overdue:7", "paid"]);
}

#[test]
fn nothing_is_overdue_that_is_not_owed() {
    for (kind, status, balance) in [
        (RecordKind::Invoice, Status::Draft, "100"),
        (RecordKind::Invoice, Status::Void, "100"),
        (RecordKind::Invoice, Status::PendingApproval, "100"),
        (RecordKind::Invoice, Status::Open, "0.00"),
        (RecordKind::Invoice, Status::Open, "-5"),
        (RecordKind::PurchaseOrder, Status::Open, "100"),
    ] {
        let told = play(&[seen(&record(kind, status, balance), "a", 1)], &policy("2027-01-01", &[1]));
        assert!(!told[0].contains("overdue"), "{told:?}");
    }
}

#[test]
fn a_snapshot_survives_its_document() {
    let SnapshotStep::Changed { snapshot, .. } = step(
        None,
        &seen(&record(RecordKind::Invoice, Status::Other("viewed".into()), "100.00"), "a", 1),
        &policy("2026-05-01", &[1]),
    ) else {
        panic!("a first observation is a change");
    };
    assert_eq!(Snapshot::from_bytes(&snapshot.to_bytes().unwrap()).unwrap(), *snapshot);
}
