//! CREATE, ALTER and DROP executed.

use std::collections::BTreeMap;

use super::{
    ast::{Alteration, ColumnDefinition, CreateTable, Dropped, Name},
    bind::{Binder, Scope, Session},
    catalog::{Column, Database, Schema, Table, Volume, same},
    error::{Sql, SqlError, quoted},
    eval::Frame,
    read,
    types::{DataType, Field, Value},
};

/// What liquid clustering takes at most.
const MAX_CLUSTER_COLUMNS: usize = 4;
const MAX_NAME: usize = 255;

pub(crate) fn create_schema(
    database: &mut Database,
    session: &Session,
    name: &Name,
    if_not_exists: bool,
    comment: Option<&String>,
) -> Sql<()> {
    let [catalog, schema] = session.resolve_schema(name)?;
    valid_name(&schema)?;
    let schemas = database.catalogs.get_mut(&catalog).ok_or_else(|| {
        SqlError::new("CATALOG_NOT_FOUND", "42P08", format!("The catalog {} not found.", quoted(&[&catalog])))
    })?;
    if schemas.contains_key(&schema) {
        return if if_not_exists {
            Ok(())
        } else {
            Err(SqlError::already_exists("schema", &[catalog, schema]))
        };
    }
    database.grants.require("CREATE SCHEMA", "Catalog", &catalog)?;
    schemas.insert(schema.clone(), Schema { comment: comment.cloned(), ..Schema::default() });
    database.grants.own(&format!("{catalog}.{schema}"));
    Ok(())
}

pub(crate) fn create_volume(
    database: &mut Database,
    session: &Session,
    name: &Name,
    if_not_exists: bool,
    comment: Option<&String>,
) -> Sql<()> {
    let full = session.resolve(name)?;
    let [catalog, schema, volume] = &full;
    valid_name(volume)?;
    if database.schema(catalog, schema)?.volumes.contains_key(volume) {
        return if if_not_exists { Ok(()) } else { Err(SqlError::already_exists("volume", &full)) };
    }
    database.grants.require_use(catalog, schema)?;
    database.grants.require("CREATE VOLUME", "Schema", &format!("{catalog}.{schema}"))?;
    let new = Volume { comment: comment.cloned(), created_at: session.now / 1000, ..Volume::default() };
    database.schema_mut(catalog, schema)?.volumes.insert(volume.clone(), new);
    database.grants.own(&full.join("."));
    Ok(())
}

pub(crate) fn create_table(database: &mut Database, session: &Session, create: &CreateTable) -> Sql<()> {
    let full = session.resolve(&create.name)?;
    let [catalog, schema, name] = &full;
    valid_name(name)?;
    let content = database.schema(catalog, schema)?;
    if content.tables.contains_key(name) || content.views.contains_key(name) {
        // Columns are not compared.
        return if create.if_not_exists {
            Ok(())
        } else {
            Err(SqlError::already_exists("table or view", &full))
        };
    }
    database.grants.require_use(catalog, schema)?;
    database.grants.require("CREATE TABLE", "Schema", &format!("{catalog}.{schema}"))?;
    let mut table = Table {
        columns: Vec::new(),
        rows: Vec::new(),
        checks: create.checks.clone(),
        cluster_by: Vec::new(),
        comment: create.comment.clone(),
        properties: stamped(&create.properties),
        row_filter: None,
        version: 0,
        metadata_version: 0,
        created_at: session.now / 1000,
        updated_at: session.now / 1000,
    };
    add_columns(&mut table, &create.columns)?;
    table.cluster_by = cluster_columns(&table, &create.cluster_by)?;
    let scope = Scope(read::scope(&table, &[], 0));
    for check in &table.checks {
        Binder::new(&scope, session).condition(&check.condition)?;
    }
    database.schema_mut(catalog, schema)?.tables.insert(name.clone(), table);
    database.grants.own(&full.join("."));
    Ok(())
}

/// With the properties that the server sets by itself.
fn stamped(properties: &[(String, String)]) -> BTreeMap<String, String> {
    let own = [("delta.minReaderVersion", "3"), ("delta.minWriterVersion", "7")];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    own.into_iter().chain(properties.iter().cloned()).collect()
}

