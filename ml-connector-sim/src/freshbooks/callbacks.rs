//! Callbacks: the handshake, what they are told, how it is signed, and what becomes of one that fails.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use ml_connector_core::{
    Secret, Timestamp,
    webhook::{Encoding, HmacSha256},
};

use super::{
    books::Happened,
    config::{Business, Disabling, Quirks},
    identity::{IDENTITY_ID, USER_ID},
};
use crate::toolkit::{
    outbox::{Attempt, Delivery, Outbox, Reception, RetryTable},
    seed::Seed,
};

/// The event that hands a verifier over.
pub(super) const VERIFY: &str = "callback.verify";
const SIGNATURE: HeaderName = HeaderName::from_static("x-freshbooks-hmac-sha256");
const VERBS: [&str; 3] = ["create", "update", "delete"];
const NOUNS: [&str; 15] = [
    "invoice",
    "payment",
    "bill",
    "bill_vendor",
    "expense",
    "client",
    "item",
    "estimate",
    "credit_note",
    "category",
    "tax",
    "recurring",
    "project",
    "service",
    "time_entry",
];

/// What a delivery tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// Which callback it belongs to; the request does not say so.
    pub callback_id: u64,
    /// `invoice.update`, or `callback.verify` for a handshake.
    pub name: String,
    /// The record's id, or the callback's in a handshake.
    pub object_id: u64,
    /// The account.
    pub account_id: String,
}

/// One delivery; every attempt is the same request.
pub type WebhookDelivery = Delivery<WebhookEvent>;

/// What came of one attempt to deliver.
pub type AttemptedWebhook = Attempt<WebhookEvent>;

/// A callback as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Its id.
    pub id: u64,
    /// The account.
    pub account_id: String,
    /// A noun or `noun.verb`.
    pub event: String,
    /// Where it goes.
    pub uri: String,
    /// Whether it is told anything.
    pub verified: bool,
    pub(super) updated: Timestamp,
    /// What its deliveries are signed with.
    pub(super) verifier: Option<String>,
    /// What a handshake handed over and nobody has sent back.
    pub(super) pending: Option<String>,
    /// Failed attempts since the last that did not fail.
    pub(super) failures: u32,
}

impl Callback {
    fn is_told(&self, account: &str, happened: &Happened) -> bool {
        let noun = happened.kind.name();
        let rest = self.event.strip_prefix(noun);
        let verb = rest.map(|rest| rest.strip_prefix('.').unwrap_or(rest));
        self.verified
            && self.account_id == account
            && verb.is_some_and(|verb| verb.is_empty() || verb == happened.verb)
    }
}

/// All callbacks of the login's accounts, and the deliveries that wait.
#[derive(Debug)]
pub(super) struct Callbacks {
    pub(super) all: Vec<Callback>,
    pub(super) outbox: Outbox<WebhookEvent>,
    seed: Seed,
    next_id: u64,
}

