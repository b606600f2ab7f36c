//! Values of records, and rows of lists, that could not be read.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A value that was not read. `Debug` and `Display` show where and why, not the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Where it is, such as `line_items[2].item_total`.
    pub path: String,
    /// Why it was left out.
    pub reason: LeftOutReason,
    /// The text of an amount that has too many digits, or no currency. `None` for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl LeftOut {
    /// A value that was not read.
    pub fn new(path: impl Into<String>, reason: LeftOutReason, text: Option<String>) -> Self {
        Self { path: path.into(), reason, text }
    }
}

/// Why a value was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftOutReason {
    /// It is not of the form that was expected.
    Unreadable,
    /// It is a number with more digits than can be kept. It is not rounded.
    TooManyDigits,
    /// It is an amount whose currency is not known.
    NoCurrency,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            LeftOutReason::Unreadable => "unreadable",
            LeftOutReason::TooManyDigits => "too many digits",
            LeftOutReason::NoCurrency => "no known currency",
        };
        write!(f, "{} ({reason})", self.path.escape_debug())
    }
}

impl fmt::Debug for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A row of a list that cannot be read, and for which nothing else can be read: it does not say which record it is, or
/// it cannot be known at that time which document it belongs to. `Debug` and `Display` show where and why, and nothing
/// of what it holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LostRow {
    /// Which row of its page it is, from 0.
    pub number: usize,
    /// Its id, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// Why it cannot be read: kinds and ids, never a vendor's text.
    pub why: Arc<str>,
    /// A digest of all it holds, as text: the same row again is no news.
    pub digest: Arc<str>,
}

impl LostRow {
    /// A row that was not read.
    pub fn new(number: usize, why: impl Into<Arc<str>>, digest: impl Into<Arc<str>>) -> Self {
        Self { number, id: None, why: why.into(), digest: digest.into() }
    }
}

impl fmt::Display for LostRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} of its page", self.number)?;
        self.id.iter().try_for_each(|id| write!(f, " ({})", id.escape_debug()))?;
        write!(f, " cannot be read: {}", self.why)
    }
}

impl fmt::Debug for LostRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
