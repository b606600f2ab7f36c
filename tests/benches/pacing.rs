//! How close deliveries come to what the limits allow. Ends with one line of `key=value`, the last of them `met`: whether
//! the goals are.
//!
//! - In virtual time: 20,000 posts over 1,000 channels of 25 workspaces, Zipf 1.0 by channel. The ideal is what the
//!   limits alone would take: of every key the time between its first and its last post, and of those the longest.
//! - A pause of 30 s on one channel, and what it costs the other channels of the workspace.
//! - What the scheduler alone costs per delivery while 100,000 lanes wait for the same quota, and what a delivery costs
//!   altogether, log and memory included.
//!
//! `PACING_ONLY=scheduler` measures the scheduler alone.
//! - In real time: 50 channels × 5 posts.
#![allow(clippy::disallowed_methods)] // a benchmark reads the system's clock
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Clock, Connector, Context, PollRequest, ReceiveRequest, Repeat, Result, Source, SourceInfo, SystemClock,
    Timestamp, TokioClock, UpkeepRequest,
    audit::MemoryLog,
    engine::benchmark::Scheduler,
    model::{
        ConnectionId, Delivery, DeliveryPlan, EntityRef, Intake, LaneKey, Observation, Observed, Page,
        Prompt, Record, RecordKind, Resolution, Revision, Signal, Status, Subject, Upkeep,
    },
    rate::{Cost, Feedback, MemoryRateLimiter, Quota, QuotaKey, RateLimiter},
    route::Route,
    snapshot::Snapshot,
};
use ml_connector_sim::{
    Conditions, SimTransport, SlackSim,
    slack::{Channel, SlackConfig},
};
use ml_connector_slack::Slack;
use ml_connector_tests::load_average;

use self::support::Board;

const CHANNELS: usize = 1_000;
const WORKSPACES: usize = 25;
const POSTS: usize = 20_000;
/// What the Slack sink keeps: a second, four seconds' worth a second, and the guard for clocks that differ.
const WINDOW: Duration = Duration::from_millis(1_025);
const PER_WINDOW: usize = 4;
const PER_MINUTE: usize = 240;
const MINUTE: Duration = Duration::from_millis(60_025);

/// The goals, in percent over the ideal, …
const OVER_IDEAL_GOAL: f64 = 2.0;
const REAL_TIME_GOAL: f64 = 5.0;
/// … in percent that a pause of one channel costs the others, …
const PAUSE_GOAL: f64 = 1.0;
/// … and in microseconds of the scheduler for each delivery. No post is refused, and none overtakes another.
const SCHEDULER_US_GOAL: f64 = 2.0;

fn main() {
    let scheduler = scheduler(100_000);
    let scheduler_met = scheduler <= SCHEDULER_US_GOAL;
    let scheduler = format!("scheduler_us={scheduler:.2} scheduler_us_goal={SCHEDULER_US_GOAL}");
    if std::env::var("PACING_ONLY").is_ok_and(|only| only == "scheduler") {
        return println!("bench=pacing {scheduler} load={} met={scheduler_met}", load_average());
    }
    let Measured { ideal, makespan, refused, inversions, cpu } = zipf();
    let over_ideal = (makespan.as_secs_f64() / ideal.as_secs_f64() - 1.0) * 100.0;
    let pause = (paused(true).as_secs_f64() / paused(false).as_secs_f64() - 1.0) * 100.0;
    let (few, many) = (lanes(100), lanes(100_000));
    let real = real_time() * 100.0;
    let met = over_ideal <= OVER_IDEAL_GOAL
        && refused == 0
        && inversions == 0
        && pause <= PAUSE_GOAL
        && scheduler_met
        && real <= REAL_TIME_GOAL;
    println!(
        "bench=pacing posts={POSTS} channels={CHANNELS} workspaces={WORKSPACES} ideal_s={:.1} makespan_s={:.1} \
         over_ideal_percent={over_ideal:.2} over_ideal_percent_goal={OVER_IDEAL_GOAL} \
         refused_429={refused} refused_429_goal=0 inversions={inversions} inversions_goal=0 \
         pause_costs_others_percent={pause:.2} pause_costs_others_percent_goal={PAUSE_GOAL} {scheduler} \
         cpu_per_delivery_100_lanes_us={few:.1} cpu_per_delivery_100000_lanes_us={many:.1} more_us={:.1} \
         real_time_over_ideal_percent={real:.1} real_time_over_ideal_percent_goal={REAL_TIME_GOAL} cpu_s={:.1} \
         profile={} load={} met={met}",
        ideal.as_secs_f64(),
        makespan.as_secs_f64(),
        many - few,
        cpu.as_secs_f64(),
        if cfg!(debug_assertions) { "debug" } else { "release" },
        load_average(),
    );
}

