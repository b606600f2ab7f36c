//! Which scopes the connected person granted, as far as answers tell.
//!
//! Zoho says the same of a missing scope as of a dead token. Where the token works for other calls and a fresh one is
//! refused, it is the scope: then only what needs it has to wait.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ml_connector_core::{Error, ErrorKind, Scope, Timestamp, error_context};

/// A token that was accepted so lately belongs to a consent that holds.
const WORKS_FOR: Duration = Duration::from_secs(24 * 3600);
/// How often a fresh token is tried for a scope that was refused: Zoho issues only a few.
const RENEW_EVERY: Duration = Duration::from_secs(3600);

/// What answers have told.
#[derive(Debug, Default)]
pub(super) struct Scopes(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    works_at: Option<Timestamp>,
    refused: BTreeMap<String, Timestamp>,
}

impl Scopes {
    /// Whether a fresh token was refused for this scope a short while ago.
    pub(super) fn is_refused(&self, scope: &str, now: Timestamp) -> bool {
        self.told().refused.get(scope).is_some_and(|at| now.saturating_since(*at) < RENEW_EVERY)
    }

    /// The token was accepted for this scope.
    pub(super) fn accepted(&self, scope: &str, now: Timestamp) {
        let mut told = self.told();
        told.works_at = Some(now);
        told.refused.remove(scope);
    }

    /// What a failure means for this scope.
    pub(super) fn classify(&self, scope: &str, error: Error, now: Timestamp) -> Error {
        let by_the_api =
            error.kind() == ErrorKind::Unauthenticated && error.context(error_context::STATUS).is_some();
        let mut told = self.told();
        let works = told.works_at.is_some_and(|at| now.saturating_since(at) < WORKS_FOR);
        if !by_the_api || !works {
            return error;
        }
        told.refused.entry(scope.to_owned()).or_insert(now);
        let code = error.context(error_context::CODE).unwrap_or("none").to_owned();
        Error::new(ErrorKind::PermissionDenied, "the connected person has not granted the scope")
            .with_scope(Scope::Entry)
            .with_operation(error.operation())
            .with_context("scope", scope)
            .with_context(error_context::CODE, code)
            .with_source(error)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scope with which a path below `/books/v3/` is read.
pub(super) fn needed_by(path: &str) -> String {
    let module = match path.split('/').next().unwrap_or_default() {
        "chartofaccounts" => "accountants",
        "items" | "organizations" | "users" => "settings",
        module => module,
    };
    format!("ZohoBooks.{module}.READ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);

    fn refused() -> Error {
        Error::new(ErrorKind::Unauthenticated, "no").with_scope(Scope::Connection).with_context("status", 401)
    }

    #[test]
    fn a_refusal_is_the_scope_s_where_the_token_works_and_else_the_connection_s() {
        let scopes = Scopes::default();
        let classified = |scopes: &Scopes| scopes.classify("ZohoBooks.bills.READ", refused(), NOW);
        assert_eq!(classified(&scopes).kind(), ErrorKind::Unauthenticated);
        scopes.accepted("ZohoBooks.settings.READ", NOW);
        let error = classified(&scopes);
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry));
        assert_eq!(error.context("scope"), Some("ZohoBooks.bills.READ"));
        assert!(scopes.is_refused("ZohoBooks.bills.READ", NOW + Duration::from_secs(3599)));
        assert!(!scopes.is_refused("ZohoBooks.bills.READ", NOW + RENEW_EVERY));
        scopes.accepted("ZohoBooks.bills.READ", NOW);
        assert!(!scopes.is_refused("ZohoBooks.bills.READ", NOW));
        // The token endpoint's own word is about the connection.
        let dead = Error::new(ErrorKind::Unauthenticated, "dead").with_scope(Scope::Connection);
        assert_eq!(scopes.classify("x", dead, NOW).kind(), ErrorKind::Unauthenticated);
    }

    #[test]
    fn paths_need_the_scopes_of_the_vendor_s_table() {
        for (path, scope) in [
            ("invoices/1", "ZohoBooks.invoices.READ"),
            ("chartofaccounts", "ZohoBooks.accountants.READ"),
            ("settings/currencies", "ZohoBooks.settings.READ"),
            ("users", "ZohoBooks.settings.READ"),
        ] {
            assert_eq!(needed_by(path), scope);
        }
    }
}
