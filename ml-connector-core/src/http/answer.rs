//! An answer as it came, before anything is decoded.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::{Effect, Error, ErrorKind, Result, Timestamp, decode};

const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// An answer as it came: status, headers and body are kept until all three have been classified. `Debug` shows the
/// status and sizes only.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
}

impl Answer {
    /// Takes a response apart.
    #[must_use]
    pub fn new(response: http::Response<Bytes>, received_at: Timestamp) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body, received_at }
    }

    /// A header as text, if it is there and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// When the other side wants to be asked again: `Retry-After` in seconds or as an HTTP date. Never in the past,
    /// and at most a day ahead: no vendor's limit is longer, and a slip of theirs must not stop us for years.
    #[must_use]
    pub fn retry_after(&self) -> Option<Timestamp> {
        let text = self.header(header::RETRY_AFTER.as_str())?.trim();
        let at = match text.parse::<u64>() {
            Ok(secs) => self.received_at + Duration::from_secs(secs),
            Err(_) => Timestamp::from_jiff(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()),
        };
        Some(at.clamp(self.received_at, self.received_at + MAX_RETRY_AFTER))
    }

    /// The other side's clock when it answered: the header `Date`, to the second. For waits by the vendor's clock, and to
    /// see how far it and ours are apart.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let text = self.header(header::DATE.as_str())?.trim();
        Some(Timestamp::from_jiff(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()))
    }

    /// Decodes the body as JSON. A byte order mark is skipped; bytes that are no UTF-8 become replacement characters.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] names the JSON path and what was expected there, never a value. The effect
    /// is unknown: the other side did answer.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let text = decode::clean(&self.body);
        if let Ok(value) = serde_json::from_str(&text) {
            return Ok(value);
        }
        // Keeping the path takes its time: only what cannot be read is read once more with it.
        let mut decoder = serde_json::Deserializer::from_str(&text);
        let undecoded = |error: &serde_json::Error| {
            Error::new(ErrorKind::InvalidResponse, "the answer's body is not the JSON that was expected")
                .with_effect(Effect::Unknown)
                .with_context("status", self.status.as_u16())
                .with_context("class", class(error))
                .with_context("bytes", self.body.len())
        };
        let value = serde_path_to_error::deserialize(&mut decoder)
            .map_err(|error| undecoded(error.inner()).with_context("path", error.path()))?;
        decoder.end().map_err(|error| undecoded(&error))?;
        Ok(value)
    }
}

/// Says what was wrong without quoting the body.
fn class(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "truncated",
        serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Data => "another shape",
        serde_json::error::Category::Io => "unreadable",
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(retry_after: &str) -> Answer {
        let response =
            http::Response::builder().header("retry-after", retry_after).body(Bytes::new()).unwrap();
        Answer::new(response, Timestamp::from_secs(1_792_000_000))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_in_the_past_or_years_ahead() {
        let at = |text| answer(text).retry_after().map(|at| at.as_secs() - 1_792_000_000);
        assert_eq!(at("30"), Some(30));
        assert_eq!(at(" 0 "), Some(0));
        assert_eq!(at("Wed, 14 Oct 2026 17:46:50 GMT"), Some(10));
        assert_eq!(at("Wed, 14 Oct 2020 17:46:50 GMT"), Some(0));
        assert_eq!(at("4000000000"), Some(86_400));
        assert_eq!(at("Wed, 14 Oct 2093 17:46:50 GMT"), Some(86_400));
        assert_eq!(at("soon"), None);
        assert_eq!(at("-5"), None);
    }

    #[test]
    fn the_date_is_the_other_side_s_clock() {
        let date = |text: &str| {
            let response = http::Response::builder().header("date", text).body(Bytes::new()).unwrap();
            Answer::new(response, Timestamp::default()).date().map(Timestamp::as_secs)
        };
        assert_eq!(date("Wed, 14 Oct 2026 17:46:50 GMT"), Some(1_792_000_010));
        assert_eq!(date("soon"), None);
    }

    #[test]
    fn half_a_body_and_more_than_one_are_told_apart_from_another_shape() {
        let class = |body: &'static str| {
            let answer = Answer::new(http::Response::new(body.into()), Timestamp::default());
            answer.json::<Vec<u32>>().map_err(|error| error.context("class").unwrap().to_owned())
        };
        assert_eq!(class("[1,2]\n").unwrap(), [1, 2]);
        for (body, expected) in [
            ("", "truncated"),
            ("[1,", "truncated"),
            ("<html>", "no JSON"),
            ("[1][2]", "no JSON"),
            ("{}", "another shape"),
        ] {
            assert_eq!(class(body).unwrap_err(), expected, "{body}");
        }
    }

    #[test]
    fn a_decode_error_names_the_path_and_quotes_nothing() {
        #[derive(Debug, serde::Deserialize)]
        struct Wanted {
            #[allow(dead_code)]
            rows: Vec<u32>,
        }
        let response = http::Response::new(Bytes::from_static(br#"{"rows":[1,"planted-secret"]}"#));
        let error = Answer::new(response, Timestamp::default()).json::<Wanted>().unwrap_err();
        assert_eq!(error.context("path"), Some("rows[1]"));
        assert!(!format!("{error:?}").contains("planted-secret"));
    }
}
