//! Workflow rules and the webhooks they send.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use ml_connector_core::{
    Secret, Timestamp,
    model::{Date, Decimal, Zone},
    webhook::{Encoding, HmacSha256},
};
use url::Url;

use super::{
    books::{Books, Happened, How},
    event::WebhookEvent,
    records::Entity,
    render,
    settings::Settings,
};
use crate::toolkit::{
    json::Fields,
    outbox::{Outbox, RetryTable},
    windows::{Period, Window},
};

/// Zoho Books KB "number of workflows": webhook calls per organization and day.
const PER_DAY: u32 = 1000;
/// Nothing is published about retries; these are the delays taken when a retry policy is switched on.
const RETRIES: [Duration; 3] =
    [Duration::from_secs(5 * 60), Duration::from_secs(30 * 60), Duration::from_secs(120 * 60)];
const SIGNATURE: HeaderName = HeaderName::from_static("x-zoho-webhook-signature");

/// What a workflow rule fires on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Created or edited.
    Changed,
    /// Created.
    Created,
    /// Submitted for approval.
    Submitted,
    /// Deleted; the body has little more than the id.
    Deleted,
    /// So many days past the due date and still unpaid. Looked at whenever webhooks are taken or delivered.
    Overdue {
        /// How many days.
        days: u32,
    },
}

impl EventKind {
    /// The word in `mlc_event`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Created => "created",
            Self::Submitted => "submitted",
            Self::Deleted => "deleted",
            Self::Overdue { .. } => "overdue",
        }
    }

    fn fires_on(self, how: How) -> bool {
        match self {
            Self::Changed => matches!(how, How::Added | How::Edited),
            Self::Created => how == How::Added,
            Self::Submitted => how == How::Submitted,
            Self::Deleted => how == How::Deleted,
            Self::Overdue { .. } => false,
        }
    }
}

/// A workflow rule with its webhook.
#[derive(Debug, Clone)]
pub struct WebhookRule {
    entity: Entity,
    kind: EventKind,
    url: Url,
    secret: Option<Secret>,
}

impl WebhookRule {
    /// Sends to `url`, to which the query `mlc_event=<entity>.<kind>&mlc_org=<organization>` is added. With a secret
    /// the request is signed.
    #[must_use]
    pub fn new(entity: Entity, kind: EventKind, url: Url, secret: Option<Secret>) -> Self {
        Self { entity, kind, url, secret }
    }
}

/// The rules of one organization and the deliveries that wait.
#[derive(Debug)]
pub(super) struct Webhooks {
    pub(super) rules: Vec<WebhookRule>,
    pub(super) outbox: Outbox<WebhookEvent>,
    pub(super) settings: Settings,
    /// Sends a form of a few fields instead of the record as JSON.
    pub(super) form_body: bool,
    fired: BTreeSet<(String, Date, u32)>,
    day: Window,
}

