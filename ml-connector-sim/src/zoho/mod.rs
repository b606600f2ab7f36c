//! Zoho Books: the Accounts service, the API and workflow webhooks of all data centers.

mod answer;
mod api;
mod books;
mod config;
mod control;
mod event;
mod limits;
mod list;
mod oauth;
mod plain;
mod records;
mod region;
mod render;
mod settings;
mod webhooks;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use http::{Response, StatusCode};
use ml_connector_core::{
    Clock, Error, ErrorKind, HttpTransport, Result, Timestamp,
    http::TransportError,
    model::{Date, Decimal},
};

use self::{answer::Site, books::Books, oauth::App, render::APPROVERS, webhooks::Webhooks};
pub use self::{
    config::{Organization, Plan, ZohoBooksConfig},
    event::{AttemptedWebhook, WebhookDelivery, WebhookEvent},
    limits::MinuteLimit,
    oauth::Credentials,
    records::{Entity, NewDocument, NewRecord},
    region::DataCenter,
    webhooks::{EventKind, WebhookRule, signature},
};
use crate::{
    SimTransport,
    toolkit::{
        conditions::Conditions,
        exchange::Received,
        faults::{Fault, locked},
        gate::{self, Gate},
        oauth::OAuthServer,
        outbox::{self, DeliveryTuning, Reception},
        seed::Seed,
    },
};

/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A simulator of Zoho Books. Clones share their state.
#[derive(Clone)]
pub struct ZohoBooksSim {
    shared: Arc<Shared>,
    organization: String,
}

struct Shared {
    gate: Gate,
    home: DataCenter,
    refresh_token: String,
    state: Mutex<State>,
}

/// Everything that changes.
struct State {
    app: App,
    scopes: BTreeSet<String>,
    oauth: OAuthServer,
    /// Whether the throttle answers with 400 (as two public clients report) rather than with 200.
    throttle_status: StatusCode,
    organizations: BTreeMap<String, Tenant>,
    api_domains: BTreeMap<DataCenter, String>,
}

struct Tenant {
    books: Books,
    webhooks: Webhooks,
}

