//! Requests that cannot be used and must not be refused: their vendor would delete the subscription. The feeds are read
//! in their place.

use bytes::Bytes;
use http::Request;

use super::unrouted::received;
use crate::{
    Connector, Error, ErrorKind, ReceiveRequest, Result, Timestamp,
    audit::{Committed, DocKey, Parent, Transaction},
    engine::{
        documents::JsonDocument,
        entries::{self, UNUSABLE},
        registry::{Registry, SourceSlot},
        stored::Received,
        writes::commit,
    },
    model::{EndpointId, Intake, Signal},
};

/// How often feeds are read in place of webhooks that cannot be used. Whoever sends such cannot spend more of the vendor's
/// quota than this.
const AT_MOST_EVERY: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// How often it is written down again because another request was first.
const STALE_TRIES: usize = 3;

/// When feeds are read, or were, in place of a webhook.
#[derive(serde::Serialize, serde::Deserialize)]
struct ReadInstead {
    due: Timestamp,
}

impl JsonDocument for ReadInstead {
    const NAME: &'static str = "when feeds are read in place of a webhook";
}

impl Connector {
    /// Reads the feeds of the source that an oversize webhook may be for.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when no source has given such a path to its vendor.
    pub(super) async fn read_instead_of_oversize(
        &self,
        registry: &Registry,
        endpoint: &EndpointId,
        request: &Request<Bytes>,
        error: &Error,
    ) -> Result<()> {
        let now = self.shared.clock.now();
        let mut found = false;
        for slot in registry.endpoint(endpoint) {
            let state = self.shared.upkeep_state(slot).await?;
            let received = ReceiveRequest::new(request, now).state(state.as_ref());
            let known =
                !slot.source.receive(received).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            if known {
                self.read_instead(slot, request, error, now).await?;
            }
            found |= known;
        }
        if found {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "no source of this endpoint has this path"))
    }

    /// Notes a webhook that cannot be used, and asks for its source's feeds and sweeps to be read: now, or a quarter of an
    /// hour after the last time. What waits already is enough.
    pub(super) async fn read_instead(
        &self,
        slot: &SourceSlot,
        request: &Request<Bytes>,
        error: &Error,
        now: Timestamp,
    ) -> Result<()> {
        let key = DocKey::new("upkeep", slot.connection(), "read-instead");
        for _ in 0..STALE_TRIES {
            let document = self.shared.load::<ReadInstead>(key.clone()).await?;
            let due = match &document.value {
                // One that is later than any can be was set by a clock that was ahead.
                Some(last) if last.due > now && last.due <= now + AT_MOST_EVERY => return Ok(()),
                Some(last) if last.due <= now => now.max(last.due + AT_MOST_EVERY),
                Some(_) => now,
                None => now,
            };
            let received = Received {
                rejected: Some(error.to_string().into()),
                ..received(request, &Intake::accepted(Vec::new()).evidence(Bytes::new()))
            };
            let mut append = vec![entries::note(slot, UNUSABLE, None, received, b"", now)?];
            let info = slot.source.info();
            let reads = info.feeds.iter().map(|feed| Signal::feed(feed.name, None));
            for signal in reads.chain(info.sweeps.iter().map(|feed| Signal::sweep(feed.name))) {
                let signal = Signal { hint: Some("webhook.unusable".into()), ..signal };
                append.push(entries::signal(slot, &signal, Parent::Nth(0), due)?);
            }
            let documents = vec![document.replace(&ReadInstead { due })?];
            let transaction = Transaction { documents, append, ..Transaction::default() };
            if let Committed::Applied(_) = commit(&self.shared, transaction).await? {
                self.shared.mailbox.wake(&[slot.partition]);
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "other webhooks are noted at the same time"))
    }
}
