//! Answers, and the headers that every one of them has.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use maud::Markup;
use ml_connector_core::{Error, ErrorKind};

/// Nothing comes from elsewhere, nothing is inline, nobody frames it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A page.
    Page(StatusCode, Markup),
    /// A file whose name changes with its content.
    Asset(&'static str, &'static str),
    /// Another page is to be asked for.
    See(String),
}

impl From<Markup> for Answer {
    fn from(page: Markup) -> Self {
        Self::Page(StatusCode::OK, page)
    }
}

/// Why there is no such page, for whoever asked for it.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request is wrong.
    Bad(Cow<'static, str>),
    /// The right is missing, or the request comes from elsewhere.
    Forbidden(&'static str),
    /// There is nothing, or nothing that the actor may see: the answer is the same.
    NotFound,
    /// The address takes other methods.
    Method,
    /// The body is too large or too slow.
    Body,
    /// The connector said no.
    Core(Error),
}

impl Refusal {
    pub(crate) fn bad(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Bad(why.into())
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Core(error) => match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::InvalidRequest | ErrorKind::ConfigInvalid | ErrorKind::Unsupported => {
                    StatusCode::BAD_REQUEST
                }
                ErrorKind::Conflict => StatusCode::CONFLICT,
                ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

/// The answer as it is sent.
pub(crate) fn response(answer: &Answer, is_head: bool) -> Response<Full<Bytes>> {
    let (status, kind, cache, body) = match answer {
        Answer::Page(status, page) => {
            (*status, "text/html; charset=utf-8", "no-store", Bytes::copy_from_slice(page.0.as_bytes()))
        }
        Answer::Asset(kind, text) => (
            StatusCode::OK,
            *kind,
            "private, max-age=31536000, immutable",
            Bytes::from_static(text.as_bytes()),
        ),
        Answer::See(_) => (StatusCode::SEE_OTHER, "text/plain", "no-store", Bytes::new()),
    };
    let mut response = Response::new(Full::new(if is_head { Bytes::new() } else { body }));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut say = |name: header::HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    say(header::CONTENT_TYPE, kind);
    say(header::CACHE_CONTROL, cache);
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::X_FRAME_OPTIONS, "DENY");
    // Without a referrer browsers send no origin with a form.
    say(header::REFERRER_POLICY, "same-origin");
    say(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    say(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        say(header::ALLOW, "GET, HEAD, POST");
    }
    if let Answer::See(to) = answer
        && let Ok(to) = HeaderValue::from_str(to)
    {
        headers.insert(header::LOCATION, to);
    }
    response
}
