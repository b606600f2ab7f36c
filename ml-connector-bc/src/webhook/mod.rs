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
    model::{DedupeKey, EntityRef, Intake, Revision, Signal},
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
    pub(crate) fn new(secret: &Secret, company: &str, sets: &[Set], api: &Url) -> Result<Self> {
        if secret.expose().len() < MIN_SECRET {
            return Err(Error::new(ErrorKind::ConfigInvalid, "expected 16 characters or more")
                .with_context("setting", "webhook_secret"));
        }
        let keyed = HmacSha256::new([secret])?;
        let host = api.host_str().unwrap_or_default().to_owned();
        Ok(Self { sets: derive(&keyed, company, sets), keyed, company: company.to_owned(), host })
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
        Ok(match self.entries(request.body(), wanted) {
            Ok((signals, true)) => {
                let kept = kept(&signals);
                Intake::accepted(signals).evidence(kept)
            }
            Ok((mut signals, false)) => {
                signals.push(trouble(wanted, now));
                let kept = kept(&signals);
                Intake::accepted(signals).evidence(kept)
            }
            Err(reason) => {
                tracing::warn!(
                    set = wanted.name,
                    reason,
                    bytes = request.body().len(),
                    "a notification is dropped"
                );
                let signals = vec![trouble(wanted, now)];
                let kept = kept(&signals);
                Intake::accepted(signals).evidence(kept)
            }
        })
    }

    /// The signals of a notification, and whether all of its entries were ours.
    fn entries(&self, body: &Bytes, wanted: &Wanted) -> Result<(Vec<Signal>, bool), &'static str> {
        if body.len() > MAX_BODY {
            return Err("too_large");
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
        let Decoded { value: entries, left_out } = read.map_err(|_| "unreadable")?;
        if entries.is_empty() {
            return Err("empty");
        }
        // What is no entry may have been one.
        let (mut signals, mut all_ours) = (Vec::new(), left_out.is_empty());
        for [state, resource, change, subscription, at] in &entries {
            if require_token(state, &wanted.client_state).is_err() {
                tracing::warn!(set = wanted.name, reason = "client_state_mismatch", "an entry is dropped");
                all_ours = false;
                continue;
            }
            match Resource::parse(resource, &self.company, wanted.name, &self.host) {
                Some(resource) => signals.push(signal(wanted, &resource, change, subscription, at)),
                None => {
                    tracing::warn!(set = wanted.name, reason = "resource_rejected", "an entry is dropped");
                    all_ours = false;
                }
            }
        }
        Ok((signals, all_ours))
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

fn signal(wanted: &Wanted, resource: &Resource, change: &str, subscription: &str, at: &str) -> Signal {
    let mut signal = match (resource, wanted.set) {
        (Resource::Record(id), Some(set)) => Signal::entity(EntityRef::new(set.kind().as_str(), id.as_str())),
        (Resource::Record(_), None) => Signal::feed(wanted.name, None),
        (Resource::Collection(since), _) => Signal::feed(wanted.name, *since),
    };
    let known = ["created", "updated", DELETED, "collection"].into_iter().find(|known| *known == change);
    signal.hint = known.map(Into::into);
    // Several changes of one record within a delivery window have stamps of their own; a delivery that is repeated has not.
    let one = format!("{subscription}\n{resource:?}\n{change}\n{at}");
    let key = format!("business_central/{}", Revision::of(one.as_bytes()));
    signal.dedupe = Some(DedupeKey::from(key));
    signal
}

/// Somebody who knows the path told something that cannot be read: what it was about is read, but not all the time.
fn trouble(wanted: &Wanted, now: Timestamp) -> Signal {
    let every = i64::try_from(SWEEP_AT_MOST_EVERY.as_millis()).unwrap_or(i64::MAX);
    let turn = now.as_millis().div_euclid(every);
    let mut signal = Signal::feed(wanted.name, None);
    signal.hint = Some(TROUBLE.into());
    // The path is a secret, and the log keeps keys.
    signal.dedupe = Some(DedupeKey::from(format!("business_central/trouble/{}/{turn}", wanted.name)));
    signal
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
