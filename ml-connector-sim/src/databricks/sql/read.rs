//! What a FROM clause reads: tables with their policies, staged files, the information schema.

use std::sync::Arc;

use super::{
    ast::Expr,
    bind::{Binder, Scope, ScopeColumn, Session, json_option},
    catalog::{Database, Row, Table},
    error::{Sql, SqlError},
    eval::{Bound, Frame},
    json::{self, Mode},
    parser,
    position::Position,
    rows::{ResultColumn, Rows},
    types::{DataType, Value},
};

/// The columns of a table as names an expression may use.
pub(crate) fn scope(table: &Table, qualifier: &[String], row: u8) -> Vec<ScopeColumn> {
    let column = |(at, column): (usize, &super::catalog::Column)| ScopeColumn {
        row,
        at,
        qualifier: qualifier.to_vec(),
        name: column.name.clone(),
        ty: column.ty.clone(),
    };
    table.columns.iter().enumerate().map(column).collect()
}

/// The row filter and the column masks of a table, for the principal.
pub(crate) struct Policies {
    filter: Option<Bound>,
    masks: Vec<(usize, Bound)>,
}

impl Policies {
    pub(crate) fn of(table: &Table, session: &Session) -> Sql<Self> {
        let scope = Scope(scope(table, &[], 0));
        let mut binder = Binder::new(&scope, session);
        let filter = table.row_filter.as_ref().map(|filter| binder.condition(&filter.expr)).transpose()?;
        let mut masks = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            if let Some(mask) = &column.mask {
                masks.push((at, binder.bind(&mask.expr)?.expr));
            }
        }
        Ok(Self { filter, masks })
    }

    pub(crate) fn exist(&self) -> bool {
        self.filter.is_some() || !self.masks.is_empty()
    }

    /// A row as the principal sees it, or `None` when it is hidden.
    pub(crate) fn seen(&self, row: &Row, session: &Session) -> Sql<Option<Row>> {
        if let Some(filter) = &self.filter
            && !filter.eval(Frame::of(row), &session.zone)?.is_true()
        {
            return Ok(None);
        }
        if self.masks.is_empty() {
            return Ok(Some(Arc::clone(row)));
        }
        let mut masked = row.to_vec();
        for (at, mask) in &self.masks {
            masked[*at] = mask.eval(Frame::of(row), &session.zone)?;
        }
        Ok(Some(masked.into()))
    }
}

/// A table, read with SELECT.
pub(crate) fn table(database: &Database, session: &Session, name: &[String; 3], at: Position) -> Sql<Rows> {
    let table = database.table(name, at)?;
    database.grants.require_use(&name[0], &name[1])?;
    database.grants.require("SELECT", "Table", &name.join("."))?;
    let policies = Policies::of(table, session)?;
    let columns = table.columns.iter().map(|column| ResultColumn {
        qualifier: name.to_vec(),
        name: column.name.clone(),
        ty: column.ty.clone(),
    });
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        rows.extend(policies.seen(row, session)?);
    }
    Ok(Rows { columns: columns.collect(), rows })
}

/// `read_files(path, format => 'json', schema => '...', mode => 'FAILFAST')`
pub(crate) fn files(
    database: &Database,
    session: &Session,
    path: &Expr,
    options: &[(String, Expr)],
    at: Position,
) -> Sql<Rows> {
    let none = Scope::default();
    let mut binder = Binder::new(&none, session);
    let mut text = |expr: &Expr| -> Sql<String> {
        match binder.constant(expr)?.0 {
            Value::String(text) => Ok(text.to_string()),
            _ => Err(SqlError::mismatch("read_files takes texts.").at(at)),
        }
    };
    let path = text(path)?;
    let (mut format, mut schema, mut mode) = (None, None, Mode::Permissive);
    for (name, value) in options {
        let value = text(value)?;
        match name.as_str() {
            "format" => format = Some(value.to_ascii_lowercase()),
            "schema" => schema = Some(parser::columns(&value)?),
            name => mode = json_option(name, &value)?.unwrap_or(mode),
        }
    }
    if format.as_deref() != Some("json") {
        return Err(SqlError::unsupported("read_files of another format than json"));
    }
    let Some(fields) = schema else { return Err(SqlError::unsupported("read_files without a schema")) };
    let columns = fields.iter().map(|field| ResultColumn {
        qualifier: Vec::new(),
        name: field.name.clone(),
        ty: field.ty.clone(),
    });
    let columns = columns.collect();
    let ty = DataType::Struct(fields);
    let many = DataType::Array(Box::new(ty.clone()));
    let mut rows = Vec::new();
    for file in staged(database, &path, at)? {
        let Ok(content) = std::str::from_utf8(&file) else {
            return Err(SqlError::unsupported("files that are no UTF-8"));
        };
        for line in content.lines().filter(|line| !line.trim().is_empty()) {
            if line.trim_start().starts_with('[') {
                match json::from_json(line, &many, mode, &session.zone)? {
                    Value::List(items) => rows.extend(items.iter().map(|item| cells(item, &ty))),
                    _ => rows.push(cells(&Value::Null, &ty)),
                }
            } else {
                rows.push(cells(&json::row(line, &ty, mode, &session.zone)?, &ty));
            }
        }
    }
    Ok(Rows { columns, rows })
}

