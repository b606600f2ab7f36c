//! The object around an answer's content.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Answer;
use crate::{Effect, Error, ErrorKind, Result};

/// The object that vendors put around a record or a list. Its members are unread.
#[derive(Debug)]
pub struct Envelope(BTreeMap<String, Box<RawValue>>);

impl Envelope {
    /// Takes an answer's body apart.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn of(answer: &Answer) -> Result<Self> {
        answer.json().map(Self)
    }

    /// Takes a member that has to be there.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] names the member that is missing. The effect is unknown: the other side did
    /// answer.
    pub fn member(&mut self, name: &'static str) -> Result<Box<RawValue>> {
        self.take(name).ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "the answer lacks a member")
                .with_effect(Effect::Unknown)
                .with_context("member", name)
        })
    }

    /// Goes on with the object that a member holds.
    ///
    /// # Errors
    /// As [`member`](Self::member), also when it holds no object.
    pub fn within(mut self, name: &'static str) -> Result<Self> {
        let member = self.member(name)?;
        serde_json::from_str(member.get()).map(Self).map_err(|_| {
            Error::new(ErrorKind::InvalidResponse, "expected an object in a member of the answer")
                .with_effect(Effect::Unknown)
                .with_context("member", name)
        })
    }

    /// Takes a member that may be missing.
    pub fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.0.remove(name)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Timestamp;

    #[test]
    fn an_envelope_is_read_behind_a_byte_order_mark_and_names_what_is_missing() {
        let body = Bytes::from_static(b"\xef\xbb\xbf{\"invoice\":{\"id\":\"\xff\"}}");
        let answer = Answer::new(::http::Response::new(body), Timestamp::default());
        let mut envelope = Envelope::of(&answer).unwrap();
        assert_eq!(envelope.member("invoice").unwrap().get(), "{\"id\":\"\u{fffd}\"}");
        assert!(envelope.take("page").is_none());
        assert_eq!(envelope.member("bill").unwrap_err().context("member"), Some("bill"));
    }

    #[test]
    fn an_envelope_within_another_is_read() {
        let body = Bytes::from_static(br#"{"response":{"result":{"bill":{"total":1.50}}},"page":7}"#);
        let answer = Answer::new(::http::Response::new(body), Timestamp::default());
        let result =
            |envelope: Envelope| envelope.within("response").and_then(|within| within.within("result"));
        let bill = result(Envelope::of(&answer).unwrap()).unwrap().member("bill").unwrap();
        assert_eq!(bill.get(), r#"{"total":1.50}"#);
        let page = Envelope::of(&answer).unwrap().within("page").unwrap_err();
        assert_eq!((page.kind(), page.context("member")), (ErrorKind::InvalidResponse, Some("page")));
    }
}
