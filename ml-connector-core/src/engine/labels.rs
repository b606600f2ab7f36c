//! Labels of metrics: as many different ones as a dashboard can bear.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// How many names are told apart; what comes after them counts as `other`.
const MOST: usize = 1000;

/// The names that have been used as labels.
#[derive(Debug, Default)]
pub(crate) struct Labels(Mutex<HashSet<Arc<str>>>);

impl Labels {
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
        let labels = Labels::default();
        for i in 0..MOST {
            assert_eq!(*labels.bounded(&i.to_string()), *i.to_string());
        }
        assert_eq!(&*labels.bounded("one more"), "other");
        assert_eq!((&*labels.bounded("7"), &*labels.bounded("another")), ("7", "other"));
    }
}
