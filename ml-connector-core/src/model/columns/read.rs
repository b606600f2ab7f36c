//! Finding the values of all columns in one pass over the JSON.

use serde_json::value::RawValue;

use super::{Column, ColumnType, Fields, Value, value};
use crate::{
    Error, ErrorKind, Result,
    model::raw::{elements, members},
};

/// Which columns begin at a place of the JSON, and below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    here: Vec<usize>,
    /// Whether something here says that the record is a whole one.
    whole: bool,
    /// Sorted by the length of the name, and by the name: lengths are compared at once, and few names have the same.
    below: Vec<(Box<str>, Self)>,
}

impl Node {
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.below.binary_search_by(|(known, _)| (known.len(), &**known).cmp(&(name.len(), name)))
    }

    pub(super) fn add(&mut self, pointer: &str, column: usize) {
        self.at(pointer).here.push(column);
    }

    pub(super) fn add_whole(&mut self, pointer: &str) {
        self.at(pointer).whole = true;
    }

    /// The node of a pointer, made where there is none.
    fn at(&mut self, pointer: &str) -> &mut Self {
        let Some(path) = pointer.strip_prefix('/') else { return self };
        let (step, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
        let step = step.replace("~1", "/").replace("~0", "~");
        let place = self.place(&step).unwrap_or_else(|place| {
            self.below.insert(place, (step.into(), Self::default()));
            place
        });
        self.below[place].1.at(rest)
    }

    fn find<'a>(&self, value: &'a RawValue, found: &mut Found<'a>) -> Result<(), serde_json::Error> {
        found.whole |= self.whole;
        for column in &self.here {
            found.values[*column] = Some(value);
        }
        if self.below.is_empty() || !value.get().starts_with('{') {
            return Ok(());
        }
        let mut failed = Ok(());
        members(value.get(), |name, value| {
            if let Ok(place) = self.place(name)
                && failed.is_ok()
            {
                failed = self.below[place].1.find(value, found);
            }
        })?;
        failed
    }
}

/// What was found in a record.
struct Found<'a> {
    /// Of each column.
    values: Vec<Option<&'a RawValue>>,
    whole: bool,
}

impl Fields {
    /// The values, and whether something says that the record is a whole one.
    pub(super) fn read<'a>(&self, value: &'a RawValue) -> Result<(Vec<Value<'a>>, bool)> {
        let mut found = Found { values: vec![None; self.columns.len()], whole: false };
        self.root
            .find(value, &mut found)
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the record's JSON cannot be read"))?;
        let values = self.columns.iter().zip(found.values);
        let values: Result<_> = values
            .map(|(column, found)| {
                let value = match found {
                    Some(value) => column.read(value)?,
                    None => Value::Null,
                };
                if value == Value::Null && !column.nullable {
                    return Err(wrong(column, "expected a value, got none"));
                }
                Ok(value)
            })
            .collect();
        Ok((values?, found.whole))
    }
}

impl Column {
    fn read<'a>(&self, value: &'a RawValue) -> Result<Value<'a>> {
        let ColumnType::List(fields) = &self.kind else {
            return value::scalar(&self.kind, value, self.rounds).map_err(|message| wrong(self, message));
        };
        match value.get().as_bytes().first() {
            Some(b'[') => {
                let mut lines = Vec::new();
                let mut failed = None;
                let read = elements(value.get(), |line| match fields.read(line) {
                    Ok((line, _)) => lines.push(line),
                    Err(error) => failed = failed.take().or(Some(error)),
                });
                match failed {
                    Some(error) => Err(error.with_context("of", self.name)),
                    None if read.is_err() => Err(wrong(self, "the list cannot be read")),
                    None => Ok(Value::List(lines)),
                }
            }
            // Some vendors write an empty text where others write nothing.
            Some(b'n') => Ok(Value::Null),
            _ if value.get() == r#""""# => Ok(Value::Null),
            _ => Err(wrong(self, "expected a list")),
        }
    }
}

fn wrong(column: &Column, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message).with_context("column", column.name)
}
