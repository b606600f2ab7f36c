//! Approvals, whole: bills in the books, cards on a wall, clicks through Slack's own source, and everything that can go
//! wrong in between. Each bill is approved at most once, never in a state nobody saw, and every click is answered.

mod books;
mod wall;

use std::{sync::Arc, time::Duration};

use books::{Books, Fault, amount, webhook};
use http::StatusCode;
use ml_connector_core::{
    AuditLog, Clock, Connection, Connector, Money, Timestamp, TokioClock,
    approval::{Approvals, Approvers, Choice, Policy},
    audit::{EntryKind, EntryState, MemoryLog, Query},
    engine::Settings,
    model::ApprovalStatus,
};
use ml_connector_slack::Slack;
use wall::{Api, Card, Painter, Wall};

use crate::frail::{Death, Frail};

const ANNA: &str = "U07ANNA001";
const BEN: &str = "U07BEN0001";
const EVE: &str = "U07EVE0001";
const RITA: &str = "U07RITA001";
const EXPIRY: Duration = Duration::from_secs(1200);

/// What happens to a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plot {
    DoubleClick,
    TwoAtOnce,
    Unauthorized,
    Late,
    ChangedMeanwhile,
    Refused,
    Rejected,
    ToldTwice,
    /// It changes without a word before somebody clicks, and stays as it is then.
    ChangedUnseen,
    /// Two have to approve it: whoever clicks here, and then somebody in the books.
    TwoLevels(Option<Fault>),
    Faulty(Fault),
}

const PLOTS: [Plot; 14] = [
    Plot::DoubleClick,
    Plot::TwoAtOnce,
    Plot::Unauthorized,
    Plot::Late,
    Plot::ChangedMeanwhile,
    Plot::Refused,
    Plot::Rejected,
    Plot::ToldTwice,
    Plot::ChangedUnseen,
    Plot::TwoLevels(None),
    Plot::TwoLevels(Some(Fault::LostAnswer)),
    Plot::Faulty(Fault::Down),
    Plot::Faulty(Fault::LostAnswer),
    Plot::Faulty(Fault::Hang),
];

/// How long people wait between their acts. A process that dies leaves a minute's limits spent, and two may die within one act.
const ACT: Duration = Duration::from_secs(480);

struct Click {
    user: &'static str,
    bill: usize,
    approves: bool,
    /// The amount on the card.
    saw: Money,
    /// How often it was sent: a process may have stored it and died before it said so.
    sent: usize,
}

/// The same log under one connector after another.
struct World {
    books: Arc<Books>,
    wall: Arc<Wall>,
    log: Arc<MemoryLog>,
    clock: Arc<TokioClock>,
    frail: Arc<Frail>,
    connector: Connector,
    /// Where the next connectors die.
    deaths: Vec<Death>,
    reopened: usize,
    plots: Vec<Plot>,
    clicks: Vec<Click>,
}

impl World {
    fn new(plots: Vec<Plot>, mut deaths: Vec<Death>) -> Self {
        let books = Arc::<Books>::default();
        let wall = Arc::<Wall>::default();
        let log = Arc::new(MemoryLog::new());
        let clock = Arc::new(TokioClock::starting_at(Timestamp::parse("2026-03-02T09:00:00Z").unwrap()));
        let frail = Arc::new(Frail::new(&log, deaths.pop()));
        let connector = connector(&books, &wall, &frail, &clock);
        Self { books, wall, log, clock, frail, connector, deaths, reopened: 0, plots, clicks: Vec::new() }
    }

    /// The process died: another one opens the log.
    fn reopen(&mut self) {
        self.reopened += 1;
        self.frail = Arc::new(Frail::new(&self.log, self.deaths.pop()));
        self.connector = connector(&self.books, &self.wall, &self.frail, &self.clock);
    }

