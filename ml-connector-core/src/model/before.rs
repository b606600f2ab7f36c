//! How a record stood before it changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Date, Money, Status};

/// What people ask about a record that changed: how it stood before. Each field is set only where it is different now, so
/// that an amount that went from 500.00 to 300.00 is told as that. `Debug` shows the status only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Before {
    /// Its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Its total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// What was still to be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Money>,
    /// When it fell due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Before").field("status", &self.status).finish_non_exhaustive()
    }
}
