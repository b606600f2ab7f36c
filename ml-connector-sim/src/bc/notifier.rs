//! Subscriptions, and the notices that they lead to.
//!
//! What waits here is changes, and no requests as in the toolkit's outbox: Business Central makes every try anew of what has
//! happened meanwhile, and of all subscriptions of a URL. The retry table, the verdict and the faults are the toolkit's.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use ml_connector_core::{HttpTransport, Timestamp, http::TransportError};
use serde::Serialize;
use serde_json::{Value, json};

use super::{config::BusinessCentralTuning, documents::How, shapes::Set};
use crate::toolkit::{
    dice::Dice,
    outbox::{self, Reception, RetryTable},
};

/// How long a subscription lives from its creation or renewal.
pub(super) const LIFE: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long the sender waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// `[code]` The pauses after failed tries; after one more the subscription is deleted.
const RETRIES: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(6_000),
    Duration::from_secs(60_000),
];
/// The sender follows redirects by itself `[code]`.
const REDIRECTS: usize = 5;

/// A subscription of one set of the company.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Subscription {
    /// Its key.
    pub id: String,
    /// Where notices go.
    pub notification_url: String,
    /// What it is about, as it was sent.
    pub resource: String,
    /// What every notice repeats.
    pub client_state: String,
    /// When it ends.
    pub expires: Timestamp,
    pub(super) set: Option<Set>,
    pub(super) version: u64,
    pub(super) changed: Timestamp,
}

impl Subscription {
    pub(super) fn etag(&self) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        format!("W/\"{}\"", BASE64_STANDARD.encode(format!("'19;{};00;'", self.version)))
    }

    pub(super) fn render(&self) -> Value {
        let changed = self.changed.to_string();
        json!({
            "@odata.etag": self.etag(),
            "subscriptionId": self.id,
            "notificationUrl": self.notification_url,
            "resource": self.resource,
            "timestamp": self.version % 100_000,
            "userId": "00000000-0000-0000-0000-000000000001",
            "lastModifiedDateTime": changed,
            "clientState": self.client_state,
            "expirationDateTime": self.expires.to_string(),
            "systemCreatedAt": changed,
            "systemModifiedAt": changed,
        })
    }
}

/// A change that waits to be told.
#[derive(Debug, Clone)]
struct Pending {
    subscription: String,
    id: String,
    how: How,
    at: Timestamp,
}

/// One request of the sender, and what came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Notice {
    /// Where it went.
    pub url: String,
    /// How many entries it had.
    pub entries: usize,
    /// When it was sent.
    pub at: Timestamp,
    /// The status it was answered with; `None` when no answer came in time.
    pub status: Option<StatusCode>,
    /// Whether subscriptions were deleted because of it.
    pub cost_subscriptions: bool,
}

/// A batch that is due.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// Where it goes.
    pub url: String,
    /// The request.
    pub request: Request<Bytes>,
    pub(super) entries: usize,
    taken: usize,
}

#[derive(Debug)]
pub(super) struct Notifier {
    pub(super) company: String,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    pub(super) sent: Vec<Notice>,
    pending: Vec<Pending>,
    /// By URL: when the next try is due, and how many have failed.
    due: BTreeMap<String, (Timestamp, u32)>,
    retries: RetryTable,
    dice: Dice,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    subscription_id: &'a str,
    client_state: &'a str,
    expiration_date_time: String,
    resource: String,
    change_type: &'static str,
    last_modified_date_time: String,
}

impl Notifier {
    pub(super) fn new(company: String, seed: u64) -> Self {
        Self {
            company,
            subscriptions: BTreeMap::new(),
            sent: Vec::new(),
            pending: Vec::new(),
            due: BTreeMap::new(),
            retries: RetryTable::of(&RETRIES),
            dice: Dice::new(seed),
        }
    }

    /// Writes a change down for everybody who has subscribed to the set.
    pub(super) fn note(
        &mut self,
        set: Set,
        id: &str,
        how: How,
        now: Timestamp,
        tuning: &BusinessCentralTuning,
    ) {
        let subscribed: Vec<(String, String)> = self
            .subscriptions
            .values()
            .filter(|subscription| subscription.set == Some(set) && subscription.expires > now)
            .map(|subscription| (subscription.id.clone(), subscription.notification_url.clone()))
            .collect();
        for (subscription, url) in subscribed {
            let merges = |pending: &&mut Pending| {
                pending.subscription == subscription && pending.id == id && pending.how == How::Updated
            };
            match self.pending.iter_mut().find(merges).filter(|_| how == How::Updated) {
                Some(pending) => pending.at = now,
                None => self.pending.push(Pending { subscription, id: id.to_owned(), how, at: now }),
            }
            if !tuning.holds_notices {
                // New changes during a pause start a job of their own, with the whole backlog.
                let soon = now + tuning.notices_after();
                let due = self.due.entry(url).or_insert((soon, 0));
                due.0 = due.0.min(soon);
            }
        }
    }

