//! How signals and deliveries are written into the log.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, Timestamp,
    model::{Delivery, DeliveryId, Destination, Event, Follow, Origin, Seq, Signal},
    route::Target,
};

/// A signal with the request it came in: one line of JSON, the signal's own payload, the request's body as
/// received. Bytes stay bytes, so that writing one costs next to nothing.
#[derive(Debug, Serialize, Deserialize)]
struct SignalHead<'a, S> {
    signal: Option<S>,
    /// Why the record is to be read, unless it is because something may have happened.
    #[serde(default, skip_serializing_if = "is_live")]
    origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<Received<'a>>,
    /// Whether it came in the request of another signal, which holds the bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    came_along: bool,
}

/// Room for the line of JSON of an ordinary signal.
const HEAD_BYTES: usize = 512;

/// What is kept of a request besides its body. Headers are not: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received<'a> {
    pub(crate) method: Cow<'a, str>,
    pub(crate) target: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<Cow<'a, str>>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rejected: Option<Cow<'a, str>>,
}

/// What a signal's entry holds.
#[derive(Debug)]
pub(crate) struct StoredSignal {
    pub(crate) signal: Option<Signal>,
    pub(crate) origin: Origin,
    pub(crate) received: Option<Received<'static>>,
    pub(crate) came_along: bool,
    pub(crate) body: Bytes,
}

impl StoredSignal {
    pub(crate) fn encode(
        signal: Option<&Signal>,
        received: Option<Received<'_>>,
        body: &[u8],
    ) -> Result<Bytes> {
        let head =
            SignalHead { signal, origin: Origin::Live, payload_bytes: None, received, came_along: false };
        write(head, body)
    }

    /// A signal of our own, perhaps for the sake of something else than news.
    pub(crate) fn encode_as(origin: Origin, signal: &Signal) -> Result<Bytes> {
        let signal = Some(signal);
        write(SignalHead { signal, origin, payload_bytes: None, received: None, came_along: false }, b"")
    }

    /// A signal that came in the request of another one.
    pub(crate) fn encode_along(signal: &Signal) -> Result<Bytes> {
        let (signal, origin) = (Some(signal), Origin::Live);
        write(SignalHead { signal, origin, payload_bytes: None, received: None, came_along: true }, b"")
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self> {
        let unreadable = || Error::new(ErrorKind::Unexpected, "a stored signal cannot be read");
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(unreadable)?;
        let mut head: SignalHead<'static, Signal> =
            serde_json::from_slice(&bytes[..end]).map_err(|source| unreadable().with_source(source))?;
        let mut body = bytes.slice(end + 1..);
        let payload = match head.payload_bytes {
            Some(length) if length > body.len() => return Err(unreadable()),
            length => length.map(|length| body.split_to(length)),
        };
        let signal = head.signal.take().map(|signal| Signal { payload, ..signal });
        let SignalHead { origin, received, came_along, .. } = head;
        Ok(Self { signal, origin, received, came_along, body })
    }
}

fn write(head: SignalHead<'_, &Signal>, body: &[u8]) -> Result<Bytes> {
    let payload = head.signal.and_then(|signal| signal.payload.as_ref());
    let head = SignalHead { payload_bytes: payload.map(Bytes::len), ..head };
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.map_or(0, Bytes::len) + body.len());
    serde_json::to_writer(&mut bytes, &head).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a signal cannot be written").with_source(source)
    })?;
    bytes.push(b'\n');
    bytes.extend_from_slice(payload.map_or(&[], |payload| payload));
    bytes.extend_from_slice(body);
    Ok(bytes.into())
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_live(origin: &Origin) -> bool {
    *origin == Origin::Live
}

/// What a delivery's entry holds. The event is its parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) destination: Destination,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) follow: Option<Follow>,
    /// The schedule it waits for, as text: part of the name of its lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) digest: bool,
}

impl StoredDelivery {
    pub(crate) fn new(target: &Target, now: Timestamp) -> Self {
        Self {
            id: DeliveryId::generate(now),
            destination: target.destination.clone(),
            template: target.template.clone(),
            follow: target.follow,
            schedule: target.schedule.as_ref().map(|schedule| schedule.to_string().into()),
            digest: target.schedule.as_ref().is_some_and(|schedule| schedule.digest.is_some()),
        }
    }

    /// The delivery as a sink sees it, before its first attempt.
    pub(crate) fn delivery(
        &self,
        seq: Seq,
        route: Arc<str>,
        event: Arc<Event>,
        since: Timestamp,
    ) -> Delivery {
        let mut delivery = Delivery::new(seq, self.id, self.destination.clone(), route, event, since);
        delivery.template.clone_from(&self.template);
        delivery.schedule.clone_from(&self.schedule);
        (delivery.follow, delivery.digest) = (self.follow, self.digest);
        delivery
    }

    pub(crate) fn encode(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a delivery cannot be written").with_source(source)
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a stored delivery cannot be read").with_source(source)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::model::EntityRef;

    #[test]
    fn payload_and_body_come_back_byte_for_byte() {
        let mut signal = Signal::entity(EntityRef::new("invoice", "1"));
        signal.payload = Some(Bytes::from_static(b"click\n\xff"));
        let received = Received {
            method: "POST".into(),
            target: "/hook?x=1".into(),
            content_type: None,
            rejected: None,
        };
        let stored = StoredSignal::encode(Some(&signal), Some(received.clone()), b"\n{body}\xfe").unwrap();
        let read = StoredSignal::decode(&stored).unwrap();
        assert_eq!(
            (read.signal, read.received, &read.body[..]),
            (Some(signal), Some(received), &b"\n{body}\xfe"[..])
        );
        assert!(
            StoredSignal::decode(&Bytes::from_static(b"{\"signal\":null,\"payload_bytes\":9}\nx")).is_err()
        );
        assert!(StoredSignal::decode(&Bytes::from_static(b"x")).is_err());
    }

    fn stored() -> Vec<u8> {
        let mut signal = Signal::entity(EntityRef::new("invoice", "1"));
        signal.payload = Some(Bytes::from_static(b"click"));
        StoredSignal::encode(Some(&signal), None, b"{body}").unwrap().to_vec()
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = StoredDelivery::decode(&bytes);
            let _ = StoredSignal::decode(&bytes.into());
        }

        #[test]
        fn no_fault_in_what_was_stored_makes_the_decoders_panic(
            at in any::<prop::sample::Index>(), gone in 0..9_usize, piece in vec(any::<u8>(), 0..9),
        ) {
            let delivery = StoredDelivery::new(&Target::new("s", Destination::from("a")), Timestamp::default()).encode().unwrap();
            for stored in [stored(), delivery.to_vec()] {
                let at = at.index(stored.len());
                let rest = &stored[(at + gone).min(stored.len())..];
                let spoiled = [&stored[..at], &piece, rest].concat();
                let _ = StoredDelivery::decode(&spoiled);
                let _ = StoredSignal::decode(&spoiled.into());
            }
        }

        #[test]
        fn a_claimed_length_is_never_believed(length in prop_oneof![0..12_u64, any::<u64>()], body in vec(any::<u8>(), 0..9)) {
            let head = format!("{{\"signal\":null,\"payload_bytes\":{length}}}\n");
            let stored = Bytes::from([head.as_bytes(), &body].concat());
            let fits = usize::try_from(length).is_ok_and(|length| length <= body.len());
            prop_assert_eq!(StoredSignal::decode(&stored).is_ok(), fits);
        }
    }
}