fn add_columns(table: &mut Table, columns: &[ColumnDefinition]) -> Sql<()> {
    for ColumnDefinition { within, name, ty, not_null, comment } in columns {
        if !within.is_empty() {
            add_field(table, within, name, ty)?;
            continue;
        }
        if table.position(name).is_some() {
            let sentence = format!("The column {} already exists.", quoted(&[&name.to_lowercase()]));
            return Err(SqlError::new("COLUMN_ALREADY_EXISTS", "42711", sentence));
        }
        let mapped = table.properties.get("delta.columnMapping.mode").is_some_and(|mode| mode == "name");
        if !mapped && name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']) {
            let sentence =
                format!("Found invalid character(s) among ' ,;{{}}()\\n\\t=' in the column names: {name}.");
            return Err(SqlError::new("DELTA_INVALID_CHARACTERS_IN_COLUMN_NAME", "42K05", sentence));
        }
        if *ty == DataType::Void {
            return Err(SqlError::unsupported("columns of the type VOID"));
        }
        let (name, ty, comment) = (name.clone(), ty.clone(), comment.clone());
        table.columns.push(Column { name, ty, not_null: *not_null, comment, mask: None });
    }
    Ok(())
}

/// Adds a field to a struct, which may be the element of an array. What is there has none of it.
fn add_field(table: &mut Table, within: &[String], name: &str, ty: &DataType) -> Sql<()> {
    let [column, path @ ..] = within else { return Ok(()) };
    let at = table.position(column).ok_or_else(|| unknown_column(table, column))?;
    let before = table.columns[at].ty.clone();
    let place = reach(&mut table.columns[at].ty, path)?;
    let DataType::Struct(fields) = place else {
        return Err(SqlError::unsupported("a field of a column that is no struct"));
    };
    if fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
        let sentence = format!("The column {} already exists.", quoted(&[name]));
        return Err(SqlError::new("COLUMN_ALREADY_EXISTS", "42711", sentence));
    }
    fields.push(Field { name: name.to_owned(), ty: ty.clone() });
    for row in &mut table.rows {
        let mut new = row.to_vec();
        new[at] = with_null(&new[at], &before, path);
        *row = new.into();
    }
    Ok(())
}

fn reach<'a>(mut place: &'a mut DataType, path: &[String]) -> Sql<&'a mut DataType> {
    for step in path {
        place = match place {
            DataType::Array(element) if step.eq_ignore_ascii_case("element") => element,
            DataType::Struct(fields) => {
                let field = fields.iter_mut().find(|field| field.name.eq_ignore_ascii_case(step));
                &mut field.ok_or_else(|| SqlError::unsupported("a path to a field that is not there"))?.ty
            }
            _ => return Err(SqlError::unsupported("a path through a column that is no struct")),
        };
    }
    Ok(place)
}

/// A value whose struct at the end of the path has one more field.
fn with_null(value: &Value, ty: &DataType, path: &[String]) -> Value {
    let Value::List(values) = value else { return value.clone() };
    match (ty, path) {
        (DataType::Struct(_), []) => Value::List(values.iter().cloned().chain([Value::Null]).collect()),
        (DataType::Array(element), [_, path @ ..]) => {
            Value::List(values.iter().map(|value| with_null(value, element, path)).collect())
        }
        (DataType::Struct(fields), [step, path @ ..]) => {
            let deeper = |(value, field): (&Value, &Field)| {
                if field.name.eq_ignore_ascii_case(step) {
                    with_null(value, &field.ty, path)
                } else {
                    value.clone()
                }
            };
            Value::List(values.iter().zip(fields).map(deeper).collect())
        }
        _ => value.clone(),
    }
}

fn cluster_columns(table: &Table, names: &[String]) -> Sql<Vec<String>> {
    if names.len() > MAX_CLUSTER_COLUMNS {
        return Err(SqlError::new(
            "DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS",
            "54000",
            format!(
                "CLUSTER BY supports up to {MAX_CLUSTER_COLUMNS} clustering columns, but the table has {}.",
                names.len()
            ),
        ));
    }
    names
        .iter()
        .map(|name| {
            let Some(place) = table.position(name) else { return Err(unknown_column(table, name)) };
            let scalar = !matches!(
                table.columns[place].ty,
                DataType::Array(_)
                    | DataType::Map(..)
                    | DataType::Struct(_)
                    | DataType::Variant
                    | DataType::Boolean
                    | DataType::Binary
            );
            if scalar && place < 32 {
                return Ok(table.columns[place].name.clone());
            }
            let sentence =
                format!("Liquid clustering requires clustering columns to have statistics: {name}.");
            Err(SqlError::new("DELTA_CLUSTERING_COLUMN_MISSING_STATS", "22000", sentence))
        })
        .collect()
}

