//! What a check finds: steps with a result, and what to do about it.

use std::{borrow::Cow, fmt};

use serde::Serialize;

use crate::{Error, ErrorKind, Result, Retry};

/// One step of a check: what was looked at, how it stands, and what to do about it. Holds no secret and no personal data.
///
/// ```
/// use ml_connector_core::{CheckResult, CheckStep, Error, ErrorKind};
///
/// let refused = Error::new(ErrorKind::PermissionDenied, "the token lacks a right").with_context("code", "57");
/// let step = CheckStep::of("read invoices", Err::<(), _>(&refused));
/// assert_eq!(step.result, CheckResult::Failed);
/// assert!(step.remedy.is_some());
/// assert_eq!(CheckStep::passed("token").with_found("expires in 50 minutes").to_string(), "passed token: expires in 50 minutes");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckStep {
    /// What was looked at, in a word or two: `token`, `organization`, `channel C0123`.
    pub step: Cow<'static, str>,
    /// How it stands.
    pub result: CheckResult,
    /// What was found, or why it failed.
    pub found: Option<String>,
    /// What somebody has to do; `None` = nothing.
    pub remedy: Option<Cow<'static, str>>,
}

/// How a step of a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CheckResult {
    /// All is well.
    Passed,
    /// It was not looked at: something else has to work first, or there is nothing to look at.
    Skipped,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Failed,
}

impl CheckStep {
    /// A step with this result.
    pub fn new(step: impl Into<Cow<'static, str>>, result: CheckResult) -> Self {
        Self { step: step.into(), result, found: None, remedy: None }
    }

    /// All is well.
    pub fn passed(step: impl Into<Cow<'static, str>>) -> Self {
        Self::new(step, CheckResult::Passed)
    }

    /// It works, but somebody should do something.
    pub fn warning(step: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(step, CheckResult::Warning).with_remedy(remedy)
    }

    /// It does not work until somebody does something.
    pub fn failed(step: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self::new(step, CheckResult::Failed).with_remedy(remedy)
    }

    /// What a call says about a step: an error says why it failed, and by its kind what helps.
    pub fn of<T>(step: impl Into<Cow<'static, str>>, result: Result<T, &Error>) -> Self {
        match result {
            Ok(_) => Self::passed(step),
            Err(error) => {
                let waits = error.retry() != Retry::Never && error.kind() == ErrorKind::RateLimited;
                let result = if waits { CheckResult::Skipped } else { CheckResult::Failed };
                Self::new(step, result).with_found(error.to_string()).with_remedy(remedy(error))
            }
        }
    }

    /// Sets what was found.
    #[must_use]
    pub fn with_found(self, found: impl Into<String>) -> Self {
        Self { found: Some(found.into()), ..self }
    }

    /// Sets what somebody has to do.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// What helps against an error, as far as its kind tells.
pub(crate) fn remedy(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConfigInvalid => "correct the setting that the error names",
        ErrorKind::Unauthenticated => "connect the account again, or renew its credentials",
        ErrorKind::PermissionDenied => "grant the missing right or scope at the vendor",
        ErrorKind::NotFound => "check the id: it does not exist, or these credentials may not see it",
        ErrorKind::RateLimited => "wait: there is no room in a limit at present",
        ErrorKind::Unavailable => "check the network, the name of the host and the vendor's status page",
        ErrorKind::SignatureInvalid => "check the webhook's secret, here and at the vendor",
        ErrorKind::Unsupported => "check the vendor's plan: it does not offer this",
        _ => "see the error",
    }
}

impl CheckResult {
    /// Its name, as JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CheckStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.result, self.step)?;
        self.found.iter().try_for_each(|found| write!(f, ": {found}"))?;
        self.remedy.iter().try_for_each(|remedy| write!(f, " → {remedy}"))
    }
}
