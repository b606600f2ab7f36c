//! The members of an object, unread.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::unescaped;

/// Members are told apart by so many marks first, and by their names then.
const MARKS: usize = 64;
/// As many members as records mostly have.
const MANY: usize = 32;

/// The members of an object, unread. Of members with one name the last counts.
///
/// Records have dozens of members, and nearly all of them are asked for: they are found without comparing names that differ
/// in their mark, and nothing is sorted.
pub(super) struct Members<'a> {
    all: Vec<Member<'a>>,
    /// Of each mark the last member, by its place.
    last: [usize; MARKS],
}

struct Member<'a> {
    name: Cow<'a, str>,
    value: &'a RawValue,
    /// The place of the one before it with the same mark.
    before: usize,
}

/// No place.
const NONE: usize = usize::MAX;

impl<'a> Members<'a> {
    /// `None` when it is no object, or more than one.
    pub(super) fn of(object: &'a str) -> Option<Self> {
        let mut members = Self { all: Vec::with_capacity(MANY), last: [NONE; MARKS] };
        each_member(object, |name, value| {
            let last = &mut members.last[mark(&name)];
            let before = std::mem::replace(last, members.all.len());
            members.all.push(Member { name, value, before });
        })?;
        Some(members)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut place = self.last[mark(name)];
        while let Some(member) = self.all.get(place) {
            if member.name == name {
                return Some(member.value);
            }
            place = member.before;
        }
        None
    }
}

/// Names of one record differ in their length or in their end.
fn mark(name: &str) -> usize {
    let end = name.as_bytes().last().copied().unwrap_or_default();
    (name.len() ^ usize::from(end) << 1) % MARKS
}

/// Calls back with each member of an object, in their order. `None` when it is no object, or more than one.
pub(crate) fn each_member<'a>(object: &'a str, each: impl FnMut(Cow<'a, str>, &'a RawValue)) -> Option<()> {
    struct Each<F>(F);

    impl<'a, F: FnMut(Cow<'a, str>, &'a RawValue)> Visitor<'a> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<(), A::Error> {
            while let Some((name, value)) = object.next_entry::<&RawValue, &RawValue>()? {
                (self.0)(unescaped(name.get()), value);
            }
            Ok(())
        }
    }

    let mut decoder = serde_json::Deserializer::from_str(object);
    decoder.deserialize_map(Each(each)).and_then(|()| decoder.end()).ok()
}
