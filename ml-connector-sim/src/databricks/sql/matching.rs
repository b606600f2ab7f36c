//! Which rows of two relations belong together: for joins and MERGE.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    ast::Operator,
    bind::Session,
    catalog::Row,
    error::Sql,
    eval::{Bound, Frame},
    types::Value,
};

/// Finds for a row (the frame's first) those of the other side (the frame's second) that a condition joins to it.
pub(crate) struct Matcher {
    condition: Option<Bound>,
    /// Sides of the equalities that must hold: looked up instead of tried one by one.
    keys: Vec<Bound>,
    /// By a digest of the other side: the condition says which of the same digest are equal.
    index: HashMap<u64, Vec<usize>>,
}

impl Matcher {
    pub(crate) fn new(condition: Option<Bound>, others: &[Row], session: &Session) -> Sql<Self> {
        let (mut keys, mut other_keys) = (Vec::new(), Vec::new());
        if let Some(condition) = &condition {
            equalities(condition, &mut keys, &mut other_keys);
        }
        let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
        if !keys.is_empty() {
            for (at, other) in others.iter().enumerate() {
                if let Some(digest) = digest(&other_keys, Frame([&[], other, &[]]), session)? {
                    index.entry(digest).or_default().push(at);
                }
            }
        }
        Ok(Self { condition, keys, index })
    }

    pub(crate) fn matches(&self, row: &[Value], others: &[Row], session: &Session) -> Sql<Vec<usize>> {
        let Some(condition) = &self.condition else { return Ok((0..others.len()).collect()) };
        let all: Vec<usize>;
        let candidates: &[usize] = if self.keys.is_empty() {
            all = (0..others.len()).collect();
            &all
        } else {
            let digest = digest(&self.keys, Frame::of(row), session)?;
            digest.and_then(|digest| self.index.get(&digest)).map_or(&[], Vec::as_slice)
        };
        let mut matches = Vec::new();
        for at in candidates {
            if condition.eval(Frame([row, &others[*at], &[]]), &session.zone)?.is_true() {
                matches.push(*at);
            }
        }
        Ok(matches)
    }
}

/// A digest of what stands on one side of the equalities; `None` where one of them is NULL, which equals nothing. Tables are
/// large, so that plain columns are not copied for it.
fn digest(keys: &[Bound], frame: Frame<'_>, session: &Session) -> Sql<Option<u64>> {
    let mut digest = DefaultHasher::new();
    for key in keys {
        let owned;
        let value = match key.direct(frame) {
            Some(value) => value,
            None => {
                owned = key.eval(frame, &session.zone)?;
                &owned
            }
        };
        if value.is_null() {
            return Ok(None);
        }
        value.hash(&mut digest);
    }
    Ok(Some(digest.finish()))
}

/// Collects `left = right` from conditions joined by AND, where each side is of one row only.
fn equalities(condition: &Bound, keys: &mut Vec<Bound>, other_keys: &mut Vec<Bound>) {
    match condition {
        Bound::And(left, right) => {
            equalities(left, keys, other_keys);
            equalities(right, keys, other_keys);
        }
        Bound::Compare(Operator::Equal, left, right) => match (row_of(left), row_of(right)) {
            (Some(0), Some(1)) => {
                keys.push((**left).clone());
                other_keys.push((**right).clone());
            }
            (Some(1), Some(0)) => {
                keys.push((**right).clone());
                other_keys.push((**left).clone());
            }
            _ => {}
        },
        _ => {}
    }
}

/// The row a plain column, or a cast or a field of one, lies in.
fn row_of(expr: &Bound) -> Option<u8> {
    match expr {
        Bound::Column(row, _) => Some(*row),
        Bound::Field(of, _) => row_of(of),
        Bound::Cast { expr, .. } => row_of(expr),
        _ => None,
    }
}
