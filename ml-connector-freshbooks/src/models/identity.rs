//! Who has connected, and what they belong to: `GET /auth/api/v1/users/me`.

use std::fmt;

use ml_connector_core::{Result, decode::Object};

/// The person who connected. `Debug` shows ids only.
#[derive(Clone)]
#[non_exhaustive]
pub struct Identity {
    /// The login's id. Of one login and app only one chain of tokens lives: give connections of the same login the same
    /// [`Config::login`](crate::Config::login), such as this.
    pub identity_id: String,
    /// Their name.
    pub name: String,
    /// What they belong to, in FreshBooks' order: let a person choose, never take the first.
    pub businesses: Vec<Business>,
    /// The accounting accounts in which the person is more than a client, as their roles name them. FreshBooks may not say
    /// which business has which.
    pub accounts: Vec<String>,
}

/// A business that the connected person belongs to, with FreshBooks' three ids for it. `Debug` shows ids and states only.
#[derive(Clone)]
#[non_exhaustive]
pub struct Business {
    /// Of the accounting account: what [`Config::account_id`](crate::Config::account_id) wants. `None`: it has none, and
    /// nothing can be read.
    pub account_id: Option<String>,
    /// What [`Config::business_id`](crate::Config::business_id) wants.
    pub business_id: String,
    /// What [`Config::business_uuid`](crate::Config::business_uuid) wants.
    pub business_uuid: Option<String>,
    /// Its name.
    pub name: String,
    /// Its time zone as an IANA name, where it has one.
    pub time_zone: Option<String>,
    /// The person's role, such as `owner`. A `client` sees only what was sent to them.
    pub role: String,
    /// Such as `active`, `active_trial` or `cancelled`, where FreshBooks says so.
    pub status: Option<String>,
    /// Whether bills can be used, as far as FreshBooks says.
    pub has_bills: Option<bool>,
}

impl Identity {
    pub(crate) fn read(response: &Object<'_>) -> Result<Self> {
        let roles = response.objects("roles");
        // An owner's business was seen without its account, which one of their roles had.
        let of_roles: Vec<String> = roles
            .iter()
            .filter(|role| role.text("role") != "client")
            .filter_map(|role| role.some_text("accountid"))
            .collect();
        let memberships = response.objects("business_memberships");
        let mut businesses: Vec<Business> = memberships
            .iter()
            .filter_map(|membership| {
                Business::read(&membership.object("business")?, membership.text("role")).ok()
            })
            .collect();
        let unnamed: Vec<&String> = of_roles
            .iter()
            .filter(|id| businesses.iter().all(|business| business.account_id.as_ref() != Some(*id)))
            .collect();
        // With several of either nobody can say which belongs to which.
        if let ([account], 1) =
            (&*unnamed, businesses.iter().filter(|business| business.account_id.is_none()).count())
        {
            let account = (*account).clone();
            if let Some(business) = businesses.iter_mut().find(|business| business.account_id.is_none()) {
                business.account_id = Some(account);
            }
        }
        for business in &mut businesses {
            let Some(account) = &business.account_id else { continue };
            let told = ["subscription_statuses", "business_statuses"];
            business.status = told.iter().find_map(|name| response.object(name)?.some_text(account));
            let permissions = response.object("permissions").and_then(|all| all.object(account));
            let allowed =
                permissions.and_then(|permissions| permissions.some_text("accounts_payable.access"));
            business.has_bills = allowed.map(|allowed| allowed == "true" || allowed == "1");
        }
        let names = ["first_name", "last_name"].map(|name| response.text(name));
        Ok(Self {
            identity_id: response.id("identity_id").or_else(|_| response.id("id"))?,
            name: names.join(" ").trim().to_owned(),
            businesses,
            accounts: of_roles,
        })
    }
}

impl Business {
    fn read(business: &Object<'_>, role: String) -> Result<Self> {
        Ok(Self {
            account_id: business.some_text("account_id"),
            business_id: business.id("id")?,
            business_uuid: business.some_text("business_uuid"),
            name: business.text("name"),
            time_zone: business.some_text("timezone"),
            role,
            status: None,
            has_bills: None,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity_id, businesses, .. } = self;
        f.debug_struct("Identity")
            .field("identity_id", identity_id)
            .field("businesses", businesses)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Business {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id, business_id, role, status, .. } = self;
        f.debug_struct("Business")
            .field("account_id", account_id)
            .field("business_id", business_id)
            .field("role", role)
            .field("status", status)
            .finish_non_exhaustive()
    }
}