    /// Lets the connector work for a time, whatever becomes of its process.
    async fn pass(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        loop {
            let left = end.saturating_since(self.clock.now());
            if left.is_zero() {
                return;
            }
            let (frail, connector) = (Arc::clone(&self.frail), self.connector.clone());
            tokio::select! {
                biased;
                () = frail.died() => self.reopen(),
                () = connector.run(tokio::time::sleep(left)) => {}
            }
        }
    }

    /// Sends a request until it is taken, as Slack and the books do not, but people and polls do.
    async fn send(&mut self, request: impl Fn(&Self) -> http::Request<bytes::Bytes>) -> usize {
        for sent in 1.. {
            let answer = self.connector.receive(request(self)).await;
            if answer.status() == StatusCode::OK {
                return sent;
            }
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            self.reopen();
        }
        unreachable!("a process dies a few times only")
    }

    async fn tell(&mut self, bill: usize) {
        self.send(|_| webhook(&bill.to_string())).await;
    }

    fn card(&self, bill: usize) -> Card {
        self.wall.card(&number(bill)).unwrap_or_else(|| panic!("bill {bill} has no card"))
    }

    async fn click(&mut self, user: &'static str, action: &str, bill: usize, card: &Card) {
        let sent = self.send(|world| world.wall.click(user, action, card, world.clock.now())).await;
        let saw = card.total.unwrap();
        self.clicks.push(Click { user, bill, approves: action == Choice::APPROVE, saw, sent });
    }

    async fn play(&mut self) {
        for bill in 0..self.plots.len() {
            let (levels, fault) = match self.plots[bill] {
                Plot::Faulty(fault) => (1, Some(fault)),
                Plot::Refused => (1, Some(Fault::Refuse)),
                Plot::TwoLevels(fault) => (2, fault),
                _ => (1, None),
            };
            self.books.submit(&bill.to_string(), levels, fault);
            self.tell(bill).await;
        }
        self.pass(ACT).await;
        let cards: Vec<Card> = (0..self.plots.len()).map(|bill| self.card(bill)).collect();
        for (bill, card) in cards.iter().enumerate() {
            assert!(card.value.is_some(), "{card:?}");
            self.first_act(bill, card).await;
        }
        self.pass(ACT).await;
        for (bill, card) in cards.iter().enumerate() {
            self.second_act(bill, card).await;
        }
        self.pass(EXPIRY + Duration::from_secs(120)).await;
        for (bill, card) in cards.iter().enumerate() {
            // Whatever has become of it: whoever clicks on what they saw in the morning is answered.
            self.click(BEN, Choice::APPROVE, bill, card).await;
        }
        self.pass(ACT).await;
    }

    async fn first_act(&mut self, bill: usize, card: &Card) {
        match self.plots[bill] {
            Plot::DoubleClick => {
                self.click(ANNA, Choice::APPROVE, bill, card).await;
                self.click(ANNA, Choice::APPROVE, bill, card).await;
            }
            Plot::TwoAtOnce => {
                self.click(ANNA, Choice::APPROVE, bill, card).await;
                self.click(BEN, Choice::REJECT, bill, card).await;
            }
            Plot::Unauthorized => {
                self.click(EVE, Choice::APPROVE, bill, card).await;
                self.click(RITA, Choice::APPROVE, bill, card).await;
                self.click(EVE, Choice::REJECT, bill, card).await;
            }
            Plot::Late => {}
            Plot::ChangedMeanwhile => {
                self.books.change(&bill.to_string());
                self.tell(bill).await;
                self.click(ANNA, Choice::APPROVE, bill, card).await;
            }
            Plot::ChangedUnseen => {
                self.books.change(&bill.to_string());
                self.click(ANNA, Choice::APPROVE, bill, card).await;
            }
            Plot::Rejected => self.click(BEN, Choice::REJECT, bill, card).await,
            Plot::ToldTwice => {
                let told = self.wall.click(ANNA, Choice::APPROVE, card, self.clock.now());
                for _ in 0..2 {
                    self.send(|_| told.clone()).await;
                }
                let saw = card.total.unwrap();
                self.clicks.push(Click { user: ANNA, bill, approves: true, saw, sent: 1 });
            }
            Plot::Refused | Plot::TwoLevels(_) | Plot::Faulty(_) => {
                self.click(ANNA, Choice::APPROVE, bill, card).await;
            }
        }
    }

