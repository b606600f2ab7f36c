//! Microsoft Dynamics 365 Business Central: API v2.0 of one environment, with Entra's token endpoint.
//!
//! **Enforced**: client credentials by secret and by assertion, applications that are not entered, the routes with and
//! without a tenant, filters and pages as the server drives them, etags with 409 or 412, what a posted invoice allows, ids
//! that stay and numbers that change, subscriptions with their handshake, their three days and their limit, notices with
//! merging, collections, retries and what a wrong answer costs, limits of calls and of calls at once.
//!
//! **Switchable** ([`BusinessCentralTuning`]): everything that was read in the published source or met by one client only.
//!
//! **Not enforced**: an assertion's signature; permissions by table; `$batch`; PDF documents; the content of attachments;
//! nested `$expand`; two companies with records. Amounts are computed without invoice discounts.

mod acts;
mod answer;
mod api;
mod auth;
mod config;
mod documents;
mod notifier;
mod posting;
mod query;
mod rows;
mod shapes;
mod subscriptions;
mod vendor;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use ml_connector_core::{Clock, HttpTransport, Result, Timestamp};
use serde_json::json;
use tower_service::Service as _;

use self::{auth::Auth, documents::How, notifier::Notifier, rows::Rows, subscriptions::Handshake};
pub use self::{
    config::{BusinessCentralConfig, BusinessCentralTuning, Credentials, Language, Refusal},
    documents::{NewDocument, Posting},
    notifier::{Batch, Notice, Subscription},
    shapes::Set,
};
use crate::toolkit::{
    conditions::Conditions,
    exchange::{Broken, Received},
    faults::{Fault, locked},
    gate::{self, Gate},
    seed::Seed,
    transport::SimTransport,
    windows::{Period, Window},
};

/// Where the API is.
const API: &str = "https://api.businesscentral.dynamics.com";
/// Where tokens come from.
const LOGIN: &str = "https://login.microsoftonline.com";
/// The window in which calls are counted.
const WINDOW: Duration = Duration::from_secs(300);
/// Five run at once and 95 wait.
const AT_ONCE: u32 = 100;

/// A simulator of a Business Central environment. Clones share their state.
///
/// ```
/// use std::sync::Arc;
/// use ml_connector_core::{SystemClock, model::Decimal};
/// use ml_connector_sim::{BusinessCentralSim, bc::{NewDocument, Set}};
///
/// let erp = BusinessCentralSim::new(Arc::new(SystemClock));
/// let invoice = erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::new(95_300, 2)));
/// erp.post(Set::PurchaseInvoices, &invoice)?;
/// assert_eq!(erp.postings().len(), 1);
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Clone)]
pub struct BusinessCentralSim(Arc<Shared>);

struct Shared {
    gate: Gate,
    state: Mutex<State>,
    /// Where handshakes go.
    hooks: Mutex<Option<Arc<dyn HttpTransport>>>,
    origin: Mutex<String>,
    requests: AtomicU64,
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    seed: Seed,
    auth: Auth,
    tuning: BusinessCentralTuning,
    rows: Rows,
    notifier: Notifier,
    handshakes: HashMap<String, Handshake>,
    postings: Vec<Posting>,
    /// Postings that go on after their answer.
    late: Vec<(Timestamp, Set, String, String)>,
    calls: BTreeMap<String, Window>,
    violations: u64,
    company_name: String,
    second_company: String,
    currency: String,
    version: u32,
    drafts: u64,
    posted: u64,
    masters: u64,
}

impl State {
    fn admits(&mut self, caller: &str, at_once: u32, now: Timestamp) -> bool {
        let limit = self.tuning.calls_per_5_minutes;
        let window = self
            .calls
            .entry(caller.to_owned())
            .or_insert_with(|| Window::new(limit, Period::Rolling(WINDOW)));
        window.set_limit(limit);
        let admitted = window.take(now) && at_once <= AT_ONCE;
        self.violations += u64::from(!admitted);
        admitted
    }