    /// When something is to be sent next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.values().map(|(at, _)| *at).min()
    }

    /// Requests that are due.
    pub(super) fn take(&mut self, now: Timestamp, tuning: &mut BusinessCentralTuning) -> Vec<Batch> {
        self.subscriptions.retain(|_, subscription| subscription.expires > now);
        self.pending.retain(|pending| self.subscriptions.contains_key(&pending.subscription));
        let urls: Vec<String> =
            self.due.iter().filter(|(_, (at, _))| *at <= now).map(|(url, _)| url.clone()).collect();
        let mut batches = Vec::new();
        for url in urls {
            let Some(batch) = self.batch(&url, tuning) else {
                self.due.remove(&url);
                continue;
            };
            if tuning.notices.lose > 0 {
                tuning.notices.lose -= 1;
                self.received(&url, batch.taken, tuning.notices_after());
                continue;
            }
            for _ in 0..=tuning.notices.duplicates {
                batches.push(batch.clone());
            }
        }
        batches
    }

    fn batch(&mut self, url: &str, tuning: &BusinessCentralTuning) -> Option<Batch> {
        let mut entries = Vec::new();
        let mut taken = 0;
        for subscription in self.subscriptions.values().filter(|one| one.notification_url == url) {
            let pending: Vec<&Pending> =
                self.pending.iter().filter(|pending| pending.subscription == subscription.id).collect();
            taken += pending.len();
            let entry = |resource: String, change_type, at: Timestamp| Entry {
                subscription_id: &subscription.id,
                client_state: &subscription.client_state,
                expiration_date_time: subscription.expires.to_string(),
                resource,
                change_type,
                last_modified_date_time: at.to_string(),
            };
            let stem = subscription.resource.trim_start_matches('/');
            if pending.len() > tuning.collection_above {
                let first = pending.iter().map(|pending| pending.at).min().unwrap_or_default();
                let deleted = pending.iter().any(|pending| pending.how == How::Deleted);
                let since = first - Duration::from_millis(50);
                let resource = match deleted {
                    true => stem.to_owned(),
                    false => format!("{stem}?$filter=lastModifiedDateTime%20gt%20{since}"),
                };
                entries.push(entry(resource, "collection", first));
                continue;
            }
            for pending in pending {
                let change_type = match pending.how {
                    How::Created => "created",
                    How::Updated => "updated",
                    How::Deleted => "deleted",
                };
                // A little before the record's own stamp.
                let at = pending.at - Duration::from_millis(43);
                entries.push(entry(format!("{stem}({})", pending.id), change_type, at));
            }
        }
        if entries.is_empty() {
            return None;
        }
        if tuning.notices.shuffle {
            entries.sort_by_cached_key(|_| self.dice.below(u64::MAX));
        }
        let count = entries.len();
        let body = serde_json::to_vec(&json!({ "value": entries })).ok()?;
        let mut request = Request::post(url).body(Bytes::from(body)).ok()?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let correlation = HeaderValue::from_static("3a1f6b52-0000-4000-8000-00000000c0de");
        headers.insert("clientrequestid", correlation.clone());
        headers.insert("x-ms-correlation-id", correlation);
        Some(Batch { url: url.to_owned(), request, entries: count, taken })
    }

    fn received(&mut self, url: &str, taken: usize, after: Duration) {
        let mut left = taken;
        let subscriptions = &self.subscriptions;
        self.pending.retain(|pending| {
            let of = subscriptions.get(&pending.subscription).is_some_and(|one| one.notification_url == url);
            let goes = of && left > 0;
            left -= usize::from(goes);
            !goes
        });
        self.due.remove(url);
        let waits = self.pending.iter().any(|pending| {
            subscriptions.get(&pending.subscription).is_some_and(|one| one.notification_url == url)
        });
        if waits && let Some(at) = self.pending.iter().map(|pending| pending.at).max() {
            self.due.insert(url.to_owned(), (at + after, 0));
        }
    }

    /// Takes note of an answer: no answer, 408, 429 and 5xx are tried again; any other status but 2xx costs all
    /// subscriptions of the URL at once `[code]`. `after` is how long after a change it is told.
    pub(super) fn settle(
        &mut self,
        batch: &Batch,
        answer: &Result<http::Response<Bytes>, TransportError>,
        now: Timestamp,
        after: Duration,
    ) -> Notice {
        let status = answer.as_ref().ok().map(http::Response::status);
        let failed = self.due.get(&batch.url).map_or(0, |(_, failed)| *failed);
        let costs = match (verdict(answer), self.retries.after(failed + 1)) {
            (Reception::Received, _) => {
                self.received(&batch.url, batch.taken, after);
                false
            }
            (Reception::Again(_), Some(pause)) => {
                self.due.insert(batch.url.clone(), (now + pause, failed + 1));
                false
            }
            (Reception::Again(_), None) | (Reception::GiveUp(_), _) => true,
        };
        if costs {
            self.subscriptions.retain(|_, one| one.notification_url != batch.url);
            self.pending.retain(|pending| self.subscriptions.contains_key(&pending.subscription));
            self.due.remove(&batch.url);
        }
        let notice = Notice {
            url: batch.url.clone(),
            entries: batch.entries,
            at: now,
            status,
            cost_subscriptions: costs,
        };
        self.sent.push(notice.clone());
        notice
    }
}

fn verdict(answer: &Result<http::Response<Bytes>, TransportError>) -> Reception {
    let is_refused = |answer: &http::Response<Bytes>| {
        let status = answer.status();
        !(status.is_server_error() || matches!(status.as_u16(), 408 | 429))
    };
    match (Reception::of(answer.as_ref()), answer) {
        (Reception::Again(reason), Ok(answer)) if is_refused(answer) => Reception::GiveUp(reason),
        (verdict, _) => verdict,
    }
}

/// Sends one batch.
pub(super) async fn send(
    batch: &Batch,
    transport: &dyn HttpTransport,
) -> Result<http::Response<Bytes>, TransportError> {
    outbox::send(&batch.request, transport, PATIENCE, REDIRECTS).await
}
