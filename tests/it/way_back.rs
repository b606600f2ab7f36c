//! The whole way there and back: bills in Zoho Books that wait for approval, cards in Slack, clicks, Zoho's approve call.
//! Each bill is approved once at most, never in a state nobody saw, and every click is answered.

use std::time::Duration;

use ml_connector_core::{
    Connector, Secret,
    approval::{Approvals, Approvers, Policy},
    audit::{Entry, EntryKind, EntryState},
    engine::Settings,
    model::Date,
};
use ml_connector_sim::{
    Fault,
    slack::{SlackConfig, User},
    zoho::{Entity, ZohoBooksConfig},
};
use ml_connector_slack::{channel, clicker};
use ml_connector_zoho::approve;

use crate::world::{Running, World, document, organization, secs};

const APPROVALS: &str = "C07APPROV1";
const ANNA: &str = "U07APPROV1";
const CARA: &str = "U07CARA001";
/// Submitted the bills: may approve others' only.
const DANA: &str = "U07DANA001";
/// May not approve.
const TOM: &str = "U07CLERK01";
const APPROVE: &str = "approval.approve";

/// What happens to a bill before, while and after somebody clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plot {
    DoubleClick,
    TwoAtOnce,
    Unauthorized,
    Requester,
    ChangedUnseen,
    LostAnswer,
    BadGateway,
    ApprovedInTheBooks,
    ChangedMeanwhile,
}

const PLOTS: [Plot; 9] = [
    Plot::DoubleClick,
    Plot::TwoAtOnce,
    Plot::Unauthorized,
    Plot::Requester,
    Plot::ChangedUnseen,
    Plot::LostAnswer,
    Plot::BadGateway,
    Plot::ApprovedInTheBooks,
    Plot::ChangedMeanwhile,
];

/// The two vendors, one connector after another between them, and what people did.
struct Office {
    world: World,
    connector: Connector,
    running: Option<Running>,
    clicks: usize,
    seed: u64,
}

/// Bills are asked about in one channel; two people may approve them, and who submitted them may not.
fn connector(world: &World) -> Connector {
    let source = world.source().build().unwrap();
    let slack = world.sink().signing_secret(Secret::from(world.slack.signing_secret().expose()));
    let slack = slack.team("T07LEDGER1").build().unwrap();
    let approvers = Approvers::default().person("anna.verhoeven@ledgerworks.example").person(CARA);
    let approvers = approvers.person(DANA);
    let approvals = Approvals::builder("approvals")
        .documents("books", "bill.*")
        .ask("slack", channel(APPROVALS), clicker())
        .command("books", approve())
        .policy(Policy::default().allow(approvers))
        .build()
        .unwrap();
    let mut settings = Settings::default();
    settings.lease = secs(10);
    let connector = world.builder().settings(settings).connect(source).connect(slack);
    connector.connect(approvals).build().unwrap()
}

impl Office {
    fn new(seed: u64) -> Self {
        let mut slack = SlackConfig::default();
        slack.request_url = Some("https://erp.example.com/slack".parse().unwrap());
        slack.users.push(User::new(CARA, "Cara Lind", "cara.lind@ledgerworks.example"));
        slack.users.push(User::new(DANA, "Dana Whitlow", "dana.whitlow@ledgerworks.example"));
        let mut books = ZohoBooksConfig::default();
        books.organizations = vec![organization("778812345", "Harbor Lane Supply", "America/New_York")];
        let world = World::with("2026-03-02T14:00:00Z", books, slack);
        world.books.set_daily_quota(10_000_000);
        let connector = connector(&world);
        let running = Some(Running::start(&connector));
        Self { world, connector, running, clicks: 0, seed }
    }

    /// A number below `n`, another one each time.
    fn draw(&mut self, n: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % n
    }

