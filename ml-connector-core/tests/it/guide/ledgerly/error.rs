//! What Ledgerly's answers mean.

use std::time::Duration;

use ml_connector_core::{
    Effect, Error, ErrorKind, Result, Retry, decode,
    http::{Answer, error_for_status},
};

/// How long Ledgerly wants to be left alone when it does not say.
const PAUSE: Duration = Duration::from_secs(10);

/// Classifies any answer. Ledgerly names what went wrong in the body, behind a 200 too.
pub fn check(answer: &Answer) -> Result<()> {
    let refused = |kind, message| Err(Error::new(kind, message).with_effect(Effect::None));
    let word = decode::body(&answer.body, |body| Ok(body.some_text("error"))).ok().map(|read| read.value);
    match word.as_ref().map(Option::as_deref) {
        Some(None) if answer.status.is_success() => Ok(()),
        Some(Some("too_fast")) => {
            let at = answer.retry_after().unwrap_or(answer.received_at + PAUSE);
            Err(Error::new(ErrorKind::RateLimited, "Ledgerly asks to slow down").with_retry(Retry::At(at)))
        }
        Some(Some("invalid_token")) => refused(ErrorKind::Unauthenticated, "the token is not accepted"),
        Some(Some("no_such_invoice")) => refused(ErrorKind::NotFound, "the invoice does not exist"),
        Some(Some("wrong_verifier")) => refused(ErrorKind::Conflict, "the verifier is not Ledgerly's"),
        Some(Some("books_closed")) => refused(ErrorKind::Conflict, "the period is closed"),
        // Half an answer, a proxy's page, a code of tomorrow: it may pass, and nobody knows what was done.
        _ => Err(match error_for_status(answer.status) {
            gone if gone.kind() == ErrorKind::NotFound => {
                Error::new(ErrorKind::Unavailable, "a 404 without Ledgerly's word for it")
            }
            error => error.with_retry(Retry::Backoff),
        }),
    }
}
