//! Everything goes wrong at once, from a seed: nothing is lost, nothing happens twice, order and limits are kept.
//!
//! `CHAOS_SEEDS=20000` plays more stories, `CHAOS_FROM=317 CHAOS_SEEDS=1` plays one again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use http::StatusCode;
use ml_connector_core::{
    Connector,
    audit::{Entry, EntryKind, EntryState},
    engine::{Settings, Stats},
    model::{Change, Event, Seq},
    rate::MemoryRateLimiter,
    route::Route,
};
use ml_connector_sim::{
    Fault, ZohoBooksSim,
    slack::{Channel, Posted, SlackConfig},
    zoho::{Entity, WebhookDelivery, ZohoBooksConfig},
};

use crate::world::{ACCOUNTING, HARBOR, Running, World, amount, document, organization, secs, source};

const OSPREY: &str = "600111222";
const APPROVALS: &str = "C07APPROV1";
const PAID: &str = "C07PAIDINV";
const POST: &str = "chat.postMessage";
/// How many stories are played unless the environment says otherwise: half a minute without optimisation.
const SEEDS: u64 = 250;

// Proves: nothing_lost.
#[test]
fn nothing_is_lost_doubled_or_overtaken_whatever_goes_wrong() {
    let number = |name, default| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (from, seeds): (u64, u64) = (number("CHAOS_FROM", 0), number("CHAOS_SEEDS", SEEDS));
    let (mut messages, mut looked_up, mut retried, mut refused, mut unchanged) = (0, 0, 0, 0, 0);
    for seed in from..from + seeds {
        match catch_unwind(AssertUnwindSafe(|| play(seed))) {
            Ok(played) => {
                messages += played.messages.len() as u64;
                for stats in played.stats {
                    looked_up += stats.looked_up;
                    retried += stats.retried;
                    refused += stats.refused;
                    unchanged += stats.unchanged;
                }
            }
            Err(failed) => {
                eprintln!("to play the failed story again: CHAOS_FROM={seed} CHAOS_SEEDS=1");
                resume_unwind(failed);
            }
        }
    }
    println!(
        "seeds={seeds} messages={messages} looked_up={looked_up} retried={retried} refused={refused} unchanged={unchanged}"
    );
    if seeds >= SEEDS {
        let often = [messages / 10, looked_up, retried, refused * 2, unchanged * 3];
        assert!(often.iter().all(|count| *count > seeds), "too little goes wrong: {often:?}");
    }
}

#[test]
fn a_story_is_the_same_whenever_it_is_played() {
    for seed in [3, 14, 15] {
        let first = play(seed).messages;
        assert!(first.len() > 3, "{first:?}");
        assert_eq!(first, play(seed).messages, "seed {seed}");
    }
}

struct Played {
    /// Channel, time and text.
    messages: Vec<(String, i64, String)>,
    stats: Vec<Stats>,
}

/// Plays the story of a seed, and checks it.
fn play(seed: u64) -> Played {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut chaos = Chaos::new(seed);
        for _ in 0..chaos.dice.between(10, 50) {
            chaos.step().await;
        }
        chaos.settle().await;
        chaos.check().await;
        let posts = [ACCOUNTING, APPROVALS, PAID].map(|channel| chaos.world.slack.posts(channel));
        let message = |post: Posted| (post.channel, post.at.as_millis(), post.text);
        Played { messages: posts.into_iter().flatten().map(message).collect(), stats: chaos.stats }
    })
}

/// A small generator: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` up to, but not including, `high`.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let i = usize::try_from(self.roll() % of.len().max(1) as u64).unwrap();
        of.get(i)
    }
}

/// An organization and what the test knows of its documents.
struct Office {
    connection: &'static str,
    books: ZohoBooksSim,
    documents: Vec<(Entity, String)>,
    /// The reference each document was given last.
    references: BTreeMap<String, String>,
    deleted: BTreeSet<String>,
}

struct Host {
    connector: Connector,
    running: Option<Running>,
}

