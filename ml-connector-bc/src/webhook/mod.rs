//! Notifications. Nothing signs them: the path and `clientState` are what only Business Central was told.

pub(crate) mod place;
mod resource;
pub(crate) mod subscriptions;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use ml_connector_core::{
    Error, ErrorKind, Result, Secret, Timestamp,
    decode::{self, Decoded},
    model::{ConnectionId, DedupeKey, EntityRef, Intake, Revision, Signal, Subject},
    webhook::{Encoding, Form, HmacSha256, require_token},
};
use url::Url;

use self::resource::Resource;
use crate::models::Set;

/// A thousand entries for each subscription of a URL, by the published source; every set has a URL of its own.
const MAX_BODY: usize = 4 << 20;
const MAX_TOKEN: usize = 512;
/// The sets are read at most so often because of notifications that nobody can read.
const SWEEP_AT_MOST_EVERY: Duration = Duration::from_secs(15 * 60);
/// Paths have 128 bits, `clientState` 160: a product built on Business Central allows 50 characters.
const PATH_DIGITS: usize = 32;
const STATE_DIGITS: usize = 40;
const MIN_SECRET: usize = 16;
/// The hint of signals that follow from trouble.
pub(crate) const TROUBLE: &str = "unreadable notification";
/// The hint that Business Central says the record was deleted.
pub(crate) const DELETED: &str = "deleted";

/// Answers handshakes, and decodes notifications, on the paths of one company.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    keyed: HmacSha256,
    connection: ConnectionId,
    company: String,
    host: String,
    sets: Vec<Wanted>,
}

/// What Business Central is told about one set.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// `None`: approval entries, which are no records.
    pub(crate) set: Option<Set>,
    pub(crate) name: &'static str,
    pub(crate) path: Secret,
    pub(crate) client_state: Secret,
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Webhook {
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the secret is too short to make anything of.
    pub(crate) fn new(
        connection: &ConnectionId,
        secret: &Secret,
        company: &str,
        sets: &[Set],
        api: &Url,
    ) -> Result<Self> {
        if secret.expose().len() < MIN_SECRET {
            return Err(Error::new(ErrorKind::ConfigInvalid, "expected 16 characters or more")
                .with_context("setting", "webhook_secret"));
        }
        let keyed = HmacSha256::new([secret])?;
        let host = api.host_str().unwrap_or_default().to_owned();
        let (sets, connection) = (derive(&keyed, company, sets), connection.clone());
        Ok(Self { sets, keyed, connection, company: company.to_owned(), host })
    }

    /// The same for every set of another company.
    pub(crate) fn of(&self, company: &str) -> Self {
        let (sets, company) = (derive(&self.keyed, company, &Set::ALL), company.to_owned());
        Self { sets, company, ..self.clone() }
    }

    /// The subscriptions of sets that are wanted.
    pub(crate) fn wanted(&self) -> &[Wanted] {
        &self.sets
    }

    /// A subscription's id, the same in every run, so that a create whose answer was lost is made once.
    pub(crate) fn subscription_id(&self, url: &str) -> String {
        let digest = self.keyed.sign(&[b"subscription\n", url.as_bytes()], Encoding::Hex);
        format!("mlc-{}", &digest[..32])
    }

    /// What a request means. A path that was issued never gets a 4xx or a redirect: either would cost the subscription.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a path that was never issued: another connection of the endpoint may have issued it.
    pub(crate) fn decode(&self, request: &Request<Bytes>, now: Timestamp) -> Result<Intake> {
        let path = request.uri().path().trim_matches('/');
        // All are compared, so that the time says nothing about which of them it was.
        let issued = self.sets.iter().fold(None, |found, wanted| {
            if require_token(path, &wanted.path).is_ok() { Some(wanted) } else { found }
        });
        let Some(wanted) = issued else {
            return Err(Error::new(ErrorKind::NotFound, "no notifications were asked for under this path"));
        };
        let query = Form::lenient(request.uri().query().unwrap_or_default().as_bytes());
        if let Some(token) = query.get("validationToken") {
            return Ok(Intake::accepted(Vec::new()).reply(handshake(token)));
        }
        // The path and every `clientState` prove the sender: the log keeps neither.
        let kept = |signals: &[Signal]| {
            let about: Vec<_> = signals.iter().map(|signal| format!("{:?}", signal.subject)).collect();
            let (bytes, about) = (request.body().len(), about.join("\n"));
            Bytes::from(format!("{bytes} bytes of set {:?} about\n{about}", wanted.name))
        };
        let (mut signals, dropped) = self.entries(request.body(), wanted);
        let Some(reason) = dropped else {
            let kept = kept(&signals);
            return Ok(Intake::accepted(signals).evidence(kept));
        };
        tracing::warn!(set = wanted.name, reason, bytes = request.body().len(), "entries are dropped");
        let (trouble, key) = self.trouble(wanted, reason, now);
        signals.push(trouble);
        let kept = kept(&signals);
        Ok(Intake::accepted(signals).evidence(kept).note_once(format!("entries are dropped: {reason}"), key))
    }

    /// The signals of a notification, and why one of its entries, or all of it, leads to nothing.
    fn entries(&self, body: &Bytes, wanted: &Wanted) -> (Vec<Signal>, Option<&'static str>) {
        if body.len() > MAX_BODY {
            return (Vec::new(), Some("too_large"));
        }
        let read = decode::body(body, |body| {
            if !body.has("value") {
                return Err(Error::new(ErrorKind::InvalidRequest, "no value"));
            }
            let mut entries = Vec::new();
            for entry in body.objects("value") {
                entries.push([
                    entry.text("clientState"),
                    entry.text("resource"),
                    entry.text("changeType"),
                    entry.text("subscriptionId"),
                    entry.text("lastModifiedDateTime"),
                ]);
            }
            Ok(entries)
        });
        let Ok(Decoded { value: entries, left_out }) = read else {
            return (Vec::new(), Some("unreadable"));
        };
        // What is no entry may have been one.
        let mut dropped = match (left_out.is_empty(), entries.is_empty()) {
            (false, _) => Some("unreadable_entry"),
            (true, true) => Some("empty"),
            (true, false) => None,
        };
        let mut signals = Vec::new();
        for [state, resource, change, subscription, at] in &entries {
            if require_token(state, &wanted.client_state).is_err() {
                dropped = dropped.or(Some("client_state_mismatch"));
                continue;
            }
            match Resource::parse(resource, &self.company, wanted.name, &self.host) {
                Some(resource) => signals.extend(told(wanted, &resource, change, subscription, at)),
                None => dropped = dropped.or(Some("resource_rejected")),
            }
        }
        (signals, dropped)
    }

    /// Somebody who knows the path told something that cannot be used: what it was about is read, but not all the time. The
    /// second is the key under which that is noted, so that nobody fills the log with notes.
    fn trouble(&self, wanted: &Wanted, reason: &str, now: Timestamp) -> (Signal, DedupeKey) {
        let every = i64::try_from(SWEEP_AT_MOST_EVERY.as_millis()).unwrap_or(i64::MAX);
        let turn = now.as_millis().div_euclid(every);
        let mut signal = Signal::feed(wanted.name, None);
        signal.hint = Some(TROUBLE.into());
        // The path is a secret, and the log keeps keys. A key is known to all connections of the log.
        let key = format!("business_central/trouble/{}/{}/{turn}", self.connection, wanted.name);
        let noted = DedupeKey::from(format!("{key}/{reason}"));
        signal.dedupe = Some(DedupeKey::from(key));
        (signal, noted)
    }
}

