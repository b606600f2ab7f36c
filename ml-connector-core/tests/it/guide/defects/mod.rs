//! The suite is checked too: Ledgerly with a planted defect does not pass it.

mod mutant;

use std::{collections::BTreeSet, sync::Arc};

use ml_connector_core::conformance::{sink, source};

use self::mutant::Mutant;
use super::{sink_under_test, source_under_test};

/// What Ledgerly does wrong. Each has the name of its line below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    AcceptsForgeries,
    CallsForgeriesInvalid,
    HintsAtTheSignature,
    AcceptsRepeatedHeaders,
    AcceptsStaleWebhooks,
    AcceptsGarbage,
    RemembersWebhooks,
    NamesNoAccount,
    ReadsBeforeItIsAsked,
    ReadsAfterTheAnswer,
    CountsViewsAsChanges,
    TakesFailuresForGone,
    TakesAbsenceForGone,
    OverstaysTheDeadline,
    ForgetsRetryAfter,
    NarrowsDeadTokens,
    StaysBusyWhenDropped,
    KnowsEveryFeed,
    NeverEndsAFeed,
    KeepsTheCheckpoint,
    ListsAnotherForm,
    KeepsTheHandshake,
    IgnoresTheHandshake,
    TakesAnyHandshake,
    NeverAsksTheLimiter,
    AcceptsAnyRecord,
    ShowsASecret,
    TellsASecret,
    ShufflesLanes,
    LosesAResult,
    NeverDoubts,
    AlwaysDoubts,
    RepeatsInDoubt,
    FindsNothing,
    FindsEverything,
    ForgetsAtARestart,
    MarksEachAttempt,
    PingsNobody,
    PingsByWriting,
    NeverRenewsTokens,
    TakesHalfAPage,
    ListsOnce,
    AcceptsAnyAccount,
    RowsLackTheirJson,
    RowsHaveAnotherStamp,
    RowsLookWhole,
    DropsUnreadableRows,
    StopsAtAnUnreadableRow,
    PublishesNoTable,
    PublishesTwoTables,
    PointsAtTheWrongMember,
    ChecksNothing,
    ChecksByWriting,
    WritesAfterTheLease,
    MaintainsByWriting,
    MaintainsInThePast,
}
use Defect::*;

const OF_SOURCES: &[Defect] = &[
    AcceptsForgeries,
    CallsForgeriesInvalid,
    HintsAtTheSignature,
    AcceptsRepeatedHeaders,
    AcceptsStaleWebhooks,
    AcceptsGarbage,
    RemembersWebhooks,
    NamesNoAccount,
    ReadsBeforeItIsAsked,
    ReadsAfterTheAnswer,
    CountsViewsAsChanges,
    TakesFailuresForGone,
    TakesAbsenceForGone,
    OverstaysTheDeadline,
    ForgetsRetryAfter,
    NarrowsDeadTokens,
    StaysBusyWhenDropped,
    KnowsEveryFeed,
    NeverEndsAFeed,
    KeepsTheCheckpoint,
    ListsAnotherForm,
    KeepsTheHandshake,
    IgnoresTheHandshake,
    TakesAnyHandshake,
    NeverAsksTheLimiter,
    AcceptsAnyRecord,
    ShowsASecret,
    TellsASecret,
    NeverRenewsTokens,
    TakesHalfAPage,
    ListsOnce,
    AcceptsAnyAccount,
    RowsLackTheirJson,
    RowsHaveAnotherStamp,
    RowsLookWhole,
    DropsUnreadableRows,
    StopsAtAnUnreadableRow,
    PublishesNoTable,
    PublishesTwoTables,
    PointsAtTheWrongMember,
    ChecksNothing,
];
const OF_SINKS: &[Defect] = &[
    OverstaysTheDeadline,
    ForgetsRetryAfter,
    NarrowsDeadTokens,
    ShowsASecret,
    TellsASecret,
    ShufflesLanes,
    LosesAResult,
    NeverDoubts,
    AlwaysDoubts,
    RepeatsInDoubt,
    FindsNothing,
    FindsEverything,
    ForgetsAtARestart,
    MarksEachAttempt,
    PingsNobody,
    PingsByWriting,
    ChecksNothing,
    ChecksByWriting,
    WritesAfterTheLease,
    MaintainsByWriting,
    MaintainsInThePast,
];

/// The behaviors that a source with this defect does not have.
async fn missed_by_source(defect: Option<Defect>) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for (name, check) in source::BEHAVIORS {
        let mut mutant = source_under_test().await;
        mutant.connect = Box::new(move || Arc::new(Mutant::with(defect)));
        // A task of its own, so that its panic is a result.
        if tokio::spawn(async move { check(&mutant).await }).await.is_err() {
            missed.push(*name);
        }
    }
    missed
}

/// The behaviors that a sink with this defect does not have.
async fn missed_by_sink(defect: Option<Defect>) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for (name, check) in sink::BEHAVIORS {
        let mut mutant = sink_under_test().await;
        mutant.connect = Box::new(move || Arc::new(Mutant::with(defect)));
        if tokio::spawn(async move { check(&mutant).await }).await.is_err() {
            missed.push(*name);
        }
    }
    missed
}

/// Behaviors that no defect above makes fail, and where else that is shown.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[(
    "what_proves_the_sender_is_not_kept",
    "Ledgerly signs: `KeepsItsPath` and `KeepsItsText` in `proofs.rs`",
)];

/// Every defect is noticed, and every behavior notices one: a behavior that cannot fail says nothing.
fn each_notices(noticed: &BTreeSet<&'static str>, behaviors: impl Iterator<Item = &'static str>) {
    let blind: Vec<_> = behaviors.filter(|name| !noticed.contains(name)).collect();
    let known: Vec<_> = SHOWN_ELSEWHERE.iter().map(|(name, _)| *name).collect();
    let blind: Vec<_> = blind.into_iter().filter(|name| !known.contains(name)).collect();
    assert_eq!(blind, [""; 0], "no defect is noticed by these behaviors");
    assert!(known.iter().all(|name| !noticed.contains(name)), "these are shown here: {known:?}");
}

#[tokio::test(start_paused = true)]
async fn every_defect_of_a_source_is_noticed() {
    assert_eq!(missed_by_source(None).await, [""; 0], "a mutant without a defect is sound");
    let mut noticed = BTreeSet::new();
    for defect in OF_SOURCES {
        let missed = missed_by_source(Some(*defect)).await;
        assert!(!missed.is_empty(), "no behavior notices that it {defect:?}");
        noticed.extend(missed);
    }
    each_notices(&noticed, source::BEHAVIORS.iter().map(|(name, _)| *name));
}

#[tokio::test(start_paused = true)]
async fn every_defect_of_a_sink_is_noticed() {
    assert_eq!(missed_by_sink(None).await, [""; 0], "a mutant without a defect is sound");
    let mut noticed = BTreeSet::new();
    for defect in OF_SINKS {
        let missed = missed_by_sink(Some(*defect)).await;
        assert!(!missed.is_empty(), "no behavior notices that it {defect:?}");
        noticed.extend(missed);
    }
    each_notices(&noticed, sink::BEHAVIORS.iter().map(|(name, _)| *name));
}