    fn may_write(&self, caller: &str) -> bool {
        !self.tuning.reads_only || caller != self.auth.credentials.client_id
    }
}

impl BusinessCentralSim {
    /// One environment with an empty company.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_config(clock, BusinessCentralConfig::default())
    }

    /// As configured.
    #[must_use]
    pub fn with_config(clock: Arc<dyn Clock>, config: BusinessCentralConfig) -> Self {
        let mut seed = Seed::new(config.seed);
        let auth = Auth::new(&mut seed, &config);
        let company = auth.credentials.company_id.clone();
        let second_company = auth::guid(&seed.hex());
        let now = clock.now();
        let mut state = State {
            seed,
            auth,
            tuning: BusinessCentralTuning::default(),
            rows: Rows::default(),
            notifier: Notifier::new(company, config.seed),
            handshakes: HashMap::new(),
            postings: Vec::new(),
            late: Vec::new(),
            calls: BTreeMap::new(),
            violations: 0,
            company_name: config.company.clone(),
            second_company,
            currency: config.currency.clone(),
            version: config.version,
            drafts: 400,
            posted: 0,
            masters: 100,
        };
        let about = [("displayName", json!(config.company)), ("currencyCode", json!(config.currency))];
        state.create_master(Set::CompanyInformation, &about, now);
        Self(Arc::new(Shared {
            gate: Gate::new(clock, config.conditions),
            state: Mutex::new(state),
            hooks: Mutex::new(None),
            origin: Mutex::new(API.to_owned()),
            requests: AtomicU64::new(0),
        }))
    }

    /// Serves the API and Entra's token endpoint.
    pub fn router(&self) -> Router {
        let (sim, inner) = (self.clone(), gate::router(self.clone()));
        Router::new().fallback(move |mut request: Request<Body>| {
            let (sim, mut inner) = (sim.clone(), inner.clone());
            async move {
                let n = sim.0.requests.fetch_add(1, Ordering::Relaxed).to_string();
                if let Ok(value) = HeaderValue::from_str(&n) {
                    request.headers_mut().insert(subscriptions::NUMBER, value);
                }
                let answer = match inner.call(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                sim.shaken(&n, answer).await
            }
        })
    }

    /// Ends the handshake that a request has begun, if it has: also of one whose answer is lost.
    async fn shaken(&self, n: &str, answer: Response<Body>) -> Response<Body> {
        let Some(handshake) = self.state(|state| state.handshakes.remove(n)) else { return answer };
        let hooks = locked(&self.0.hooks).clone();
        let shaken = subscriptions::shake(&handshake, hooks.as_deref()).await;
        let settled = self.state(|state| subscriptions::settle(state, handshake, shaken));
        let spoiled =
            answer.extensions().get::<Broken>().is_some() || answer.status() != StatusCode::NO_CONTENT;
        if spoiled { answer } else { settled.map(Body::from) }
    }

    /// Where the API says it is, without a slash at the end: for `nextLink` when it is served on a port.
    pub fn set_origin(&self, origin: &str) {
        *locked(&self.0.origin) = origin.trim_end_matches('/').to_owned();
    }

    /// What handshakes are sent over. Without it none succeeds.
    pub fn set_hooks(&self, transport: Arc<dyn HttpTransport>) {
        *locked(&self.0.hooks) = Some(transport);
    }

    /// What a connector needs to connect.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.state(|state| state.auth.credentials.clone())
    }

    /// The id of the environment's other company, which is empty.
    #[must_use]
    pub fn second_company(&self) -> String {
        self.state(|state| state.second_company.clone())
    }

    /// Makes things go wrong, or right again: `erp.tune(|tuning| tuning.although_posted = 1)`.
    pub fn tune(&self, change: impl FnOnce(&mut BusinessCentralTuning)) {
        self.state(|state| change(&mut state.tuning));
    }

    /// What the ledger has, oldest first.
    #[must_use]
    pub fn postings(&self) -> Vec<Posting> {
        self.act(|state, _| state.postings.clone())
    }

    /// A field of a record as the primary shows it, as text.
    #[must_use]
    pub fn field(&self, set: Set, id: &str, field: &str) -> Option<String> {
        self.act(|state, _| {
            let shown = state.rows.get(set, id)?;
            let raw = shown.fields.get(field)?.get();
            Some(serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned()))
        })
    }

    /// The subscriptions that exist.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.state(|state| state.notifier.subscriptions.values().cloned().collect())
    }

    /// Deletes a subscription behind everybody's back.
    pub fn drop_subscription(&self, id: &str) {
        self.state(|state| state.notifier.subscriptions.remove(id));
    }

    /// Tells a change as the server does, whether there was one or not.
    pub fn announce(&self, set: Set, id: &str) {
        self.act(|state, now| state.notifier.note(set, id, How::Updated, now, &state.tuning));
    }

    /// When the next notice is due, if one waits.
    #[must_use]
    pub fn next_notice(&self) -> Option<Timestamp> {
        self.state(|state| state.notifier.next_due())
    }

    /// Takes the requests that are due, for a test that delivers them itself.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Batch> {
        self.act(|state, now| {
            let State { notifier, tuning, .. } = state;
            notifier.take(now, tuning)
        })
    }

    /// Takes note of what became of a request that was taken.
    pub fn settle_notice(
        &self,
        batch: &Batch,
        answer: &Result<Response<Bytes>, ml_connector_core::http::TransportError>,
    ) -> Notice {
        self.act(|state, now| {
            let after = state.tuning.notices_after();
            state.notifier.settle(batch, answer, now, after)
        })
    }

    /// Sends what is due, and returns what came of it.
    pub async fn deliver_notices(&self, transport: &dyn HttpTransport) -> Vec<Notice> {
        let mut notices = Vec::new();
        for batch in self.take_notices() {
            let answer = notifier::send(&batch, transport).await;
            notices.push(self.settle_notice(&batch, &answer));
        }
        notices
    }

    /// Every notice so far, oldest first.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.state(|state| state.notifier.sent.clone())
    }

    /// Ends all access tokens, as if their hour were over.
    pub fn expire_tokens(&self) {
        self.act(|state, now| state.auth.expire(now));
    }

    /// Gives the first application another secret; the old one is refused.
    pub fn rotate_secret(&self, secret: &str) {
        self.state(|state| state.auth.rotate(secret));
    }

    /// How many access tokens were handed out.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.state(|state| state.auth.issued())
    }

    /// How many calls were refused by the limits: none, if the client keeps them.
    #[must_use]
    pub fn limit_violations(&self) -> u64 {
        self.state(|state| state.violations)
    }

    /// Plants a fault. The target of a call is the id in its path.
    pub fn plant(&self, fault: Fault) {
        self.0.gate.plant(fault);
    }

    /// How many calls planted faults are still going to hit.
    #[must_use]
    pub fn faults_waiting(&self) -> u32 {
        self.0.gate.faults_waiting()
    }

    /// Changes what every call meets.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.0.gate.set_conditions(conditions);
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.0.gate.received()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut locked(&self.0.state))
    }

    /// Acts at this instant, after what was still going on.
    fn act<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let now = self.0.gate.now();
        self.state(|state| {
            state.settle(now);
            act(state, now)
        })
    }
}

impl fmt::Debug for BusinessCentralSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusinessCentralSim").finish_non_exhaustive()
    }
}

impl SimTransport {
    /// Serves the API and Entra's login host.
    #[must_use]
    pub fn with_business_central(self, erp: &BusinessCentralSim) -> Self {
        self.with_router(API, erp.router()).with_router(LOGIN, erp.router())
    }
}
