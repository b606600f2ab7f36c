//! Organizations and their users: `GET /organizations`, `GET /users`.

use std::fmt;

use serde::Deserialize;

use super::de::{flag, text};

/// An organization that the connected person belongs to. `Debug` shows ids and the plan only.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct Organization {
    /// Its id, 8–11 digits: what [`Config::organization_id`](crate::Config::organization_id) wants.
    #[serde(rename = "organization_id", deserialize_with = "text")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Its time zone: an IANA name in current data, others such as `PST` in Zoho's documentation.
    #[serde(default, deserialize_with = "text")]
    pub time_zone: String,
    /// The code of its base currency.
    #[serde(default, deserialize_with = "text")]
    pub currency_code: String,
    /// The name of its plan, such as `Professional`. A trial's limits can be lower than the plan's.
    #[serde(default, deserialize_with = "text")]
    pub plan_name: String,
    /// Whether it is the one the person sees first.
    #[serde(default, deserialize_with = "flag")]
    pub is_default_org: bool,
}

impl fmt::Debug for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, plan_name, .. } = self;
        f.debug_struct("Organization").field("id", id).field("plan_name", plan_name).finish_non_exhaustive()
    }
}

/// A user of the organization. `Debug` shows no name and no address.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The vendor's id, which comments and approvals name.
    #[serde(rename = "user_id", deserialize_with = "text")]
    pub id: String,
    /// Their name.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Their e-mail address.
    #[serde(default, deserialize_with = "text")]
    pub email: String,
    /// The role, such as `admin` or `staff`.
    #[serde(rename = "user_role", default, deserialize_with = "text")]
    pub role: String,
    /// `active`, `inactive`, `invited`, or another word of Zoho's.
    #[serde(default, deserialize_with = "text")]
    pub status: String,
    /// Whether it is the person who connected.
    #[serde(default, deserialize_with = "flag")]
    pub is_current_user: bool,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, role, status, .. } = self;
        f.debug_struct("User")
            .field("id", id)
            .field("role", role)
            .field("status", status)
            .finish_non_exhaustive()
    }
}