    /// A moment passes; now and then the process dies in it, and another one takes over.
    async fn moment(&mut self) {
        let pause = self.draw(1_500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if self.draw(24) == 0
            && let Some(running) = self.running.take()
        {
            running.kill().await;
            self.connector = connector(&self.world);
            self.running = Some(Running::start(&self.connector));
        }
    }

    /// Sends the webhooks that wait.
    async fn tell(&self) {
        for webhook in self.world.books.take_webhooks() {
            assert_eq!(self.connector.receive(webhook.request).await.status(), 200);
        }
        tokio::time::sleep(secs(40)).await;
    }

    /// Somebody clicks on the card of a bill, if it still has the button.
    async fn click(&mut self, number: &str, user: &str) {
        let slack = &self.world.slack;
        let cards = slack.posts(APPROVALS);
        let card = cards.iter().find(|card| card.text.contains(number)).expect("there is a card");
        if slack.click(APPROVALS, &card.ts, APPROVE, user).is_err() {
            return;
        }
        self.clicks += 1;
        for delivery in slack.take_deliveries() {
            let answer = self.connector.receive(delivery.request.clone()).await;
            let attempt = slack.settle(delivery, Ok(answer));
            assert_eq!(attempt.failure, None, "{attempt:?}");
        }
        self.moment().await;
    }

    async fn play(&mut self, plot: Plot, number: &str, bill: &str) {
        let books = self.world.books.clone();
        let lose_the_webhook = || drop(books.take_webhooks());
        match plot {
            Plot::ChangedUnseen => {
                books.set_reference(Entity::Bill, bill, "changed").unwrap();
                lose_the_webhook();
                self.click(number, ANNA).await;
            }
            Plot::ChangedMeanwhile => {
                books.set_due_date(Entity::Bill, bill, Date::parse("2026-05-01").unwrap()).unwrap();
                self.click(number, ANNA).await;
                self.tell().await;
            }
            Plot::ApprovedInTheBooks => {
                books.approve(Entity::Bill, bill).unwrap();
                lose_the_webhook();
                self.click(number, ANNA).await;
            }
            Plot::LostAnswer => {
                books.plant(Fault::timeout().having_acted().on("/approve"));
                self.click(number, ANNA).await;
            }
            Plot::BadGateway => {
                books.plant(Fault::html(http::StatusCode::BAD_GATEWAY).on("/approve"));
                self.click(number, CARA).await;
            }
            Plot::Unauthorized => {
                self.click(number, TOM).await;
                self.click(number, ANNA).await;
            }
            Plot::Requester => {
                self.click(number, DANA).await;
                tokio::time::sleep(secs(30)).await;
                assert_eq!(self.approved(bill), 0, "who asked does not decide");
                self.click(number, ANNA).await;
            }
            Plot::DoubleClick => {
                self.click(number, ANNA).await;
                self.click(number, ANNA).await;
            }
            Plot::TwoAtOnce => {
                self.click(number, ANNA).await;
                self.click(number, CARA).await;
            }
        }
    }

    /// Whether a bill ended as it has to.
    async fn check(&mut self, plot: Plot, number: &str, bill: &str) {
        let end = |office: &Self| (office.world.books.status_of(Entity::Bill, bill), office.approved(bill));
        match plot {
            // Nobody saw what it has become: it waits until somebody did.
            Plot::ChangedUnseen | Plot::ChangedMeanwhile => {
                assert_eq!(end(self), (Some("pending_approval"), 0), "{plot:?}");
                self.world.books.set_reference(Entity::Bill, bill, "changed again").unwrap();
                self.tell().await;
                self.click(number, ANNA).await;
                tokio::time::sleep(secs(300)).await;
                assert_eq!(end(self), (Some("open"), 1), "{plot:?}, once it was seen");
            }
            Plot::ApprovedInTheBooks => assert_eq!(end(self), (Some("open"), 0), "{plot:?}"),
            _ => assert_eq!(end(self), (Some("open"), 1), "{plot:?}"),
        }
    }

    /// How often the books carried out an approval of a bill.
    fn approved(&self, bill: &str) -> usize {
        let path = format!("/bills/{bill}/approve");
        let calls = self.world.books.received();
        let done = |status: Option<http::StatusCode>| status.is_some_and(|status| status.is_success());
        calls.iter().filter(|call| call.path.ends_with(&path) && done(call.status)).count()
    }
}

/// Plays every plot `rounds` times.
async fn days(seed: u64, rounds: usize) {
    let mut office = Office::new(seed);
    tokio::time::sleep(secs(60)).await;
    for round in 0..rounds {
        let mut bills = Vec::new();
        for (i, plot) in PLOTS.into_iter().enumerate() {
            let number = format!("NP-{round:04}-{i}");
            let bill = document("Northgate Paper Co", 820_000).numbered(&number);
            let bill = office.world.books.create_bill(bill).unwrap();
            office.world.books.submit_for_approval(Entity::Bill, &bill).unwrap();
            bills.push((plot, number, bill));
        }
        office.tell().await;
        for (plot, number, bill) in &bills {
            office.play(*plot, number, bill).await;
        }
        tokio::time::sleep(secs(300)).await;
        for (plot, number, bill) in &bills {
            office.check(*plot, number, bill).await;
        }
    }
    tokio::time::sleep(secs(600)).await;
    if let Some(running) = office.running.take() {
        running.stop().await;
    }
    let answers: usize =
        [ANNA, CARA, DANA, TOM].iter().map(|user| office.world.slack.ephemerals(user).len()).sum();
    // Who approved what the books then refuse is told that, too.
    let events = office.world.entries(EntryKind::Event).await;
    let is_refusal = |event: &&Entry| event.index.name.as_deref() == Some("approval.refused");
    let refused = events.iter().filter(is_refusal).count();
    assert_eq!(answers, office.clicks + refused, "every click is answered, and every refusal told");
    assert_eq!(office.world.limits_broken(), 0);
    assert_eq!(office.world.slack.duplicates(), [""; 0]);
    let waiting = office.world.entries(EntryKind::Delivery).await;
    assert!(waiting.iter().all(|delivery| delivery.state != EntryState::Pending));
}

#[tokio::test(start_paused = true)]
async fn each_bill_is_approved_once_as_it_was_shown_and_every_click_is_answered() {
    let bills: usize = std::env::var("ML_WAY_BACK").map_or(128, |bills| bills.parse().unwrap());
    let rounds = 4;
    for seed in 0..bills.div_ceil(rounds * PLOTS.len()) {
        days(seed as u64, rounds).await;
    }
}
