//! Ten thousand messages to two hundred channels of one workspace, while Slack loses answers, fails, and says "too
//! often" at random: in virtual time.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Clock, Connector, Context, HttpTransport, PollRequest, ReceiveRequest, Result, Source, SourceInfo,
    Timestamp, TokioClock, UpkeepRequest,
    audit::MemoryLog,
    http::{Limits, Phase, TransportError},
    model::{
        ConnectionId, EntityRef, Intake, Observation, Observed, Page, Prompt, Record, RecordKind, Resolution,
        Revision, Signal, Status, Subject, Upkeep,
    },
    rate::MemoryRateLimiter,
    route::Route,
    snapshot::Snapshot,
};
use ml_connector_sim::{
    Conditions, Fault, SimTransport, SlackSim,
    slack::{Channel, SlackConfig},
};
use ml_connector_slack::{History, Slack, channel};

const CHANNELS: usize = 200;
const MESSAGES: usize = 10_000;

/// What happens on the way, of a thousand calls.
const LOST_ANSWERS: u64 = 10;
const FAILURES: u64 = 10;
const TOO_OFTEN: u64 = 5;

/// Slack behind a bad line. What it says of limits has to be kept, too.
#[derive(Debug)]
struct Line {
    sim: SimTransport,
    clock: Arc<TokioClock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seed: u64,
    not_before: HashMap<String, Timestamp>,
    too_early: usize,
    struck: [usize; 4],
}

impl State {
    /// A number below `below`: the same numbers in every run.
    fn draw(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }
}

enum Fate {
    Good,
    /// Slack has acted; nobody hears of it.
    Lost,
    /// A failing server, which may have acted.
    Failed {
        acted: bool,
    },
    TooOften {
        secs: u64,
    },
}

impl Line {
    fn fate(&self, request: &Request<Bytes>) -> Fate {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let key = key(request);
        if state.not_before.get(&key).is_some_and(|until| now < *until) {
            state.too_early += 1;
        }
        let fate = state.draw(1000);
        let (kind, fate) = match fate {
            fate if fate < LOST_ANSWERS => (0, Fate::Lost),
            fate if fate < LOST_ANSWERS + FAILURES => (1, Fate::Failed { acted: state.draw(2) == 0 }),
            fate if fate < LOST_ANSWERS + FAILURES + TOO_OFTEN => {
                let secs = 1 + state.draw(5);
                state.not_before.insert(key, now + Duration::from_secs(secs));
                (2, Fate::TooOften { secs })
            }
            _ => (3, Fate::Good),
        };
        state.struck[kind] += 1;
        fate
    }
}

/// What a 429 for this call pauses at least: the channel for a post, else the method.
fn key(request: &Request<Bytes>) -> String {
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
    format!("{} {}", request.uri().path(), body["channel"].as_str().unwrap_or_default())
}