pub(crate) fn create_view(
    database: &mut Database,
    session: &Session,
    name: &Name,
    (replace, if_not_exists): (bool, bool),
    query: &super::ast::Query,
) -> Sql<()> {
    let full = session.resolve(name)?;
    let [catalog, schema, view] = &full;
    valid_name(view)?;
    let content = database.schema(catalog, schema)?;
    if content.tables.contains_key(view) || content.views.contains_key(view) && !replace {
        return if if_not_exists { Ok(()) } else { Err(SqlError::already_exists("table or view", &full)) };
    }
    database.grants.require_use(catalog, schema)?;
    database.grants.require("CREATE TABLE", "Schema", &format!("{catalog}.{schema}"))?;
    // A view that cannot be read is not created.
    super::select::Reader::new(database, session).query(query)?;
    database.schema_mut(catalog, schema)?.views.insert(view.clone(), query.clone());
    database.grants.own(&full.join("."));
    Ok(())
}

pub(crate) fn drop_object(
    database: &mut Database,
    session: &Session,
    kind: Dropped,
    name: &Name,
    if_exists: bool,
) -> Sql<()> {
    if kind == Dropped::Schema {
        let [catalog, schema] = session.resolve_schema(name)?;
        let found = database.schema(&catalog, &schema);
        if if_exists && found.is_err() {
            return Ok(());
        }
        let found = found?;
        if !(found.tables.is_empty() && found.views.is_empty() && found.volumes.is_empty()) {
            let sentence =
                format!("Cannot drop a schema {} because it contains objects.", quoted(&[&catalog, &schema]));
            return Err(SqlError::new("SCHEMA_NOT_EMPTY", "2BP01", sentence));
        }
        database.catalogs.entry(catalog.clone()).or_default().remove(&schema);
        database.grants.forget(&format!("{catalog}.{schema}"));
        return Ok(());
    }
    let full = session.resolve(name)?;
    let dropped = match database.schema_mut(&full[0], &full[1]) {
        Ok(schema) => match kind {
            Dropped::Table => schema.tables.remove(&full[2]).is_some(),
            Dropped::View => schema.views.remove(&full[2]).is_some(),
            _ => schema.volumes.remove(&full[2]).is_some(),
        },
        Err(_) => false,
    };
    database.grants.forget(&full.join("."));
    if dropped || if_exists { Ok(()) } else { Err(SqlError::table_not_found(&full, name.at)) }
}

pub(crate) fn alter(database: &mut Database, session: &Session, name: &Name, action: &Alteration) -> Sql<()> {
    let full = session.resolve(name)?;
    let found = database.table(&full, name.at)?;
    database.grants.require_use(&full[0], &full[1])?;
    database.grants.require("MODIFY", "Table", &full.join("."))?;
    let mut table = found.clone();
    altered(&mut table, session, action)?;
    table.metadata_changed(session.now / 1000);
    *database.table_mut(&full, name.at)? = table;
    Ok(())
}

