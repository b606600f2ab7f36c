//! Both other sides in one: the books that are read and the board on which is posted. Lives in the test's process.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

/// What was posted: a delivery and the event it brought.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Post {
    pub(crate) delivery: String,
    pub(crate) event: String,
    pub(crate) record: u64,
    pub(crate) version: u64,
}

#[derive(Debug, Default)]
struct Ledger {
    /// The process that may talk to us: what an earlier one sent before its death is not processed after it.
    generation: u64,
    versions: BTreeMap<u64, u64>,
    posts: Vec<Post>,
    found: usize,
    /// Posts of processes that are not listened to any more.
    stale: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Vendor {
    ledger: Mutex<Ledger>,
    posted: Notify,
}

impl Vendor {
    /// Starts serving on a free port.
    pub(crate) async fn serve() -> (Arc<Self>, SocketAddr) {
        let vendor = Arc::new(Self::default());
        let router = Router::new()
            .route("/records/{record}", get(read))
            .route("/posts/{delivery}", post(write).get(look_up))
            .with_state(Arc::clone(&vendor));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (vendor, address)
    }

    /// Somebody changes a record. Returns its version.
    pub(crate) fn change(&self, record: u64) -> u64 {
        let mut ledger = self.ledger.lock().unwrap();
        let version = ledger.versions.entry(record).or_default();
        *version += 1;
        *version
    }

    /// From now on only a new process is listened to. Returns its number.
    pub(crate) fn next_generation(&self) -> u64 {
        let mut ledger = self.ledger.lock().unwrap();
        ledger.generation += 1;
        ledger.generation
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.ledger.lock().unwrap().posts.clone()
    }

    /// How often a process posted after another had begun.
    pub(crate) fn stale(&self) -> usize {
        self.ledger.lock().unwrap().stale
    }

    /// How often a look-up found a post whose answer nobody had written down.
    pub(crate) fn found(&self) -> usize {
        self.ledger.lock().unwrap().found
    }

    /// Events that were posted more than once.
    pub(crate) fn repeated(&self) -> Vec<Post> {
        let (mut deliveries, mut events) = (BTreeSet::new(), BTreeSet::new());
        let mut posts = self.posts();
        posts.retain(|post| !(deliveries.insert(post.delivery.clone()) & events.insert(post.event.clone())));
        posts
    }

    /// Changes of which no post tells, neither in the version that was acknowledged nor in a later one.
    pub(crate) fn missing(&self, acknowledged: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut latest = BTreeMap::new();
        for post in self.posts() {
            let version = latest.entry(post.record).or_insert(0);
            *version = post.version.max(*version);
        }
        let told = |(record, version): &&(u64, u64)| latest.get(record).is_some_and(|told| told >= version);
        acknowledged.iter().filter(|change| !told(change)).copied().collect()
    }

    /// Waits until posts tell of all changes; returns the changes of which none does when nothing more is posted for
    /// so long.
    pub(crate) async fn missing_after(
        &self,
        acknowledged: &[(u64, u64)],
        patience: Duration,
    ) -> Vec<(u64, u64)> {
        loop {
            let posted = self.posted.notified();
            let missing = self.missing(acknowledged);
            if missing.is_empty() || tokio::time::timeout(patience, posted).await.is_err() {
                return missing;
            }
        }
    }
}

impl Ledger {
    fn listens_to(&self, headers: &HeaderMap) -> bool {
        headers
            .get("generation")
            .is_some_and(|value| value.as_bytes() == self.generation.to_string().as_bytes())
    }
}

async fn read(State(vendor): State<Arc<Vendor>>, Path(record): Path<u64>) -> String {
    vendor.ledger.lock().unwrap().versions.get(&record).copied().unwrap_or(0).to_string()
}

/// The body is `event record version`.
async fn write(
    State(vendor): State<Arc<Vendor>>,
    Path(delivery): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let mut ledger = vendor.ledger.lock().unwrap();
    if !ledger.listens_to(&headers) {
        ledger.stale += 1;
        return StatusCode::GONE;
    }
    let words: Vec<&str> = body.split(' ').collect();
    let [event, record, version] = words[..] else { return StatusCode::BAD_REQUEST };
    ledger.posts.push(Post {
        delivery,
        event: event.to_owned(),
        record: record.parse().unwrap(),
        version: version.parse().unwrap(),
    });
    vendor.posted.notify_waiters();
    StatusCode::CREATED
}

async fn look_up(State(vendor): State<Arc<Vendor>>, Path(delivery): Path<String>) -> StatusCode {
    let mut ledger = vendor.ledger.lock().unwrap();
    let happened = ledger.posts.iter().any(|post| post.delivery == delivery);
    ledger.found += usize::from(happened);
    if happened { StatusCode::OK } else { StatusCode::NOT_FOUND }
}