#[async_trait]
impl HttpTransport for Line {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let lost = || TransportError::new(Phase::Written, "the line went dead");
        match self.fate(&request) {
            Fate::Good => self.sim.send(request, limits).await,
            Fate::Lost => self.sim.send(request, limits).await.and(Err(lost())),
            Fate::Failed { acted } => {
                if acted {
                    self.sim.send(request, limits).await?;
                }
                Ok(Response::builder().status(503).body(Bytes::from("<html>try again</html>")).unwrap())
            }
            Fate::TooOften { secs } => Ok(Response::builder()
                .status(429)
                .header("retry-after", secs)
                .body(Bytes::from(r#"{"ok":false,"error":"ratelimited"}"#))
                .unwrap()),
        }
    }
}

/// A source of records that are there when they are named.
#[derive(Debug)]
struct Ledger {
    info: SourceInfo,
}

impl Ledger {
    /// With so many kinds of records, `k0` and on.
    fn new(kinds: usize) -> Self {
        let mut info = SourceInfo::new(ConnectionId::from("ledger"), "test");
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
        let signal = |line: &str| {
            let (kind, id) = line.split_once(' ').unwrap();
            Signal::entity(EntityRef::new(kind, id))
        };
        Ok(Intake::accepted(body.lines().map(signal).collect()))
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

fn id(n: usize) -> String {
    format!("C{n:09}")
}

fn workspace(clock: &Arc<TokioClock>) -> SlackSim {
    let mut config = SlackConfig::default();
    config.channels = (0..CHANNELS).map(|n| Channel::new(&id(n), &format!("c{n}"))).collect();
    // What Slack shows late must not be taken for lost.
    config.history_lag = Duration::from_secs(2);
    SlackSim::with_config(Arc::clone(clock) as Arc<dyn Clock>, config)
}

fn connector(clock: &Arc<TokioClock>, slack: &SlackSim, line: Arc<dyn HttpTransport>) -> Connector {
    let sink = Slack::builder("slack").token(slack.bot_token()).workspace("T07LEDGER1").build().unwrap();
    let builder = Connector::builder()
        .audit_log(MemoryLog::new())
        .rate_limiter(MemoryRateLimiter::new())
        .clock(Arc::clone(clock))
        .transport(line)
        .source(Ledger::new(CHANNELS))
        .sink(sink);
    let routed = (0..CHANNELS).fold(builder, |builder, n| {
        // Some by name: these have to be looked up over the same line.
        let to = if n % 10 == 0 { channel(&format!("#c{n}")) } else { channel(&id(n)) };
        builder.route(Route::new(format!("r{n}")).on(format!("k{n}.*").as_str()).to("slack", to))
    });
    routed.build().unwrap()
}

// Proves: posted_once, order.
#[tokio::test(start_paused = true)]
async fn ten_thousand_messages_arrive_once_and_in_order_over_a_bad_line() {
    let clock = Arc::new(TokioClock::starting_at(Timestamp::from_secs(1_772_460_000)));
    let slack = workspace(&clock);
    let line = Arc::new(Line {
        sim: SimTransport::new().with_slack(&slack),
        clock: Arc::clone(&clock),
        state: Mutex::new(State { seed: 7, ..State::default() }),
    });
    let connector = connector(&clock, &slack, Arc::clone(&line) as _);
    for round in 0..MESSAGES / CHANNELS {
        let lines: Vec<_> = (0..CHANNELS).map(|n| format!("k{n} {}", round + 1)).collect();
        let request = Request::post("/ledger").body(Bytes::from(lines.join("\n"))).unwrap();
        assert_eq!(connector.receive(request).await.status(), 200);
    }
    let done = async {
        while connector.stats().delivered + connector.stats().dead < MESSAGES as u64 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let began = clock.now();
    connector.run(done).await;
    let took = clock.now().saturating_since(began);

    let stats = connector.stats();
    assert_eq!((stats.delivered, stats.dead), (MESSAGES as u64, 0), "{stats:?}");
    for n in 0..CHANNELS {
        let posts = slack.posts(&id(n));
        let told = |post: &ml_connector_sim::slack::Posted| {
            post.metadata["event_payload"]["resource_id"].as_str().unwrap().parse::<usize>().unwrap()
        };
        let expected: Vec<usize> = (1..=MESSAGES / CHANNELS).collect();
        assert_eq!(posts.iter().map(told).collect::<Vec<_>>(), expected, "channel {n}");
    }
    assert_eq!(slack.duplicates(), [""; 0]);
    let state = line.state.lock().unwrap();
    let [lost, failed, too_often, _] = state.struck;
    assert!(lost > 80 && failed > 80 && too_often > 30, "{:?}", state.struck);
    assert_eq!(state.too_early, 0, "a pause that Slack asked for was not kept");
    assert_eq!(
        (slack.limit_violations(), slack.ignored_retry_afters()),
        (0, 0),
        "429s that could be avoided"
    );
    // 240 a minute, and what the pauses cost.
    let ideal = Duration::from_secs(60 * MESSAGES as u64 / 240);
    assert!(took < ideal * 5 / 4, "{took:?} instead of {ideal:?}");
    let distinct: HashSet<_> = (0..CHANNELS)
        .flat_map(|n| slack.posts(&id(n)))
        .filter_map(|post| post.delivery_id().map(str::to_owned))
        .collect();
    assert_eq!(distinct.len(), MESSAGES);
}

/// Calls of one minute arrive in the next one, and the other way round: Slack counts when they arrive. Four hundred messages
/// are more than a workspace takes in a minute, and twenty at once more than a channel takes in a second.
// Proves: limits_of_slack.
#[tokio::test(start_paused = true)]
async fn four_hundred_messages_over_a_jittery_line_exceed_no_limit() {
    const BUSY: usize = 20;
    for seed in 1..=3 {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_secs(1_772_460_000)));
        let slack = workspace(&clock);
        let mut line = Conditions::ordinary();
        line.seed = seed;
        slack.set_conditions(line);
        let connector = connector(&clock, &slack, Arc::new(SimTransport::new().with_slack(&slack)));
        for round in 0..400 / BUSY {
            let lines: Vec<_> = (0..BUSY).map(|n| format!("k{n} {}", round + 1)).collect();
            let request = Request::post("/ledger").body(Bytes::from(lines.join("\n"))).unwrap();
            assert_eq!(connector.receive(request).await.status(), 200);
        }
        let done = async {
            while connector.stats().delivered < 400 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        connector.run(done).await;
        assert!((0..BUSY).all(|n| slack.posts(&id(n)).len() == 400 / BUSY));
        assert_eq!((slack.limit_violations(), slack.ignored_retry_afters()), (0, 0), "seed {seed}");
    }
}

/// As for apps that are sold, but not listed: one look a minute, for all channels together.
#[tokio::test(start_paused = true)]
async fn lost_posts_are_found_or_made_again_also_when_history_is_read_once_a_minute() {
    const LOST: usize = 12;
    let clock = Arc::new(TokioClock::starting_at(Timestamp::from_secs(1_772_460_000)));
    let mut config = SlackConfig::default();
    config.channels = (0..LOST).map(|n| Channel::new(&id(n), &format!("c{n}"))).collect();
    config.restricted_history = true;
    let slack = SlackSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, config);
    for n in 0..LOST {
        let fault = Fault::timeout().on("/chat.postMessage").target(&id(n));
        slack.plant(if n % 3 == 0 { fault.having_acted() } else { fault });
    }
    let sink = Slack::builder("slack").token(slack.bot_token()).workspace("T07LEDGER1");
    let builder = Connector::builder()
        .audit_log(MemoryLog::new())
        .clock(Arc::clone(&clock))
        .transport(SimTransport::new().with_slack(&slack))
        .source(Ledger::new(LOST))
        .sink(sink.history(History::restricted()).build().unwrap());
    let routed = (0..LOST).fold(builder, |builder, n| {
        builder.route(Route::new(format!("r{n}")).on(format!("k{n}.*").as_str()).to("slack", channel(&id(n))))
    });
    let connector = routed.build().unwrap();
    let lines: Vec<_> = (0..LOST).map(|n| format!("k{n} 1")).collect();
    let request = Request::post("/ledger").body(Bytes::from(lines.join("\n"))).unwrap();
    assert_eq!(connector.receive(request).await.status(), 200);
    connector.run(tokio::time::sleep(Duration::from_secs(3 * 3600))).await;

    assert_eq!((connector.stats().delivered, connector.stats().dead), (LOST as u64, 0));
    assert!((0..LOST).all(|n| slack.posts(&id(n)).len() == 1));
    assert_eq!((slack.limit_violations(), slack.ignored_retry_afters()), (0, 0));
}
