//! What the simulator starts with.

use std::collections::BTreeSet;

use ml_connector_core::model::Zone;

use super::DataCenter;
use crate::toolkit::conditions::Conditions;

/// A plan, which decides quotas and whether there are workflow rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// 1,000 requests a day, 5 at once, no workflow rules.
    Free,
    /// 2,000 requests a day, 10 at once, no workflow rules.
    Standard,
    /// 5,000 requests a day, 10 at once.
    Professional,
    /// 10,000 requests a day, 10 at once.
    Elite,
}

impl Plan {
    pub(super) fn requests_per_day(self) -> u32 {
        match self {
            Self::Free => 1_000,
            Self::Standard => 2_000,
            Self::Professional => 5_000,
            Self::Elite => 10_000,
        }
    }

    pub(super) fn requests_at_once(self) -> u32 {
        if self == Self::Free { 5 } else { 10 }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Free => "Free",
            Self::Standard => "Standard",
            Self::Professional => "Professional",
            Self::Elite => "Elite",
        }
    }

    pub(super) fn has_workflow_rules(self) -> bool {
        matches!(self, Self::Professional | Self::Elite)
    }
}

/// An organization.
#[derive(Debug, Clone)]
pub struct Organization {
    /// Its id: digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its time zone: where its days begin.
    pub time_zone: Zone,
    /// Its plan.
    pub plan: Plan,
}

/// What a [`ZohoBooksSim`](super::ZohoBooksSim) starts with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ZohoBooksConfig {
    /// Where ids and tokens come from.
    pub seed: u64,
    /// Where the organizations live.
    pub center: DataCenter,
    /// The organizations; control methods act on the first unless told otherwise.
    pub organizations: Vec<Organization>,
    /// What the ready-made refresh token was granted.
    pub scopes: BTreeSet<String>,
    /// How unkind network and vendor are.
    pub conditions: Conditions,
}

impl Default for ZohoBooksConfig {
    fn default() -> Self {
        let scopes = ["invoices", "bills"].iter().flat_map(|module| {
            ["READ", "CREATE", "UPDATE", "DELETE"].map(|access| format!("ZohoBooks.{module}.{access}"))
        });
        let read =
            ["customerpayments", "vendorpayments", "purchaseorders", "contacts", "expenses", "accountants"]
                .map(|module| format!("ZohoBooks.{module}.READ"));
        let settings =
            ["READ", "CREATE", "UPDATE", "DELETE"].map(|access| format!("ZohoBooks.settings.{access}"));
        Self {
            seed: 1,
            center: DataCenter::Us,
            organizations: vec![Organization {
                id: "778812345".to_owned(),
                name: "Harbor Lane Supply".to_owned(),
                // The database is part of the program; it knows New York.
                time_zone: Zone::named("America/New_York").unwrap_or(Zone::UTC),
                plan: Plan::Professional,
            }],
            scopes: scopes.chain(read).chain(settings).collect(),
            conditions: Conditions::ordinary(),
        }
    }
}
