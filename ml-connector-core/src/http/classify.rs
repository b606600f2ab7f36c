//! What an answer, or its absence, means when the vendor's own code says nothing better.

use std::error::Error as _;

use http::StatusCode;

use super::{Answer, Phase, TransportError};
use crate::{Effect, Error, ErrorKind, Result, Retry};

/// The kind of error an HTTP status stands for, when the vendor's code says nothing better, with the effect of a
/// write: a 4xx was refused, anything else may have happened.
#[must_use]
pub fn error_for_status(status: StatusCode) -> Error {
    let kind = match status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        408 | 500..=599 => ErrorKind::Unavailable,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        300..=399 => ErrorKind::ConfigInvalid,
        _ => ErrorKind::InvalidResponse,
    };
    // A 408 comes from a server that stopped waiting; a 302 or 303 may point to what was made.
    let refused = match status.as_u16() {
        302 | 303 | 408 => false,
        300..=499 => true,
        _ => false,
    };
    Error::new(kind, "the API answered with an error status")
        .with_effect(if refused { Effect::None } else { Effect::Unknown })
        .with_context("status", status.as_u16())
}

/// Asks the vendor's `check`, and adds when the other side wants to be asked again.
pub(super) fn classify_answer(answer: Answer, check: fn(&Answer) -> Result<()>) -> Result<Answer> {
    match check(&answer) {
        Ok(()) => Ok(answer),
        Err(error) => Err(match (error.retry(), answer.retry_after()) {
            (Retry::Backoff, Some(at)) => error.with_retry(Retry::At(at)),
            _ => error,
        }),
    }
}

/// What the absence of a whole answer means for a write.
pub(super) fn classify_failure(failure: TransportError) -> Error {
    let (effect, message) = match failure.phase() {
        Phase::NotWritten => (Effect::None, "the request could not be sent"),
        Phase::Written => (Effect::Unknown, "the request was sent, but not answered"),
        Phase::StatusRead(_) => (Effect::Unknown, "the answer broke off"),
    };
    // A transport that cannot start says so with an error of ours: waiting does not help.
    let kind = match failure.source().and_then(|source| source.downcast_ref::<Error>()) {
        Some(error) => error.kind(),
        None => ErrorKind::Unavailable,
    };
    let classified = Error::new(kind, message).with_effect(effect);
    let classified = match failure.phase() {
        Phase::StatusRead(status) => classified.with_context("status", status.as_u16()),
        Phase::NotWritten | Phase::Written => classified,
    };
    classified.with_source(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_the_kind_and_whether_a_write_was_refused() {
        use Effect::{None, Unknown};
        for (status, kind, effect) in [
            (200, ErrorKind::InvalidResponse, Unknown),
            (301, ErrorKind::ConfigInvalid, None),
            (302, ErrorKind::ConfigInvalid, Unknown),
            (303, ErrorKind::ConfigInvalid, Unknown),
            (308, ErrorKind::ConfigInvalid, None),
            (400, ErrorKind::InvalidRequest, None),
            (401, ErrorKind::Unauthenticated, None),
            (403, ErrorKind::PermissionDenied, None),
            (404, ErrorKind::NotFound, None),
            (408, ErrorKind::Unavailable, Unknown),
            (409, ErrorKind::Conflict, None),
            (410, ErrorKind::NotFound, None),
            (412, ErrorKind::Conflict, None),
            (422, ErrorKind::InvalidRequest, None),
            (429, ErrorKind::RateLimited, None),
            (500, ErrorKind::Unavailable, Unknown),
            (502, ErrorKind::Unavailable, Unknown),
            (503, ErrorKind::Unavailable, Unknown),
            (600, ErrorKind::InvalidResponse, Unknown),
        ] {
            let error = error_for_status(StatusCode::from_u16(status).unwrap());
            assert_eq!((error.kind(), error.effect()), (kind, effect), "{status}");
            assert_eq!(error.context("status"), Some(&*status.to_string()));
        }
    }

    #[test]
    fn a_transport_that_cannot_start_is_a_matter_of_configuration() {
        let remedy = Error::new(ErrorKind::ConfigInvalid, "install certificates");
        let failure = TransportError::new(Phase::NotWritten, "cannot start").with_source(remedy);
        let error = classify_failure(failure);
        assert_eq!((error.kind(), error.retry()), (ErrorKind::ConfigInvalid, Retry::Never));
        assert_eq!(error.effect(), Effect::None);
        assert!(format!("{error:?}").contains("install certificates"));
    }
}
