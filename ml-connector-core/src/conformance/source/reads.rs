//! Reading the truth, whatever the vendor answers.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::Response;

use super::SourceUnderTest;
use crate::{
    Error, ErrorKind, PollRequest, Retry, Scope, Timestamp,
    conformance::wire::{
        Fault, GRACE, Lab, cuts, fails_with_a_remedy, html, is_well, polled_at_most, shows_no_secret,
    },
    model::{Observed, PollMode, Resolution, Revision, Signal, Value, Zone},
    snapshot::{ChangeRules, Snapshot, SnapshotStep, step},
};

/// So it cannot be older than what asked for it; and the vendor is not asked before the read counts as begun.
pub async fn a_read_begins_after_it_was_asked_for(source: &SourceUnderTest) {
    let lab = source.lab().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = lab.now();
    let read = source.read(&*(source.connect)(), &lab.ctx()).await.expect("the record is read");
    let sent =
        lab.seen().first().expect("reading asks the vendor: does the adapter tell which requests do?").at;
    assert!(
        asked <= read.read_at && read.read_at <= sent,
        "asked for at {asked}, sent at {sent}, but `read_at` is {}",
        read.read_at
    );
}

/// A limiter without room means that nothing is sent, and that whoever asked hears when to come back.
pub async fn a_limit_is_asked_before_the_vendor(source: &SourceUnderTest) {
    let lab = source.lab().await;
    let until = lab.now() + Duration::from_secs(2 * 3600);
    lab.close_limits(until);
    let error = failure(source, &lab, "a read without room in the vendor's limits").await;
    assert_eq!(lab.seen().len(), 0, "the vendor was asked although its limits have no room");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::At(until)), "{error:?}");
}

/// A cache or a vendor that is confused answers for another record: its amounts would be told under this one's name.
pub async fn the_answer_about_another_record_is_refused(source: &SourceUnderTest) {
    let Some(another) = &source.another else { return };
    assert_ne!(another, &source.entity, "the adapter has to name two records");
    let lab = source.lab().await;
    let read = source.read_record(&*(source.connect)(), &lab.ctx(), another).await;
    read.expect("the other record is read");
    let answers = lab.answers();
    let lab = source.lab().await;
    lab.answer_in_order(answers);
    let error = failure(source, &lab, "the answer about another record").await;
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error:?}");
}

/// Same record, same revision: also for another instance, and whatever the vendor counts with each read.
pub async fn reading_again_shows_the_same(source: &SourceUnderTest) {
    let first = revision(source).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(revision(source).await, first, "a record that did not change has another revision");
}

/// Once, and the second attempt carries another token.
pub async fn a_refused_token_is_renewed(source: &SourceUnderTest) {
    if !source.refusals.renews_tokens {
        return;
    }
    let lab = source.lab().await;
    lab.plant(Fault::Answer(source.refusals.token.clone()), 1);
    source.read(&*(source.connect)(), &lab.ctx()).await.expect("a read succeeds with a fresh token");
    let tokens: Vec<_> = lab.seen().into_iter().map(|seen| seen.authorization).collect();
    assert!(tokens[0].is_some() && tokens[0] != tokens[1], "the token that was refused is sent again");
}

/// Somebody has to connect it anew; meanwhile the vendor is left alone.
pub async fn a_token_that_stays_refused_stops_the_connection(source: &SourceUnderTest) {
    let lab = source.lab().await;
    lab.always(Fault::Answer(source.refusals.token.clone()));
    let error = failure(source, &lab, "a refused token").await;
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection), "{error:?}");
    let attempts = lab.seen().len();
    assert!(attempts <= 2, "{attempts} attempts with a token that is refused");
}

/// In every form: the error names the time, and no attempt comes before it.
pub async fn too_often_says_when_to_come_back(source: &SourceUnderTest) {
    for (wait, answer) in &source.refusals.too_often {
        let lab = source.lab().await;
        lab.always(Fault::Answer(answer.clone()));
        let error = failure(source, &lab, "an answer that says too often").await;
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:?}");
        let sent: Vec<_> = lab.seen().iter().map(|seen| seen.at).collect();
        let last = *sent.last().expect("the vendor was asked");
        let Retry::At(at) = error.retry() else { panic!("expected to hear when to come back: {error:?}") };
        assert!(at >= last + *wait, "told to wait {wait:?} at {last}, the error says {at}");
        assert!(sent.windows(2).all(|pair| pair[1] >= pair[0] + *wait), "asked too early, at {sent:?}");
    }
}

