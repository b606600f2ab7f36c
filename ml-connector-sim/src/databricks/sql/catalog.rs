//! Unity Catalog: schemas, tables, views, volumes, and who may do what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    ast::{Check, Expr, Query},
    error::{Sql, SqlError, quoted},
    position::Position,
    types::{DataType, Value},
};

pub(crate) type Row = Arc<[Value]>;

/// Names are kept in lower case, as the vendor keeps them.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) catalogs: BTreeMap<String, BTreeMap<String, Schema>>,
    pub(crate) grants: Grants,
}

#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) comment: Option<String>,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) views: BTreeMap<String, Query>,
    pub(crate) volumes: BTreeMap<String, Volume>,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) checks: Vec<Check>,
    pub(crate) cluster_by: Vec<String>,
    pub(crate) comment: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) row_filter: Option<Policy>,
    /// Grows with every commit.
    pub(crate) version: u64,
    /// The version of the last change of columns or properties.
    pub(crate) metadata_version: u64,
    /// Milliseconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: DataType,
    pub(crate) not_null: bool,
    pub(crate) comment: Option<String>,
    pub(crate) mask: Option<Policy>,
}

/// A row filter or a column mask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    pub(crate) function: String,
    pub(crate) columns: Vec<String>,
    /// What the function computes from a row.
    pub(crate) expr: Expr,
}

#[derive(Debug, Default)]
pub(crate) struct Volume {
    pub(crate) comment: Option<String>,
    /// By path below the volume, without a slash at its beginning.
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) directories: BTreeSet<String>,
    pub(crate) created_at: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    /// Milliseconds since 1970.
    pub(crate) modified: i64,
}

/// Which privileges the one service principal has. Those on a catalog or a schema hold for what is inside.
#[derive(Debug, Default)]
pub(crate) struct Grants(BTreeMap<String, BTreeSet<String>>);

impl Grants {
    /// Grants `MODIFY` on `main.finance`, for example. Names and privileges are written as in GRANT.
    pub(crate) fn grant(&mut self, privilege: &str, object: &str) {
        self.0.entry(object.to_lowercase()).or_default().insert(privilege.to_ascii_uppercase());
    }

    /// Takes a privilege away, wherever an object inherits it from.
    pub(crate) fn revoke(&mut self, privilege: &str, object: &str) {
        let object = object.to_lowercase();
        let privilege = privilege.to_ascii_uppercase();
        for held in inherited(&object) {
            if let Some(privileges) = self.0.get_mut(held) {
                privileges.remove(&privilege);
                // What an owner may do, one by one, without this.
                if privileges.remove(OWN) {
                    privileges.extend(
                        ALL.iter().filter(|other| **other != privilege).map(|other| (*other).to_owned()),
                    );
                }
            }
        }
    }

    /// Makes the principal the owner of what it has created.
    pub(crate) fn own(&mut self, object: &str) {
        self.grant(OWN, object);
    }

    /// Whether the principal is the owner of an object itself.
    pub(crate) fn owns(&self, object: &str) -> bool {
        self.0.get(object).is_some_and(|privileges| privileges.contains(OWN))
    }

    pub(crate) fn forget(&mut self, object: &str) {
        let below = format!("{object}.");
        self.0.retain(|held, _| held != object && !held.starts_with(&below));
    }

    pub(crate) fn has(&self, privilege: &str, object: &str) -> bool {
        inherited(object).any(|held| {
            self.0
                .get(held)
                .is_some_and(|privileges| privileges.contains(privilege) || privileges.contains(OWN))
        })
    }

    /// Privileges on an object with where they come from.
    pub(crate) fn effective(&self, object: &str) -> BTreeMap<String, String> {
        let mut effective = BTreeMap::new();
        for held in inherited(object) {
            for privilege in self.0.get(held).into_iter().flatten() {
                if privilege == OWN {
                    for privilege in ALL {
                        effective.entry(privilege.to_owned()).or_insert_with(|| held.to_owned());
                    }
                } else {
                    effective.entry(privilege.clone()).or_insert_with(|| held.to_owned());
                }
            }
        }
        effective
    }

    pub(crate) fn require(&self, privilege: &str, kind: &str, object: &str) -> Sql<()> {
        if self.has(privilege, object) { Ok(()) } else { Err(SqlError::denied(privilege, kind, object)) }
    }

    /// What reaching into a schema needs.
    pub(crate) fn require_use(&self, catalog: &str, schema: &str) -> Sql<()> {
        self.require("USE CATALOG", "Catalog", catalog)?;
        self.require("USE SCHEMA", "Schema", &format!("{catalog}.{schema}"))
    }
}

