//! FreshBooks: consent and tokens, the identity, accounting, the chart of accounts and callbacks of one login.

mod answer;
mod api;
mod books;
mod callbacks;
mod config;
mod control;
mod errors;
mod events;
mod identity;
mod kind;
mod list;
mod oauth;
mod people;
mod records;
mod render;
mod webhooks;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use ml_connector_core::{Clock, Error, ErrorKind, Result, Timestamp, model::Zone};

use self::{
    books::{Books, Follows},
    callbacks::Callbacks,
    oauth::App,
};
pub use self::{
    callbacks::{AttemptedWebhook, Callback, WebhookDelivery, WebhookEvent, signature},
    config::{Business, Disabling, ErrorForm, FreshBooksConfig, Quirks},
    kind::Kind,
    oauth::Credentials,
    records::{
        AutoBill, Bill, BillPayment, BillVendor, Category, Client, Data, Entry, Expense, ExpenseStatus,
        Invoice, Item, Line, Payment, Stage, Tax,
    },
};
use crate::{
    SimTransport,
    toolkit::{
        conditions::Conditions,
        exchange::Received,
        faults::{Fault, locked},
        gate::{self, Gate},
        oauth::OAuthServer,
        outbox::RetryTable,
        seed::Seed,
        windows::{Period, Window},
    },
};

/// A simulator of FreshBooks with one login. Clones share their state.
#[derive(Clone)]
pub struct FreshBooksSim {
    shared: Arc<Shared>,
    account: String,
}

struct Shared {
    gate: Gate,
    refresh_token: String,
    state: Mutex<State>,
}

/// Everything that changes.
struct State {
    app: App,
    oauth: OAuthServer,
    /// When the first token of the login was issued, in seconds since 1970.
    first_token: Option<i64>,
    tenants: Vec<Tenant>,
    callbacks: Callbacks,
    quirks: Quirks,
    /// Calls of the login in the last second.
    window: Window,
    at_once: u32,
    violations: u64,
}

/// A business with its books.
struct Tenant {
    business: Business,
    books: Books,
    /// The subscription ended.
    is_suspended: bool,
    /// No account answers under its id.
    is_gone: bool,
    /// Kinds that the plan, the app's scopes or the role keep away.
    refused: BTreeSet<Kind>,
}

impl State {
    fn tenant_of(&self, account: &str) -> Option<usize> {
        let is_it =
            |tenant: &Tenant| tenant.business.account_id.as_deref() == Some(account) && !tenant.is_gone;
        self.tenants.iter().position(is_it)
    }
}

