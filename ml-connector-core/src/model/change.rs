//! What can change about a record.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// One thing that changed between two observations of a record. Ordered from the strongest: the strongest of
/// a set gives the event its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Change {
    /// It no longer exists.
    Deleted,
    /// It was declared void.
    Voided,
    /// It was posted in the books.
    Posted,
    /// It was settled in full.
    Paid,
    /// It is unpaid this many days after its due date; each configured threshold is announced once.
    Overdue(u32),
    /// It was approved.
    Approved,
    /// It was approved, and waits for the next approver. Of approvals.
    PartiallyApproved,
    /// Somebody decided in the books before anybody decided here. Of approvals.
    DoneElsewhere,
    /// Approval was refused.
    Rejected,
    /// What was asked for was not done, for a reason that does not pass by itself.
    Refused,
    /// Nobody decided in time.
    Expired,
    /// It changed before anybody decided: what was asked no longer holds.
    Superseded,
    /// A decision is asked for.
    Requested,
    /// A decision is still asked for.
    Reminded,
    /// It waits for approval.
    Submitted,
    /// It was issued to the counterparty.
    Sent,
    /// Part of it was paid.
    PartiallyPaid,
    /// It was seen for the first time and is new.
    Created,
    /// Something else changed.
    Updated,
    /// It was given up, and can be replayed. Of deliveries and signals.
    Dead,
    /// It waits until somebody repairs something. Of deliveries, connections and feeds.
    Parked,
    /// It works again. Of connections and feeds.
    Resumed,
    /// It is for an account that no connection has. Of webhooks.
    Unrouted,
}

impl Change {
    /// The word in event types and route patterns; [`Overdue`](Self::Overdue) without its days.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Voided => "voided",
            Self::Posted => "posted",
            Self::Paid => "paid",
            Self::Overdue(_) => "overdue",
            Self::Approved => "approved",
            Self::PartiallyApproved => "partially_approved",
            Self::DoneElsewhere => "done_elsewhere",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Requested => "requested",
            Self::Reminded => "reminded",
            Self::Submitted => "submitted",
            Self::Sent => "sent",
            Self::PartiallyPaid => "partially_paid",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Dead => "dead",
            Self::Parked => "parked",
            Self::Resumed => "resumed",
            Self::Unrouted => "unrouted",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overdue(days) => write!(f, "overdue:{days}"),
            other => f.write_str(other.as_str()),
        }
    }
}

impl FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "deleted" => Self::Deleted,
            "voided" => Self::Voided,
            "posted" => Self::Posted,
            "paid" => Self::Paid,
            "approved" => Self::Approved,
            "partially_approved" => Self::PartiallyApproved,
            "done_elsewhere" => Self::DoneElsewhere,
            "rejected" => Self::Rejected,
            "refused" => Self::Refused,
            "expired" => Self::Expired,
            "superseded" => Self::Superseded,
            "requested" => Self::Requested,
            "reminded" => Self::Reminded,
            "submitted" => Self::Submitted,
            "sent" => Self::Sent,
            "partially_paid" => Self::PartiallyPaid,
            "created" => Self::Created,
            "updated" => Self::Updated,
            "dead" => Self::Dead,
            "parked" => Self::Parked,
            "resumed" => Self::Resumed,
            "unrouted" => Self::Unrouted,
            other => match other.strip_prefix("overdue:").map(str::parse) {
                Some(Ok(days)) => Self::Overdue(days),
                _ => {
                    return Err(Error::new(ErrorKind::InvalidRequest, "no such change")
                        .with_context("change", other.escape_debug()));
                }
            },
        })
    }
}

impl Serialize for Change {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'_, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
