//! Values of records that could not be read.

use std::fmt;

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