/// Paths and `clientState` of the sets of a company, and of its approval entries.
fn derive(keyed: &HmacSha256, company: &str, sets: &[Set]) -> Vec<Wanted> {
    let text = |what: &str, name: &str, digits: usize| {
        let parts = [what.as_bytes(), b"\n", company.as_bytes(), b"\n", name.as_bytes()];
        Secret::from(&keyed.sign(&parts, Encoding::Hex)[..digits])
    };
    let named = |set: Option<Set>, name| Wanted {
        set,
        name,
        path: text("path", name, PATH_DIGITS),
        client_state: text("clientState", name, STATE_DIGITS),
    };
    let all = sets.iter().map(|set| named(Some(*set), set.name()));
    all.chain([named(None, Set::APPROVAL_ENTRIES)]).collect()
}

/// What an entry tells. More changes than Business Central lists one by one, with deletions among them, are two things to do:
/// what has changed is read, and what the set does not show any more is looked for.
fn told(wanted: &Wanted, resource: &Resource, change: &str, subscription: &str, at: &str) -> Vec<Signal> {
    let mut signals = match (resource, wanted.set) {
        (Resource::Record(id), Some(set)) => {
            vec![Signal::entity(EntityRef::new(set.kind().as_str(), id.as_str()))]
        }
        (Resource::Record(_), None) => vec![Signal::feed(wanted.name, None)],
        (Resource::Collection(None), Some(_)) => {
            vec![Signal::feed(wanted.name, None), Signal::sweep(wanted.name)]
        }
        (Resource::Collection(since), _) => vec![Signal::feed(wanted.name, *since)],
    };
    let known = ["created", "updated", DELETED, "collection"].into_iter().find(|known| *known == change);
    // Several changes of one record within a delivery window have stamps of their own; a delivery that is repeated has not.
    let one = Revision::of(format!("{subscription}\n{resource:?}\n{change}\n{at}").as_bytes());
    for signal in &mut signals {
        signal.hint = known.map(Into::into);
        let sweeps = if matches!(signal.subject, Subject::Sweep(_)) { "/sweep" } else { "" };
        signal.dedupe = Some(DedupeKey::from(format!("business_central/{one}{sweeps}")));
    }
    signals
}

/// The token comes back as plain text, and nothing else can be reflected.
fn handshake(token: &str) -> Response<Bytes> {
    let plain =
        (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !plain {
        return empty(StatusCode::OK);
    }
    let mut answer = Response::new(Bytes::from(token.to_owned()));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}