fn cells(record: &Value, ty: &DataType) -> Row {
    match (record, ty) {
        (Value::List(cells), _) => Arc::clone(cells),
        (_, DataType::Struct(fields)) => vec![Value::Null; fields.len()].into(),
        _ => Arc::from([]),
    }
}

/// The content of a file, or of all files below a directory. Names that begin with `_` or `.` are passed over.
fn staged(database: &Database, path: &str, at: Position) -> Sql<Vec<bytes::Bytes>> {
    let missing = || SqlError::new("PATH_NOT_FOUND", "42K03", format!("Path does not exist: {path}.")).at(at);
    let plain = path.strip_prefix("dbfs:").unwrap_or(path);
    let mut parts = plain.strip_prefix("/Volumes/").ok_or_else(missing)?.splitn(4, '/');
    let mut part = || parts.next().map(str::to_lowercase).filter(|part| !part.is_empty()).ok_or_else(missing);
    let (catalog, schema, volume) = (part()?, part()?, part()?);
    let below = parts.next().unwrap_or_default().trim_end_matches('/');
    let found = database.volume(&catalog, &schema, &volume).ok_or_else(missing)?;
    database.grants.require_use(&catalog, &schema)?;
    database.grants.require("READ VOLUME", "Volume", &format!("{catalog}.{schema}.{volume}"))?;
    if below.ends_with(".gz") {
        return Err(SqlError::unsupported("compressed files"));
    }
    if let Some(file) = found.files.get(below) {
        return Ok(vec![file.bytes.clone()]);
    }
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let inside = found.files.iter().filter_map(|(name, file)| {
        let name = name.strip_prefix(&prefix)?;
        let hidden = name.split('/').any(|part| part.starts_with(['_', '.']));
        (!hidden).then(|| file.bytes.clone())
    });
    let inside: Vec<_> = inside.collect();
    if inside.is_empty() { Err(missing()) } else { Ok(inside) }
}

/// `information_schema.tables` and `.columns` of a catalog: what the principal may see.
pub(crate) fn information_schema(database: &Database, name: &[String; 3], at: Position) -> Sql<Rows> {
    let [catalog, _, view] = name;
    let text = |text: &str| Value::text(text);
    let (columns, width): (&[&str], _) = match view.as_str() {
        "tables" => (&["table_catalog", "table_schema", "table_name", "table_type", "comment"], 5),
        "columns" => (
            &[
                "table_catalog",
                "table_schema",
                "table_name",
                "column_name",
                "ordinal_position",
                "is_nullable",
                "full_data_type",
                "data_type",
                "comment",
            ],
            9,
        ),
        _ => return Err(SqlError::table_not_found(name, at)),
    };
    let Some(schemas) = database.catalogs.get(catalog) else {
        return Err(SqlError::table_not_found(name, at));
    };
    let mut rows: Vec<Row> = Vec::new();
    for (schema, content) in schemas {
        for (table_name, table) in &content.tables {
            if !database.grants.has("SELECT", &format!("{catalog}.{schema}.{table_name}")) {
                continue;
            }
            let comment = |comment: &Option<String>| comment.as_deref().map_or(Value::Null, text);
            let place = [text(catalog), text(schema), text(table_name)];
            if width == 5 {
                rows.push(place.into_iter().chain([text("MANAGED"), comment(&table.comment)]).collect());
                continue;
            }
            for (position, column) in table.columns.iter().enumerate() {
                let own = [
                    text(&column.name),
                    Value::Integer(i64::try_from(position).unwrap_or_default()),
                    text(if column.not_null { "NO" } else { "YES" }),
                    text(&column.ty.lower()),
                    text(column.ty.type_name()),
                    comment(&column.comment),
                ];
                rows.push(place.iter().cloned().chain(own).collect());
            }
        }
    }
    let columns = columns.iter().map(|name| ResultColumn {
        qualifier: vec![catalog.clone(), "information_schema".to_owned(), view.clone()],
        name: (*name).to_owned(),
        ty: if *name == "ordinal_position" { DataType::Int } else { DataType::String },
    });
    Ok(Rows { columns: columns.collect(), rows })
}