struct Chaos {
    dice: Dice,
    world: World,
    offices: [Office; 2],
    hosts: Vec<Host>,
    /// Webhooks that are late.
    late: Vec<WebhookDelivery>,
    /// Of hosts that are gone.
    stats: Vec<Stats>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut books = ZohoBooksConfig::default();
        books.organizations = vec![
            organization(HARBOR, "Harbor Lane Supply", "America/New_York"),
            organization(OSPREY, "Osprey & Sons", "Asia/Tokyo"),
        ];
        let mut slack = SlackConfig::default();
        slack.channels.push(Channel::new(PAID, "paid"));
        slack.client_msg_id_dedupe = dice.one_in(2);
        slack.history_lag = secs(dice.between(0, 4));
        let world = World::with("2026-03-02T14:00:00Z", books, slack);
        let office = |connection, organization| Office {
            connection,
            books: world.books.within(organization),
            documents: Vec::new(),
            references: BTreeMap::new(),
            deleted: BTreeSet::new(),
        };
        let offices = [office("books", HARBOR), office("osprey", OSPREY)];
        let mut chaos = Self { dice, offices, world, hosts: Vec::new(), late: Vec::new(), stats: Vec::new() };
        chaos.add_host();
        chaos
    }

    /// A new process on the same log: it remembers nothing.
    fn add_host(&mut self) {
        let [harbor, osprey] = &self.offices;
        let to = ml_connector_slack::channel;
        let connector = self
            .world
            .builder()
            .settings(Settings::default())
            .rate_limiter(MemoryRateLimiter::new())
            .source(self.world.source().build().unwrap())
            .source(source("osprey", &osprey.books.credentials()).time_zone("Asia/Tokyo").build().unwrap())
            .sink(self.world.sink().build().unwrap())
            .route(Route::new("harbor").from(harbor.connection).to("slack", to(ACCOUNTING)))
            .route(Route::new("osprey").from(osprey.connection).to("slack", to(APPROVALS)))
            .route(Route::new("paid").on("invoice.paid").to("slack", to(PAID)))
            .build()
            .unwrap();
        let running = Some(Running::start(&connector));
        self.hosts.push(Host { connector, running });
    }

    async fn step(&mut self) {
        match self.dice.between(0, 24) {
            0 | 1 => self.world.slack.plant(slack_fault(&mut self.dice)),
            2 | 3 => self.world.books.plant(books_fault(&mut self.dice)),
            4 => {
                let commits = usize::try_from(self.dice.between(1, 4)).unwrap();
                self.world.log.fail_next_commits(commits);
            }
            5 | 6 => self.turn_hosts().await,
            7 => {
                for webhook in std::mem::take(&mut self.late) {
                    self.send(webhook).await;
                }
            }
            8 | 9 => {
                let pause = self.dice.between(1, 90);
                tokio::time::sleep(secs(pause)).await;
            }
            _ => {
                self.work();
                self.post_office().await;
                let pause = self.dice.between(0, 4000);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    /// Something happens in one of the offices. What the books do not allow does not happen.
    fn work(&mut self) {
        let dice = &mut self.dice;
        let office = &mut self.offices[usize::from(dice.one_in(3))];
        let books = &office.books;
        let some = dice.pick(&office.documents).cloned();
        match (dice.between(0, 12), some) {
            (0..=2, _) | (_, None) => {
                let cents = i64::try_from(dice.between(100, 900_000)).unwrap();
                office.documents.push(if dice.one_in(4) {
                    (Entity::Bill, books.create_bill(document("Northgate Paper Co", cents)).unwrap())
                } else {
                    (Entity::Invoice, books.create_invoice(document("Bluebird Logistics", cents)).unwrap())
                });
            }
            (3 | 4, Some((_, id))) => drop(books.mark_sent(&id)),
            (5 | 6, Some((Entity::Bill, id))) => drop(books.pay_bill(&id, amount(100))),
            (5 | 6, Some((_, id))) => drop(books.pay_invoice(&id, amount(100))),
            (7, Some((entity, id))) => drop(books.submit_for_approval(entity, &id)),
            (8, Some((entity, id))) => drop(books.approve(entity, &id)),
            (9, Some((entity, id))) if dice.one_in(3) => drop(books.void(entity, &id)),
            (10, Some((entity, id))) if dice.one_in(3) => {
                if books.delete(entity, &id).is_ok() {
                    office.deleted.insert(id);
                }
            }
            (_, Some((entity, id))) => {
                let reference = format!("PO {}", dice.between(0, 1_000_000));
                if books.set_reference(entity, &id, &reference).is_ok() {
                    office.references.insert(id, reference);
                }
            }
        }
    }

    /// The webhooks of what happened: sent, doubled, late, or lost. Only what will be touched again may be lost.
    async fn post_office(&mut self) {
        for office in 0..self.offices.len() {
            for webhook in self.offices[office].books.take_webhooks() {
                let touched_again =
                    webhook.about.event == "invoice.changed" || webhook.about.event == "bill.changed";
                match self.dice.between(0, 10) {
                    0 if touched_again => {}
                    0..=2 => self.late.push(webhook),
                    3 | 4 => {
                        self.send(webhook.clone()).await;
                        self.send(webhook).await;
                    }
                    _ => self.send(webhook).await,
                }
            }
        }
        let late = self.late.len();
        if late > 1 {
            let other = usize::try_from(self.dice.between(0, late as u64)).unwrap();
            self.late.swap(0, other);
        }
    }

    /// Any host takes a webhook. One that cannot be stored comes again later.
    async fn send(&mut self, webhook: WebhookDelivery) {
        let host = usize::try_from(self.dice.between(0, self.hosts.len() as u64)).unwrap();
        let answer = self.hosts[host].connector.receive(webhook.request.clone()).await;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => self.late.push(webhook),
            other => panic!("{other} for {}", webhook.about.event),
        }
    }

    /// A host is added, shut down, or killed. At least one stays.
    async fn turn_hosts(&mut self) {
        if self.hosts.len() < 2 || self.dice.one_in(3) {
            self.add_host();
        }
        if self.hosts.len() > 2 || self.dice.one_in(2) {
            let mut host = self.hosts.remove(0);
            let running = host.running.take().unwrap();
            if self.dice.one_in(2) {
                running.stop().await;
            } else {
                running.kill().await;
            }
            self.stats.push(host.connector.stats());
        }
        if self.hosts.is_empty() {
            self.add_host();
        }
    }

    /// Nothing goes wrong any more: late webhooks arrive, every document is touched, and all work comes to its end.
    async fn settle(&mut self) {
        self.world.log.fail_next_commits(0);
        for office in &mut self.offices {
            for (i, (entity, id)) in office.documents.iter().enumerate() {
                let reference = format!("LAST {i}");
                if office.books.set_reference(*entity, id, &reference).is_ok() {
                    office.references.insert(id.clone(), reference);
                }
            }
            self.late.extend(office.books.take_webhooks());
        }
        for webhook in std::mem::take(&mut self.late) {
            self.send(webhook).await;
        }
        assert!(self.late.is_empty(), "a log that works stores every webhook");
        for _ in 0..300 {
            tokio::time::sleep(secs(60)).await;
            if self.unsettled().await.is_empty() {
                break;
            }
        }
        for host in &mut self.hosts {
            host.running.take().unwrap().stop().await;
            self.stats.push(host.connector.stats());
        }
    }

    /// What has not come to its end, but for the days on which something falls due, and for documents that were gone
    /// before anybody could read them: for a day they are taken for documents that are not visible yet.
    async fn unsettled(&self) -> Vec<Entry> {
        let told = self.world.entries(EntryKind::Event).await;
        let is_about_nothing = |entry: &Entry| {
            let deleted = |id: &str| self.offices.iter().any(|office| office.deleted.contains(id));
            entry.index.entity.as_ref().is_some_and(|entity| deleted(&entity.id))
                && told.iter().all(|event| event.index.entity != entry.index.entity)
        };
        let mut all = self.world.entries(EntryKind::Signal).await;
        all.retain(|entry| !is_for_later(entry) && !is_about_nothing(entry));
        all.extend(self.world.entries(EntryKind::Delivery).await);
        all.retain(|entry| !entry.state.is_settled());
        all
    }

    async fn check(&self) {
        let unsettled = self.unsettled().await;
        assert!(unsettled.is_empty(), "everything comes to its end: {unsettled:#?}");
        let mut entries = self.world.entries(EntryKind::Signal).await;
        let deliveries = self.world.entries(EntryKind::Delivery).await;
        entries.extend(deliveries.iter().cloned());
        let dead: Vec<_> = entries.iter().filter(|entry| entry.state == EntryState::Dead).collect();
        assert!(dead.is_empty(), "no fault justifies that something is dead: {dead:#?}");

        let events: BTreeMap<Seq, Event> = self
            .world
            .entries(EntryKind::Event)
            .await
            .into_iter()
            .map(|entry| (entry.seq, Event::from_cloudevent(&entry.body.unwrap()).unwrap()))
            .filter(|(_, event)| !event.is_outcome())
            .collect();
        self.check_truth(&events);
        self.check_deliveries(&events, &deliveries);
        let slack = &self.world.slack;
        assert_eq!(slack.duplicates(), [""; 0]);
        assert_eq!((slack.limit_violations(), slack.ignored_retry_afters()), (0, 0), "limits of Slack");
        for office in &self.offices {
            assert_eq!(office.books.limit_violations(), 0, "limits of {}", office.connection);
        }
    }

    /// Every record's events are numbered without a gap, and the last tells how it stands now.
    fn check_truth(&self, events: &BTreeMap<Seq, Event>) {
        let mut last: HashMap<(String, String), &Event> = HashMap::new();
        for event in events.values() {
            let key = (event.connection.to_string(), event.entity.id.to_string());
            let before = last.insert(key, event).map_or(0, |before| before.n);
            assert_eq!(event.n, before + 1, "{}", event.id());
        }
        for office in &self.offices {
            for (_, id) in &office.documents {
                let last = last.get(&(office.connection.to_owned(), id.clone()));
                if office.deleted.contains(id) {
                    let told = last.is_none_or(|last| last.changes.contains(&Change::Deleted));
                    assert!(told, "{id} was deleted: {last:?}");
                    continue;
                }
                let last = last.unwrap_or_else(|| panic!("{id} was never told"));
                let raw = last.raw.as_ref().unwrap().get();
                let reference = &office.references[id];
                assert!(raw.contains(&format!("\"{reference}\"")), "{} does not show {reference}", last.id());
            }
        }
    }

    /// Every event has its deliveries and each of them one message; within a channel they are in order.
    fn check_deliveries(&self, events: &BTreeMap<Seq, Event>, deliveries: &[Entry]) {
        let mut by_message: HashMap<&str, &Entry> = HashMap::new();
        let mut routes: BTreeMap<Seq, BTreeSet<&str>> = BTreeMap::new();
        for delivery in deliveries {
            assert_eq!(delivery.state, EntryState::Done);
            let receipt = delivery.receipt().unwrap_or_else(|| panic!("{delivery:#?} has no receipt"));
            assert!(by_message.insert(receipt, delivery).is_none(), "two deliveries are one message");
            let route = delivery.index.name.as_deref().unwrap();
            assert!(routes.entry(delivery.parent.unwrap()).or_default().insert(route), "{delivery:#?}");
        }
        for (seq, event) in events {
            let mut expected =
                BTreeSet::from([if &*event.connection.to_string() == "books" { "harbor" } else { "osprey" }]);
            if &*event.entity.kind == "invoice" && event.changes.contains(&Change::Paid) {
                expected.insert("paid");
            }
            assert_eq!(routes.get(seq), Some(&expected), "{}", event.id());
        }
        let mut messages = 0;
        for channel in [ACCOUNTING, APPROVALS, PAID] {
            let mut before = Seq(0);
            for post in self.world.slack.posts(channel) {
                let delivery = by_message[&*format!("{channel}/{}", post.ts)];
                assert!(before < delivery.seq, "{channel}: {before} before {}", delivery.seq);
                before = delivery.seq;
                messages += 1;
            }
        }
        assert_eq!(messages, deliveries.len());
    }
}

/// A signal for a day on which something will be overdue.
fn is_for_later(entry: &Entry) -> bool {
    // What a source does by itself goes on for ever.
    if entry.index.entity.is_none() && entry.outcomes.is_empty() {
        return true;
    }
    entry.index.name.as_deref().is_some_and(|name| name.starts_with("overdue:"))
}

fn slack_fault(dice: &mut Dice) -> Fault {
    let fault = match dice.between(0, 9) {
        0 => Fault::too_many_requests(u32::try_from(dice.between(1, 40)).unwrap()),
        1 => Fault::status(StatusCode::INTERNAL_SERVER_ERROR),
        2 => Fault::html(StatusCode::BAD_GATEWAY).having_acted(),
        3 => Fault::timeout(),
        4 => Fault::timeout().having_acted(),
        5 => Fault::reset(),
        6 => Fault::reset().having_acted(),
        7 => Fault::truncated(),
        _ => Fault::delay(secs(dice.between(1, 40))),
    };
    let method = if dice.one_in(5) { "conversations.history" } else { POST };
    let times = u32::try_from(dice.between(1, 3)).unwrap();
    fault.on(method).after(u32::try_from(dice.between(0, 3)).unwrap()).times(times)
}

fn books_fault(dice: &mut Dice) -> Fault {
    let fault = match dice.between(0, 6) {
        0 => Fault::html(StatusCode::BAD_GATEWAY),
        1 => Fault::status(StatusCode::INTERNAL_SERVER_ERROR),
        2 => Fault::timeout(),
        3 => Fault::reset(),
        4 => Fault::truncated(),
        _ => Fault::refused(),
    };
    let path = *dice.pick(&["/books/v3/", "/invoices", "/oauth/v2/token"]).unwrap();
    let times = u32::try_from(dice.between(1, 4)).unwrap();
    fault.on(path).times(times)
}
