//! Behaviors of an [`AuditLog`].

pub mod backlog;
pub mod commit;
pub mod handles;
pub mod lease;
pub mod order;
pub mod prune;
pub mod query;
mod reopen;
pub mod rewrite;
pub mod work;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

pub use self::{
    handles::{HANDLES_BEHAVIORS, Handles, all_with_two_handles},
    reopen::survives_reopening,
};
use super::{Behavior, behaviors};
use crate::{
    AuditLog, Timestamp,
    audit::{
        Appended, Committed, DocKey, DocumentWrite, Entry, EntryKind, Expected, Index, Lease, LeaseRequest,
        NewEntry, Outcome, Parent, Pending, PendingRequest, PendingScope, Query, RewriteLog, Settlement,
        Transaction,
    },
    model::{ConnectionId, DedupeKey, EntityRef, Partition, Seq},
};

/// What every log has to do.
pub const BEHAVIORS: &[Behavior<dyn AuditLog>] = behaviors![dyn AuditLog:
    commit::a_refused_transaction_leaves_nothing_behind,
    commit::preconditions_are_checked_before_anything_is_written,
    commit::transactions_of_a_call_are_applied_in_order,
    commit::documents_are_compared_and_set,
    commit::a_document_has_one_winner,
    commit::versions_grow_across_a_delete,
    commit::a_dedupe_key_is_appended_once,
    commit::a_duplicate_changes_nothing_and_stands_for_its_entry,
    commit::a_repeat_leaves_its_trace_where_that_is_asked_for,
    commit::concurrent_duplicates_have_one_winner,
    commit::a_parent_comes_earlier,
    commit::an_unknown_parent_begins_a_family,
    work::the_work_list_holds_what_is_unsettled,
    work::outcomes_are_kept_in_order,
    work::an_attempt_is_uncertain_until_another_outcome,
    work::a_parked_entry_waits_for_somebody,
    work::a_settled_entry_stays_settled,
    work::what_is_parked_or_dead_can_be_acknowledged,
    work::what_waits_can_be_cancelled,
    work::what_is_dead_can_be_discarded,
    work::a_replayed_entry_is_not_dead_and_names_its_replay,
    work::an_entry_can_be_dead_from_the_start,
    work::an_entry_without_lane_is_done,
    work::pending_is_read_in_pages,
    work::pending_keeps_partitions_apart,
    work::pending_keeps_lanes_apart,
    work::several_work_lists_are_read_at_once,
    order::numbers_grow_in_order_of_commit,
    order::numbers_are_never_given_twice,
    order::a_reader_misses_nothing_while_others_commit,
    order::time_may_go_back,
    order::waiting_ends_with_a_commit,
    order::waiting_ends_by_itself,
    lease::a_lease_is_held_until_it_ends,
    lease::an_unheld_lease_is_refused,
    lease::a_new_holder_has_a_larger_fence,
    lease::a_release_is_effective_at_once,
    lease::a_lease_does_not_end_when_time_goes_back,
    lease::a_lease_that_goes_on_for_too_long_has_ended,
    lease::no_more_is_granted_than_wanted,
    query::an_entry_comes_back_as_it_was_appended,
    query::bodies_are_read_by_their_bytes,
    query::every_criterion_narrows,
    query::counting_ends_at_its_cap,
    query::states_are_told_apart,
    query::pages_follow_each_other_in_both_directions,
    query::a_family_is_found_from_any_member,
    query::entries_are_found_by_number,
    backlog::the_backlog_follows_every_outcome,
    backlog::the_backlog_is_told_by_connection_and_kind,
    backlog::the_backlog_tells_ages,
    prune::a_settled_family_goes,
    prune::what_is_unsettled_or_young_stays,
    prune::documents_and_numbers_outlive_their_entries,
    prune::no_more_entries_go_than_allowed,
    prune::what_is_left_of_a_family_is_a_family,
    prune::documents_go_by_collection_and_connection,
];

/// What a log has to do beyond that whose stored form can be replaced.
pub const REWRITE_BEHAVIORS: &[Behavior<dyn RewriteLog>] = behaviors![dyn RewriteLog:
    rewrite::everything_stored_is_read_in_pages,
    rewrite::a_renamed_document_is_the_same,
    rewrite::a_renamed_dedupe_key_stands_for_its_entry,
    rewrite::a_rewritten_entry_says_something_else,
    rewrite::a_rewritten_document_keeps_its_version,
];

/// What a log for several hosts has to do beyond that.
pub const SHARED_BEHAVIORS: &[Behavior<dyn AuditLog>] = behaviors![dyn AuditLog:
    lease::hosts_share_fairly,
    lease::a_host_that_is_gone_is_replaced,
];

/// Checks [`BEHAVIORS`], each on an instance of its own.
pub async fn all(fresh: impl AsyncFn() -> Arc<dyn AuditLog>) {
    for (_, check) in BEHAVIORS {
        check(&*fresh().await).await;
    }
}

/// Checks [`REWRITE_BEHAVIORS`], each on an instance of its own.
pub async fn all_rewriting(fresh: impl AsyncFn() -> Arc<dyn RewriteLog>) {
    for (_, check) in REWRITE_BEHAVIORS {
        check(&*fresh().await).await;
    }
}

/// Checks [`SHARED_BEHAVIORS`], each on an instance of its own.
pub async fn all_shared(fresh: impl AsyncFn() -> Arc<dyn AuditLog>) {
    for (_, check) in SHARED_BEHAVIORS {
        check(&*fresh().await).await;
    }
}

/// Noon in the life of these tests.
const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const PARTITION: Partition = Partition::new(0);

fn connection() -> ConnectionId {
    ConnectionId::from("books")
}

