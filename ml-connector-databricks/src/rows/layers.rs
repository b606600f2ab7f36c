//! Several rows of one record: which of them are sent, and in which order.

use std::collections::HashMap;

use ml_connector_core::model::ConnectionId;

use super::row::Row;

/// Of rows of one record the latest, and before it those that say more than all later ones: a tombstone keeps the columns
/// that a change before it brought, and a row of a list the lines. Each layer has one row of a record at most, and is
/// written after the one before it. Mostly there is one.
pub(crate) fn layers<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let mut places: HashMap<(&ConnectionId, &str), usize> = HashMap::with_capacity(rows.len());
    let mut records: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let place = *places.entry((&row.connection, &row.entity.id)).or_insert(records.len());
        match records.get_mut(place) {
            Some(record) => record.push(row),
            None => records.push(vec![row]),
        }
    }
    let mut layers: Vec<Vec<&Row>> = vec![Vec::with_capacity(records.len())];
    for mut record in records {
        record.sort_by_key(|row| std::cmp::Reverse(row.version()));
        let mut fullest = None;
        record.retain(|row| {
            fullest.is_none_or(|fullest| row.form > fullest) && {
                fullest = Some(row.form);
                true
            }
        });
        for (layer, row) in record.into_iter().rev().enumerate() {
            match layers.get_mut(layer) {
                Some(layer) => layer.push(row),
                None => layers.push(vec![row]),
            }
        }
    }
    layers
}
