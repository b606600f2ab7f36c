//! Business Central and Slack with real processes between them, which are killed, or paused for so long that another takes
//! over. Each invoice is posted once, as somebody saw it, and every click is answered.
//!
//! `ML_KILLS=200` kills and pauses more often.

mod host;
mod office;

use std::{collections::BTreeSet, time::Duration};

use ml_connector_core::{
    AuditLog, Clock, SystemClock,
    audit::{EntryState, Query},
};
use ml_connector_sim::{Fault, bc::Refusal};
use ml_connector_sql::SqliteLog;
use office::{Invoice, Office, until};

use super::{ANNA, APPROVALS, APPROVE, CARA, REJECT, RETRY, TOM};
use crate::proof::pause::Halt;

const ERP: &str = "erp";
const SECRET: &str = "a secret of the host, never told";
const POST: &str = "Microsoft.NAV.post";
/// Short, so that another process takes over soon.
const LEASE: Duration = Duration::from_secs(3);
/// The simulated company goes on with a posting for less than that.
const ENDS_AFTER: Duration = Duration::from_secs(6);
/// How long anything may take before the test gives up: other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(180);
/// As many invoices, and as many deaths, has an office.
const INVOICES: usize = 20;
/// So many offices are open at once.
const AT_ONCE: usize = 4;

/// What happens to an invoice around its click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plot {
    Click,
    DoubleClick,
    TwoAtOnce,
    Unauthorized,
    /// Somebody rejects it, and says why.
    Rejected,
    LostAnswer,
    GoesOn,
    Refused,
    Edited,
}

const PLOTS: [Plot; 9] = [
    Plot::Click,
    Plot::DoubleClick,
    Plot::TwoAtOnce,
    Plot::Unauthorized,
    Plot::Rejected,
    Plot::LostAnswer,
    Plot::GoesOn,
    Plot::Refused,
    Plot::Edited,
];

fn plot(n: usize) -> Plot {
    PLOTS[n % PLOTS.len()]
}

impl Office {
    async fn play(&mut self, plot: Plot, invoice: &mut Invoice) {
        match plot {
            Plot::Click => _ = self.click(invoice, APPROVE, ANNA).await,
            Plot::DoubleClick => {
                self.click(invoice, APPROVE, ANNA).await;
                self.click(invoice, APPROVE, ANNA).await;
            }
            Plot::TwoAtOnce => {
                self.click(invoice, APPROVE, ANNA).await;
                self.click(invoice, APPROVE, CARA).await;
            }
            Plot::Unauthorized => {
                self.click(invoice, APPROVE, TOM).await;
                self.click(invoice, APPROVE, ANNA).await;
            }
            Plot::Rejected => _ = self.click(invoice, REJECT, CARA).await,
            Plot::LostAnswer => {
                self.erp.plant(Fault::reset().having_acted().on(POST).target(&invoice.id));
                self.click(invoice, APPROVE, ANNA).await;
            }
            Plot::GoesOn => {
                let goes_on = Duration::from_secs(3);
                self.erp.tune(|tuning| _ = tuning.goes_on.insert(invoice.id.clone(), goes_on));
                self.click(invoice, APPROVE, ANNA).await;
            }
            Plot::Refused => {
                let why = Refusal::ClosedPeriod;
                self.erp.tune(|tuning| _ = tuning.refusals.insert(invoice.id.clone(), why));
                self.click(invoice, APPROVE, ANNA).await;
            }
            // The notice comes after the click.
            Plot::Edited => {
                self.edit(invoice);
                self.click(invoice, APPROVE, ANNA).await;
            }
        }
    }

    /// The process is killed, or paused until another has taken over, some moment after now.
    async fn die(&mut self) {
        let pause = Duration::from_millis(self.dice.below(600));
        tokio::time::sleep(pause).await;
        self.deaths += 1;
        if self.dice.below(3) > 0 {
            if let Some(process) = self.process.take() {
                process.kill().await;
            }
            self.replace(false).await;
            return;
        }
        let database = self.database();
        self.current().pause(&database).await;
        let Some(paused) = self.replace(false).await else { return };
        self.current().says(host::WORKS).await;
        let more = Duration::from_millis(self.dice.below(1_500));
        tokio::time::sleep(more).await;
        paused.go_on();
        let more = Duration::from_millis(self.dice.below(1_500));
        tokio::time::sleep(more).await;
        paused.kill().await;
    }

    /// Whether an invoice is what became of it in the end.
    fn is_decided(&self, plot: Plot, invoice: &Invoice) -> bool {
        match plot {
            Plot::Rejected => self.is_rejected(invoice),
            _ => self.is_posted(invoice),
        }
    }

