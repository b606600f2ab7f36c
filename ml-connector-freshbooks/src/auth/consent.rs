//! How a person connects a business through the browser.

use ml_connector_core::{
    Result, Secret,
    auth::{AuthorizerConfig, Connected, Grant},
    config::{below, required},
    model::RecordKind,
};
use url::Url;

use crate::{
    FreshBooks, auth,
    models::{BillVendor, Resource, by_kind},
};

/// Where people consent, and where tokens come from.
const AUTH_URL: &str = "https://auth.freshbooks.com";
pub(crate) const API_URL: &str = "https://api.freshbooks.com";
/// What tells who connected. FreshBooks grants it always.
const PROFILE: &str = "user:profile:read";

impl FreshBooks {
    /// How an [`Authorizer`](ml_connector_core::auth::Authorizer) connects people to an app of FreshBooks' developer page.
    /// `redirect_uri` is https and has no query.
    ///
    /// No scope is asked for: FreshBooks then grants those that are ticked on the app, and refuses the whole consent for one
    /// that is not. [`missing_scopes`](Self::missing_scopes) tells what is missing.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ml_connector_core::ErrorKind::ConfigInvalid) when the app's id or secret is missing.
    pub fn authorizer_config(
        client_id: &str,
        client_secret: Secret,
        redirect_uri: Url,
    ) -> Result<AuthorizerConfig> {
        required("client_id", client_id)?;
        required("client_secret", client_secret.expose())?;
        let grant = Grant::RefreshToken { initial: None };
        let oauth = auth::oauth_config(&url(API_URL)?, client_id, client_secret, grant);
        let page = below(&url(AUTH_URL)?, &["oauth", "authorize"]);
        let mut config = AuthorizerConfig::new(oauth, page, redirect_uri);
        config.fields = &["scope"];
        config.token_key = auth::token_key;
        Ok(config)
    }

    /// The scopes that a consent did not grant and that reading records of these kinds needs, each once. Empty where
    /// FreshBooks did not say what it granted.
    #[must_use]
    pub fn missing_scopes(connected: &Connected, resources: &[RecordKind]) -> Vec<&'static str> {
        connected
            .granted_scopes
            .as_deref()
            .map_or_else(Vec::new, |granted| missing_scopes(granted, resources))
    }
}

/// As [`FreshBooks::missing_scopes`].
pub(crate) fn missing_scopes(granted: &[String], resources: &[RecordKind]) -> Vec<&'static str> {
    let mut missing: Vec<&'static str> = Vec::new();
    for kind in resources {
        let own = by_kind!(kind.as_str(), T => Some(T::SCOPE), None);
        // A bill names its vendor by id only.
        let vendor = (*kind == RecordKind::Bill).then_some(BillVendor::SCOPE);
        missing.extend(own.into_iter().chain(vendor));
    }
    missing.push(PROFILE);
    missing.retain(|scope| !granted.iter().any(|granted| granted == scope));
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn url(text: &'static str) -> Result<Url> {
    ml_connector_core::config::secure_url("auth_url", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scope_is_asked_for_and_no_secret_is_shown() {
        let back: Url = "https://erp.example.com/connected".parse().unwrap();
        let config = FreshBooks::authorizer_config("app", Secret::from("planted"), back.clone()).unwrap();
        assert_eq!(config.authorize_url.as_str(), "https://auth.freshbooks.com/oauth/authorize");
        assert_eq!(config.oauth.token_url.as_str(), "https://api.freshbooks.com/auth/oauth/token");
        assert!(config.scopes.is_empty() && !format!("{config:?}").contains("planted"));
        for (id, secret) in [("", "s"), ("app", "")] {
            assert!(FreshBooks::authorizer_config(id, Secret::from(secret), back.clone()).is_err());
        }
    }

    #[test]
    fn a_scope_that_was_not_granted_is_named() {
        let granted = ["user:profile:read", "user:invoices:read", "user:bills:read"].map(str::to_owned);
        let kinds = [RecordKind::Invoice, RecordKind::Bill, RecordKind::Expense];
        assert_eq!(missing_scopes(&granted, &kinds), ["user:bill_vendors:read", "user:expenses:read"]);
        assert_eq!(missing_scopes(&granted, &[RecordKind::Invoice]), [""; 0]);
    }
}
