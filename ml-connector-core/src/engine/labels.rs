//! Labels of metrics: as many different ones as a dashboard can bear.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::ConnectionId;

/// How many names of one label are told apart; what comes after them counts as `other`.
const MOST: usize = 1000;

/// The names that have been used as labels, label by label: many of one leave the others their own.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    pub(crate) connections: Names,
    pub(crate) routes: Names,
    pub(crate) keys: Names,
    shown: Mutex<Shown>,
}

/// The names of one label.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashSet<Arc<str>>>);

/// Which gauges have a value: what is not there any more must not keep it.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) connections: BTreeSet<ConnectionId>,
    /// By connection and route.
    pub(crate) routes: BTreeSet<(Arc<str>, Arc<str>)>,
    /// By key and seconds: what is left when nothing is spent.
    pub(crate) limits: BTreeMap<(Arc<str>, u64), u64>,
}

impl Labels {
    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// The name, or `other` when there are too many already.
    pub(crate) fn bounded(&self, name: &str) -> Arc<str> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = if names.len() < MOST { name.into() } else { "other".into() };
        names.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thousand_names_are_told_apart() {
        let names = Names::default();
        for i in 0..MOST {
            assert_eq!(*names.bounded(&i.to_string()), *i.to_string());
        }
        assert_eq!(&*names.bounded("one more"), "other");
        assert_eq!((&*names.bounded("7"), &*names.bounded("another")), ("7", "other"));
    }

    #[test]
    fn many_names_of_one_label_leave_the_others_theirs() {
        let labels = Labels::default();
        (0..=MOST).for_each(|i| drop(labels.keys.bounded(&format!("slack/T1/channel/C{i}"))));
        assert_eq!((&*labels.connections.bounded("books"), &*labels.keys.bounded("C")), ("books", "other"));
    }
}
