//! Exact Online: consent and tokens, the companies of one user, reading, sync feeds and webhooks.
//!
//! **Enforced**: refresh tokens that work once and not before 570 seconds, 200 token calls a day, `$select`, `$filter` with
//! the types of the vendor's reference, pages of 60 and 1,000 rows with `__next`, both list shapes, Dutch wall time, row
//! versions, deletions, limits of a minute and of a day with the vendor's headers, blocks for too many errors, calls at once
//! that double and lose rows, the check of a callback, signatures.
//!
//! **Switchable** ([`Quirks`]): what sources disagree about, nobody has seen, or happens only at times.
//!
//! **Not simulated**: writing other than subscriptions, XML, attachments' content, nested `$expand`, a second user or app.

mod answer;
mod api;
mod booking;
mod books;
mod call;
mod companies;
mod config;
mod control;
mod documents;
mod feeds;
mod filter;
mod kind;
mod list;
mod oauth;
mod people;
mod schema;
mod serve;
mod subscriptions;
mod wall;
mod webhooks;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderValue, Request, Response, StatusCode, header};
use ml_connector_core::{Clock, HttpTransport, Timestamp};
use tower_service::Service as _;

pub use self::{
    booking::Settlement,
    config::{CallbackHost, Credentials, Division, ExactOnlineConfig, Quirks, Right},
    documents::{NewDocument, NewLine},
    kind::Kind,
    people::Change,
    subscriptions::Subscription,
    webhooks::{AttemptedWebhook, WebhookDelivery, WebhookEvent, hash_code},
};
use self::{
    books::Books,
    oauth::App,
    wall::{Naive, Wall},
};
use crate::{
    SimTransport,
    toolkit::{
        conditions::Conditions,
        dice::Dice,
        exchange::{Broken, Received},
        faults::{Fault, locked},
        gate::{self, Gate},
        oauth::OAuthServer,
        outbox::Outbox,
        seed::Seed,
        windows::{ErrorVelocity, Period, Reset, Window, WindowHeaders},
    },
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const MINUTELY: WindowHeaders = WindowHeaders {
    limit: "x-ratelimit-minutely-limit",
    remaining: "x-ratelimit-minutely-remaining",
    reset: "x-ratelimit-minutely-reset",
    reset_as: Reset::EpochMillis,
};
const DAILY: WindowHeaders = WindowHeaders {
    limit: "x-ratelimit-limit",
    remaining: "x-ratelimit-remaining",
    reset: "x-ratelimit-reset",
    reset_as: Reset::EpochMillis,
};

/// A simulator of Exact Online with one app and one user. Clones share their state.
///
/// ```
/// use std::sync::Arc;
/// use ml_connector_core::{SystemClock, model::Decimal};
/// use ml_connector_sim::{ExactOnlineSim, exact::{Kind, NewDocument}};
///
/// let exact = ExactOnlineSim::new(Arc::new(SystemClock));
/// let invoice = exact.create(Kind::SalesInvoices, &NewDocument::new("Bakkerij Linde V.O.F.", Decimal::from(1_210)));
/// exact.process(Kind::SalesInvoices, &invoice)?;
/// assert_eq!(exact.field(Kind::SalesInvoices, &invoice, "Status").as_deref(), Some("50"));
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ExactOnlineSim {
    shared: Arc<Shared>,
    division: u32,
}

struct Shared {
    gate: Gate,
    host: String,
    refresh_token: String,
    state: Mutex<State>,
    /// Where checks of callbacks go.
    hooks: Mutex<Option<Arc<dyn HttpTransport>>>,
    requests: AtomicU64,
}

/// Everything that changes.
struct State {
    app: App,
    oauth: OAuthServer,
    origin: String,
    companies: Vec<Company>,
    quirks: Quirks,
    refused_scopes: BTreeSet<String>,
    refuses_consent: bool,
    tokens: Window,
    /// Calls to all companies in a day.
    contract: Window,
    velocity: ErrorVelocity,
    subscriptions: Vec<Subscription>,
    outbox: Outbox<WebhookEvent>,
    /// Subscriptions whose callback is being checked, by the number of their request.
    checks: HashMap<String, Subscription>,
    seed: Seed,
    dice: Dice,
    /// How short pages are.
    pages: Dice,
    tallies: Tallies,
}

/// What a client should not do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tallies {
    /// Calls that were refused by a window of a minute or of a day.
    pub limit_violations: u64,
    /// Calls that met a block for too many errors.
    pub blocked_calls: u64,
    /// Calls that came while another to the same company was under way.
    pub parallel_calls: u64,
    /// Token calls that were refused.
    pub refused_tokens: u64,
    /// Answers that count as errors.
    pub errors: u64,
}

