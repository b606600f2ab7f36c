//! The whole way there and back: documents that wait for somebody's word, cards in Slack, clicks, and the command that cannot
//! be taken back. Each document is approved once at most, never in a state nobody saw, and every click is answered;
//! processes die at any of their commits.

mod business_central;
#[cfg(unix)]
mod processes;
mod terms;
mod zoho;

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Connector, Secret,
    approval::{Approvals, ApprovalsBuilder, Approvers, Policy},
    audit::{EntryKind, EntryState},
    engine::{ConnectorBuilder, Settings},
    model::Event,
};
use ml_connector_sim::slack::{Posted, SlackConfig, User};
use ml_connector_slack::{channel, clicker};

use crate::{
    frail::{Death, Frail},
    world::{Running, World, secs},
};

const APPROVALS: &str = "C07APPROV1";
const ANNA: &str = "U07APPROV1";
const CARA: &str = "U07CARA001";
/// Submitted the documents, where that is known: may approve others' only.
const DANA: &str = "U07DANA001";
/// May not approve.
const TOM: &str = "U07CLERK01";
const APPROVE: &str = "approval.approve";
const RETRY: &str = "approval.retry";
const REJECT: &str = "approval.reject";
/// The line of a card where a reason is written.
const REASON: &str = "approval.reason";
/// What somebody writes there.
const TOO_DEAR: &str = "Twice the price of last year";
/// A process dies at one of so many commits.
const COMMITS: u64 = 300;

/// What happens to a document before, while and after somebody clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plot {
    DoubleClick,
    TwoAtOnce,
    Unauthorized,
    /// Somebody rejects it and says why; whoever would approve it then is too late.
    Rejected,
    Requester,
    ChangedUnseen,
    ChangedMeanwhile,
    ApprovedThere,
    /// Somebody approves it in the books, where that is not the end.
    Released,
    /// Two have to approve it: whoever clicks, and then somebody in the books.
    TwoLevels(Option<Mishap>),
    /// Something goes wrong with the command.
    Spoiled(Mishap),
}

/// What may go wrong with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    /// It is carried out, and nobody hears of it.
    LostAnswer,
    /// A gateway answers in its stead.
    BadGateway,
    /// The books are busy with the document for a while, and say no more than that.
    Busy,
    /// It is carried out, and answered with a refusal.
    RefusedAlthoughDone,
    /// It goes on for minutes after its answer.
    GoesOn,
    /// It is refused until somebody repairs something elsewhere.
    Refused,
    /// The same, and the refusal has touched the document.
    RefusedAndTouched,
}

/// The books, as the test drives them.
trait Ledger {
    /// Connects them, and says which of their documents are approved how.
    fn connect(
        &self,
        builder: ConnectorBuilder,
        approvals: ApprovalsBuilder,
    ) -> (ConnectorBuilder, ApprovalsBuilder);

    /// Learns who serves the webhooks' endpoint from now on; nobody does in the end.
    fn is_served_by(&self, _connector: Option<&Connector>) {}

    /// What can happen in them.
    fn plots(&self) -> Vec<Plot>;

    /// Writes a document that waits, for so many approvers, and returns its id and the number that its card names.
    fn enter(&self, round: usize, i: usize, levels: usize) -> (String, String);

    /// Somebody changes what a card shows.
    fn edit(&self, document: &str);

    /// Somebody approves the document in the books.
    fn approve_there(&self, document: &str);

    /// Somebody approves the document in the books, which still waits then.
    fn release(&self, _document: &str) {}

    /// Makes the next command about a document go wrong.
    fn spoil(&self, document: &str, mishap: Mishap);

    /// What lay elsewhere is repaired.
    fn repair(&self, document: &str);

    /// Takes the webhooks that wait. Those that nobody sends are lost.
    fn webhooks(&self) -> Vec<Request<Bytes>>;

    /// Whether the document is approved, and how often a command of ours has done it.
    fn end(&self, document: &str) -> (bool, usize);

    /// After which time the outcome of a command is certain, whatever has become of its answer.
    fn certain_after(&self) -> Duration;

    /// Whether they tell an approval of their own people from one of ours.
    fn knows_who_approved(&self) -> bool {
        false
    }

    /// How many limits were not kept.
    fn limits_broken(&self) -> u64;
}

/// The two vendors, one connector after another between them, and what people did.
struct Office<L> {
    world: World,
    ledger: L,
    frail: Arc<Frail>,
    connector: Connector,
    running: Option<Running>,
    /// By the number of the document.
    clicks: BTreeMap<String, usize>,
    deaths: usize,
    first_seed: u64,
    seed: u64,
}