struct Measured {
    ideal: Duration,
    makespan: Duration,
    refused: u64,
    inversions: usize,
    cpu: Duration,
}

/// How many posts each channel gets: its share is one over its rank.
fn shares() -> Vec<usize> {
    // Rounded so that the sum of all is right.
    let weights = |ranks| (1..=ranks).map(|rank| 1_000_000_000_000 / rank).sum::<usize>();
    let sum = weights(CHANNELS);
    let up_to = |rank| (POSTS * weights(rank) + sum / 2) / sum;
    let shares: Vec<usize> = (1..=CHANNELS).map(|rank| up_to(rank) - up_to(rank - 1)).collect();
    assert_eq!(shares.iter().sum::<usize>(), POSTS);
    shares
}

/// Everybody's posts in one order, as dice would have it: always the same.
fn shuffled(shares: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> =
        shares.iter().enumerate().flat_map(|(channel, posts)| std::iter::repeat_n(channel, *posts)).collect();
    let mut dice = 1_u64;
    for last in (1..order.len()).rev() {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (dice >> 33) as usize % (last + 1));
    }
    order
}

/// How long `posts` take where any `window` holds `limit` at most: the first ones go at once.
fn least(posts: usize, limit: usize, window: Duration) -> Duration {
    window * u32::try_from(posts.saturating_sub(1) / limit).unwrap()
}

fn zipf() -> Measured {
    let shares = shares();
    let mut per_workspace = [0; WORKSPACES];
    shares.iter().enumerate().for_each(|(channel, posts)| per_workspace[channel % WORKSPACES] += posts);
    let by_channel = shares.iter().map(|posts| least(*posts, 1, WINDOW));
    let by_workspace = per_workspace
        .iter()
        .flat_map(|posts| [least(*posts, PER_WINDOW, WINDOW), least(*posts, PER_MINUTE, MINUTE)]);
    let ideal = by_channel.chain(by_workspace).max().unwrap();

    paused_runtime().block_on(async {
        let clock = Arc::new(clock());
        let mut office = Office::new(&clock, WORKSPACES, CHANNELS);
        let order = shuffled(&shares);
        let (started, cpu_before) = (clock.now(), cpu());
        office.receive(order.iter().copied()).await;
        office.run(order.len()).await;
        let posts: Vec<_> = (0..WORKSPACES).map(|workspace| office.posts(workspace)).collect();
        let last = posts.iter().flatten().map(|(at, ..)| *at).max().unwrap();
        Measured {
            ideal,
            makespan: last.saturating_since(started),
            refused: office.slacks.iter().map(SlackSim::limit_violations).sum(),
            inversions: posts.iter().map(|posts| inversions(posts)).sum(),
            cpu: cpu() - cpu_before,
        }
    })
}

/// Forty channels with fifty posts each; with a pause of 30 s for the first. The mean time of the others' posts.
fn paused(pause: bool) -> Duration {
    paused_runtime().block_on(async {
        let clock = Arc::new(clock());
        let mut office = Office::new(&clock, 1, 40);
        let started = clock.now();
        if pause {
            let key =
                QuotaKey::new(format!("slack/W0/channel/{}", ml_connector_slack::channel(&channel_id(0))));
            office
                .limiter
                .report(&key, Feedback::PausedUntil(started + Duration::from_secs(30)), started)
                .await
                .unwrap();
        }
        office.receive((0..2_000).map(|post| post % 40)).await;
        office.run(2_000).await;
        let others: Vec<Duration> = office
            .posts(0)
            .iter()
            .filter(|(_, channel, _)| *channel != channel_id(0))
            .map(|(at, ..)| at.saturating_since(started))
            .collect();
        others.iter().sum::<Duration>() / u32::try_from(others.len()).unwrap()
    })
}

/// A lane for every record, and one quota for all of them.
fn ten_a_second(delivery: &Delivery) -> DeliveryPlan {
    let quota = Quota::Rolling { limit: 1, window: Duration::from_millis(100) };
    let costs = vec![Cost::one(QuotaKey::from("board"), Arc::new([quota]))];
    DeliveryPlan::new(LaneKey::from(&*delivery.event.entity.id)).costs(costs)
}