    /// What lay elsewhere is repaired, and people click on what still asks them, until everything is decided.
    async fn end(&mut self, invoices: &mut [Invoice]) {
        self.erp.tune(|tuning| tuning.refusals.clear());
        let mut clicked = BTreeSet::new();
        let begun = SystemClock.now();
        loop {
            let open = |(n, one): &(usize, &Invoice)| !self.is_decided(plot(*n), one);
            let left: Vec<_> = invoices
                .iter()
                .enumerate()
                .filter(open)
                .map(|(n, one)| (plot(n), one.number.clone()))
                .collect();
            if left.is_empty() {
                break;
            }
            assert!(SystemClock.now().saturating_since(begun) < PATIENCE, "never decided: {left:?}");
            self.tell().await;
            for (_, invoice) in invoices.iter_mut().enumerate().filter(|(n, _)| plot(*n) != Plot::Rejected) {
                for button in [APPROVE, RETRY] {
                    let Some(card) = self.card(invoice, button) else { continue };
                    // Each request is clicked on once.
                    if clicked.insert((card.ts, card.blocks.to_string())) {
                        self.click(invoice, button, CARA).await;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.settle().await;
    }

    /// Everything that waits is done.
    async fn settle(&mut self) {
        let log = SqliteLog::open(self.database()).unwrap();
        let pending = Query::default().with_state(EntryState::Pending).with_limit(1_000);
        let settled = async {
            // What the connector looks after by itself goes on for ever.
            while log.query(&pending).await.unwrap().iter().any(|entry| entry.index.entity.is_some()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("everything is settled in the end");
    }

    fn check(&self, plot: Plot, invoice: &Invoice) {
        let ledger: Vec<_> =
            self.erp.postings().into_iter().filter(|posting| posting.id == invoice.id).collect();
        let (attempts, refused) = self.attempts(invoice);
        if plot == Plot::Rejected {
            assert_eq!((ledger.len(), attempts, refused), (0, 0, 0), "{plot:?}");
        } else {
            let [posting] = &ledger[..] else { panic!("{plot:?}: posted {} times", ledger.len()) };
            assert!(invoice.seen.contains(&posting.total), "{plot:?}: nobody saw {}", posting.total);
            assert_eq!(posting.by, self.erp.credentials().poster_id);
            // Business Central would refuse a second posting: it is not asked for one.
            assert_eq!(attempts, 1, "{plot:?}");
            let may_be = matches!(plot, Plot::Refused | Plot::Edited);
            assert!(refused == 0 || may_be, "{plot:?}: {refused} refused");
            if plot == Plot::Edited {
                assert_ne!(posting.total, invoice.seen[0], "what was edited is not what Anna saw at first");
            }
        }
        let told = [ANNA, CARA, TOM].iter().flat_map(|person| self.slack.ephemerals(person));
        let told = told.filter(|answer| answer.text.contains(&invoice.number)).count();
        let clicks = self.clicks[&invoice.number];
        assert!(told >= clicks, "{plot:?} {}: {clicks} clicks, {told} answers", invoice.number);
        // Who approved is told of each refusal, too. What a death left in doubt is said once more.
        assert!(told <= 2 * clicks + self.deaths, "{plot:?}: {clicks} clicks, {told} answers");
    }
}

/// An office's day. Returns how often its processes died.
async fn day(seed: u64) -> usize {
    let mut office = Office::open(seed).await;
    let mut invoices: Vec<Invoice> = (0..INVOICES).map(|n| office.enter(n)).collect();
    office.tell().await;
    until("all are asked about", || invoices.iter().all(|invoice| office.card(invoice, APPROVE).is_some()))
        .await;
    for (n, invoice) in invoices.iter_mut().enumerate() {
        office.play(plot(n), invoice).await;
        office.die().await;
    }
    office.end(&mut invoices).await;
    for (n, invoice) in invoices.iter().enumerate() {
        office.check(plot(n), invoice);
    }
    assert_eq!(office.slack.duplicates(), [""; 0]);
    assert_eq!(office.erp.limit_violations(), 0);
    if let Some(process) = office.process.take() {
        process.stop().await;
    }
    office.deaths
}

// Proves: decided_once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_paused_processes_post_each_invoice_once_as_it_was_shown() {
    let wanted = std::env::var("ML_KILLS").map_or(INVOICES, |text| text.parse().unwrap());
    let offices = u64::try_from(wanted.div_ceil(INVOICES)).unwrap();
    let (mut days, mut next, mut deaths) = (tokio::task::JoinSet::new(), 0, 0);
    while next < offices || !days.is_empty() {
        while next < offices && days.len() < AT_ONCE {
            days.spawn(day(next));
            next += 1;
        }
        deaths += days.join_next().await.unwrap().unwrap();
    }
    println!("{} invoices decided, {deaths} processes killed or paused", offices * INVOICES as u64);
    assert!(deaths >= wanted);
}

/// A process is paused between the note that it is going to post and the posting; another one takes over. Whether that one has
/// posted already or still waits, the first one sends nothing when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_paused_before_it_posts_sends_nothing_after_another_took_over() {
    for after_posting in [true, false] {
        let mut office = Office::open(7).await;
        let mut invoice = office.enter(usize::from(after_posting));
        office.tell().await;
        until("it is asked about", || office.card(&invoice, APPROVE).is_some()).await;
        let first = office.replace(true).await.unwrap();
        first.stop().await;
        office.current().says(host::WORKS).await;
        assert!(office.click(&mut invoice, APPROVE, ANNA).await);
        let database = office.database();
        let halt = Halt::beside(&database);
        tokio::time::timeout(PATIENCE, halt.reached()).await.expect("it is about to post");
        office.current().pause(&database).await;
        let paused = office.replace(false).await.unwrap();
        office.current().says(host::WORKS).await;
        if after_posting {
            until("the other one has posted it", || office.is_posted(&invoice)).await;
        } else {
            assert!(!office.is_posted(&invoice), "the other one waits for what the first may have done");
        }
        halt.go_on();
        paused.go_on();
        until("it is posted", || office.is_posted(&invoice)).await;
        // It has nothing more to do, and ends.
        paused.stop().await;
        assert_eq!(office.attempts(&invoice), (1, 0), "after_posting: {after_posting}");
        office.settle().await;
        let answers = office.slack.ephemerals(ANNA).len();
        assert!(answers >= 1, "the click is answered");
        if let Some(process) = office.process.take() {
            process.stop().await;
        }
    }
}