/// Documents are asked about in one channel; two people may approve them, and who submitted them may not.
fn connector<L: Ledger>(world: &World, ledger: &L, log: &Arc<Frail>) -> Connector {
    let slack = world.sink().signing_secret(Secret::from(world.slack.signing_secret().expose()));
    let slack = slack.team("T07LEDGER1").build().unwrap();
    let approvers = Approvers::default().person("anna.verhoeven@ledgerworks.example").person(CARA);
    let approvers = approvers.person(DANA);
    let approvals = Approvals::builder("approvals")
        .ask("slack", channel(APPROVALS), clicker())
        .policy(Policy::default().allow(approvers));
    let mut settings = Settings::default();
    settings.lease = secs(10);
    let builder = world.builder().audit_log(Arc::clone(log)).settings(settings).connect(slack);
    let (builder, approvals) = ledger.connect(builder, approvals);
    let connector = builder.connect(approvals.build().unwrap()).build().unwrap();
    ledger.is_served_by(Some(&connector));
    connector
}

fn workspace() -> SlackConfig {
    let mut slack = SlackConfig::default();
    slack.request_url = Some("https://erp.example.com/slack".parse().unwrap());
    slack.users.push(User::new(CARA, "Cara Lind", "cara.lind@ledgerworks.example"));
    slack.users.push(User::new(DANA, "Dana Whitlow", "dana.whitlow@ledgerworks.example"));
    slack
}

impl<L: Ledger> Office<L> {
    fn new(world: World, ledger: L, seed: u64) -> Self {
        let frail = Arc::new(Frail::new(&world.log, Some(Death { at: 150, applied: true })));
        let connector = connector(&world, &ledger, &frail);
        let running = Some(Running::start(&connector));
        Self {
            world,
            ledger,
            frail,
            connector,
            running,
            clicks: BTreeMap::new(),
            deaths: 0,
            first_seed: seed,
            seed,
        }
    }

    /// A number below `n`, another one each time.
    fn draw(&mut self, n: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % n
    }

