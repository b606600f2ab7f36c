//! The vendors on loopback ports, one process after another between them, and people who click.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use ml_connector_core::{
    HttpTransport, Money, SystemClock,
    http::{Limits, ReqwestTransport},
    model::Decimal,
};
use ml_connector_sim::{
    BusinessCentralSim, Conditions, Served, SlackSim,
    bc::{BusinessCentralConfig, NewDocument, Set},
    serve,
    slack::Posted,
};
use ml_connector_slack::message::money;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{
    APPROVALS, APPROVE, PATIENCE,
    host::{JOB, LISTENS, WAITS, WORKS},
};
use crate::{
    proof::{Dice, pause::pause},
    way_back::{REASON, REJECT, TOO_DEAR, workspace},
};

/// Invoices of both sides, by turns.
pub(super) const SETS: [Set; 2] = [Set::PurchaseInvoices, Set::SalesInvoices];
const DATABASE: &str = "connector.db";

/// A document, and everything that anybody saw of it when they clicked.
pub(super) struct Invoice {
    set: Set,
    pub(super) id: String,
    pub(super) number: String,
    /// The totals that it has had, oldest first.
    totals: Vec<Decimal>,
    /// The totals on the cards that were clicked on, by those who may approve.
    pub(super) seen: Vec<Decimal>,
}

pub(super) struct Office {
    pub(super) erp: BusinessCentralSim,
    pub(super) slack: SlackSim,
    pub(super) dice: Dice,
    /// How many processes ended, or were paused, by force.
    pub(super) deaths: usize,
    /// By number: the clicks that a process took.
    pub(super) clicks: BTreeMap<String, usize>,
    pub(super) process: Option<Process>,
    directory: TempDir,
    job: String,
    transport: Arc<ReqwestTransport>,
    front: Front,
    _servers: [Served; 3],
}

impl Office {
    pub(super) async fn open(seed: u64) -> Self {
        let transport = Arc::new(ReqwestTransport::new());
        let front = Front::default();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let front_server = serve(front.router(&transport), free).await.unwrap();
        let public = format!("{}/hooks", front_server.url());
        let mut config = BusinessCentralConfig::default();
        config.seed = seed + 1;
        let erp = BusinessCentralSim::with_config(Arc::new(SystemClock), config);
        let mut people = workspace();
        people.request_url = Some(format!("{public}/slack").parse().unwrap());
        let slack = SlackSim::with_config(Arc::new(SystemClock), people);
        // The network is real here.
        erp.set_conditions(Conditions::kind());
        slack.set_conditions(Conditions::kind());
        erp.tune(|tuning| tuning.notice_after = Duration::ZERO);
        erp.set_hooks(Arc::clone(&transport) as _);
        let erp_server = serve(erp.router(), free).await.unwrap();
        let slack_server = serve(slack.router(), free).await.unwrap();
        erp.set_origin(&erp_server.url());
        slack.set_hooks_origin(&slack_server.url());
        let (directory, known) = (TempDir::new().unwrap(), erp.credentials());
        let job = json!({
            "database": directory.path().join(DATABASE), "public": public,
            "erp": erp_server.url(), "slack": slack_server.url(), "tenant": known.tenant,
            "environment": known.environment, "company": known.company_id, "client": known.client_id,
            "client_secret": known.client_secret, "poster": known.poster_id,
            "poster_secret": known.poster_secret, "token": slack.bot_token(),
            "signing_secret": slack.signing_secret().expose(),
        });
        let mut office = Self {
            erp,
            slack,
            dice: Dice::new(seed),
            deaths: 0,
            clicks: BTreeMap::new(),
            process: None,
            directory,
            job: job.to_string(),
            transport,
            front,
            _servers: [front_server, erp_server, slack_server],
        };
        office.replace(false).await;
        office.current().says(WORKS).await;
        let erp = office.erp.clone();
        until("the company's notices come", || erp.subscriptions().len() == SETS.len()).await;
        office
    }

    pub(super) fn database(&self) -> PathBuf {
        self.directory.path().join(DATABASE)
    }

    /// Another process takes the webhooks from now on. Returns the one before.
    pub(super) async fn replace(&mut self, waits: bool) -> Option<Process> {
        let process = Process::start(&self.job, waits).await;
        self.front.leads_to(process.address);
        self.process.replace(process)
    }