fn entry(kind: EntryKind) -> NewEntry {
    NewEntry::new(PARTITION, kind, connection(), NOON)
}

/// A signal that waits in lane 1.
fn signal() -> NewEntry {
    NewEntry { lane: Some(1), ..entry(EntryKind::Signal) }
}

fn keyed(key: &str) -> NewEntry {
    NewEntry { dedupe: Some(DedupeKey::from(key)), ..signal() }
}

fn named(kind: EntryKind, entity: &str, number: &str, name: &str) -> NewEntry {
    let index = Index {
        entity: Some(EntityRef::new("invoice", entity)),
        number: Some(number.into()),
        name: Some(name.into()),
        ..Index::default()
    };
    NewEntry { index, ..entry(kind) }
}

fn child_of(parent: Parent, entry: NewEntry) -> NewEntry {
    NewEntry { parent, ..entry }
}

fn append(entries: impl IntoIterator<Item = NewEntry>) -> Transaction {
    Transaction { append: entries.into_iter().collect(), ..Transaction::default() }
}

fn settle(outcomes: impl IntoIterator<Item = (Seq, Outcome)>) -> Transaction {
    let settle = outcomes.into_iter().map(|(seq, outcome)| Settlement::new(seq, outcome)).collect();
    Transaction { settle, ..Transaction::default() }
}

fn done() -> Outcome {
    Outcome::Done { receipt: None }
}

fn key(name: &str) -> DocKey {
    DocKey::new("test", &connection(), name)
}

fn write(name: &str, expected: Expected, value: Option<&'static str>) -> DocumentWrite {
    DocumentWrite { key: key(name), expected, value: value.map(|text| Bytes::from_static(text.as_bytes())) }
}

fn documents(writes: impl IntoIterator<Item = DocumentWrite>) -> Transaction {
    Transaction { documents: writes.into_iter().collect(), ..Transaction::default() }
}

async fn commit_at(log: &dyn AuditLog, transaction: Transaction, now: Timestamp) -> Committed {
    let mut committed = log.commit(vec![transaction], now).await.expect("the commit succeeds");
    assert_eq!(committed.len(), 1, "one transaction has one result");
    committed.remove(0)
}

async fn commit(log: &dyn AuditLog, transaction: Transaction) -> Committed {
    commit_at(log, transaction, NOON).await
}

/// Commits what cannot be refused.
async fn apply_at(log: &dyn AuditLog, transaction: Transaction, now: Timestamp) -> Vec<Appended> {
    match commit_at(log, transaction, now).await {
        Committed::Applied(appended) => appended,
        refused => panic!("expected the transaction to be applied, but it was {refused:?}"),
    }
}

/// Commits what cannot be refused; returns where its entries are.
async fn apply(log: &dyn AuditLog, transaction: Transaction) -> Vec<Seq> {
    apply_at(log, transaction, NOON).await.into_iter().map(Appended::seq).collect()
}

fn hold_request(owner: &str, want: usize, now: Timestamp) -> LeaseRequest {
    LeaseRequest::Hold { owner: owner.into(), want, until: now + MINUTE, now }
}

/// Asks for everything for a minute.
async fn hold(log: &dyn AuditLog, owner: &str, now: Timestamp) -> Vec<Lease> {
    let request = hold_request(owner, Partition::COUNT.into(), now);
    log.lease(request).await.expect("the lease request is answered")
}

async fn release(log: &dyn AuditLog, owner: &str) {
    let left = log.lease(LeaseRequest::Release { owner: owner.into() }).await;
    assert_eq!(left.expect("the lease request is answered"), [], "nothing is held after a release");
}

/// The lease of [`PARTITION`], for a log without another owner.
async fn lease(log: &dyn AuditLog) -> Lease {
    let held = hold(log, "one", NOON).await;
    held.into_iter().find(|lease| lease.partition == PARTITION).expect("the only owner gets every partition")
}

async fn pending(log: &dyn AuditLog, scope: PendingScope) -> Vec<Pending> {
    let lease = lease(log).await;
    page(log, lease, scope, Seq(0), 1000).await.expect("the work list of a held partition can be read")
}

/// A page of a work list; `None` = the lease is not held.
async fn page(
    log: &dyn AuditLog,
    lease: Lease,
    scope: PendingScope,
    after: Seq,
    limit: usize,
) -> Option<Vec<Pending>> {
    let wanted = [PendingRequest { lease, scope, after }];
    let mut pages = log.pending(&wanted, limit).await.expect("the work list can be read");
    assert_eq!(pages.len(), 1, "one request has one answer");
    pages.remove(0)
}

async fn pending_seqs(log: &dyn AuditLog) -> Vec<Seq> {
    pending(log, PendingScope::Partition).await.into_iter().map(|pending| pending.seq).collect()
}

async fn find(log: &dyn AuditLog, query: &Query) -> Vec<Entry> {
    log.query(query).await.expect("the query is answered")
}

async fn find_seqs(log: &dyn AuditLog, query: &Query) -> Vec<Seq> {
    find(log, query).await.into_iter().map(|entry| entry.seq).collect()
}

async fn read(log: &dyn AuditLog, seq: Seq) -> Entry {
    let mut found = find(log, &Query::entries(vec![seq])).await;
    assert_eq!(found.len(), 1, "entry {seq} is found by its number");
    found.remove(0)
}

/// The versions of documents, `None` where there is none.
async fn versions<const N: usize>(log: &dyn AuditLog, names: [&str; N]) -> [Option<u64>; N] {
    let found = log.documents(&names.map(key)).await.expect("documents can be read");
    let versions: Vec<_> = found.into_iter().map(|found| found.map(|document| document.version)).collect();
    versions.try_into().expect("one answer per key")
}