fn altered(table: &mut Table, session: &Session, action: &Alteration) -> Sql<()> {
    let place =
        |table: &Table, name: &String| table.position(name).ok_or_else(|| unknown_column(table, name));
    match action {
        Alteration::AddColumns { columns, if_not_exists } => {
            let new: Vec<_> = columns
                .iter()
                .filter(|column| !(*if_not_exists && table.position(&column.name).is_some()))
                .cloned()
                .collect();
            if let Some(column) = new.iter().find(|column| column.not_null) {
                let sentence = format!("NOT NULL is not supported for the new column {}.", column.name);
                return Err(SqlError::new("DELTA_ADD_CONSTRAINTS", "0A000", sentence));
            }
            add_columns(table, &new)?;
            let blank = vec![Value::Null; new.iter().filter(|column| column.within.is_empty()).count()];
            table.rows.iter_mut().for_each(|row| *row = row.iter().chain(&blank).cloned().collect());
        }
        Alteration::DropColumns(names) => {
            mapped(table)?;
            for name in names {
                let at = place(table, name)?;
                table.columns.remove(at);
                let without = |row: &super::catalog::Row| {
                    row.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, value)| value.clone()).collect()
                };
                table.rows.iter_mut().for_each(|row| *row = without(row));
            }
        }
        Alteration::RenameColumn(from, to) => {
            mapped(table)?;
            let at = place(table, from)?;
            table.columns[at].name.clone_from(to);
        }
        Alteration::ColumnType(name, to) => {
            let at = place(table, name)?;
            let from = table.columns[at].ty.clone();
            let enabled = table.properties.get("delta.enableTypeWidening").is_some_and(|on| on == "true");
            if from != *to && !(enabled && widens(&from, to)) {
                let sentence = format!(
                    "ALTER TABLE ALTER COLUMN is not supported for changing column {} from {from} to {to}.",
                    quoted(&[name])
                );
                return Err(SqlError::new("DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP", "0AKDC", sentence));
            }
            for row in &mut table.rows {
                let mut new = row.to_vec();
                new[at] = super::cast::cast(&new[at], &from, to, super::cast::Kind::Ansi, &session.zone)?;
                *row = new.into();
            }
            table.columns[at].ty = to.clone();
        }
        Alteration::ColumnNotNull(name, not_null) => {
            let at = place(table, name)?;
            if *not_null && table.rows.iter().any(|row| row[at].is_null()) {
                let sentence = format!("NOT NULL constraint violated for column: {name}.");
                return Err(SqlError::new("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502", sentence));
            }
            table.columns[at].not_null = *not_null;
        }
        Alteration::ColumnComment(name, comment) => {
            let at = place(table, name)?;
            table.columns[at].comment = Some(comment.clone());
        }
        Alteration::SetProperties(properties) => table.properties.extend(properties.iter().cloned()),
        Alteration::UnsetProperties(keys) => keys.iter().for_each(|key| drop(table.properties.remove(key))),
        Alteration::ClusterBy(names) => table.cluster_by = cluster_columns(table, names)?,
        Alteration::AddCheck(check) => {
            let scope = Scope(read::scope(table, &[], 0));
            let condition = Binder::new(&scope, session).condition(&check.condition)?;
            for row in &table.rows {
                if !condition.eval(Frame::of(row), &session.zone)?.is_true() {
                    let sentence =
                        format!("1 row in the table violates the new CHECK constraint ({}).", check.text);
                    return Err(SqlError::new("DELTA_NEW_CHECK_CONSTRAINT_VIOLATION", "23512", sentence));
                }
            }
            table.checks.push(check.clone());
        }
        Alteration::DropConstraint { name, if_exists } => {
            let before = table.checks.len();
            table.checks.retain(|check| !same(&check.name, name));
            if table.checks.len() == before && !if_exists {
                let sentence = format!("Cannot drop nonexistent constraint {name}.");
                return Err(SqlError::new("DELTA_CONSTRAINT_DOES_NOT_EXIST", "42704", sentence));
            }
        }
    }
    Ok(())
}

/// Dropping and renaming needs columns that are known by an id.
fn mapped(table: &Table) -> Sql<()> {
    match table.properties.get("delta.columnMapping.mode") {
        Some(mode) if mode == "name" => Ok(()),
        _ => Err(SqlError::new(
            "DELTA_UNSUPPORTED_DROP_COLUMN",
            "0AKDC",
            "DROP COLUMN and RENAME COLUMN are not supported for your Delta table without column mapping.",
        )),
    }
}

/// Whether every value of one type is a value of the other, as type widening allows it.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (T::Date, T::TimestampNtz) => true,
        (T::TinyInt | T::SmallInt | T::Int, T::Double) => true,
        (from, T::Decimal { precision, scale }) => match from.as_decimal() {
            Some((had, had_scale)) => {
                let had = if from.is_integer() && *from != T::BigInt { 10 } else { had };
                *scale >= had_scale && precision.saturating_sub(*scale) >= had - had_scale
            }
            None => false,
        },
        (from, to) => match (from.integer_bits(), to.integer_bits()) {
            (Some(from), Some(to)) => from < to,
            _ => false,
        },
    }
}

fn unknown_column(table: &Table, name: &str) -> SqlError {
    let known: Vec<_> = table.columns.iter().take(5).map(|column| quoted(&[&column.name])).collect();
    let sentence = format!(
        "A column, variable, or function parameter with name {} cannot be resolved. Did you mean one of the following? [{}].",
        quoted(&[name]),
        known.join(", ")
    );
    SqlError::new("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", sentence)
}

/// Names of catalogs, schemas, tables and volumes.
fn valid_name(name: &str) -> Sql<()> {
    let bad = |c: char| matches!(c, '.' | ' ' | '/' | '\u{7f}') || c < '\u{20}';
    if name.chars().count() <= MAX_NAME && !name.contains(bad) {
        return Ok(());
    }
    Err(SqlError::new(
        "INVALID_SCHEMA_OR_RELATION_NAME",
        "42602",
        format!("{} is not a valid name for tables, schemas or volumes.", quoted(&[name])),
    ))
}
