//! All routes of a connector, as data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Route, RouteMatch};
use crate::{Error, ErrorKind, Result, model::Event};

/// All routes of a connector, in order. Also a file: [`from_json`](Self::from_json), and with feature `toml`
/// `from_toml`; both check what [`validate`](Self::validate) checks.
///
/// ```
/// use ml_connector_core::route::{RouteMode, RouteSet};
///
/// let routes = RouteSet::from_json(r#"{
///     "mode": "first-match",
///     "routes": [
///         {"name": "large", "on": ["bill.*"], "at_least": [{"amount": "10000", "currency": "USD"}],
///          "to": [{"sink": "slack", "destination": "channel:cfo"}]},
///         {"name": "other", "on": ["bill.*"], "to": [{"sink": "slack", "destination": "channel:accounting"}]}
///     ]
/// }"#)?;
/// assert_eq!(routes.mode, RouteMode::FirstMatch);
///
/// let error = RouteSet::from_json(r#"{"routes": [{"name": "large", "on": ["bill.payed"], "to": []}]}"#).unwrap_err();
/// assert_eq!((error.context("route"), error.context("line")), (Some("large"), Some("1")));
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RouteSet {
    /// Which of the routes that match an event take it.
    #[serde(default)]
    pub mode: RouteMode,
    /// The routes.
    #[serde(default)]
    pub routes: Vec<Arc<Route>>,
}

/// Which of the routes that match an event take it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RouteMode {
    /// Every one.
    #[default]
    All,
    /// The first one.
    FirstMatch,
}

impl RouteSet {
    /// These routes, each for itself.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self { mode: RouteMode::All, routes: routes.into_iter().map(Arc::new).collect() }
    }

    /// The first route that matches takes the event alone.
    #[must_use]
    pub fn first_match(mut self) -> Self {
        self.mode = RouteMode::FirstMatch;
        self
    }

    /// Checks every route, and that their names differ.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the route and the field.
    pub fn validate(&self) -> Result<()> {
        self.routes.iter().enumerate().try_for_each(|(i, route)| self.validate_nth(i, route))
    }

    pub(super) fn validate_nth(&self, i: usize, route: &Route) -> Result<()> {
        route.validate()?;
        if self.routes[..i].iter().any(|other| other.name == route.name) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "two routes have the same name")
                .with_context("route", route.name.escape_debug())
                .with_context("field", "name"));
        }
        Ok(())
    }

    /// Every route with whether it matches the event, in order.
    pub fn verdicts(&self, event: &Event) -> impl Iterator<Item = (&Arc<Route>, RouteMatch)> {
        let mut taken = false;
        self.routes.iter().map(move |route| {
            let verdict = if taken { RouteMatch::EarlierRoute } else { route.verdict(event) };
            taken = taken || self.mode == RouteMode::FirstMatch && verdict.is_match();
            (route, verdict)
        })
    }

    /// The routes that take an event, in order.
    pub fn takers(&self, event: &Event) -> impl Iterator<Item = &Arc<Route>> {
        self.verdicts(event).filter(|(_, verdict)| verdict.is_match()).map(|(route, _)| route)
    }
}

impl From<Vec<Route>> for RouteSet {
    fn from(routes: Vec<Route>) -> Self {
        Self::new(routes)
    }
}
