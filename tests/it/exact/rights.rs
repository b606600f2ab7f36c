//! What somebody sees of a right that the user who connected has lost: which it is, and that nothing is lost with it.

use ml_connector_core::audit::{EntryKind, EntryState};
use ml_connector_sim::exact::{Kind, NewDocument, Right};

use super::stage::{COMPANY, SUPPLIER, Story};
use crate::world::{amount, secs};

/// A company that is polled every hour: days pass here.
async fn hourly() -> Story {
    let mut story = Story::before();
    let books = Story::books(&story.sim).poll_minutes(60);
    story.connect(books).await;
    assert_eq!(story.sim.subscriptions().len(), 6);
    story
}

/// What was told about feeds, in order.
async fn about_feeds(story: &Story) -> Vec<String> {
    story.told().await.into_iter().filter(|told| told.starts_with("feed.")).collect()
}

/// How often Exact Online was asked for a right.
fn asked(story: &Story, path: &str) -> usize {
    let calls = story.sim.received().into_iter().filter(|call| call.path.ends_with("users/UserHasRights"));
    calls.filter(|call| call.query.replace("%27", "'").contains(&format!("'{path}'"))).count()
}

/// Case g1: the list is empty because the user has lost the right.
#[tokio::test(start_paused = true)]
async fn a_lost_right_is_told_with_its_remedy_and_no_record_is_taken_for_deleted() {
    let story = hourly().await;
    let bill = story.bill(655_362);
    story.later(secs(60)).await;
    story.sim.refuse(Kind::PurchaseEntries, Some(Right::MissingInRole));
    story.sim.set_total(Kind::PurchaseEntries, &bill, amount(700_000)).unwrap();
    story.later(secs(60)).await;
    // A day with a sweep.
    story.later(secs(86_400)).await;
    assert_eq!((story.says("deleted"), story.says("7,000.00")), (0, 0));
    assert_eq!(about_feeds(&story).await, ["feed.parked purchase_entries"]);
    let health = story.health().await;
    let feed = &health.unavailable_feeds[0];
    assert!(feed.reason.contains("give the user the right") && feed.reason.contains(COMPANY), "{feed:?}");
    // Other kinds go on.
    let _ = story.sim.create(Kind::SalesInvoices, &NewDocument::new(SUPPLIER, amount(4_242)));
    story.later(secs(120)).await;
    assert_eq!(story.says("42.42"), 1);
    story.sim.refuse(Kind::PurchaseEntries, None);
    story.later(secs(86_400)).await;
    assert_eq!((story.says("deleted"), story.says("7,000.00")), (0, 1), "read again when the right is back");
    assert_eq!(about_feeds(&story).await, ["feed.parked purchase_entries", "feed.resumed purchase_entries"]);
    assert_eq!(story.says("give the user the right"), 1, "told once with its reason");
    assert!(story.health().await.unavailable_feeds.is_empty());
    story.ends_well().await;
}

/// Case g4: one resource is refused without a reason, and the others are not.
#[tokio::test(start_paused = true)]
async fn a_refused_list_is_that_list_s_state_and_asked_for_rarely() {
    let story = hourly().await;
    story.sim.refuse_path("sync/Cashflow/PaymentTerms", Some(Right::ForbiddenByModule));
    let calls = |path: &str| story.sim.received().iter().filter(|call| call.path.ends_with(path)).count();
    let before = calls("sync/Cashflow/PaymentTerms");
    story.later(secs(86_000)).await;
    let health = story.health().await;
    assert!(health.parked.is_none(), "{health:?}");
    let feed = &health.unavailable_feeds[0];
    assert!(feed.feed == "payment_terms" && feed.reason.contains("module"), "{feed:?}");
    assert!(feed.reason.contains(COMPANY), "{feed:?}");
    assert!(calls("sync/Cashflow/PaymentTerms") - before <= 6);
    assert_eq!(asked(&story, "sync/Cashflow/PaymentTerms"), 1, "one question a day");
    let _ = story.bill(4_242);
    story.later(secs(60)).await;
    assert_eq!(story.says("42.42"), 1);
    story.sim.refuse_path("sync/Cashflow/PaymentTerms", None);
    story.later(secs(86_400)).await;
    assert_eq!(about_feeds(&story).await, ["feed.parked payment_terms", "feed.resumed payment_terms"]);
    assert_eq!(story.says("lacks the module"), 1, "told once with its reason");
    assert!(story.health().await.unavailable_feeds.is_empty());
    story.ends_well().await;
}