impl ZohoBooksSim {
    /// One Professional organization in New York, in the US data center.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_config(clock, ZohoBooksConfig::default())
    }

    /// As configured.
    #[must_use]
    pub fn with_config(clock: Arc<dyn Clock>, config: ZohoBooksConfig) -> Self {
        let mut seed = Seed::new(config.seed);
        let app = App::new(&mut seed);
        let mut oauth = oauth::server(&app, seed);
        let refresh_token = oauth.grant(app.consent(config.center, config.scopes.clone()), clock.now());
        let organization =
            config.organizations.first().map(|organization| organization.id.clone()).unwrap_or_default();
        let organizations = config
            .organizations
            .into_iter()
            .map(|organization| {
                let id = organization.id.clone();
                let webhooks = Webhooks::new(organization.time_zone.clone(), config.seed);
                (id, Tenant { books: Books::new(organization), webhooks })
            })
            .collect();
        let state = State {
            app,
            scopes: config.scopes,
            oauth,
            throttle_status: StatusCode::BAD_REQUEST,
            organizations,
            api_domains: BTreeMap::new(),
        };
        let shared = Shared {
            gate: Gate::new(clock, config.conditions),
            home: config.center,
            refresh_token,
            state: Mutex::new(state),
        };
        Self { shared: Arc::new(shared), organization }
    }

    /// The same simulator, with control methods acting on another organization.
    #[must_use]
    pub fn within(&self, organization: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), organization: organization.to_owned() }
    }

    /// Serves the API and the token endpoint. The data center is the one whose host is called; for any other host,
    /// such as a loopback address, it is the one the simulator was configured with.
    pub fn router(&self) -> Router {
        gate::router(Site { sim: self.clone(), center: None })
    }

    /// Serves one data center, whatever host is called.
    pub fn router_of(&self, center: DataCenter) -> Router {
        gate::router(Site { sim: self.clone(), center: Some(center) })
    }

    /// Makes token answers name this origin as `api_domain`: where a router is served.
    pub fn set_api_domain(&self, center: DataCenter, origin: &str) {
        self.state(|state| state.api_domains.insert(center, origin.trim_end_matches('/').to_owned()));
    }

    /// What a connector needs to connect.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        let center = self.shared.home;
        self.state(|state| Credentials {
            client_id: state.app.id.clone(),
            client_secret: state.app.secret.clone(),
            refresh_token: self.shared.refresh_token.clone(),
            organization_id: self.organization.clone(),
            accounts_server: center.accounts_server(),
            api_domain: state.api_domain(center),
        })
    }

    /// A refresh token with other scopes. The 21st ends the first.
    #[must_use]
    pub fn grant(&self, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned());
        let now = self.now();
        self.state(|state| state.oauth.grant(state.app.consent(self.shared.home, scopes), now))
    }

    /// A one-time authorization code, good for two minutes.
    #[must_use]
    pub fn authorization_code(&self) -> String {
        let now = self.now();
        self.state(|state| {
            let consent = state.app.consent(self.shared.home, state.scopes.clone());
            state.oauth.code(consent, now)
        })
    }

    /// Ends all access tokens, as if their hour were over.
    pub fn expire_tokens(&self) {
        let now = self.now();
        self.state(|state| state.oauth.expire_access(now));
    }

    /// Gives the client another secret, as its owner would in the developer console. The one before is refused from now on;
    /// refresh tokens stay.
    pub fn change_client_secret(&self, secret: &str) {
        self.state(|state| {
            secret.clone_into(&mut state.app.secret);
            state.oauth.register(&state.app.id, secret);
        });
    }

    /// Withdraws every grant, as a person would in their account.
    pub fn revoke_grants(&self) {
        self.state(|state| state.oauth.revoke_all());
    }

    /// Answers the token throttle with this status: 400 by default, 200 in another report.
    pub fn set_token_throttle_status(&self, status: StatusCode) {
        self.state(|state| state.throttle_status = status);
    }

    /// Answers an exceeded minute with this code.
    pub fn set_minute_limit(&self, limit: MinuteLimit) {
        self.tenant(|tenant| tenant.books.counters.minute_limit = limit);
    }

    /// Replaces the plan's daily quota.
    pub fn set_daily_quota(&self, requests: u32) {
        self.tenant(|tenant| tenant.books.counters.set_daily(requests));
    }

    /// Creates an invoice as a draft. Returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a negative total.
    pub fn create_invoice(&self, invoice: NewDocument) -> Result<String> {
        self.change(|books, now| books.create(Entity::Invoice, invoice, now))
    }

    /// Sends a draft or approved invoice.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or [`ErrorKind::Conflict`] when the status does not allow it.
    pub fn mark_sent(&self, invoice: &str) -> Result<()> {
        self.change(|books, now| books.mark_sent(invoice, now))
    }

    /// Records a payment of an invoice: its balance falls and a customer payment appears. Returns the payment's id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or [`ErrorKind::Conflict`] above the balance or for an invoice that was not sent.
    pub fn pay_invoice(&self, invoice: &str, amount: Decimal) -> Result<String> {
        self.change(|books, now| books.pay(Entity::Invoice, invoice, amount, now))
    }

    /// Creates an open bill. Returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a negative total.
    pub fn create_bill(&self, bill: NewDocument) -> Result<String> {
        self.change(|books, now| books.create(Entity::Bill, bill, now))
    }

    /// Records a payment of a bill. Returns the vendor payment's id.
    ///
    /// # Errors
    /// As [`pay_invoice`](Self::pay_invoice).
    pub fn pay_bill(&self, bill: &str, amount: Decimal) -> Result<String> {
        self.change(|books, now| books.pay(Entity::Bill, bill, amount, now))
    }

    /// Creates a purchase order, an expense, a contact, an item, an account or a currency. Returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for other kinds of records.
    pub fn create_record(&self, entity: Entity, record: NewRecord) -> Result<String> {
        self.change(|books, now| books.create_plain(entity, record, now))
    }

    /// Gives such a record another name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn rename(&self, entity: Entity, id: &str, name: &str) -> Result<()> {
        self.change(|books, now| books.edit_plain(entity, id, now, |plain| name.clone_into(&mut plain.name)))
    }

    /// Gives such a record another amount or rate.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn set_amount(&self, entity: Entity, id: &str, amount: Decimal) -> Result<()> {
        self.change(|books, now| books.edit_plain(entity, id, now, |plain| plain.amount = amount))
    }

    /// Gives such a record another status, such as `inactive`, or `cancelled` for an order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn set_status(&self, entity: Entity, id: &str, status: &str) -> Result<()> {
        self.change(|books, now| {
            books.edit_plain(entity, id, now, |plain| status.clone_into(&mut plain.status))
        })
    }

    /// Makes the list of payments received heed `last_modified_time`, which is not documented for it.
    pub fn set_payments_filter(&self, on: bool) {
        self.tenant(|tenant| tenant.books.filters_payments = on);
    }

    /// Whether rows of the list of payments received leave their currency out, as recorded and from the beginning: they are in
    /// the organization's. The detail names it always.
    pub fn set_bare_payment_rows(&self, on: bool) {
        self.tenant(|tenant| tenant.books.bare_payment_rows = on);
    }

    /// The names of the webhooks that exist in the settings.
    #[must_use]
    pub fn webhook_names(&self) -> Vec<String> {
        self.tenant(|tenant| tenant.webhooks.settings.webhook_names()).unwrap_or_default()
    }

    /// Switches a workflow rule off, as a person would. Returns whether there is one.
    pub fn deactivate_workflow(&self, name: &str) -> bool {
        self.tenant(|tenant| tenant.webhooks.settings.deactivate(name)).unwrap_or_default()
    }

    /// Deletes a webhook and what refers to it, as a person would. Returns whether there was one.
    pub fn delete_webhook(&self, name: &str) -> bool {
        self.tenant(|tenant| tenant.webhooks.settings.delete_webhook(name)).unwrap_or_default()
    }

    /// How many have to approve what is submitted from now on, one after the other: one at first, three at most. The API's user
    /// counts for whoever is next.
    pub fn set_approvers(&self, approvers: usize) {
        self.tenant(|tenant| tenant.books.approvers = approvers.clamp(1, APPROVERS.len()));
    }

    /// Submits an invoice or a bill for approval.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or [`ErrorKind::Conflict`] when the status does not allow it.
    pub fn submit_for_approval(&self, entity: Entity, id: &str) -> Result<()> {
        self.change(|books, now| books.submit(entity, id, now))
    }

    /// Approves an invoice or a bill as the next of its [approvers](Self::set_approvers).
    ///
    /// # Errors
    /// As [`submit_for_approval`](Self::submit_for_approval).
    pub fn approve(&self, entity: Entity, id: &str) -> Result<()> {
        self.change(|books, now| books.approve(entity, id, now))
    }

    /// Voids an invoice or a bill. Its balance stays.
    ///
    /// # Errors
    /// As [`submit_for_approval`](Self::submit_for_approval).
    pub fn void(&self, entity: Entity, id: &str) -> Result<()> {
        self.change(|books, now| books.void(entity, id, now))
    }

    /// Changes the reference of an invoice or a bill: an edit that changes no status and no amount.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn set_reference(&self, entity: Entity, id: &str, reference: &str) -> Result<()> {
        self.change(|books, now| {
            books.edit(entity, id, now, |document, _| {
                reference.clone_into(&mut document.reference);
                Ok(())
            })
        })
    }

    /// Changes the due date of an invoice or a bill.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn set_due_date(&self, entity: Entity, id: &str, due_date: Date) -> Result<()> {
        self.change(|books, now| {
            books.edit(entity, id, now, |document, _| {
                document.due_date = due_date;
                Ok(())
            })
        })
    }

    /// Deletes a record. What a deleted payment paid is owed again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn delete(&self, entity: Entity, id: &str) -> Result<()> {
        self.change(|books, now| books.delete(entity, id, now))
    }

    /// The status the API shows for an invoice or a bill now.
    #[must_use]
    pub fn status_of(&self, entity: Entity, id: &str) -> Option<&'static str> {
        let now = self.now();
        self.tenant(|tenant| {
            let today = tenant.books.today(now);
            tenant.books.document(entity, id).map(|document| document.status(today))
        })
        .flatten()
    }

    /// The comments of an invoice or a bill, oldest first.
    #[must_use]
    pub fn comments(&self, entity: Entity, id: &str) -> Vec<String> {
        self.tenant(|tenant| {
            let document = tenant.books.document(entity, id)?;
            Some(document.comments.iter().map(|comment| comment.text.clone()).collect())
        })
        .flatten()
        .unwrap_or_default()
    }

    /// Adds a workflow rule with a webhook. Changes from now on fire it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on plans without workflow rules.
    pub fn add_webhook(&self, rule: WebhookRule) -> Result<()> {
        self.tenant(|tenant| {
            if !tenant.books.organization.plan.has_workflow_rules() {
                return Err(Error::new(ErrorKind::Unsupported, "workflow rules are not part of this plan")
                    .with_context("plan", tenant.books.organization.plan.name()));
            }
            tenant.webhooks.rules.push(rule);
            Ok(())
        })
        .unwrap_or_else(|| Err(Error::new(ErrorKind::NotFound, "there is no such organization")))
    }

    /// Makes webhooks go wrong, or right again: `books.tune_webhooks(|tuning| tuning.duplicates = 1)`.
    pub fn tune_webhooks(&self, change: impl FnOnce(&mut DeliveryTuning)) {
        self.tenant(|tenant| change(&mut tenant.webhooks.outbox.tuning));
    }

    /// Makes a webhook that fails come again after 5, 30 and 120 minutes. Otherwise it is tried once.
    pub fn set_webhook_retries(&self, on: bool) {
        self.tenant(|tenant| tenant.webhooks.set_retries(on));
    }

    /// Makes webhooks carry a form of a few fields instead of the record as JSON.
    pub fn set_webhook_forms(&self, on: bool) {
        self.tenant(|tenant| tenant.webhooks.form_body = on);
    }

    /// Takes the deliveries that are due, to be sent, reordered, repeated or dropped by the caller. Rules that look
    /// at due dates fire first.
    #[must_use]
    pub fn take_webhooks(&self) -> Vec<WebhookDelivery> {
        let now = self.now();
        self.tenant(|tenant| {
            tenant.webhooks.fire_due(&tenant.books, now);
            tenant.webhooks.outbox.take(now)
        })
        .unwrap_or_default()
    }

    /// Sends the deliveries that are due, within 10 seconds each. Any 2xx counts as received; what fails is tried
    /// again if a retry policy is [switched on](Self::set_webhook_retries).
    pub async fn deliver_webhooks(&self, transport: &dyn HttpTransport) -> Vec<AttemptedWebhook> {
        let settle = |delivery, answer| self.settle_webhook(delivery, answer);
        outbox::send_all(self.take_webhooks(), transport, (PATIENCE, 0), settle).await
    }

    /// Handles the answer to a delivery that was taken, or that there was none.
    pub fn settle_webhook(
        &self,
        delivery: WebhookDelivery,
        answer: std::result::Result<Response<Bytes>, TransportError>,
    ) -> AttemptedWebhook {
        let now = self.now();
        let verdict = Reception::of(answer.as_ref());
        let answer = answer.ok();
        self.state(|state| match state.organizations.get_mut(&self.organization) {
            Some(tenant) => tenant.webhooks.outbox.settle(delivery, verdict, answer.as_ref(), now),
            None => delivery.attempted(verdict.failure(), answer.as_ref(), now),
        })
    }

    /// What came of every attempt so far, oldest first.
    #[must_use]
    pub fn webhook_attempts(&self) -> Vec<AttemptedWebhook> {
        self.tenant(|tenant| tenant.webhooks.outbox.attempts.clone()).unwrap_or_default()
    }

    /// How unkind network and vendor are from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.gate.set_conditions(conditions);
    }

    /// Plants a fault.
    pub fn plant(&self, fault: Fault) {
        self.shared.gate.plant(fault);
    }

    /// Takes away the faults that have not hit yet.
    pub fn clear_faults(&self) {
        self.shared.gate.clear_faults();
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

    /// How many requests were refused by the organization's limits: none, if the client keeps them.
    #[must_use]
    pub fn limit_violations(&self) -> u64 {
        self.tenant(|tenant| tenant.books.counters.violations()).unwrap_or_default()
    }

    /// How many access tokens were handed out.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.state(|state| state.oauth.issued())
    }

    fn now(&self) -> Timestamp {
        self.shared.gate.now()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut locked(&self.shared.state))
    }

    fn tenant<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        self.state(|state| state.organizations.get_mut(&self.organization).map(act))
    }

    /// Changes the books and fires the workflow rules, all at one instant.
    fn change<T>(&self, act: impl FnOnce(&mut Books, Timestamp) -> Result<T>) -> Result<T> {
        let now = self.now();
        self.tenant(|tenant| {
            let outcome = act(&mut tenant.books, now);
            tenant.webhooks.fire(&mut tenant.books, now);
            outcome
        })
        .unwrap_or_else(|| Err(Error::new(ErrorKind::NotFound, "there is no such organization")))
    }
}

impl fmt::Debug for ZohoBooksSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZohoBooksSim").field("organization", &self.organization).finish_non_exhaustive()
    }
}

impl SimTransport {
    /// Serves the accounts and API hosts of all Zoho data centers.
    #[must_use]
    pub fn with_zoho_books(self, books: &ZohoBooksSim) -> Self {
        DataCenter::ALL.into_iter().fold(self, |transport, center| {
            let router = books.router_of(center);
            transport
                .with_router(&center.accounts_server(), router.clone())
                .with_router(&center.api_domain(), router)
        })
    }
}