impl Webhooks {
    /// Without rules. Nothing is tried again until a retry policy is switched on.
    pub(super) fn new(zone: Zone, seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            outbox: Outbox::new(RetryTable::none(), seed),
            settings: Settings::default(),
            form_body: false,
            fired: BTreeSet::new(),
            day: Window::new(PER_DAY, Period::Day(zone)),
        }
    }

    /// Switches a retry policy on or off.
    pub(super) fn set_retries(&mut self, on: bool) {
        self.outbox.retries = if on { RetryTable::of(&RETRIES) } else { RetryTable::none() };
    }

    /// Fires the rules for everything that happened.
    pub(super) fn fire(&mut self, books: &mut Books, now: Timestamp) {
        for happened in std::mem::take(&mut books.changes) {
            let rules: Vec<_> = self
                .rules
                .iter()
                .filter(|rule| rule.entity == happened.entity && rule.kind.fires_on(happened.how))
                .cloned()
                .collect();
            rules.iter().for_each(|rule| self.enqueue(rule, books, &happened, now));
            for fired in self.settings.fired(happened.entity, happened.how) {
                let named = fired.url.query_pairs().find(|(name, _)| name == "mlc_event");
                let event = named.map(|(_, event)| event.into_owned()).unwrap_or_default();
                let request = self.request(&fired.url, fired.secret.as_ref(), books, &happened, now);
                if let Some((event, request)) =
                    request.and_then(|request| self.send(event, request, &happened, now))
                {
                    self.settings.remember(&fired.webhook, event, request);
                }
            }
        }
    }

    /// Fires the rules that look at due dates, once for each record, due date and number of days.
    pub(super) fn fire_due(&mut self, books: &Books, now: Timestamp) {
        let today = books.today(now);
        for rule in self.rules.clone() {
            let EventKind::Overdue { days } = rule.kind else { continue };
            let unpaid = books.documents.values().filter(|document| {
                document.entity == rule.entity
                    && document.status(today) == "overdue"
                    && document.balance() > Decimal::ZERO
                    && today >= document.due_date.plus_days(days)
            });
            for document in unpaid {
                if self.fired.insert((document.id.clone(), document.due_date, days)) {
                    let happened =
                        Happened { entity: rule.entity, id: document.id.clone(), how: How::Edited };
                    self.enqueue(&rule, books, &happened, now);
                }
            }
        }
    }

    fn enqueue(&mut self, rule: &WebhookRule, books: &Books, happened: &Happened, now: Timestamp) {
        let event = format!("{}.{}", rule.entity.name(), rule.kind.name());
        let mut url = rule.url.clone();
        url.query_pairs_mut().append_pair("mlc_event", &event).append_pair("mlc_org", &books.organization.id);
        if let Some(request) = self.request(&url, rule.secret.as_ref(), books, happened, now) {
            self.send(event, request, happened, now);
        }
    }

    /// Lets a request wait for its delivery, unless the day is full or it is to be lost.
    fn send(
        &mut self,
        event: String,
        request: Request<Bytes>,
        happened: &Happened,
        now: Timestamp,
    ) -> Option<(WebhookEvent, Request<Bytes>)> {
        if !self.day.count(now) {
            return None;
        }
        let event = WebhookEvent { event, entity_id: happened.id.clone() };
        self.outbox.put(now, |_| (event.clone(), request.clone()));
        Some((event, request))
    }

    fn request(
        &self,
        url: &Url,
        secret: Option<&Secret>,
        books: &Books,
        happened: &Happened,
        now: Timestamp,
    ) -> Option<Request<Bytes>> {
        let (content_type, body) = if self.form_body {
            ("application/x-www-form-urlencoded", form(books, happened, now))
        } else {
            ("application/json", payload(books, happened, now)?)
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().ok()?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(secret) = secret.and_then(|secret| self.outbox.tuning.secret(secret)) {
            let signature = signature(&secret, url.query().unwrap_or_default(), content_type, request.body());
            request.headers_mut().insert(SIGNATURE, HeaderValue::try_from(signature).ok()?);
        }
        Some(request)
    }
}

/// The default payload: the record as the detail call shows it; for a deleted one, its id.
fn payload(books: &Books, happened: &Happened, now: Timestamp) -> Option<Bytes> {
    let record = match happened.how {
        How::Deleted => {
            let mut id = Fields::default();
            id.set(happened.entity.id_key(), &happened.id);
            id
        }
        _ => render::detail(books, happened.entity, &happened.id, now)?,
    };
    let mut wrapped = Fields::default();
    wrapped.set(happened.entity.key(), record);
    serde_json::to_vec(&wrapped).ok().map(Bytes::from)
}

/// A form of user-chosen keys.
fn form(books: &Books, happened: &Happened, now: Timestamp) -> Bytes {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair(happened.entity.id_key(), &happened.id);
    if let Some(document) = books.documents.get(&happened.id) {
        form.append_pair("customer_name", &document.party.name)
            .append_pair("total", &document.total.normalize().to_string())
            .append_pair("status", document.status(books.today(now)));
    }
    Bytes::from(form.finish())
}

/// The value of `X-Zoho-Webhook-Signature`: HMAC-SHA256 in hexadecimal over the decoded pairs of query and form,
/// sorted and written without separators, then over the body as it is unless it is a form.
#[must_use]
pub fn signature(secret: &Secret, query: &str, content_type: &str, body: &[u8]) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let (form, tail) = if is_form { (body, &b""[..]) } else { (&b""[..], body) };
    let mut pairs: Vec<_> =
        url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(form)).collect();
    pairs.sort();
    let head: String = pairs.into_iter().flat_map(|(key, value)| [key, value]).collect();
    match HmacSha256::new([secret]) {
        Ok(keyed) => keyed.sign(&[head.as_bytes(), tail], Encoding::Hex),
        Err(_) => String::new(),
    }
}