/// Case g4, with journal entries: they wait, are told once, and come when the right is given back.
#[tokio::test(start_paused = true)]
async fn refused_journal_entries_are_told_once_with_company_and_cause_and_come_when_they_are_given_back() {
    let story = hourly().await;
    story.sim.refuse(Kind::GeneralJournalEntries, Some(Right::ForbiddenByModule));
    let journal = story.sim.create(Kind::GeneralJournalEntries, &NewDocument::new(SUPPLIER, amount(31_416)));
    story.later(secs(12 * 3_600)).await;
    let waiting = story.entries(EntryKind::Signal).await;
    let waiting = waiting.iter().find(|entry| format!("{entry:?}").contains(&journal)).unwrap();
    let explained = story.connector().explain(waiting.seq).await.unwrap().to_string();
    for said in [COMPANY, "3141593", "lacks the module", "generaljournalentry/GeneralJournalEntries"] {
        assert!(explained.contains(said), "{said}: {explained}");
    }
    // Everything else goes on.
    let _ = story.bill(4_242);
    story.later(secs(120)).await;
    assert_eq!((story.says("42.42"), story.says("314.16")), (1, 0));
    story.later(secs(8 * 3_600)).await;
    story.sim.refuse(Kind::GeneralJournalEntries, None);
    story.later(secs(2 * 86_400)).await;
    let told = story.told().await;
    let of_journal: Vec<_> = told.iter().filter(|told| told.ends_with(&journal)).collect();
    assert_eq!(of_journal, [&format!("journal_entry.created {journal}")]);
    assert_eq!(
        about_feeds(&story).await,
        ["feed.parked general_journal_entries", "feed.resumed general_journal_entries"]
    );
    let asked = asked(&story, "generaljournalentry/GeneralJournalEntries");
    assert_eq!(asked, 1, "one question a day");
    story.ends_well().await;
}

/// Whoever can give a right back may be away for some days.
#[tokio::test(start_paused = true)]
async fn what_happened_while_a_right_was_away_for_days_is_told_when_it_is_back() {
    let story = hourly().await;
    let known = story.bill(655_362);
    story.later(secs(60)).await;
    story.sim.refuse(Kind::PurchaseEntries, Some(Right::MissingInRole));
    story.sim.set_total(Kind::PurchaseEntries, &known, amount(700_000)).unwrap();
    let new = story.bill(4_242);
    story.later(secs(3 * 86_400)).await;
    assert_eq!((story.says("7,000.00"), story.says("42.42"), story.says("deleted")), (0, 0, 0));
    let dead =
        story.entries(EntryKind::Signal).await.into_iter().filter(|entry| entry.state == EntryState::Dead);
    assert_eq!(dead.count(), 0);
    story.sim.refuse(Kind::PurchaseEntries, None);
    story.later(secs(2 * 3_600)).await;
    assert_eq!((story.says("7,000.00"), story.says("42.42"), story.says("deleted")), (1, 1, 0));
    let told = story.told().await;
    let count = |what: String| told.iter().filter(|told| **told == what).count();
    assert_eq!(
        (count(format!("bill.updated {known}")), count(format!("bill.created {new}"))),
        (1, 1),
        "{told:?}"
    );
    story.ends_well().await;
}
