//! Notifications: what is told, how it is signed, what comes of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::{
    HttpTransport, Secret, Timestamp,
    http::TransportError,
    webhook::{Encoding, HmacSha256},
};

use super::{
    ExactOnlineSim, State,
    books::Happened,
    config::Quirks,
    kind::Kind,
    subscriptions::{self, Subscription},
    wall::Naive,
};
use crate::toolkit::outbox::{self, Attempt, Delivery, DeliveryTuning, Reception, RetryTable};

/// How long a notification may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a notification is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// The topic; empty for the check of a callback.
    pub topic: String,
    /// The company.
    pub division: u32,
    /// `Create`, `Update` or `Delete`.
    pub action: String,
    /// The key of the record, or of one of its lines.
    pub key: String,
}

/// A notification that waits.
pub type WebhookDelivery = Delivery<WebhookEvent>;
/// What came of an attempt to deliver.
pub type AttemptedWebhook = Attempt<WebhookEvent>;

/// 2, 4, 8 … 1024 minutes.
pub(super) fn retries() -> RetryTable {
    RetryTable::doubling(Duration::from_secs(120), 10)
}

/// `HashCode` of a notification: HMAC-SHA256 in upper-case hexadecimal, over the bytes of `Content`.
#[must_use]
pub fn hash_code(secret: &Secret, content: &[u8]) -> String {
    HmacSha256::new([secret])
        .map_or_else(|_| String::new(), |keyed| keyed.sign(&[content], Encoding::Hex).to_ascii_uppercase())
}

impl State {
    /// Tells the subscriptions of a company what happened.
    pub(super) fn tell(&mut self, division: u32, happened: Vec<Happened>, at: Naive, now: Timestamp) {
        for happened in happened {
            let shape = happened.kind.shape();
            let Some(topic) = shape.topic else { continue };
            let umbrella = happened.kind.is_entry().then_some("FinancialTransactions");
            let told: Vec<Subscription> = self
                .subscriptions
                .iter()
                .filter(|known| known.division == division)
                .filter(|known| known.topic == topic || Some(known.topic.as_str()) == umbrella)
                .cloned()
                .collect();
            for subscription in told {
                self.notify(&subscription, &happened, &happened.id, shape.path, at, now);
                if let (true, Some((_, path))) = (self.quirks.tells_lines, shape.lines) {
                    for line in &happened.lines {
                        self.notify(&subscription, &happened, line, path, at, now);
                    }
                }
            }
        }
    }

    fn notify(
        &mut self,
        subscription: &Subscription,
        happened: &Happened,
        key: &str,
        path: &str,
        at: Naive,
        now: Timestamp,
    ) {
        let action = match happened.action {
            "Create" if self.quirks.creates_are_updates => "Update",
            action => action,
        };
        let action = if self.quirks.upper_case_actions { action.to_uppercase() } else { action.to_owned() };
        let event = WebhookEvent {
            topic: subscription.topic.clone(),
            division: subscription.division,
            action,
            key: key.to_owned(),
        };
        let content = content(&event, path, at, self);
        let secret = self.outbox.tuning.secret(&Secret::from(self.app.webhook_secret.as_str()));
        let request = request(&subscription.callback_url, &content, secret.as_ref(), &self.quirks);
        if let Some(request) = request {
            self.outbox.put(now, |_| (event.clone(), request.clone()));
        }
    }

    /// Puts the check of a callback in line.
    pub(super) fn check_later(&mut self, subscription: &Subscription, now: Timestamp) {
        let about = WebhookEvent {
            topic: String::new(),
            division: subscription.division,
            action: String::new(),
            key: subscription.id.clone(),
        };
        if let Some(request) = subscriptions::ping(&subscription.callback_url) {
            self.outbox.put_again(about, request, now + Duration::from_secs(1));
        }
    }
}

/// The bytes that are signed.
fn content(event: &WebhookEvent, path: &str, at: Naive, state: &State) -> String {
    let WebhookEvent { topic, division, action, key } = event;
    let (quirks, client) = (&state.quirks, &state.app.id);
    let origin = match &quirks.foreign_endpoint {
        Some(host) => format!("https://{host}"),
        None if quirks.relative_endpoint => String::new(),
        None => state.origin.clone(),
    };
    let quote = if quirks.division_as_text { "\"" } else { "" };
    let space = if quirks.spaced_notifications { " " } else { "" };
    format!(
        "{{{space}\"Topic\":{space}\"{topic}\",{space}\"ClientId\":{space}\"{client}\",{space}\"Division\":\
         {quote}{division}{quote},\"Action\":\"{action}\",\"Key\":\"{key}\",\"ExactOnlineEndpoint\":\
         \"{origin}/api/v1/{division}/{path}(guid'{key}')\",\"EventCreatedOn\":\"{}\"{space}}}",
        at.iso()
    )
}