/// Behind a 200 too, and for whatever stands between us and the vendor.
pub async fn a_failure_is_an_error_whatever_its_status(source: &SourceUnderTest) {
    let empty = |body: &'static [u8]| Response::new(Bytes::from_static(body));
    let odd =
        [html(500), html(502), html(503), html(200), html(404), empty(b""), empty(b"{}"), empty(b"null")];
    for answer in source.refusals.refused.iter().cloned().chain(odd) {
        let lab = source.lab().await;
        lab.always(Fault::Answer(answer.clone()));
        failure(source, &lab, &format!("an answer with status {}", answer.status())).await;
    }
    for fault in [Fault::NoConnection, Fault::LostRequest, Fault::LostAnswer] {
        let lab = source.lab().await;
        lab.always(fault);
        let error = failure(source, &lab, "no answer").await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        lab.heal();
        source.read_at_last(&*(source.connect)(), &lab).await;
    }
}

/// Wherever it ends, and whether or not that can be seen: never half a record.
pub async fn half_an_answer_is_an_error(source: &SourceUnderTest) {
    let lab = source.lab().await;
    source.read(&*(source.connect)(), &lab.ctx()).await.expect("the record is read");
    let faults = cuts(lab.body_bytes()).into_iter().map(Fault::Cut).chain([Fault::Torn]);
    for fault in faults {
        let lab = source.lab().await;
        lab.always(fault.clone());
        failure(source, &lab, &format!("{fault:?}")).await;
    }
}

/// No call takes longer than the engine gave it.
pub async fn a_vendor_that_hangs_is_left_at_the_deadline(source: &SourceUnderTest) {
    for allowed in [Duration::from_secs(5), Duration::from_secs(50)] {
        let lab = source.lab().await;
        lab.always(Fault::Hang);
        let began = lab.now();
        let ctx = lab.ctx().within(allowed);
        let error = match source.read(&*(source.connect)(), &ctx).await {
            Ok(read) => panic!("no answer is taken for {read:?}"),
            Err(error) => error,
        };
        let took = lab.now().saturating_since(began);
        assert!(took <= allowed + GRACE, "a call that has {allowed:?} took {took:?}");
        assert_ne!(error.retry(), Retry::Never, "{error:?}");
    }
}

/// At every point at which it waits; the source is as good as before.
pub async fn a_read_can_be_dropped_anywhere(source: &SourceUnderTest) {
    let whole = revision(source).await;
    for polls in 0.. {
        let (lab, connected) = (source.lab().await, (source.connect)());
        let read = polled_at_most(polls, source.read(&*connected, &lab.ctx())).await;
        let done = read.is_some();
        let after = source.read_at_last(&*connected, &lab).await;
        assert_eq!(revision_of(&after.state), whole, "after a read was dropped at its poll {polls}");
        if done {
            return;
        }
    }
}

/// Not by the source, not by what it reads, not by what it takes in.
pub async fn nothing_secret_is_shown(source: &SourceUnderTest) {
    let connected = (source.connect)();
    shows_no_secret(&connected, &source.secrets);
    shows_no_secret(&source.receive(&source.webhook.request), &source.secrets);
    let lab = source.lab().await;
    let read = source.read(&*connected, &lab.ctx()).await.expect("the record is read");
    shows_no_secret(&read, &source.secrets);
    shows_no_secret(&connected, &source.secrets);
}

/// Vendors say "not there" of a record that exists as well: the right is missing, or it is another account's. Neither while
/// the list shows it, nor when nothing is there to be read at all, it is gone.
pub async fn not_there_is_not_gone_without_proof(source: &SourceUnderTest) {
    let lab = source.lab().await;
    let read = source.read(&*(source.connect)(), &lab.ctx()).await.expect("the record is read");
    let zone = Zone::UTC;
    let policy = ChangeRules {
        today: lab.now().date_in(&zone),
        overdue_after: &[],
        watched_since: Timestamp::default(),
    };
    let SnapshotStep::Changed { snapshot, .. } = step(None, &read, &policy) else {
        panic!("a first read is news")
    };
    let last = [None, Some(&*snapshot)];
    let asked = asked(source);
    let swept = Signal { hint: Some(Signal::SWEPT.into()), ..asked.clone() };
    for missing in &source.missing {
        for signal in [&asked, &swept] {
            for everything in [false, true] {
                for last in last {
                    let lab = source.lab().await;
                    if everything {
                        lab.always(Fault::Answer(missing.clone()));
                    } else {
                        lab.hide(&source.entity.id, missing);
                    }
                    is_not_gone(source, &lab, signal, last).await;
                }
            }
        }
        // A replica that is behind does not list it the first time. A sweep has listed it before.
        for last in last {
            let lab = source.lab().await;
            lab.hide(&source.entity.id, missing);
            lab.plant(Fault::Omit(source.entity.id.to_string()), 1);
            is_not_gone(source, &lab, &asked, last).await;
        }
    }
}

async fn is_not_gone(source: &SourceUnderTest, lab: &Lab, signal: &Signal, last: Option<&Snapshot>) {
    let resolved = (source.connect)().resolve(&lab.ctx(), std::slice::from_ref(signal), last).await;
    if let Ok(Resolution::Observed(seen)) = &resolved {
        let gone = seen.iter().any(|seen| matches!(seen.state, Observed::Gone(_)));
        assert!(!gone, "a record is taken for gone that exists: {resolved:?}");
    }
}

