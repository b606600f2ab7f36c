//! The process that is killed: this test binary, started again with a job in its environment.

use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, HttpTransport, Result, Secret, SystemClock, TokenStore,
    auth::{Authenticator, Grant, OAuth2, OAuth2Config, Rotation},
    http::{Limits, ReqwestTransport, TransportError},
    rate::MemoryRateLimiter,
    token::{Stored, Swap, TokenKey},
};
use ml_connector_sql::{SqliteLog, SqliteTokenStore};

use super::{FLOOR, REFRESH, REQUEST};

/// How many swaps a refresh takes: the claim, the sending, the answer, the tokens.
const SWAPS: u32 = 4;

/// What the process has to do, and where it has to die.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) database: PathBuf,
    pub(super) token_url: String,
    pub(super) point: Option<Point>,
}

/// Where the process dies in the course of the refresh number [`REFRESH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    BeforeSwap(u32),
    AfterSwap(u32),
    BeforeRequest,
    AfterRequest,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeSwap(nth) => write!(f, "before-swap {nth}"),
            Self::AfterSwap(nth) => write!(f, "after-swap {nth}"),
            Self::BeforeRequest => f.write_str("before-request 1"),
            Self::AfterRequest => f.write_str("after-request 1"),
        }
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (point, nth) = text.split_once(' ').ok_or("expected a point and a number")?;
        let nth = nth.parse().map_err(|_| "expected a number")?;
        match point {
            "before-swap" => Ok(Self::BeforeSwap(nth)),
            "after-swap" => Ok(Self::AfterSwap(nth)),
            "before-request" => Ok(Self::BeforeRequest),
            "after-request" => Ok(Self::AfterRequest),
            other => Err(format!("no such point: {other}")),
        }
    }
}

/// What the process says when its token is another one, or there is none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Token(u32),
    ReconnectRequired,
}

impl Said {
    /// The test harness prints on the same lines.
    pub(super) fn parse(line: &str) -> Option<Self> {
        if line.ends_with("reconnect required") {
            return Some(Self::ReconnectRequired);
        }
        line.split_once("has token a")?.1.parse().ok().map(Self::Token)
    }
}

impl Job {
    /// This test binary, as [`host`] with this job.
    pub(super) fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["tokens::host::host", "--exact", "--nocapture"])
            .env("TOKENS_DATABASE", &self.database)
            .env("TOKENS_URL", &self.token_url);
        if let Some(point) = self.point {
            command.env("TOKENS_POINT", point.to_string());
        }
        command
    }

    fn from_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        Some(Self {
            database: variable("TOKENS_DATABASE")?.into(),
            token_url: variable("TOKENS_URL")?,
            point: variable("TOKENS_POINT").map(|text| text.parse().unwrap()),
        })
    }
}

/// Asks for a token all the time, and says when it is another one, until its input is closed or it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host() {
    let Some(job) = Job::from_environment() else { return };
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let tokens = SqliteLog::open(&job.database).unwrap().token_store();
    let store = FailingStore { inner: tokens, point: job.point, swaps: AtomicU32::new(0) };
    let transport =
        FailingTransport { inner: ReqwestTransport::new(), point: job.point, requests: AtomicU32::new(0) };
    let limiter = Arc::new(MemoryRateLimiter::new());
    let ctx = Context::new(Arc::new(transport), Arc::new(store), limiter, Arc::new(SystemClock));
    let oauth = OAuth2::new(TokenKey::new(&"books".into()), config(&job.token_url)).unwrap();
    let mut last = String::new();
    loop {
        let now = match oauth.authorize(&ctx).await {
            Ok(token) => token.header().to_str().unwrap().replace("Bearer ", "has token "),
            // It may be a pause.
            Err(_) if oauth.status(&ctx).await.is_ok_and(|s| s.is_some_and(|s| s.reconnect_required)) => {
                "reconnect required".to_owned()
            }
            Err(error) => error.to_string(),
        };
        if now != last {
            println!("\n{now}");
            io::stdout().flush().unwrap();
            last = now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn config(token_url: &str) -> OAuth2Config {
    let grant = Grant::RefreshToken { initial: Some(Secret::from("r0")) };
    let mut config = OAuth2Config::new("test", token_url.parse().unwrap(), "app", Secret::from("s"), grant);
    config.rotation = Rotation::RetryOnce;
    config.not_before = FLOOR;
    config.request_time = REQUEST;
    config.max_per_10_minutes = 1000;
    config
}

/// No destructor runs, nothing is flushed.
fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

/// Kills its process around a swap.
#[derive(Debug)]
struct FailingStore {
    inner: SqliteTokenStore,
    point: Option<Point>,
    swaps: AtomicU32,
}

#[async_trait]
impl TokenStore for FailingStore {
    async fn load(&self, key: &TokenKey) -> Result<Option<Stored>> {
        self.inner.load(key).await
    }

    async fn swap(&self, key: &TokenKey, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        let nth = (self.swaps.fetch_add(1, Ordering::SeqCst) + 1).checked_sub((REFRESH - 1) * SWAPS);
        if nth.is_some() && self.point == nth.map(Point::BeforeSwap) {
            die();
        }
        let swapped = self.inner.swap(key, expected, value).await;
        if nth.is_some() && self.point == nth.map(Point::AfterSwap) {
            die();
        }
        swapped
    }
}

/// Kills its process around a request.
#[derive(Debug)]
struct FailingTransport {
    inner: ReqwestTransport,
    point: Option<Point>,
    requests: AtomicU32,
}

#[async_trait]
impl HttpTransport for FailingTransport {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let is_the_one = self.requests.fetch_add(1, Ordering::SeqCst) + 1 == REFRESH;
        if is_the_one && self.point == Some(Point::BeforeRequest) {
            die();
        }
        let answer = self.inner.send(request, limits).await;
        if is_the_one && self.point == Some(Point::AfterRequest) {
            die();
        }
        answer
    }
}
