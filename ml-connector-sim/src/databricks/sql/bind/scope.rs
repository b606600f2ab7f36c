//! What a statement is executed with, and the columns an expression may name.

use std::collections::BTreeMap;

use super::super::{catalog::same, time::SessionZone, types::DataType};

/// What a statement is executed with.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) catalog: String,
    pub(crate) schema: String,
    pub(crate) parameters: BTreeMap<String, Parameter>,
    /// Microseconds since 1970.
    pub(crate) now: i64,
    pub(crate) zone: SessionZone,
    pub(crate) principal: String,
    /// Whether MERGE refuses a target with a row filter or a mask. Otherwise it does not see hidden rows.
    pub(crate) policies_refuse_merge: bool,
}

/// A named parameter as it was sent: the value is text whatever the type.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) ty: DataType,
    pub(crate) value: Option<String>,
}

/// The columns an expression may name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope(pub(crate) Vec<ScopeColumn>);

#[derive(Debug, Clone)]
pub(crate) struct ScopeColumn {
    /// The row of the frame it lies in.
    pub(crate) row: u8,
    pub(crate) at: usize,
    /// What may stand before its name: `[main, finance, invoices]`, or an alias.
    pub(crate) qualifier: Vec<String>,
    pub(crate) name: String,
    pub(crate) ty: DataType,
}

impl Scope {
    pub(super) fn found(&self, qualifier: &[String], name: &str) -> Vec<&ScopeColumn> {
        let matches = |column: &&ScopeColumn| {
            same(&column.name, name)
                && column.qualifier.len() >= qualifier.len()
                && column.qualifier[column.qualifier.len() - qualifier.len()..]
                    .iter()
                    .zip(qualifier)
                    .all(|(left, right)| same(left, right))
        };
        self.0.iter().filter(matches).collect()
    }
}

/// How many letters differ: for suggestions.
pub(super) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut costs: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut costs[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let cost = (costs[j] + 1).min(costs[j + 1] + 1).min(diagonal + usize::from(l != *r));
            diagonal = std::mem::replace(&mut costs[j + 1], cost);
        }
    }
    costs.last().copied().unwrap_or_default()
}