/// Microseconds of one delivery while `lanes` lanes wait for one quota, to a sink that does nothing: what differs is
/// the scheduler's, the log's and the memory's.
fn lanes(lanes: usize) -> f64 {
    const MEASURED: usize = 1_000;
    paused_runtime().block_on(async {
        let clock = Arc::new(clock());
        let done = Arc::<Mutex<usize>>::default();
        let taken = Arc::clone(&done);
        let connector = Connector::builder()
            .audit_log(MemoryLog::new())
            .clock(Arc::clone(&clock))
            .transport(SimTransport::new())
            .source(Ledger::new(0))
            .sink(
                Board::new(Repeat::Safe, move |deliveries| *taken.lock().unwrap() += deliveries)
                    .planning(ten_a_second),
            )
            .route(Route::new("all").to("board", "x".into()))
            .build()
            .unwrap();
        let request =
            |from, to| Request::post("/ledger").body(Bytes::from(format!("invoice {from} {to}"))).unwrap();
        for from in (0..lanes + MEASURED).step_by(1_000) {
            let to = (from + 1_000).min(lanes + MEASURED);
            assert_eq!(connector.receive(request(from, to)).await.status(), 200);
        }
        let running = tokio::spawn(async move { connector.run(std::future::pending()).await });
        // Until everything is resolved and the first deliveries have found the quota full.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = *done.lock().unwrap();
        let started = cpu();
        tokio::time::sleep(Duration::from_secs(MEASURED as u64 / 10)).await;
        let per = (cpu() - started).as_secs_f64() * 1e6 / (*done.lock().unwrap() - before) as f64;
        running.abort();
        per
    })
}

/// Microseconds that the scheduler alone computes per delivery while so many lanes wait for one quota.
fn scheduler(lanes: u64) -> f64 {
    const MEASURED: u32 = 200_000;
    let mut scheduler = Scheduler::with_lanes(lanes);
    let started = cpu();
    assert!((0..MEASURED).all(|_| scheduler.deliver()));
    (cpu() - started).as_secs_f64() * 1e6 / f64::from(MEASURED)
}

/// Fifty channels of 13 workspaces, five posts each, on the system's clock. How much longer than ideal it takes.
fn real_time() -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        // Four channels a workspace at most: then only the channels' pace counts.
        let mut office = Office::new(&clock, 13, 50);
        office.receive((0..250).map(|post| post % 50)).await;
        office.run(250).await;
        let posts: Vec<_> = (0..13).flat_map(|workspace| office.posts(workspace)).collect();
        let first = posts.iter().map(|(at, ..)| *at).min().unwrap();
        let last = posts.iter().map(|(at, ..)| *at).max().unwrap();
        last.saturating_since(first).as_secs_f64() / least(5, 1, WINDOW).as_secs_f64() - 1.0
    })
}

/// How long this thread has computed; without Linux, how long it has been.
fn cpu() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let started = STARTED.get_or_init(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| started.elapsed(), Duration::from_nanos)
}

fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn clock() -> TokioClock {
    TokioClock::starting_at(Timestamp::from_secs(1_772_460_000))
}

fn channel_id(channel: usize) -> String {
    format!("C{channel:09}")
}

/// How many posts stand before one that was promised earlier, channel by channel.
fn inversions(posts: &[(Timestamp, String, u64)]) -> usize {
    let mut last = HashMap::new();
    posts.iter().filter(|(_, channel, n)| last.insert(channel, *n).is_some_and(|before| before > *n)).count()
}

/// Workspaces, a source that has a kind of record for each channel, and a connector.
struct Office {
    slacks: Vec<SlackSim>,
    limiter: Arc<MemoryRateLimiter>,
    connector: Connector,
    next: BTreeMap<usize, usize>,
}

