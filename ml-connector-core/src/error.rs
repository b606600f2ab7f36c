//! One error type for the whole SDK: what to do, what may have happened, and what has to wait.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::{Timestamp, model::QuotaKey};

/// A result with the SDK's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxedCause = Box<dyn std::error::Error + Send + Sync>;

/// Tells the caller what to do about a failure. For branching; the context is for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something the host configured is missing or contradictory.
    ConfigInvalid,
    /// The credentials are missing, expired or revoked.
    Unauthenticated,
    /// The credentials are good, but do not allow this.
    PermissionDenied,
    /// The thing does not exist, or is not visible to these credentials.
    NotFound,
    /// The thing changed meanwhile, or exists already.
    Conflict,
    /// A limit of the other side, or our own admission, says later.
    RateLimited,
    /// The other side, or we, found the request wrong. Sending it again cannot help.
    InvalidRequest,
    /// The answer could not be understood.
    InvalidResponse,
    /// A webhook's signature is missing or wrong.
    SignatureInvalid,
    /// The implementation does not offer this operation.
    Unsupported,
    /// The other side, or the way to it, is down.
    Unavailable,
    /// Anything else.
    Unexpected,
}

impl ErrorKind {
    /// The stable name used in logs and audit entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigInvalid => "config_invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidResponse => "invalid_response",
            Self::SignatureInvalid => "signature_invalid",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the other side may have done although the call failed. Taken from the transport phase, the status
/// *and* the vendor's code; not from "did bytes leave".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Known not to have happened: safe to repeat.
    None,
    /// May have happened: look up before repeating.
    Unknown,
    /// Has happened, although the answer was an error.
    Applied,
}

/// What has to wait because of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// This signal or delivery only; the lane goes on once it is settled.
    Entry,
    /// Everything with the same order, such as a Slack channel that was archived.
    Lane,
    /// Everything that spends the same quota.
    Quota(QuotaKey),
    /// Everything of this connection, such as dead credentials.
    Connection,
}

/// When trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Never by itself: somebody has to change something.
    Never,
    /// After a growing pause.
    Backoff,
    /// Not before the instant the other side named.
    At(Timestamp),
}

/// Why an operation failed, and what follows from it.
///
/// `Display` is one line and does not repeat the source; `Debug` is the long form. Neither ever holds a
/// secret, a request body or personal data: context values are ids, codes and numbers.
///
/// ```
/// use ml_connector_core::{Effect, Error, ErrorKind, Retry, Scope};
///
/// let error = Error::new(ErrorKind::Unavailable, "the API answered 502")
///     .with_operation("zoho_books.get_invoice")
///     .with_effect(Effect::Unknown)
///     .with_context("status", 502);
///
/// assert_eq!(error.to_string(), "zoho_books.get_invoice: unavailable: the API answered 502 (status=502)");
/// assert_eq!(error.retry(), Retry::Backoff);
/// assert_eq!(error.scope(), &Scope::Entry);
/// ```
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(thiserror::Error)]
#[error("{}", line(*.kind, .operation, .message, .context))]
struct Inner {
    kind: ErrorKind,
    effect: Effect,
    scope: Scope,
    retry: Retry,
    operation: &'static str,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<BoxedCause>,
}

impl Error {
    /// Makes an error without effect on the other side, in the scope of one entry. It is retried with backoff
    /// when the kind is [`RateLimited`](ErrorKind::RateLimited) or [`Unavailable`](ErrorKind::Unavailable), and
    /// never otherwise; the `with_*` setters change each of these.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => Retry::Backoff,
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            effect: Effect::None,
            scope: Scope::Entry,
            retry,
            operation: "",
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Sets what the other side may have done.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// Sets what has to wait.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.0.scope = scope;
        self
    }

    /// Sets when trying again makes sense.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names the operation that failed, such as `slack.chat_post_message`. The innermost name stays.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        if self.0.operation.is_empty() {
            self.0.operation = operation;
        }
        self
    }

    /// Adds a fact for the reader: an id, a code, a number. Never a body, a secret or personal data. Keys that other code
    /// reads are constants in [`error_context`](crate::error_context).
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxedCause>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the other side may have done.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// What has to wait.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// When trying again makes sense.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The innermost operation that failed, or an empty string.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What was expected and what came.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The value of a context key.
    #[must_use]
    pub fn context(&self, key: &str) -> Option<&str> {
        self.0.context.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }
}

/// The one line that `Display` shows.
fn line(kind: ErrorKind, operation: &str, message: &str, context: &[(&'static str, String)]) -> String {
    let mut line = format!("{kind}: {message}");
    if !operation.is_empty() {
        line.insert_str(0, &format!("{operation}: "));
    }
    if !context.is_empty() {
        let facts: Vec<_> = context.iter().map(|(key, value)| format!("{key}={value}")).collect();
        line.push_str(&format!(" ({})", facts.join(", ")));
    }
    line
}

/// The errors underneath one that the network or a token endpoint gave, for log lines; empty for others, whose causes may
/// quote what was read.
pub(crate) fn causes(error: &Error) -> String {
    /// The chain is cut there.
    const LONGEST: usize = 400;
    if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unauthenticated) {
        return String::new();
    }
    cut(chain(error).join(": "), LONGEST)
}

/// An error of the network with the errors underneath, for log lines and for what is kept of it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    /// It is cut there.
    const LONGEST: usize = 200;
    let above = error.to_string();
    let causes = chain(error).into_iter().filter(|cause| !above.ends_with(cause.as_str()));
    cut(std::iter::once(above.clone()).chain(causes).collect::<Vec<_>>().join(": "), LONGEST)
}

fn cut(mut text: String, longest: usize) -> String {
    if let Some((cut, _)) = text.char_indices().nth(longest) {
        text.truncate(cut);
    }
    text
}

/// The errors underneath, without those that repeat what the one above says.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if chain.last().is_none_or(|above| !above.ends_with(&text)) {
            chain.push(text);
        }
        next = cause.source();
    }
    chain
}

/// A sentence with its causes, as a program prints that returns the error from `main`; `{:#?}` shows every field.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.0.fmt(f);
        }
        write!(f, "{self}")?;
        chain(self).iter().try_for_each(|cause| write!(f, "; because: {cause}"))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, effect, scope, retry, operation, message, context, source } = self;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("effect", effect)
            .field("scope", scope)
            .field("retry", retry)
            .field("operation", operation)
            .field("message", message)
            .field("context", context)
            .field("source", source)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_operation_stays_and_display_does_not_repeat_the_source() {
        let error = Error::new(ErrorKind::InvalidResponse, "expected an object")
            .with_operation("inner")
            .with_operation("outer")
            .with_source("the source");
        assert_eq!(error.to_string(), "inner: invalid_response: expected an object");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the source");
    }

    #[test]
    fn an_error_that_ends_main_is_a_sentence_with_its_causes() {
        let refused =
            Error::new(ErrorKind::Unavailable, "no connection to books.example").with_source("refused");
        let error = Error::new(ErrorKind::ConfigInvalid, "it cannot start").with_source(refused);
        let shown = "config_invalid: it cannot start; because: unavailable: no connection to books.example; because: refused";
        assert_eq!(format!("{error:?}"), shown);
        assert!(format!("{error:#?}").contains("retry: Never"));
    }

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