/// A division with its records.
struct Company {
    division: Division,
    books: Books,
    minute: Window,
    day: Window,
    /// What keeps a resource away, by `service/Resource`.
    rights: BTreeMap<String, Right>,
    /// When it was moved to another database.
    moved: Option<Naive>,
}

impl State {
    fn company_of(&self, division: u32) -> Option<usize> {
        self.companies.iter().position(|company| company.division.code == division)
    }
}

impl ExactOnlineSim {
    /// One user of the Dutch region with two companies.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_config(clock, ExactOnlineConfig::default())
    }

    /// As configured.
    #[must_use]
    pub fn with_config(clock: Arc<dyn Clock>, config: ExactOnlineConfig) -> Self {
        let now = clock.now();
        let mut seed = Seed::new(config.seed);
        let app = App::new(&mut seed);
        let mut oauth = oauth::server(&app, Seed::new(config.seed ^ 0x0a), config.lasting_refresh_tokens);
        let refresh_token = oauth.grant(app.consent(), now);
        let division = config.divisions.first().map(|division| division.code).unwrap_or_default();
        let (a_minute, a_day, of_contract) = config.limits;
        let company = |division: Division| Company {
            books: Books::new(division.code, &division.currency, Wall::of(&config.zone), config.seed),
            minute: Window::new(a_minute, Period::Aligned(Duration::from_secs(60))),
            day: Window::new(a_day, Period::Aligned(DAY)),
            rights: BTreeMap::new(),
            moved: None,
            division,
        };
        let quirks = Quirks::default();
        let state = State {
            app,
            oauth,
            origin: format!("https://{}", config.host),
            companies: config.divisions.into_iter().map(company).collect(),
            refused_scopes: BTreeSet::new(),
            refuses_consent: false,
            tokens: Window::new(config.token_calls, Period::Aligned(DAY)),
            contract: Window::new(of_contract, Period::Aligned(DAY)),
            velocity: ErrorVelocity::new(quirks.errors_per_hour, HOUR, HOUR),
            quirks,
            subscriptions: Vec::new(),
            outbox: Outbox::new(webhooks::retries(), config.seed),
            checks: HashMap::new(),
            seed,
            dice: Dice::new(config.seed),
            pages: Dice::new(config.seed),
            tallies: Tallies::default(),
        };
        let shared = Shared {
            gate: Gate::new(clock, config.conditions),
            host: config.host,
            refresh_token,
            state: Mutex::new(state),
            hooks: Mutex::new(None),
            requests: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), division }
    }

    /// The same simulator, with control methods acting on another company.
    #[must_use]
    pub fn within(&self, division: u32) -> Self {
        Self { shared: Arc::clone(&self.shared), division }
    }

    /// The region's host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.shared.host
    }

    /// Where the API says it is, without a slash at the end: for `__next` and `__metadata` when it is served on a port.
    pub fn set_origin(&self, origin: &str) {
        self.state(|state| origin.trim_end_matches('/').clone_into(&mut state.origin));
    }

    /// Serves the API, the token endpoint and the consent page.
    pub fn router(&self) -> Router {
        let (sim, inner) = (self.clone(), gate::router(self.clone()));
        Router::new().fallback(move |mut request: Request<Body>| {
            let (sim, mut inner) = (sim.clone(), inner.clone());
            async move {
                let number = sim.shared.requests.fetch_add(1, Ordering::Relaxed).to_string();
                if let Ok(value) = HeaderValue::from_str(&number) {
                    request.headers_mut().insert(subscriptions::NUMBER, value);
                }
                let answer = match inner.call(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                };
                sim.checked(&number, answer).await
            }
        })
    }

    /// Ends the check of a callback that a request has begun, if it has: also of one whose answer is lost.
    async fn checked(&self, number: &str, answer: Response<Body>) -> Response<Body> {
        let Some(subscription) = self.state(|state| state.checks.remove(number)) else { return answer };
        let hooks = locked(&self.shared.hooks).clone();
        let outcome = subscriptions::check(&subscription, hooks.as_deref()).await;
        let mut settled = self.state(|state| subscriptions::settle(state, subscription, outcome));
        let is_spoiled =
            answer.extensions().get::<Broken>().is_some() || answer.status() != StatusCode::NO_CONTENT;
        if is_spoiled {
            return answer;
        }
        // The length is that of the answer before the check.
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
            settled.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        settled.map(Body::from)
    }

    /// What a connector needs to connect.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.state(|state| Credentials {
            client_id: state.app.id.clone(),
            client_secret: state.app.secret.clone(),
            webhook_secret: state.app.webhook_secret.as_str().into(),
            redirect_uri: state.app.redirect_uri.clone(),
            refresh_token: self.shared.refresh_token.clone(),
            division: self.division,
            user_id: books::USER.to_owned(),
        })
    }

    /// Sends people back there after the consent. Callbacks of webhooks have to be on its host.
    pub fn set_redirect_uri(&self, uri: &str) {
        self.state(|state| uri.clone_into(&mut state.app.redirect_uri));
    }

    /// Another consent of the same user: its refresh token. It ends the chain before it.
    #[must_use]
    pub fn grant(&self) -> String {
        let now = self.now();
        self.state(|state| state.oauth.grant(state.app.consent(), now))
    }

    /// A one-time authorization code, good for three minutes.
    #[must_use]
    pub fn authorization_code(&self) -> String {
        let now = self.now();
        self.state(|state| state.oauth.code(state.app.consent(), now))
    }

    /// The consent page refuses, or allows again.
    pub fn refuse_consent(&self, refuses: bool) {
        self.state(|state| state.refuses_consent = refuses);
    }

    /// Ends all access tokens, as if their ten minutes were over.
    pub fn expire_tokens(&self) {
        let now = self.now();
        self.state(|state| state.oauth.expire_access(now));
    }

    /// Withdraws every grant, as a person would in the App Center.
    pub fn revoke_grants(&self) {
        self.state(|state| state.oauth.revoke_all());
    }

    /// How many access tokens were handed out.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.state(|state| state.oauth.issued())
    }

    /// Makes Exact behave as another source says: `sim.tune(|quirks| quirks.bare_rights = true)`.
    pub fn tune(&self, change: impl FnOnce(&mut Quirks)) {
        self.state(|state| {
            let before = state.quirks.errors_per_hour;
            change(&mut state.quirks);
            if state.quirks.errors_per_hour != before {
                state.velocity = ErrorVelocity::new(state.quirks.errors_per_hour, HOUR, HOUR);
            }
        });
    }

    /// Replaces the limits of every company: calls in a minute and in a day.
    pub fn set_limits(&self, a_minute: u32, a_day: u32) {
        self.state(|state| {
            for company in &mut state.companies {
                company.minute.set_limit(a_minute);
                company.day.set_limit(a_day);
            }
        });
    }

    /// How unkind network and vendor are from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.gate.set_conditions(conditions);
    }

    /// Plants a fault. Its target is a company's number.
    pub fn plant(&self, fault: Fault) {
        self.shared.gate.plant(fault);
    }

    /// How many calls planted faults are still going to hit.
    #[must_use]
    pub fn faults_waiting(&self) -> u32 {
        self.shared.gate.faults_waiting()
    }

    /// The requests so far, oldest first. The simulator writes down what arrived, so queries are as they were encoded.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.gate.received()
    }

    /// How many requests were refused by a window of a minute or of a day: none, if the client keeps them.
    #[must_use]
    pub fn limit_violations(&self) -> u64 {
        self.tallies().limit_violations
    }

    /// What a client should not do, counted.
    #[must_use]
    pub fn tallies(&self) -> Tallies {
        self.state(|state| state.tallies)
    }

    fn now(&self) -> Timestamp {
        self.shared.gate.now()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut locked(&self.shared.state))
    }
}

impl fmt::Debug for ExactOnlineSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExactOnlineSim").field("division", &self.division).finish_non_exhaustive()
    }
}

impl SimTransport {
    /// Serves the region's host.
    #[must_use]
    pub fn with_exact_online(self, sim: &ExactOnlineSim) -> Self {
        self.with_router(&format!("https://{}", sim.host()), sim.router())
    }
}