    pub(super) fn current(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Sends a request until a process has taken it.
    async fn send(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let taken = async {
            loop {
                let limits = Limits::within(Duration::from_secs(5));
                match self.transport.send(request.clone(), limits).await {
                    Ok(answer) if answer.status() == StatusCode::OK => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.expect("a process takes webhooks")
    }

    /// Tells what happened in the company.
    pub(super) async fn tell(&self) {
        for batch in self.erp.take_notices() {
            let answer = self.send(&batch.request).await;
            self.erp.settle_notice(&batch, &Ok(answer));
        }
    }

    pub(super) fn enter(&mut self, n: usize) -> Invoice {
        let total = Decimal::new(95_300 + i64::try_from(n).unwrap(), 2);
        // The number of plots is odd: each is played with both.
        let set = SETS[n % SETS.len()];
        let new = match set {
            Set::PurchaseInvoices => {
                NewDocument::new("Northline Packaging", total).vendor_invoice_number(format!("NP-{n:04}"))
            }
            _ => NewDocument::new("Osprey Foods", total),
        };
        let id = self.erp.create(set, &new);
        let number = self.erp.field(set, &id, "number").unwrap();
        Invoice { set, id, number, totals: vec![total], seen: Vec::new() }
    }

    /// Somebody edits it.
    pub(super) fn edit(&self, invoice: &mut Invoice) {
        let total = invoice.totals[0] + Decimal::from(invoice.totals.len());
        self.erp.set_total(invoice.set, &invoice.id, total).unwrap();
        invoice.totals.push(total);
    }

    /// The newest card about an invoice with this button.
    pub(super) fn card(&self, invoice: &Invoice, button: &str) -> Option<Posted> {
        let about =
            |card: &Posted| card.text.contains(&invoice.number) && card.blocks.to_string().contains(button);
        self.slack.posts(APPROVALS).into_iter().rfind(about)
    }

    /// Somebody clicks on a card, if it has the button, and a process takes the click.
    pub(super) async fn click(&mut self, invoice: &mut Invoice, button: &str, user: &str) -> bool {
        let Some(card) = self.card(invoice, button) else { return false };
        let written: &[_] = if button == REJECT { &[(REASON, TOO_DEAR)] } else { &[] };
        if self.slack.click_with(APPROVALS, &card.ts, button, user, written).is_err() {
            return false;
        }
        let shown = card.blocks.to_string();
        let shows =
            |total: &&Decimal| shown.contains(&money(&Money::parse(&total.to_string(), "USD").unwrap()));
        invoice.seen.extend(invoice.totals.iter().rfind(shows));
        *self.clicks.entry(invoice.number.clone()).or_default() += 1;
        for delivery in self.slack.take_deliveries() {
            let answer = self.send(&delivery.request).await;
            self.slack.settle(delivery, Ok(answer));
        }
        true
    }

    /// Somebody may look at the number of calls that posted an invoice, or tried to: how many were not refused.
    pub(super) fn attempts(&self, invoice: &Invoice) -> (usize, usize) {
        let path = format!("({})/Microsoft.NAV.post", invoice.id);
        let calls: Vec<_> =
            self.erp.received().into_iter().filter(|call| call.path.ends_with(&path)).collect();
        let refused = calls.iter().filter(|call| call.status.is_some_and(|status| status.is_client_error()));
        let refused = refused.count();
        (calls.len() - refused, refused)
    }

    /// Whether its card says why it was rejected, and asks nobody any more.
    pub(super) fn is_rejected(&self, invoice: &Invoice) -> bool {
        let card = |button| self.card(invoice, button);
        card(TOO_DEAR).is_some() && card(APPROVE).is_none()
    }

    pub(super) fn is_posted(&self, invoice: &Invoice) -> bool {
        self.erp.postings().iter().any(|posting| posting.id == invoice.id)
    }
}

/// A fixed address in front of whichever process there is.
#[derive(Clone, Default)]
struct Front(Arc<Mutex<Option<SocketAddr>>>);

impl Front {
    fn leads_to(&self, address: SocketAddr) {
        *self.0.lock().unwrap() = Some(address);
    }

    fn router(&self, transport: &Arc<ReqwestTransport>) -> Router {
        let (front, transport) = (self.clone(), Arc::clone(transport));
        Router::new().fallback(move |request: Request<Body>| {
            let (front, transport) = (front.clone(), Arc::clone(&transport));
            async move { front.pass_on(request, &transport).await }
        })
    }

    async fn pass_on(&self, request: Request<Body>, transport: &ReqwestTransport) -> Response<Body> {
        let unavailable =
            || Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty()).unwrap();
        let (mut parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, 8 << 20).await else { return unavailable() };
        let Some(address) = *self.0.lock().unwrap() else { return unavailable() };
        parts.uri = format!("http://{address}{}", parts.uri.path_and_query().unwrap()).parse().unwrap();
        parts.headers.remove(http::header::HOST);
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let passed = transport.send(Request::from_parts(parts, body), Limits::within(Duration::from_secs(4)));
        passed.await.map_or_else(|_| unavailable(), |answer| answer.map(Body::from))
    }
}

/// A connector in a process of its own.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    async fn start(job: &str, waits: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["way_back::processes::host::host", "--exact", "--nocapture"]).env(JOB, job);
        if waits {
            command.env(WAITS, "1");
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = piped.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 1)), lines };
        process.address = process.says(LISTENS).await.parse().unwrap();
        process
    }

    /// Waits for a line that begins so, and returns the rest of it.
    pub(super) async fn says(&mut self, word: &str) -> String {
        let said = async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                if let Some(rest) = line.strip_prefix(word) {
                    return rest.to_owned();
                }
            }
            panic!("the process ended before it said: {word}")
        };
        tokio::time::timeout(PATIENCE, said)
            .await
            .unwrap_or_else(|_| panic!("the process never said: {word}"))
    }

    /// SIGKILL: no destructor runs, nothing is flushed.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGSTOP: nothing of it runs, and nobody is told.
    pub(super) async fn pause(&self, database: &Path) {
        pause(self.pid(), database).await;
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub(super) fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(status.expect("the process stops when it is asked to").unwrap().success());
    }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