impl Office {
    fn new(clock: &Arc<impl Clock>, workspaces: usize, channels: usize) -> Self {
        let in_workspace = |workspace: usize| (workspace..channels).step_by(workspaces);
        let slacks: Vec<SlackSim> = (0..workspaces)
            .map(|workspace| {
                let mut config = SlackConfig::default();
                config.conditions = Conditions::kind();
                config.channels =
                    in_workspace(workspace).map(|n| Channel::new(&channel_id(n), &format!("c{n}"))).collect();
                SlackSim::with_config(Arc::clone(clock) as Arc<dyn Clock>, config)
            })
            .collect();
        let limiter = Arc::new(MemoryRateLimiter::new());
        let mut transport = SimTransport::new();
        for (workspace, slack) in slacks.iter().enumerate() {
            transport = transport.with_router(&format!("https://w{workspace}.example"), slack.router());
        }
        let mut builder = Connector::builder()
            .audit_log(MemoryLog::new())
            .rate_limiter(Arc::clone(&limiter))
            .clock(Arc::clone(clock))
            .transport(transport);
        for (workspace, slack) in slacks.iter().enumerate() {
            let sink = Slack::builder(format!("w{workspace}"))
                .token(slack.bot_token())
                .base_url(format!("https://w{workspace}.example"))
                .workspace(format!("W{workspace}"));
            builder = builder.sink(sink.build().unwrap());
        }
        builder = builder.source(Ledger::new(channels));
        for channel in 0..channels {
            let to = ml_connector_slack::channel(&channel_id(channel));
            builder = builder.route(
                Route::new(format!("r{channel}"))
                    .on(format!("k{channel}.*").as_str())
                    .to(format!("w{}", channel % workspaces), to),
            );
        }
        Self { slacks, limiter, connector: builder.build().unwrap(), next: BTreeMap::new() }
    }

    /// One change for each channel named, in this order.
    async fn receive(&mut self, channels: impl IntoIterator<Item = usize>) {
        for channel in channels {
            let next = self.next.entry(channel).or_default();
            *next += 1;
            let body = Bytes::from(format!("k{channel} {next} {}", *next + 1));
            let request = Request::post("/ledger").body(body).unwrap();
            assert_eq!(self.connector.receive(request).await.status(), 200);
        }
    }

    /// Runs until everything is delivered.
    async fn run(&self, posts: usize) {
        let done = async {
            while self.connector.stats().delivered < posts as u64 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        self.connector.run(done).await;
        assert_eq!(self.connector.stats().dead, 0);
    }

    /// When, where, and which change of its channel.
    fn posts(&self, workspace: usize) -> Vec<(Timestamp, String, u64)> {
        let slack = &self.slacks[workspace];
        let workspaces = self.slacks.len();
        let channels = (workspace..self.next.len()).step_by(workspaces).map(channel_id);
        let n = |text: &serde_json::Value| text.as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
        channels
            .flat_map(|channel| slack.posts(&channel))
            .map(|post| (post.at, post.channel, n(&post.metadata["event_payload"]["resource_id"])))
            .collect()
    }
}

/// A source whose webhook names changes by number, and whose reads take no time.
#[derive(Debug)]
struct Ledger {
    info: SourceInfo,
}

impl Ledger {
    /// With so many kinds of records, `k0` and on.
    fn new(kinds: usize) -> Self {
        let mut info = SourceInfo::new(ConnectionId::from("ledger"), "bench");
        info.coalesce = Duration::ZERO;
        info.kinds = (0..kinds).map(|n| &*format!("k{n}").leak()).collect();
        Self { info }
    }
}

#[async_trait]
impl Source for Ledger {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        let body = std::str::from_utf8(request.request.body()).unwrap();
        let [kind, from, to] = body.split(' ').collect::<Vec<_>>()[..] else { unreachable!() };
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let signal = |n: usize| Signal::entity(EntityRef::new(kind, n.to_string()));
        Ok(Intake::accepted((from..to).map(signal).collect()))
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(&self, ctx: &Context, signals: &[Signal], _: Option<&Snapshot>) -> Result<Resolution> {
        let Subject::Entity(entity) = &signals[0].subject else { unreachable!() };
        let record = Record::new(RecordKind::from(&*entity.kind), Arc::clone(&entity.id), Status::Open);
        let revision = Revision::of(entity.id.as_bytes());
        let state = Observed::present(revision, record);
        Ok(Resolution::Observed(vec![Observation { entity: entity.clone(), read_at: ctx.now(), state }]))
    }

    async fn poll(&self, _: &Context, _: PollRequest<'_>) -> Result<Page> {
        unreachable!("it has no feeds")
    }

    async fn upkeep(&self, _: &Context, _: UpkeepRequest<'_>) -> Result<Upkeep> {
        Ok(Upkeep::new(Timestamp::MAX))
    }
}