    async fn second_act(&mut self, bill: usize, card: &Card) {
        match self.plots[bill] {
            Plot::Unauthorized => self.click(ANNA, Choice::APPROVE, bill, card).await,
            Plot::ChangedMeanwhile => {
                let anew = self.card(bill);
                assert_ne!(anew.value, card.value, "it is asked for anew");
                self.click(ANNA, Choice::APPROVE, bill, card).await;
                self.click(ANNA, Choice::APPROVE, bill, &anew).await;
            }
            Plot::ChangedUnseen => {
                let anew = self.card(bill);
                assert!(anew.value.is_some() && anew.value != card.value, "it is asked for anew: {anew:?}");
                assert_eq!(anew.total, Some(amount(2)), "as it is now");
                self.click(ANNA, Choice::APPROVE, bill, &anew).await;
            }
            Plot::TwoLevels(_) => {
                let waits = self.card(bill);
                assert_eq!((waits.status, waits.value), (ApprovalStatus::PartiallyApproved, None), "{bill}");
                self.books.approve_there(&bill.to_string());
                self.tell(bill).await;
            }
            Plot::Refused => self.click(BEN, Choice::APPROVE, bill, card).await,
            Plot::Rejected => self.click(ANNA, Choice::APPROVE, bill, card).await,
            _ => {}
        }
    }

    /// What has to hold at the end.
    async fn check(&self) {
        for (bill, plot) in self.plots.iter().enumerate() {
            let state = self.books.bill(&bill.to_string());
            let seen = |version: u64| {
                let of_bill = self.clicks.iter().filter(|click| click.bill == bill);
                let may = |user| user == ANNA || user == BEN;
                { of_bill }.any(|click| click.approves && may(click.user) && click.saw == amount(version))
            };
            assert!(state.approvals.len() <= 1, "{plot:?} was approved twice");
            assert!(state.approvals.iter().all(|(version, _)| seen(*version)), "{plot:?}: nobody saw it");
            let expected = match plot {
                Plot::Late | Plot::Refused | Plot::Rejected => 0,
                _ => 1,
            };
            // Two people at once, and also one after the other when a dead process left both waiting: either may
            // have been first.
            let either = *plot == Plot::TwoAtOnce || *plot == Plot::Rejected && self.reopened > 0;
            if !either {
                assert_eq!(state.approvals.len(), expected, "{plot:?}");
            }
            let card = self.card(bill);
            let status = match (plot, state.approvals.len()) {
                (_, 1) => ApprovalStatus::Posted,
                (Plot::Late, _) => ApprovalStatus::Expired,
                (Plot::Refused, _) => ApprovalStatus::Refused,
                _ => ApprovalStatus::Rejected,
            };
            assert_eq!((card.status, card.value), (status, None), "{plot:?}");
            for user in [ANNA, BEN, EVE, RITA] {
                let clicks = || self.clicks.iter().filter(|click| (click.bill, click.user) == (bill, user));
                let sent: usize = clicks().map(|click| click.sent).sum();
                let told = self.wall.whispers(user, &number(bill));
                let is_outcome = |text: &str| text.contains(", but ") || text.contains("the next approver");
                let answers = told.iter().filter(|text| !is_outcome(text)).count();
                assert!(
                    (clicks().count()..=sent).contains(&answers),
                    "{plot:?}: {user} clicked {} times, and was told {told:?}",
                    clicks().count()
                );
            }
        }
        self.check_log().await;
    }

