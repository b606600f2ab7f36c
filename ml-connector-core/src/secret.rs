//! Secrets in memory.

use std::{
    fmt, iter,
    sync::{Arc, OnceLock},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// A secret text: wiped when dropped, never shown by `Debug`, compared in constant time by its users.
///
/// ```
/// let secret = ml_connector_core::Secret::from("s3cr3t");
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(secret.expose(), "s3cr3t");
/// ```
///
/// A secret is either a text, or a reference to one by its name, which
/// [`NamedSecrets::get`](crate::token::NamedSecrets::get) gives. Whoever holds a reference has the new text as soon as it
/// is changed: settings and builders take either.
#[derive(Clone)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(SecretString),
    /// As it was when it was asked for; later ones follow it.
    Named(Arc<Version>),
}

/// A text of a named secret, and the one that follows it. Earlier ones stay in memory for as long as somebody holds a
/// reference that began with them: a text that was lent must not move.
struct Version {
    number: u64,
    current: SecretString,
    before: Option<SecretString>,
    next: OnceLock<Arc<Self>>,
}

impl Version {
    fn newest(&self) -> &Self {
        iter::successors(Some(self), |version| version.next.get().map(|next| &**next)).last().unwrap_or(self)
    }
}

impl Secret {
    /// The text itself. Call it where it is used, and nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        match &self.0 {
            Kind::Fixed(text) => text.expose_secret(),
            Kind::Named(version) => version.newest().current.expose_secret(),
        }
    }

    /// Every text that is good at present: the text itself, and during a change the one before. For whoever checks what
    /// others send; what we send is [`expose`](Self::expose).
    pub fn accepted(&self) -> impl Iterator<Item = &str> {
        let before = match &self.0 {
            Kind::Fixed(_) => None,
            Kind::Named(version) => version.newest().before.as_ref().map(ExposeSecret::expose_secret),
        };
        iter::once(self.expose()).chain(before)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// How often it was changed since somebody held it; always 0 for a text.
    pub(crate) fn generation(&self) -> u64 {
        match &self.0 {
            Kind::Fixed(_) => 0,
            Kind::Named(version) => version.newest().number,
        }
    }

    /// Whether the text may change.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.0, Kind::Named(_))
    }

    /// A reference, whose text is changed by [`follow`](Self::follow).
    pub(crate) fn named(current: &Self, before: Option<&Self>) -> Self {
        Self(Kind::Named(Arc::new(version(0, current, before))))
    }

    /// Has other texts follow those of a reference, for everybody who holds it. Nothing happens to a text.
    pub(crate) fn follow(&self, current: &Self, before: Option<&Self>) {
        let Kind::Named(first) = &self.0 else { return };
        let mut next = Arc::new(version(0, current, before));
        loop {
            let newest = first.newest();
            if let Some(next) = Arc::get_mut(&mut next) {
                next.number = newest.number + 1;
            }
            match newest.next.set(next) {
                Ok(()) => return,
                // Somebody was faster: it follows theirs.
                Err(refused) => next = refused,
            }
        }
    }
}

fn version(number: u64, current: &Secret, before: Option<&Secret>) -> Version {
    let text = |secret: &Secret| SecretString::from(secret.expose());
    Version { number, current: text(current), before: before.map(text), next: OnceLock::new() }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Kind::Fixed(SecretString::from(text)))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Kind::Fixed(SecretString::from(text)))
    }
}

impl From<&Self> for Secret {
    fn from(secret: &Self) -> Self {
        secret.clone()
    }
}

/// Settings hold secrets as plain text.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

/// No secret: what a setting has until somebody sets it.
impl Default for Secret {
    fn default() -> Self {
        Self::from("")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_a_reference_has_every_later_text_of_it() {
        let held = Secret::named(&"one".into(), None);
        let lent = held.expose();
        let elsewhere = held.clone();
        held.follow(&"two".into(), Some(&"one".into()));
        assert_eq!((lent, elsewhere.expose(), elsewhere.generation()), ("one", "two", 1));
        assert_eq!(elsewhere.accepted().collect::<Vec<_>>(), ["two", "one"]);
        elsewhere.follow(&"three".into(), None);
        assert_eq!((held.expose(), held.generation()), ("three", 2));
        assert_eq!(held.accepted().collect::<Vec<_>>(), ["three"]);
        assert_eq!(format!("{held:?}"), "Secret(***)");
        let text = Secret::from("text");
        text.follow(&"other".into(), None);
        assert_eq!(text.accepted().collect::<Vec<_>>(), ["text"]);
    }
}
