//! FreshBooks → Slack, killed at bad moments: what was answered is told once, also when callbacks have just been proven.

use std::{net::SocketAddr, path::Path, process::Stdio, sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{SystemClock, http::ReqwestTransport, model::Decimal};
use ml_connector_sim::{
    Conditions, Fault, FreshBooksSim, Served, SlackSim,
    freshbooks::{Client, Invoice},
    serve,
    slack::{Channel, SlackConfig},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{CHANNEL, PATIENCE, kill, program};

/// FreshBooks and Slack, which outlive the processes that talk to them.
struct Vendors {
    books: FreshBooksSim,
    slack: SlackSim,
    freshbooks: Served,
    web_api: Served,
    transport: ReqwestTransport,
}

impl Vendors {
    async fn start() -> Self {
        let books = FreshBooksSim::new(Arc::new(SystemClock));
        books.set_conditions(Conditions::kind());
        books.tune(|quirks| quirks.retries = vec![Duration::from_secs(1); 30]);
        let mut slack = SlackConfig::default();
        slack.conditions = Conditions::kind();
        slack.channels.push(Channel::new("C07EXECAL1", "exec-alerts"));
        let slack = SlackSim::with_config(Arc::new(SystemClock), slack);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let freshbooks = serve(books.router(), free).await.unwrap();
        let web_api = serve(slack.router(), free).await.unwrap();
        Self { books, slack, freshbooks, web_api, transport: ReqwestTransport::new() }
    }

    /// Starts the example at an address that stays, as a host's does.
    async fn example(&self, database: &Path, listen: &str) -> Child {
        let credentials = self.books.credentials();
        let mut child = Command::new(program("freshbooks_to_slack"))
            .env("FRESHBOOKS_ACCOUNT_ID", credentials.account_id)
            .env("FRESHBOOKS_TIME_ZONE", "America/Toronto")
            .env("FRESHBOOKS_CLIENT_ID", credentials.client_id)
            .env("FRESHBOOKS_CLIENT_SECRET", credentials.client_secret)
            .env("FRESHBOOKS_REDIRECT_URI", credentials.redirect_uri)
            .env("FRESHBOOKS_REFRESH_TOKEN", credentials.refresh_token)
            .env("FRESHBOOKS_API_URL", self.freshbooks.url())
            .env("SLACK_BOT_TOKEN", self.slack.bot_token())
            .env("SLACK_URL", self.web_api.url())
            .env("DATABASE", database)
            .env("LISTEN", listen)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("webhooks: ") {
                // Somebody has to read on: a program whose output is closed cannot go on printing.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return child;
            }
        }
        panic!("the example ended before it listened");
    }

    /// Delivers handshakes until every callback is proven.
    async fn proven(&self) {
        let proven = async {
            loop {
                self.books.deliver(&self.transport).await;
                let callbacks = self.books.callbacks();
                if callbacks.len() == 4 && callbacks.iter().all(|callback| callback.verified) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, proven).await.expect("the callbacks are proven");
    }

    /// An invoice is sent; its delivery is taken in by the example. What is proven at FreshBooks may not be written down
    /// there yet: then it is to be sent again.
    async fn invoice(&self) {
        let client = self.books.create(Client::new("Larkspur Dental Group")).unwrap();
        self.books.create(Invoice::new(client, Decimal::new(125_050, 2)).sent()).unwrap();
        let taken = async {
            loop {
                for attempt in self.books.deliver(&self.transport).await {
                    match attempt.status {
                        Some(StatusCode::OK) => return,
                        Some(StatusCode::SERVICE_UNAVAILABLE) => {}
                        other => panic!("the delivery was answered {other:?}"),
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.expect("the delivery is taken in");
    }

    /// Waits for the message, and then long enough for a second one.
    async fn one_message(&self) {
        let waited = async {
            while self.slack.posts(CHANNEL).is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("the message arrives");
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert_eq!(self.slack.posts(CHANNEL).len(), 1, "{:?}", self.slack.posts(CHANNEL));
    }
}

/// An address on which nobody listens.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn killed_after_the_answer_and_amid_a_post_it_tells_once_with_the_token_and_the_keys_it_has_stored() {
    let vendors = Vendors::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (database, listen) = (folder.path().join("connector.db"), free_address());
    let first = vendors.example(&database, &listen).await;
    vendors.proven().await;
    vendors.slack.plant(Fault::timeout().having_acted().on("/api/chat.postMessage"));
    vendors.invoice().await;
    let posted = async {
        while vendors.slack.posts(CHANNEL).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, posted).await.expect("the first message is posted");
    kill(first).await;

    // The refresh token in the environment is spent, and nobody hands the keys over again.
    let second = vendors.example(&database, &listen).await;
    vendors.one_message().await;
    assert_eq!(vendors.books.callbacks().len(), 4, "none is made again");
    let client = vendors.books.create(Client::new("<Osprey> & Sons")).unwrap();
    vendors.books.create(Invoice::new(client, Decimal::new(9_900, 2)).sent()).unwrap();
    let attempted = vendors.books.deliver(&vendors.transport).await;
    assert!(attempted.iter().all(|attempt| attempt.status == Some(StatusCode::OK)), "{attempted:?}");
    let told = async {
        while vendors.slack.posts(CHANNEL).len() < 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the second invoice is told");
    kill(second).await;
}

/// The process dies at moments of chance: when it takes something in, before it posts, amid posts, or when it has just begun.
/// `ML_KILLS=50` kills more often.
#[tokio::test]
async fn killed_at_moments_of_chance_it_tells_of_every_invoice_once() {
    let deaths: u64 = std::env::var("ML_KILLS").map_or(4, |text| text.parse().unwrap());
    let vendors = Arc::new(Vendors::start().await);
    // Deliveries go on while nobody listens.
    vendors.books.tune(|quirks| quirks.retries = vec![Duration::from_millis(500); 10_000]);
    let folder = tempfile::tempdir().unwrap();
    let (database, listen) = (folder.path().join("connector.db"), free_address());
    let mut process = vendors.example(&database, &listen).await;
    vendors.proven().await;
    let sender = Arc::clone(&vendors);
    let sending = tokio::spawn(async move {
        loop {
            sender.books.deliver(&sender.transport).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let client = vendors.books.create(Client::new("Larkspur Dental Group")).unwrap();
    let mut made = 0;
    let mut enter = || {
        made += 1;
        vendors.books.create(Invoice::new(client, Decimal::new(10_000 + made, 2)).sent()).unwrap();
        made
    };
    let mut seed = 20_261_130_u64;
    let mut moment = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((seed >> 33) % below)
    };
    for death in 0..deaths {
        let posted = vendors.slack.posts(CHANNEL).len();
        for _ in 0..3 {
            enter();
            tokio::time::sleep(moment(300)).await;
        }
        // Some die amid their posts, which begin once the limits of the process before are free again.
        if death % 2 == 0 {
            let posts = async {
                while vendors.slack.posts(CHANNEL).len() == posted {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(PATIENCE, posts).await.expect("it posts");
        }
        tokio::time::sleep(moment(2_500)).await;
        kill(process).await;
        enter();
        process = vendors.example(&database, &listen).await;
    }
    let all = usize::try_from(enter()).unwrap();
    let told = async {
        while vendors.slack.posts(CHANNEL).len() < all {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(2 * PATIENCE, told).await.is_err() {
        panic!("{} of {all} are told", vendors.slack.posts(CHANNEL).len());
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    let amounts: std::collections::BTreeSet<_> =
        vendors.slack.posts(CHANNEL).into_iter().map(|post| post.text).collect();
    assert_eq!((vendors.slack.posts(CHANNEL).len(), amounts.len()), (all, all), "{amounts:#?}");
    assert_eq!(vendors.slack.duplicates(), [""; 0]);
    sending.abort();
    kill(process).await;
}