    /// Nothing was given up but what the books refused, and nothing is left over.
    async fn check_log(&self) {
        let dead = Query::default().with_limit(100_000).with_state(EntryState::Dead);
        for entry in self.log.query(&dead).await.unwrap() {
            let outcome = format!("{:?}", entry.outcomes.last());
            assert!(
                entry.kind == EntryKind::Delivery && entry.connection == "books".into(),
                "{entry:?} {outcome}"
            );
        }
        let waiting = Query::default().with_limit(100_000).with_state(EntryState::Pending);
        for entry in self.log.query(&waiting).await.unwrap() {
            let kind = entry.index.name.as_deref().unwrap_or_default();
            assert!(
                entry.kind == EntryKind::Signal && entry.index.entity.is_none(),
                "left over: {entry:?} {kind}"
            );
        }
    }
}

fn number(bill: usize) -> String {
    format!("B-{bill}")
}

fn connector(books: &Arc<Books>, wall: &Arc<Wall>, log: &Arc<Frail>, clock: &Arc<TokioClock>) -> Connector {
    let policy = Policy::default().allow(
        Approvers::default()
            .person(ANNA)
            .person(format!("{BEN}@x.example"))
            .person(RITA)
            .up_to(Money::parse("1000", "EUR").unwrap()),
    );
    let approvals = Approvals::builder("approvals")
        .documents("books", "bill.*")
        .ask("slack", wall::cards(), wall::clicker())
        .command("books", books::approve())
        .policy(policy)
        .expire_after(EXPIRY)
        .build()
        .unwrap();
    let slack = Slack::builder("slack").token("xoxb-1").workspace("T07LEDGER1");
    let slack = slack.signing_secret(wall::SECRET).team("T07LEDGER1").build().unwrap();
    let books = books::Connection::new(books);
    let mut settings = Settings::default();
    settings.grace = Duration::from_secs(1);
    settings.lease = Duration::from_secs(60);
    Connector::builder()
        .audit_log(Arc::clone(log))
        .clock(Arc::clone(clock))
        .transport(Api)
        .settings(settings)
        .connect(Connection::new().source(books.clone()).sink(books))
        .connect(Connection::new().source(slack.source().unwrap()).sink(Painter::new(wall)))
        .connect(approvals)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_plot_comes_to_its_end() {
    let mut world = World::new(PLOTS.to_vec(), Vec::new());
    world.play().await;
    world.check().await;
}

/// Every commit of a play is a place to die: before it is made, and after.
#[tokio::test(start_paused = true)]
async fn no_death_at_any_commit_loses_or_repeats_anything() {
    let plots = [
        Plot::DoubleClick,
        Plot::ChangedMeanwhile,
        Plot::ChangedUnseen,
        Plot::Refused,
        Plot::TwoLevels(Some(Fault::LostAnswer)),
        Plot::Faulty(Fault::LostAnswer),
    ];
    for plot in plots {
        let mut healthy = World::new(vec![plot], Vec::new());
        healthy.play().await;
        healthy.check().await;
        let commits = healthy.frail.commits();
        assert!(commits > 20, "{commits}");
        for at in 0..commits {
            for applied in [false, true] {
                let mut world = World::new(vec![plot], vec![Death { at, applied }]);
                world.play().await;
                world.check().await;
            }
        }
    }
}

/// Many at once, with lost answers of messages and a process that dies now and then. `ML_APPROVALS` says how many: `.ci/deep`
/// plays 10,000.
#[tokio::test(start_paused = true)]
async fn many_approvals_survive_everything_at_once() {
    const AT_ONCE: usize = 50;
    let many = std::env::var("ML_APPROVALS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let mut dice = 1_u64;
    let mut roll = move |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice >> 16).unwrap_or(0) % sides
    };
    let (mut approvals, mut clicks) = (0, 0);
    while approvals < many {
        let plots: Vec<Plot> = (0..AT_ONCE.min(many - approvals)).map(|_| PLOTS[roll(PLOTS.len())]).collect();
        let deaths = (0..3).map(|_| Death { at: 1 + roll(600), applied: roll(2) == 0 }).collect();
        approvals += plots.len();
        let mut world = World::new(plots, deaths);
        world.wall.lose((0..500).map(|_| roll(20) == 0));
        world.play().await;
        world.check().await;
        clicks += world.clicks.len();
    }
    assert!(clicks > approvals);
}