/// What asks for the record to be read.
fn asked(source: &SourceUnderTest) -> Signal {
    Signal { account: source.webhook.account.clone(), ..Signal::entity(source.entity.clone()) }
}

/// A vendor has answered with another company's records before: nothing of them is told, nothing more is read, and somebody
/// hears of it.
pub async fn a_row_of_another_account_stops_the_connection(source: &SourceUnderTest) {
    let Some(account) = &source.names_account else { return };
    let lab = source.lab().await;
    lab.always(Fault::Rename(account.clone()));
    let error = failure(source, &lab, "a record of another account").await;
    assert_eq!(error.scope(), &Scope::Connection, "{error:?}");
    let (mut stopped, feeds) = (0, (source.connect)().info().feeds.clone());
    for feed in &feeds {
        let (lab, mut checkpoint) = (source.lab().await, None);
        lab.always(Fault::Rename(account.clone()));
        // A page without rows, such as the first of a list of deletions, names nobody.
        loop {
            let request = PollRequest::new(feed.name, PollMode::Baseline).checkpoint(checkpoint.as_ref());
            match (source.connect)().poll(&lab.ctx(), request).await {
                Ok(page) => {
                    let rows =
                        page.observations.len() + page.rows.len() + page.past.len() + page.signals.len();
                    assert_eq!(rows, 0, "a page of another account is taken for {page:?}");
                    assert_ne!(checkpoint.as_ref(), Some(&page.checkpoint), "feed {} turns", feed.name);
                    if !page.more {
                        break;
                    }
                    checkpoint = Some(page.checkpoint);
                }
                Err(error) => {
                    assert_eq!(error.scope(), &Scope::Connection, "feed {}: {error:?}", feed.name);
                    stopped += 1;
                    break;
                }
            }
        }
    }
    assert!(feeds.is_empty() || stopped > 0, "no feed shows the record");
}

/// A warehouse knows of a vendor what its tables say: each has a name of its own, and the one of the record's kind reads what
/// the vendor writes of it.
pub async fn its_table_holds_the_record(source: &SourceUnderTest) {
    let columns = (source.connect)().info().columns.clone();
    let (mut kinds, mut names) = (BTreeSet::new(), BTreeSet::new());
    for table in &columns {
        table.validate().unwrap_or_else(|error| panic!("a table that no warehouse can have: {error:?}"));
        assert!(kinds.insert(table.kind.clone()), "two tables of the kind {:?}", table.kind);
        assert!(names.insert(table.table), "two tables called {}", table.table);
    }
    let lab = source.lab().await;
    let read = source.read(&*(source.connect)(), &lab.ctx()).await.expect("the record is read");
    // What somebody did, such as a click, is no record and in no table.
    let Observed::Present { raw: Some(raw), .. } = &read.state else { return };
    let Some(record) = read.state.record() else { return };
    let table = columns.iter().find(|table| table.kind == record.kind);
    let table = table.unwrap_or_else(|| panic!("no table of the kind {:?}: {kinds:?}", record.kind));
    assert!(table.is_whole(raw), "the record's detail is taken for a row of a list");
    let row = table.read(raw).unwrap_or_else(|error| panic!("its table does not read the record: {error:?}"));
    for (column, value) in table.columns().iter().zip(&row) {
        assert!(column.nullable || *value != Value::Null, "the column {} is never null", column.name);
    }
    let id = &*record.id;
    let is_id = |value: &Value<'_>| matches!(value, Value::String(text) if text == id);
    let says = row.iter().filter(|value| **value != Value::Null && !is_id(value)).count();
    assert!(says > 0, "its table {} says nothing of the record", table.table);
}

/// With what somebody has to do about it, and nothing of a healthy vendor. A source whose records cannot be read again, such as
/// clicks, has nothing to look at.
pub async fn a_check_names_what_fails(source: &SourceUnderTest) {
    let lab = source.lab().await;
    let steps = (source.connect)().check(&lab.ctx()).await;
    is_well(&steps, &source.secrets);
    if source.another.is_none() {
        return;
    }
    lab.always(Fault::Answer(source.refusals.token.clone()));
    fails_with_a_remedy(&(source.connect)().check(&lab.ctx()).await, &source.secrets);
}

async fn failure(source: &SourceUnderTest, lab: &Lab, what: &str) -> Error {
    match source.read(&*(source.connect)(), &lab.ctx()).await {
        Ok(read) => panic!("{what} is taken for {read:?}"),
        Err(error) => error,
    }
}

async fn revision(source: &SourceUnderTest) -> Revision {
    let lab = source.lab().await;
    let read = source.read(&*(source.connect)(), &lab.ctx()).await.expect("the record is read");
    revision_of(&read.state)
}

fn revision_of(state: &Observed) -> Revision {
    match state {
        Observed::Present { revision, .. } => *revision,
        Observed::Gone(_) => panic!("the record, which is there, is taken for gone"),
    }
}