const OWN: &str = "OWN";
const ALL: [&str; 9] = [
    "USE CATALOG",
    "USE SCHEMA",
    "CREATE SCHEMA",
    "CREATE TABLE",
    "CREATE VOLUME",
    "SELECT",
    "MODIFY",
    "READ VOLUME",
    "WRITE VOLUME",
];

/// An object and what it lies in: `main.finance.invoices`, `main.finance`, `main`.
fn inherited(object: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(object);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.rsplit_once('.').map(|(parent, _)| parent);
        Some(current)
    })
}

impl Database {
    pub(crate) fn schema(&self, catalog: &str, schema: &str) -> Sql<&Schema> {
        let schemas = self.catalogs.get(catalog).ok_or_else(|| catalog_not_found(catalog))?;
        schemas.get(schema).ok_or_else(|| schema_not_found(catalog, schema))
    }

    pub(crate) fn schema_mut(&mut self, catalog: &str, schema: &str) -> Sql<&mut Schema> {
        let schemas = self.catalogs.get_mut(catalog).ok_or_else(|| catalog_not_found(catalog))?;
        schemas.get_mut(schema).ok_or_else(|| schema_not_found(catalog, schema))
    }

    /// A table by its full name. What does not exist and what lies in a place that does not exist look the same.
    pub(crate) fn table(&self, name: &[String; 3], at: Position) -> Sql<&Table> {
        let [catalog, schema, table] = name;
        let found = self.catalogs.get(catalog).and_then(|schemas| schemas.get(schema));
        found.and_then(|schema| schema.tables.get(table)).ok_or_else(|| SqlError::table_not_found(name, at))
    }

    pub(crate) fn table_mut(&mut self, name: &[String; 3], at: Position) -> Sql<&mut Table> {
        let [catalog, schema, table] = name;
        let found = self.catalogs.get_mut(catalog).and_then(|schemas| schemas.get_mut(schema));
        found
            .and_then(|schema| schema.tables.get_mut(table))
            .ok_or_else(|| SqlError::table_not_found(name, at))
    }

    pub(crate) fn volume(&self, catalog: &str, schema: &str, volume: &str) -> Option<&Volume> {
        self.catalogs.get(catalog)?.get(schema)?.volumes.get(volume)
    }

    pub(crate) fn volume_mut(&mut self, catalog: &str, schema: &str, volume: &str) -> Option<&mut Volume> {
        self.catalogs.get_mut(catalog)?.get_mut(schema)?.volumes.get_mut(volume)
    }
}

impl Table {
    /// Where a column stands.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| same(&column.name, name))
    }

    pub(crate) fn committed(&mut self, rows: Vec<Row>, now_millis: i64) {
        self.rows = rows;
        self.version += 1;
        self.updated_at = now_millis;
    }

    /// Commits rows that are replaced or removed, in the order of their places, and rows that come after all others.
    pub(crate) fn patched(&mut self, changed: Vec<(usize, Option<Row>)>, new: Vec<Row>, now_millis: i64) {
        let mut rows = std::mem::take(&mut self.rows);
        let mut removed = Vec::new();
        for (place, row) in changed {
            match row {
                Some(row) => rows[place] = row,
                None => removed.push(place),
            }
        }
        if !removed.is_empty() {
            let (mut place, mut removed) = (0, removed.into_iter().peekable());
            rows.retain(|_| {
                let goes = removed.next_if_eq(&place).is_some();
                place += 1;
                !goes
            });
        }
        rows.extend(new);
        self.committed(rows, now_millis);
    }

    pub(crate) fn metadata_changed(&mut self, now_millis: i64) {
        self.version += 1;
        self.metadata_version = self.version;
        self.updated_at = now_millis;
    }
}

/// Whether two identifiers name the same thing.
pub(crate) fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!(left.is_ascii() && right.is_ascii()) && left.to_lowercase() == right.to_lowercase())
}

fn catalog_not_found(catalog: &str) -> SqlError {
    SqlError::new("CATALOG_NOT_FOUND", "42P08", format!("The catalog {} not found.", quoted(&[catalog])))
}

pub(crate) fn schema_not_found(catalog: &str, schema: &str) -> SqlError {
    let name = quoted(&[catalog, schema]);
    SqlError::new(
        "SCHEMA_NOT_FOUND",
        "42704",
        format!(
            "The schema {name} cannot be found. Verify the spelling and correctness of the schema and catalog."
        ),
    )
}