impl FreshBooksSim {
    /// One login that owns a business with accounting in Toronto, and another without.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_config(clock, FreshBooksConfig::default())
    }

    /// As configured.
    #[must_use]
    pub fn with_config(clock: Arc<dyn Clock>, config: FreshBooksConfig) -> Self {
        let now = clock.now();
        let mut seed = Seed::new(config.seed);
        let app = App::new(&mut seed, config.scopes);
        let mut oauth = oauth::server(&app, seed);
        let refresh_token = oauth.grant(app.consent(app.scopes.clone()), now);
        let accounts = config.businesses.iter().filter_map(|business| business.account_id.clone());
        let account = accounts.into_iter().next().unwrap_or_default();
        let tenants = config
            .businesses
            .into_iter()
            .map(|business| Tenant {
                // The database is part of the program; a zone it does not know is no business's.
                books: Books::new(Zone::named(&business.time_zone).unwrap_or(Zone::UTC), now),
                business,
                is_suspended: false,
                is_gone: false,
                refused: BTreeSet::new(),
            })
            .collect();
        let mut state = State {
            app,
            oauth,
            first_token: Some(now.as_secs()),
            tenants,
            callbacks: Callbacks::new(config.seed),
            quirks: Quirks::default(),
            window: Window::new(config.limits.0, Period::Rolling(Duration::from_secs(1))),
            at_once: config.limits.1,
            violations: 0,
        };
        state.heed_quirks();
        let gate = Gate::new(clock, config.conditions);
        Self { shared: Arc::new(Shared { gate, refresh_token, state: Mutex::new(state) }), account }
    }

    /// The same simulator, with control methods acting on another account.
    #[must_use]
    pub fn within(&self, account_id: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), account: account_id.to_owned() }
    }

    /// Serves the API, the token endpoint and the consent page.
    pub fn router(&self) -> Router {
        gate::router(self.clone())
    }

    /// What a connector needs to connect.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.state(|state| {
            let business = state.tenants.iter().map(|tenant| &tenant.business);
            let business =
                business.into_iter().find(|business| business.account_id.as_deref() == Some(&*self.account));
            Credentials {
                client_id: state.app.id.clone(),
                client_secret: state.app.secret.clone(),
                redirect_uri: state.app.redirect_uri.clone(),
                refresh_token: self.shared.refresh_token.clone(),
                account_id: self.account.clone(),
                business_id: business.map_or(0, |business| business.business_id),
                business_uuid: business.map(|business| business.business_uuid.clone()).unwrap_or_default(),
                identity_id: identity::IDENTITY_ID,
            }
        })
    }

    /// Sends people back there after the consent. Token requests have to name it.
    pub fn set_redirect_uri(&self, uri: &str) {
        self.state(|state| uri.clone_into(&mut state.app.redirect_uri));
    }

    /// A refresh token with other scopes. It ends the tokens before it.
    #[must_use]
    pub fn grant(&self, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let now = self.now();
        self.state(|state| state.oauth.grant(state.app.consent(scopes), now))
    }

    /// A one-time authorization code, good for five minutes.
    #[must_use]
    pub fn authorization_code(&self) -> String {
        let now = self.now();
        self.state(|state| {
            let consent = state.app.consent(state.app.scopes.clone());
            state.oauth.code(consent, now)
        })
    }

    /// Ends all access tokens, as if their twelve hours were over.
    pub fn expire_tokens(&self) {
        let now = self.now();
        self.state(|state| state.oauth.expire_access(now));
    }

    /// Withdraws every grant, as a person would in their account.
    pub fn revoke_grants(&self) {
        self.state(|state| state.oauth.revoke_all());
    }

    /// How many access tokens were handed out.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.state(|state| state.oauth.issued())
    }

    /// Makes FreshBooks behave as another source says: `sim.tune(|quirks| quirks.bare_bills = true)`.
    pub fn tune(&self, change: impl FnOnce(&mut Quirks)) {
        self.state(|state| {
            change(&mut state.quirks);
            state.heed_quirks();
        });
    }

    /// Replaces the limits: calls in any second, and calls at once.
    pub fn set_limits(&self, per_second: u32, at_once: u32) {
        self.state(|state| {
            state.window.set_limit(per_second);
            state.at_once = at_once;
        });
    }

    /// The plan has bills from now on, or has them no longer.
    pub fn set_has_bills(&self, has_bills: bool) {
        self.tenant(|tenant| tenant.business.has_bills = has_bills);
    }

    /// Refuses items, bill vendors, bills or bill payments as a feature that is not there; other kinds have no such
    /// refusal.
    pub fn refuse(&self, kind: Kind, is_refused: bool) {
        self.tenant(|tenant| match is_refused {
            true => tenant.refused.insert(kind),
            false => tenant.refused.remove(&kind),
        });
    }

    /// Ends the account's subscription, or renews it.
    pub fn suspend(&self, is_suspended: bool) {
        self.tenant(|tenant| tenant.is_suspended = is_suspended);
    }

    /// Makes the account one that is not found, or one that is found again.
    pub fn set_account_found(&self, is_found: bool) {
        self.tenant(|tenant| tenant.is_gone = !is_found);
    }

    /// How unkind network and vendor are from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.gate.set_conditions(conditions);
    }

    /// Plants a fault. Its target is an account's id.
    pub fn plant(&self, fault: Fault) {
        self.shared.gate.plant(fault);
    }

    /// How many calls planted faults are still going to hit.
    #[must_use]
    pub fn faults_waiting(&self) -> u32 {
        self.shared.gate.faults_waiting()
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.gate.received()
    }

    /// How many requests were refused by the login's limits: none, if the client keeps them.
    #[must_use]
    pub fn limit_violations(&self) -> u64 {
        self.state(|state| state.violations)
    }

    fn now(&self) -> Timestamp {
        self.shared.gate.now()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut locked(&self.shared.state))
    }

    fn tenant<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        let is_it = |tenant: &&mut Tenant| tenant.business.account_id.as_deref() == Some(&*self.account);
        self.state(|state| state.tenants.iter_mut().find(is_it).map(act))
    }

    /// Changes the books and tells the callbacks, all at one instant.
    fn change<T>(&self, act: impl FnOnce(&mut Books, Timestamp) -> Result<T>) -> Result<T> {
        let now = self.now();
        self.state(|state| {
            let is_it = |tenant: &&mut Tenant| tenant.business.account_id.as_deref() == Some(&*self.account);
            let Some(tenant) = state.tenants.iter_mut().find(is_it) else {
                return Err(Error::new(ErrorKind::NotFound, "there is no such account"));
            };
            let outcome = act(&mut tenant.books, now);
            let happened = std::mem::take(&mut tenant.books.happened);
            state.callbacks.fire(&tenant.business, happened, &state.quirks, now);
            outcome
        })
    }
}

impl State {
    /// Hands on what the quirks say about others.
    fn heed_quirks(&mut self) {
        let follows = Follows {
            invoice_update: self.quirks.invoice_update_on_payment,
            bill_update: self.quirks.bill_update_on_payment,
        };
        self.tenants.iter_mut().for_each(|tenant| tenant.books.follows = follows);
        self.callbacks.outbox.retries = RetryTable::of(&self.quirks.retries);
    }
}

impl fmt::Debug for FreshBooksSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshBooksSim").field("account", &self.account).finish_non_exhaustive()
    }
}

impl SimTransport {
    /// Serves FreshBooks's API and its consent page.
    #[must_use]
    pub fn with_freshbooks(self, sim: &FreshBooksSim) -> Self {
        let router = sim.router();
        self.with_router("https://api.freshbooks.com", router.clone())
            .with_router("https://auth.freshbooks.com", router)
    }
}
