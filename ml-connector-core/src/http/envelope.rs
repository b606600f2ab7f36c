//! The object around an answer's content.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Answer;
use crate::{
    Effect, Error, ErrorKind, Result,
    decode::{self, List},
};

/// The object that vendors put around a record or a list. Its members are unread. `Debug` shows their names.
pub struct Envelope(BTreeMap<String, Box<RawValue>>);

impl Envelope {
    /// Takes an answer's body apart.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn of(answer: &Answer) -> Result<Self> {
        answer.json().map(Self)
    }

    /// Takes an answer apart that holds a list: what is around the list, and the list, in one pass over the body.
    ///
    /// `within` names the objects around the list from the outside to the inside, and `list` the member that is the list. The
    /// envelope has the members beside it.
    ///
    /// ```
    /// # use ml_connector_core::{Timestamp, http::{Answer, Envelope}};
    /// let body = r#"{"response":{"result":{"page":1,"bills":[{"id":7}]}}}"#;
    /// let answer = Answer::new(http::Response::new(body.into()), Timestamp::default());
    /// let (mut result, bills) = Envelope::with_list(&answer, &["response", "result"], "bills")?;
    /// assert_eq!(bills.iter().next().unwrap().get(), r#"{"id":7}"#);
    /// assert_eq!(result.member("page")?.get(), "1");
    /// # Ok::<_, ml_connector_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`of`](Self::of), [`within`](Self::within), [`member`](Self::member) and [`List::of`] one after the other.
    pub fn with_list(answer: &Answer, within: &[&'static str], list: &'static str) -> Result<(Self, List)> {
        if let Some(apart) = apart(&decode::clean(&answer.body), within, list) {
            return Ok(apart);
        }
        // Something is another way than it mostly is. Step by step it is found what.
        let mut envelope =
            within.iter().try_fold(Self::of(answer)?, |envelope, name| envelope.within(name))?;
        let list = List::of(&envelope.member(list)?)?;
        Ok((envelope, list))
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

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Envelope").field(&self.0.keys()).finish()
    }
}

/// An envelope and the list in it. `None` unless there is a list, and an object wherever one is expected.
fn apart(body: &str, within: &[&str], list: &str) -> Option<(Envelope, List)> {
    let mut decoder = serde_json::Deserializer::from_str(body);
    let apart = Apart { within, list }.deserialize(&mut decoder).ok()?;
    decoder.end().ok()?;
    Some(apart)
}

/// Reads an object that holds a list, or an object that does, and so on.
struct Apart<'n> {
    within: &'n [&'n str],
    list: &'n str,
}

impl<'a> DeserializeSeed<'a> for Apart<'_> {
    type Value = (Envelope, List);

    fn deserialize<D: Deserializer<'a>>(self, object: D) -> Result<Self::Value, D::Error> {
        object.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Apart<'_> {
    type Value = (Envelope, List);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let Self { within, list } = self;
        let (mut members, mut rows, mut found) = (BTreeMap::new(), None, None);
        while let Some(name) = object.next_key::<String>()? {
            match within.split_first() {
                Some((next, within)) if name == *next => {
                    found = Some(object.next_value_seed(Apart { within, list })?);
                }
                Some(_) => _ = object.next_value::<IgnoredAny>()?,
                None if name == list => rows = Some(object.next_value()?),
                None => _ = members.insert(name, object.next_value()?),
            }
        }
        let found = found.or_else(|| Some((Envelope(members), rows?)));
        found.ok_or_else(|| A::Error::custom("there is no list"))
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

    #[test]
    fn a_list_is_taken_out_of_all_that_is_around_it_and_what_is_wrong_is_named_as_step_by_step() {
        let read = |body: &'static str| {
            let answer = Answer::new(::http::Response::new(Bytes::from(body)), Timestamp::default());
            let (envelope, list) = Envelope::with_list(&answer, &["response", "result"], "bills")?;
            let rows: Vec<_> = list.iter().map(RawValue::get).map(str::to_owned).collect();
            Ok::<_, Error>((envelope.0.into_keys().collect::<Vec<_>>().join(" "), rows.join(" ")))
        };
        for (body, around, rows) in [
            (
                r#"{"response":{"result":{"page":1,"bills":[{"a":1.50}, null],"of":2}},"x":[]}"#,
                "of page",
                r#"{"a":1.50} null"#,
            ),
            (r#"{"response":{"result":{"bills":[1],"bills":[2]}}}"#, "", "2"),
            (r#"{"response":7,"response":{"result":{"bills":[]}}}"#, "", ""),
            (r#"{"response":{"result":{"bills":[1]},"result":{"bills":null}}}"#, "", ""),
            (r#"{"response":{"result":{"bills":""}}}"#, "", ""),
        ] {
            assert_eq!(read(body).unwrap(), (around.to_owned(), rows.to_owned()), "{body}");
        }
        for (body, context, value) in [
            ("<html>", "class", "no JSON"),
            (r#"{"response":{"result":{"bills":[1"#, "class", "truncated"),
            (r#"{"response":{"result":{"bills":[]}}}{}"#, "class", "no JSON"),
            ("[]", "class", "another shape"),
            (r#"{"result":{"bills":[]}}"#, "member", "response"),
            (r#"{"response":{"result":[]}}"#, "member", "result"),
            (r#"{"response":{"result":{}}}"#, "member", "bills"),
        ] {
            assert_eq!(read(body).unwrap_err().context(context), Some(value), "{body}");
        }
        assert!(
            read(r#"{"response":{"result":{"bills":{"a":1}}}}"#).unwrap_err().to_string().contains("list")
        );
    }
}
