//! Organizations and their users: `GET /organizations`, `GET /users`.

use std::fmt;

use ml_connector_core::{Result, decode::Object};

/// An organization that the connected person belongs to. `Debug` shows ids and the plan only.
#[derive(Clone)]
#[non_exhaustive]
pub struct Organization {
    /// Its id, 8–11 digits: what [`Config::organization_id`](crate::Config::organization_id) wants.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its time zone: an IANA name in current data, others such as `PST` in Zoho's documentation.
    pub time_zone: String,
    /// The code of its base currency.
    pub currency_code: String,
    /// The name of its plan, such as `Professional`. A trial's limits can be lower than the plan's.
    pub plan_name: String,
    /// Whether it is the one the person sees first.
    pub is_default_org: bool,
}

impl Organization {
    pub(crate) fn read(organization: &Object<'_>) -> Result<Self> {
        Ok(Self {
            id: organization.id("organization_id")?,
            name: organization.text("name"),
            time_zone: organization.text("time_zone"),
            currency_code: organization.text("currency_code"),
            plan_name: organization.text("plan_name"),
            is_default_org: organization.flag("is_default_org"),
        })
    }
}

impl fmt::Debug for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, plan_name, .. } = self;
        f.debug_struct("Organization").field("id", id).field("plan_name", plan_name).finish_non_exhaustive()
    }
}

/// A user of the organization. `Debug` shows no name and no address.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// The vendor's id, which comments and approvals name.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// The role, such as `admin` or `staff`.
    pub role: String,
    /// `active`, `inactive`, `invited`, or another word of Zoho's.
    pub status: String,
    /// Whether it is the person who connected.
    pub is_current_user: bool,
}

impl User {
    pub(crate) fn read(user: &Object<'_>) -> Result<Self> {
        Ok(Self {
            id: user.id("user_id")?,
            name: user.text("name"),
            email: user.text("email"),
            role: user.text("user_role"),
            status: user.text("status"),
            is_current_user: user.flag("is_current_user"),
        })
    }
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
