//! Whether routes can ever do something: they name what is there, in words that somebody knows.

use std::{collections::BTreeSet, sync::Arc};

use super::connections::Registry;
use crate::{
    Error, ErrorKind, Result, Timestamp,
    engine::stored::StoredDelivery,
    model::{Change, Delivery, EntityRef, Event, Interaction, RecordKind, Seq, Status},
    route::{Route, RouteSet, Target},
};

impl Registry {
    /// Whether routes make sense, and name connections, kinds, states and places that exist.
    pub(crate) fn check_routes(&self, routes: &RouteSet) -> Result<()> {
        routes.validate()?;
        let (kinds, statuses) = (self.kinds(), self.statuses());
        for route in &routes.routes {
            let named = |error: Error, field: String| {
                Err(error.with_context("route", route.name.escape_debug()).with_context("field", field))
            };
            if let Some((field, error)) = self.unknown_word(route, &kinds, &statuses) {
                return named(error, field);
            }
            if let Some(from) = route.from.iter().find(|from| !self.sources.contains_key(*from)) {
                let error = invalid("the route takes from a source that is not connected");
                return named(error.with_context("source", from), "from".to_owned());
            }
            for (i, target) in route.to.iter().enumerate() {
                if let Some((field, error)) = self.wrong_target(target) {
                    let field = if field.is_empty() { format!("to[{i}]") } else { field.to_owned() };
                    return named(error, field);
                }
            }
        }
        Ok(())
    }

    /// The kinds of records that events may be about: core's, what people do, the engine's own work, and those that
    /// sources say.
    fn kinds(&self) -> BTreeSet<&str> {
        let told = self.sources.values().flat_map(|slot| slot.source.info().kinds.iter().copied());
        let done = Interaction::KINDS;
        RecordKind::KNOWN.iter().copied().chain(done).chain(Event::OUTCOMES).chain(told).collect()
    }

    /// The states in which records may stand: core's, and those that sources say.
    fn statuses(&self) -> BTreeSet<&str> {
        let told = self.sources.values().flat_map(|slot| slot.source.info().statuses.iter().copied());
        Status::KNOWN.iter().copied().chain(told).collect()
    }

    /// A word that no event can have, with where it stands.
    fn unknown_word(
        &self,
        route: &Route,
        kinds: &BTreeSet<&str>,
        statuses: &BTreeSet<&str>,
    ) -> Option<(String, Error)> {
        for (i, pattern) in route.on.iter().enumerate() {
            if pattern.kind() != "*" && !kinds.contains(pattern.kind()) {
                let error = unknown("no source tells of records of this kind", pattern.kind(), kinds);
                return Some((format!("on[{i}]"), error));
            }
        }
        let of = |field: &str, list: &[Status]| {
            let wrong = list.iter().enumerate().find(|(_, status)| !statuses.contains(status.as_str()));
            wrong.map(|(i, status)| {
                let error = unknown("no record stands so", status.as_str(), statuses);
                (format!("{field}[{i}]"), error)
            })
        };
        of("status", &route.status).or_else(|| of("not_status", &route.not_status))
    }

    /// What is wrong with a target, by its sink.
    fn wrong_target(&self, target: &Target) -> Option<(&'static str, Error)> {
        let Some(slot) = self.sinks.get(&target.sink) else {
            let error = invalid("the route delivers to a sink that is not connected");
            return Some(("to", error.with_context("sink", &target.sink)));
        };
        let digests = target.schedule.as_ref().is_some_and(|schedule| schedule.digest.is_some());
        if digests && slot.sink.info().max_digest == 0 {
            let error = invalid("the sink makes no digests").with_context("sink", &target.sink);
            return Some(("to.schedule.digest", error));
        }
        let refused = slot.plan(&probe(target)).err()?;
        match refused.kind() {
            ErrorKind::ConfigInvalid => Some(("", refused)),
            // Of the probe nothing else is meant: it is no event that the sink has to serve.
            ErrorKind::InvalidRequest if refused.context("destination").is_some() => {
                let error = Error::new(ErrorKind::ConfigInvalid, refused.message().to_owned());
                let shown = refused.context("destination").unwrap_or_default().to_owned();
                Some(("", error.with_context("sink", &target.sink).with_context("destination", shown)))
            }
            _ => None,
        }
    }
}

/// A delivery that only asks a sink whether it knows what a target names.
fn probe(target: &Target) -> Delivery {
    let entity = EntityRef::new("invoice", "probe");
    let event = Event::new("probe".into(), entity, 1, [Change::Updated].into(), Timestamp::default(), None);
    let stored = StoredDelivery::new(target, Timestamp::default());
    stored.delivery(Seq(0), "probe".into(), Arc::new(event), Timestamp::default())
}

fn unknown(message: &'static str, word: &str, known: &BTreeSet<&str>) -> Error {
    let known = known.iter().copied().collect::<Vec<_>>().join(", ");
    invalid(message).with_context("word", word.escape_debug()).with_context("known", known)
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}