fn request(url: &str, content: &str, secret: Option<&Secret>, quirks: &Quirks) -> Option<Request<Bytes>> {
    let space = if quirks.spaced_notifications { " " } else { "" };
    let body = match secret {
        Some(secret) => {
            let hash = hash_code(secret, content.as_bytes());
            format!("{{{space}\"Content\":{space}{content},{space}\"HashCode\":\"{hash}\"}}")
        }
        None => format!("{{\"Content\":{content}}}"),
    };
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.parse().ok()?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(request)
}

impl ExactOnlineSim {
    /// What checks of callbacks are sent over. Without it no subscription can be created.
    pub fn set_hooks(&self, transport: std::sync::Arc<dyn HttpTransport>) {
        *crate::toolkit::faults::locked(&self.shared.hooks) = Some(transport);
    }

    /// The subscriptions of all companies, oldest first.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.state(|state| state.subscriptions.clone())
    }

    /// Deletes a subscription behind everybody's back, as the nightly job does. Returns whether there was one.
    pub fn drop_subscription(&self, id: &str) -> bool {
        self.state(|state| {
            let before = state.subscriptions.len();
            state.subscriptions.retain(|known| known.id != id);
            state.subscriptions.len() < before
        })
    }

    /// Makes notifications go wrong, or right again: `sim.tune_webhooks(|tuning| tuning.duplicates = 1)`.
    pub fn tune_webhooks(&self, change: impl FnOnce(&mut DeliveryTuning)) {
        self.state(|state| change(&mut state.outbox.tuning));
    }

    /// Gives the app another webhook secret. What waits already is signed with the old one.
    pub fn rotate_webhook_secret(&self, secret: &str) {
        self.state(|state| secret.clone_into(&mut state.app.webhook_secret));
    }

    /// When the next notification is due, if one waits.
    #[must_use]
    pub fn next_webhook(&self) -> Option<Timestamp> {
        self.state(|state| state.outbox.next_due())
    }

    /// Takes the notifications that are due, to be sent, reordered, repeated or dropped by the caller. They are those of
    /// all companies.
    #[must_use]
    pub fn take_webhooks(&self) -> Vec<WebhookDelivery> {
        let now = self.now();
        self.state(|state| state.outbox.take(now))
    }

    /// Sends the notifications that are due. 200 and 201 count as received; everything else is tried again after 2, 4, 8 …
    /// 1024 minutes, and then dropped.
    pub async fn deliver(&self, transport: &dyn HttpTransport) -> Vec<AttemptedWebhook> {
        let settle = |delivery, answer| self.settle_webhook(delivery, answer);
        outbox::send_all(self.take_webhooks(), transport, (PATIENCE, 0), settle).await
    }

    /// Handles the answer to a notification that was taken, or that there was none.
    pub fn settle_webhook(
        &self,
        delivery: WebhookDelivery,
        answer: Result<Response<Bytes>, TransportError>,
    ) -> AttemptedWebhook {
        let now = self.now();
        let verdict = match &answer {
            Ok(answer) if matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) => {
                Reception::Received
            }
            Ok(_) => Reception::Again("http_error"),
            Err(_) => Reception::Again("no_answer"),
        };
        // A check that fails late ends its subscription.
        let is_check = delivery.about.topic.is_empty();
        if is_check && verdict.failure().is_some() {
            self.drop_subscription(&delivery.about.key);
        }
        let verdict = match verdict.failure() {
            Some(reason) if is_check => Reception::GiveUp(reason),
            _ => verdict,
        };
        let answer = answer.ok();
        self.state(|state| state.outbox.settle(delivery, verdict, answer.as_ref(), now))
    }

    /// What came of every attempt so far, oldest first.
    #[must_use]
    pub fn webhook_attempts(&self) -> Vec<AttemptedWebhook> {
        self.state(|state| state.outbox.attempts.clone())
    }

    /// Tells the subscriptions of a record, whether it changed or not; or of one that never was.
    pub fn announce(&self, kind: Kind, action: &'static str, id: &str) {
        let now = self.now();
        let division = self.division;
        self.state(|state| {
            let Some(at) = state.company_of(division) else { return };
            let happened = Happened { kind, action, id: id.to_owned(), lines: Vec::new() };
            let wall = state.companies[at].books.wall.at(now);
            state.tell(division, vec![happened], wall, now);
        });
    }

    /// A notification that Exact did not send: this content, signed with a secret of the forger's or not at all.
    #[must_use]
    pub fn forge(url: &str, content: &str, secret: Option<&Secret>) -> Option<Request<Bytes>> {
        request(url, content, secret, &Quirks::default())
    }
}