impl Callbacks {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            all: Vec::new(),
            outbox: Outbox::new(RetryTable::none(), seed),
            seed: Seed::new(seed.wrapping_add(1)),
            next_id: 2_417,
        }
    }

    /// Creates a callback and sends it a verifier.
    pub(super) fn create(
        &mut self,
        account: &str,
        (event, uri): (&str, &str),
        quirks: &Quirks,
        business: &Business,
        now: Timestamp,
    ) -> &Callback {
        self.next_id += 1;
        self.all.push(Callback {
            id: self.next_id - 1,
            account_id: account.to_owned(),
            event: event.to_owned(),
            uri: uri.to_owned(),
            verified: false,
            updated: now,
            verifier: None,
            pending: None,
            failures: 0,
        });
        let at = self.all.len() - 1;
        self.resend(at, quirks, business, now);
        &self.all[at]
    }

    /// Where a callback of an account stands.
    pub(super) fn position(&self, account: &str, id: u64) -> Option<usize> {
        self.all.iter().position(|callback| callback.account_id == account && callback.id == id)
    }

    /// Sends a verifier to a callback that is not verified; nothing to one that is.
    pub(super) fn resend(&mut self, at: usize, quirks: &Quirks, business: &Business, now: Timestamp) {
        let drawn = self.seed.hex()[..32].to_owned();
        let callback = &mut self.all[at];
        if callback.verified {
            return;
        }
        let known = callback.pending.take().or_else(|| callback.verifier.clone());
        let verifier = known.filter(|_| quirks.resend_keeps_verifier).unwrap_or(drawn);
        callback.pending = Some(verifier.clone());
        let event = WebhookEvent {
            callback_id: callback.id,
            name: VERIFY.to_owned(),
            object_id: callback.id,
            account_id: callback.account_id.clone(),
        };
        let fields = fields(&event, Some(&verifier), quirks, business);
        let uri = callback.uri.clone();
        self.put(&uri, &event, &fields, &verifier, now);
    }

    /// Takes a verifier back. Returns whether it is the one that was handed over.
    pub(super) fn verify(&mut self, at: usize, verifier: &str, now: Timestamp) -> bool {
        let callback = &mut self.all[at];
        if callback.verified && callback.verifier.as_deref() == Some(verifier) {
            return true;
        }
        let is_right = callback.pending.as_deref() == Some(verifier);
        if is_right {
            callback.verifier = callback.pending.take();
            callback.verified = true;
            callback.failures = 0;
            callback.updated = now;
        }
        is_right
    }

    pub(super) fn delete(&mut self, id: u64) -> bool {
        let before = self.all.len();
        self.all.retain(|callback| callback.id != id);
        self.outbox.retain(|event| event.callback_id != id);
        self.all.len() < before
    }

    /// Ends the verification of a callback, as if it had failed for too long. What waits already is still sent.
    pub(super) fn unverify(&mut self, id: u64, now: Timestamp) -> bool {
        let Some(callback) = self.all.iter_mut().find(|callback| callback.id == id) else { return false };
        callback.verified = false;
        callback.updated = now;
        true
    }

    /// Tells the callbacks of everything that happened.
    pub(super) fn fire(
        &mut self,
        business: &Business,
        happened: Vec<Happened>,
        quirks: &Quirks,
        now: Timestamp,
    ) {
        let Some(account) = &business.account_id else { return };
        for happened in happened {
            let told: Vec<Callback> =
                self.all.iter().filter(|callback| callback.is_told(account, &happened)).cloned().collect();
            for callback in told {
                let noun = happened.kind.name();
                let name = match quirks.bare_nouns && callback.event == noun {
                    true => noun.to_owned(),
                    false => format!("{noun}.{}", happened.verb),
                };
                let event = WebhookEvent {
                    callback_id: callback.id,
                    name,
                    object_id: happened.id,
                    account_id: account.clone(),
                };
                let fields = fields(&event, None, quirks, business);
                self.put(
                    &callback.uri,
                    &event,
                    &fields,
                    callback.verifier.as_deref().unwrap_or_default(),
                    now,
                );
            }
        }
    }

    /// Writes down what came of an attempt. A callback that fails for too long is disabled.
    pub(super) fn settle(
        &mut self,
        delivery: WebhookDelivery,
        verdict: Reception,
        answer: Option<&Response<Bytes>>,
        disabling: Option<Disabling>,
        now: Timestamp,
    ) -> AttemptedWebhook {
        let id = delivery.about.callback_id;
        let attempt = self.outbox.settle(delivery, verdict, answer, now);
        if let Some(callback) = self.all.iter_mut().find(|callback| callback.id == id) {
            callback.failures = if verdict.failure().is_some() { callback.failures + 1 } else { 0 };
            match (disabling, callback.failures) {
                (Some(Disabling::Unverify { failures }), failed) if failed >= failures => {
                    self.unverify(id, now);
                }
                (Some(Disabling::Delete { failures }), failed) if failed >= failures => {
                    self.delete(id);
                }
                _ => {}
            }
        }
        attempt
    }

    fn put(
        &mut self,
        uri: &str,
        event: &WebhookEvent,
        fields: &[(&str, String)],
        verifier: &str,
        now: Timestamp,
    ) {
        let key = self.outbox.tuning.secret(&Secret::from(verifier));
        if let Some(request) = request(uri, fields, key.as_ref()) {
            self.outbox.put(now, |_| (event.clone(), request.clone()));
        }
    }
}