    /// The process ends without a word, and another one takes over.
    async fn die(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill().await;
        }
        let at = usize::try_from(1 + self.draw(COMMITS)).unwrap();
        let death = Death { at, applied: self.draw(2) == 0 };
        self.frail = Arc::new(Frail::new(&self.world.log, Some(death)));
        self.connector = connector(&self.world, &self.ledger, &self.frail);
        self.running = Some(Running::start(&self.connector));
        self.deaths += 1;
    }

    /// Time passes, whatever becomes of processes in it.
    async fn pass(&mut self, time: Duration) {
        let mut over = pin!(tokio::time::sleep(time));
        loop {
            let frail = Arc::clone(&self.frail);
            tokio::select! {
                biased;
                () = frail.died() => self.die().await,
                () = &mut over => return,
            }
        }
    }

    /// A moment passes; now and then the process dies in it.
    async fn moment(&mut self) {
        let pause = self.draw(1_500);
        self.pass(Duration::from_millis(pause)).await;
        if self.draw(24) == 0 {
            self.die().await;
        }
    }

    /// Sends a request until a process is alive to take it.
    async fn send(&mut self, request: Request<Bytes>) -> Response<Bytes> {
        loop {
            let answer = self.connector.receive(request.clone()).await;
            if answer.status() == 200 {
                return answer;
            }
            assert_eq!(answer.status(), 503);
            self.die().await;
        }
    }

    /// Sends the webhooks that wait, and gives what follows its time: more where a process died, because another one first
    /// looks up what became of its messages.
    async fn tell(&mut self) {
        let mut deaths = self.deaths;
        for webhook in self.ledger.webhooks() {
            self.send(webhook).await;
        }
        self.pass(secs(40)).await;
        while deaths != self.deaths {
            deaths = self.deaths;
            self.pass(secs(180)).await;
        }
    }

    /// Somebody clicks on the card of a document. Returns whether it still had the button.
    async fn click(&mut self, number: &str, button: &str, user: &str) -> bool {
        let slack = self.world.slack.clone();
        let cards = slack.posts(APPROVALS);
        let about: Vec<_> = cards.iter().filter(|card| card.text.contains(number)).collect();
        assert!(!about.is_empty(), "there is a card about {number}");
        let written: &[_] = if button == REJECT { &[(REASON, TOO_DEAR)] } else { &[] };
        if !about.iter().any(|card| slack.click_with(APPROVALS, &card.ts, button, user, written).is_ok()) {
            return false;
        }
        *self.clicks.entry(number.to_owned()).or_default() += 1;
        for delivery in slack.take_deliveries() {
            let answer = self.send(delivery.request.clone()).await;
            let attempt = slack.settle(delivery, Ok(answer));
            assert_eq!(attempt.failure, None, "{attempt:?}");
        }
        self.moment().await;
        true
    }

    /// Whether a message about a document says this.
    fn says(&self, number: &str, words: &str) -> bool {
        let cards = self.world.slack.posts(APPROVALS);
        cards.iter().any(|card| card.text.contains(number) && card.text.contains(words))
    }

    async fn play(&mut self, plot: Plot, number: &str, document: &str) {
        match plot {
            Plot::ChangedUnseen => {
                self.ledger.edit(document);
                drop(self.ledger.webhooks());
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::ChangedMeanwhile => {
                self.ledger.edit(document);
                self.click(number, APPROVE, ANNA).await;
                self.tell().await;
            }
            Plot::ApprovedThere => {
                self.ledger.approve_there(document);
                drop(self.ledger.webhooks());
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::Released => {
                self.ledger.release(document);
                self.tell().await;
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::TwoLevels(mishap) => {
                mishap.into_iter().for_each(|mishap| self.ledger.spoil(document, mishap));
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::Spoiled(mishap) => {
                self.ledger.spoil(document, mishap);
                self.click(number, APPROVE, if mishap == Mishap::BadGateway { CARA } else { ANNA }).await;
            }
            Plot::Unauthorized => {
                self.click(number, APPROVE, TOM).await;
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::Rejected => {
                let deaths = self.deaths;
                self.click(number, REJECT, CARA).await;
                self.pass(secs(30)).await;
                // A process that died may have left the click waiting: who comes then may be first.
                if deaths == self.deaths {
                    self.click(number, APPROVE, ANNA).await;
                }
            }
            Plot::Requester => {
                self.click(number, APPROVE, DANA).await;
                self.pass(secs(30)).await;
                assert_eq!(self.ledger.end(document).1, 0, "who asked does not decide");
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::DoubleClick => {
                self.click(number, APPROVE, ANNA).await;
                self.click(number, APPROVE, ANNA).await;
            }
            Plot::TwoAtOnce => {
                self.click(number, APPROVE, ANNA).await;
                self.click(number, APPROVE, CARA).await;
            }
        }
    }

    /// Whether a document ended as it has to.
    async fn check(&mut self, plot: Plot, number: &str, document: &str) {
        let end = |office: &Self| office.ledger.end(document);
        match plot {
            // Nobody saw what it has become: without a word of anybody, the card shows it and asks again.
            Plot::ChangedUnseen => {
                assert_eq!(end(self), (false, 0), "{plot:?}");
                assert!(self.click(number, APPROVE, ANNA).await, "{plot:?}: it is not asked again");
                self.pass(self.ledger.certain_after()).await;
                assert_eq!(end(self), (true, 1), "{plot:?}, once it was seen");
            }
            Plot::ChangedMeanwhile => {
                assert_eq!(end(self), (false, 0), "{plot:?}");
                self.ledger.edit(document);
                self.tell().await;
                self.click(number, APPROVE, ANNA).await;
                self.pass(self.ledger.certain_after()).await;
                assert_eq!(end(self), (true, 1), "{plot:?}, once it was seen");
            }
            Plot::Spoiled(Mishap::Refused | Mishap::RefusedAndTouched) => {
                assert_eq!(end(self), (false, 0), "{plot:?}");
                self.ledger.repair(document);
                self.click(number, RETRY, CARA).await;
                self.pass(self.ledger.certain_after()).await;
                assert_eq!(end(self), (true, 1), "{plot:?}, tried again");
            }
            Plot::Rejected => {
                assert_eq!(end(self), (false, 0), "{plot:?}");
                let cards = self.world.slack.posts(APPROVALS);
                let tells = |card: &Posted| {
                    let shown = card.blocks.to_string();
                    card.text.contains(number) && shown.contains(TOO_DEAR) && !shown.contains(APPROVE)
                };
                assert!(cards.iter().any(tells), "{plot:?}: the card does not say why: {cards:#?}");
                assert!(self.says(number, "rejected"), "{plot:?}");
            }
            Plot::TwoLevels(_) => {
                assert_eq!(end(self), (false, 1), "{plot:?}");
                assert!(self.says(number, "approved, waits for the next approver"), "{plot:?}");
                assert!(!self.says(number, "approved and posted"), "{plot:?}: it is not");
                self.ledger.approve_there(document);
                self.tell().await;
                assert_eq!(end(self), (true, 1), "{plot:?}");
                assert!(self.says(number, "approved and posted"), "{plot:?}");
            }
            Plot::ApprovedThere => {
                assert_eq!(end(self), (true, 0), "{plot:?}");
                if self.ledger.knows_who_approved() {
                    let cards = self.world.slack.posts(APPROVALS);
                    assert!(self.says(number, "was approved in the books"), "{cards:#?}");
                }
            }
            _ => assert_eq!(end(self), (true, 1), "{plot:?}"),
        }
    }
}

impl<L: Ledger> Office<L> {
    /// Every click is answered. Who approved what the books then refuse, or leave to the next approver, is told that, too. Slack shows nobody what somebody
    /// alone was told, so that an answer is repeated whose process died before it knew.
    async fn check_answers(&self) {
        let mut expected = self.clicks.clone();
        for entry in self.world.entries(EntryKind::Event).await {
            let name = entry.index.name.as_deref();
            if matches!(name, Some("approval.refused" | "approval.partially_approved")) {
                let event = Event::from_cloudevent(&entry.body.unwrap()).unwrap();
                let number = event.document().unwrap().number.clone().unwrap();
                *expected.entry(number).or_default() += 1;
            }
        }
        let people = [ANNA, CARA, DANA, TOM];
        let told: Vec<_> = people.iter().flat_map(|user| self.world.slack.ephemerals(user)).collect();
        let mut repeated = 0;
        for (number, answers) in expected {
            let about: Vec<_> =
                told.iter().map(|answer| &answer.text).filter(|text| text.contains(&number)).collect();
            let seed = self.first_seed;
            assert!(
                about.len() >= answers,
                "seed {seed}: of {answers} answers about {number}, there are {about:#?}"
            );
            repeated += about.len() - answers;
        }
        assert!(repeated <= self.deaths, "{repeated} answers were repeated by {} deaths", self.deaths);
    }
}

/// Plays every plot `rounds` times.
async fn days<L: Ledger>(mut office: Office<L>, rounds: usize) -> usize {
    office.pass(secs(60)).await;
    let plots = office.ledger.plots();
    for round in 0..rounds {
        let mut documents = Vec::new();
        for (i, plot) in plots.iter().enumerate() {
            let levels = if let Plot::TwoLevels(_) = plot { 2 } else { 1 };
            let (document, number) = office.ledger.enter(round, i, levels);
            documents.push((*plot, number, document));
        }
        office.tell().await;
        for (plot, number, document) in &documents {
            office.play(*plot, number, document).await;
        }
        office.pass(office.ledger.certain_after()).await;
        for (plot, number, document) in &documents {
            office.check(*plot, number, document).await;
        }
    }
    office.pass(secs(600)).await;
    if let Some(running) = office.running.take() {
        running.stop().await;
    }
    office.ledger.is_served_by(None);
    let slack = &office.world.slack;
    office.check_answers().await;
    assert_eq!(office.world.limits_broken() + office.ledger.limits_broken(), 0);
    assert_eq!(slack.duplicates(), [""; 0]);
    let waiting = office.world.entries(EntryKind::Delivery).await;
    assert!(waiting.iter().all(|delivery| delivery.state != EntryState::Pending));
    office.deaths
}

/// Plays as many documents as `ML_WAY_BACK` says, from the seed on that `ML_SEED` says.
async fn many<L: Ledger>(default: usize, open: impl Fn(u64) -> Office<L>) {
    let documents: usize = std::env::var("ML_WAY_BACK").map_or(default, |many| many.parse().unwrap());
    let rounds = 4;
    let mut seed = std::env::var("ML_SEED").map_or(0, |seed| seed.parse().unwrap());
    let (mut played, mut deaths) = (0, 0);
    while played < documents {
        let office = open(seed);
        played += rounds * office.ledger.plots().len();
        deaths += days(office, rounds).await;
        seed += 1;
    }
    println!("{played} documents, {deaths} processes died");
    assert!(deaths > played / 100, "{deaths} processes died");
}

// Proves: decided_once.
#[tokio::test(start_paused = true)]
async fn each_bill_is_approved_once_as_it_was_shown_and_every_click_is_answered() {
    many(128, zoho::open).await;
}

// Proves: decided_once.
#[tokio::test(start_paused = true)]
async fn each_invoice_is_posted_once_as_it_was_shown_and_every_click_is_answered() {
    many(500, business_central::open).await;
}
