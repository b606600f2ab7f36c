//! Webhooks: a topic, a company, a key and an action, and nothing else that could be told.

mod content;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ml_connector_core::{
    Error, ErrorKind, ReceiveRequest, Result, decode,
    model::{AccountKey, EntityRef, Intake, Signal},
    webhook::{Encoding, HmacSha256},
};
use url::Url;

use crate::models::{RESOURCES, Resource, division_in, integer, is_guid};

/// The longest text that is believed.
const MAX_TEXT: usize = 64;
/// The end of the hint of a line, and that of a deletion.
const LINE: &str = ".line";
const DELETE: &str = ".delete";

/// Receives what Exact Online sends to an app, and looks after its subscriptions.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// `None`: the connection only polls.
    pub(crate) verifier: Option<HmacSha256>,
    pub(crate) client_id: Arc<str>,
    /// Where the connection's company is.
    pub(crate) base: Url,
    pub(crate) division: u32,
    /// Where consents come back to: webhooks have to come to the same host.
    pub(crate) redirect_host: Option<String>,
    pub(crate) topics: Vec<&'static str>,
}

impl Webhook {
    /// What a request means.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`] when it is not proven to come from Exact Online; [`ErrorKind::InvalidRequest`] when it
    /// is, and names no record; [`ErrorKind::NotFound`] for a path below the endpoint.
    pub(crate) fn receive(&self, received: ReceiveRequest<'_>) -> Result<Intake> {
        let request = received.request;
        if !request.uri().path().trim_matches('/').is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "webhooks come to the endpoint itself"));
        }
        // Whoever subscribes is asked whether they are there. Nothing is in it, and nothing follows from it.
        if request.body().is_empty() {
            return Ok(Intake::accepted(Vec::new()).note("Exact Online looks whether the endpoint is there"));
        }
        let unproven = |reason| Error::new(ErrorKind::SignatureInvalid, reason);
        let verifier = self.verifier.as_ref().ok_or_else(|| unproven("no webhook secret is configured"))?;
        let signed = content::signed(request.body()).ok_or_else(|| unproven("expected a signed content"))?;
        verifier.verify(&[signed.content.as_bytes()], &signed.hash, &[Encoding::Hex])?;
        self.signal(signed.content)
    }

    fn signal(&self, content: &str) -> Result<Intake> {
        let invalid = |message| Error::new(ErrorKind::InvalidRequest, message);
        let read = decode::body(content.as_bytes(), |content| {
            let texts =
                ["Topic", "ClientId", "Action", "Key", "ExactOnlineEndpoint"].map(|name| content.text(name));
            Ok((texts, integer(content, "Division")))
        });
        let ([topic, client_id, action, key, link], division) = read?.value;
        let division = division.and_then(|division| u32::try_from(division).ok());
        let division = division.ok_or_else(|| invalid("a notification without a company"))?;
        let key = Some(key.to_ascii_lowercase()).filter(|key| is_guid(key));
        let key = key.ok_or_else(|| invalid("a notification without a key"))?;
        let dropped = |why: &'static str| Ok(Intake::accepted(Vec::new()).note(why));
        if !client_id.is_empty() && !client_id.eq_ignore_ascii_case(&self.client_id) {
            return dropped("dropped: a notification for another app");
        }
        if division_in(&link).is_some_and(|named| named != i64::from(division)) {
            return dropped("dropped: the notification names two companies");
        }
        let Some((resource, is_line)) = about(&topic, &link) else {
            return dropped("dropped: records of this topic are not read");
        };
        let action = action.get(..MAX_TEXT).unwrap_or(&action).to_ascii_lowercase();
        let known = matches!(&*action, "create" | "update" | "delete");
        let verb = if known { &*action } else { "changed" };
        let hint =
            format!("{}.{verb}{}", resource.topic.unwrap_or_default(), if is_line { LINE } else { "" });
        let mut signal = Signal::entity(EntityRef::new(resource.kind, key));
        signal.hint = Some(hint.into());
        signal.account = Some(account_key(&self.base, division));
        Ok(Intake::accepted(vec![signal]))
    }
}

/// What a notification is about, and whether its key is a line's. The path tells better than the topic, whose events are
/// those of lines, too.
fn about(topic: &str, link: &str) -> Option<(&'static Resource, bool)> {
    let path = link.split_once("/api/v1/").map_or(link, |(_, rest)| rest);
    let path = path.split('(').next().unwrap_or_default();
    let is =
        |own: &str| path.len() > own.len() && path.to_ascii_lowercase().ends_with(&own.to_ascii_lowercase());
    let by_path = RESOURCES.iter().find_map(|resource| {
        let is_line = resource.lines.is_some_and(|lines| is(lines.path));
        (is_line || is(resource.path)).then_some((*resource, is_line))
    });
    let by_topic =
        || RESOURCES.iter().find(|resource| resource.topic == Some(topic)).map(|resource| (*resource, false));
    by_path.filter(|(resource, _)| resource.topic.is_some()).or_else(by_topic)
}

/// How notifications name a company of a region.
pub(crate) fn account_key(base: &Url, division: u32) -> AccountKey {
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    AccountKey::new(format!("division:{}{port}/{division}", base.host_str().unwrap_or_default()))
}

/// What a hint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) is_line: bool,
    pub(crate) is_deletion: bool,
}

impl Hint {
    pub(crate) fn of(hint: &str) -> Self {
        let whole = hint.strip_suffix(LINE);
        Self { is_line: whole.is_some(), is_deletion: whole.unwrap_or(hint).ends_with(DELETE) }
    }
}

/// Whether a hint comes from a notification about another resource of the same kind.
pub(crate) fn is_about_another(hint: &str, resource: &Resource) -> bool {
    let topic = hint.split('.').next().unwrap_or_default();
    RESOURCES.iter().any(|other| other.topic == Some(topic)) && resource.topic != Some(topic)
}