/// A delivery that nobody of FreshBooks sent: any fields, signed with any key or not at all.
pub(super) fn forged(uri: &str, fields: &[(&str, String)], key: Option<&Secret>) -> Option<Request<Bytes>> {
    request(uri, fields, key)
}

/// The fields of a delivery in the order in which they go out.
fn fields<'a>(
    event: &WebhookEvent,
    verifier: Option<&str>,
    quirks: &Quirks,
    business: &Business,
) -> Vec<(&'a str, String)> {
    let name = ("name", event.name.clone());
    let object = ("object_id", event.object_id.to_string());
    let account = ("account_id", event.account_id.clone());
    let user = ("user_id", USER_ID.to_string());
    let verifier = verifier.map(|verifier| ("verifier", verifier.to_owned()));
    // A handshake was observed with the fields of old deliveries.
    if quirks.old_deliveries {
        let system = ("system", "https://northwindstudio.freshbooks.com".to_owned());
        return [Some(user), Some(name), verifier, Some(object), Some(account), Some(system)]
            .into_iter()
            .flatten()
            .collect();
    }
    let business_id = ("business_id", business.business_id.to_string());
    let identity = ("identity_id", IDENTITY_ID.to_string());
    [Some(name), Some(object), Some(account), Some(business_id), Some(identity), Some(user), verifier]
        .into_iter()
        .flatten()
        .collect()
}

fn request(uri: &str, fields: &[(&str, String)], key: Option<&Secret>) -> Option<Request<Bytes>> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let signature = key.map(|key| signature(key, body.as_bytes()));
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.parse().ok()?;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    if let Some(signature) = signature {
        request.headers_mut().insert(SIGNATURE, HeaderValue::try_from(signature).ok()?);
    }
    Some(request)
}

/// The value of `X-FreshBooks-Hmac-SHA256` for a form body: HMAC-SHA256 in base64, under the verifier, over the fields
/// in their order as Python's `json.dumps` writes a dict of texts.
#[must_use]
pub fn signature(verifier: &Secret, body: &[u8]) -> String {
    let message = python_json(url::form_urlencoded::parse(body));
    HmacSha256::new([verifier])
        .map_or_else(|_| String::new(), |keyed| keyed.sign(&[message.as_bytes()], Encoding::Base64))
}

fn python_json<K: AsRef<str>, V: AsRef<str>>(fields: impl Iterator<Item = (K, V)>) -> String {
    let mut json = String::from("{");
    for (name, value) in fields {
        if json.len() > 1 {
            json.push_str(", ");
        }
        quote(&mut json, name.as_ref());
        json.push_str(": ");
        quote(&mut json, value.as_ref());
    }
    json.push('}');
    json
}

fn quote(json: &mut String, text: &str) {
    json.push('"');
    for unit in text.encode_utf16() {
        match unit {
            0x22 => json.push_str("\\\""),
            0x5c => json.push_str("\\\\"),
            0x0a => json.push_str("\\n"),
            0x0d => json.push_str("\\r"),
            0x09 => json.push_str("\\t"),
            0x08 => json.push_str("\\b"),
            0x0c => json.push_str("\\f"),
            0x20..=0x7e => json.extend(char::from_u32(unit.into())),
            _ => _ = write!(json, "\\u{unit:04x}"),
        }
    }
    json.push('"');
}

/// Whether FreshBooks knows this noun or `noun.verb`.
pub(super) fn is_event(event: &str) -> bool {
    let (noun, verb) = event.split_once('.').map_or((event, None), |(noun, verb)| (noun, Some(verb)));
    let by_mail = |verb| verb == "sendByEmail" && matches!(noun, "invoice" | "estimate");
    NOUNS.contains(&noun) && verb.is_none_or(|verb| VERBS.contains(&verb) || by_mail(verb))
}

/// The object of the scope that a callback for this event needs.
pub(super) fn scope_of(event: &str) -> String {
    let noun = event.split('.').next().unwrap_or(event);
    match noun {
        "category" => "expenses".to_owned(),
        "item" | "service" => "billable_items".to_owned(),
        "tax" => "taxes".to_owned(),
        "recurring" => "invoices".to_owned(),
        "time_entry" => "time_entries".to_owned(),
        _ => format!("{noun}s"),
    }
}
