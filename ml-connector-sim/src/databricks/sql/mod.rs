//! SQL really executed: a closed grammar on tables in memory.
//!
//! It shares nothing with any generator of statements, so that a generator's error cannot confirm itself. What lies
//! outside the grammar fails with the class `SIM_UNSUPPORTED`.

mod ast;
mod bind;
mod cast;
pub(super) mod catalog;
mod ddl;
mod decimal;
mod error;
mod eval;
mod generator;
mod group;
mod json;
mod lexer;
mod matching;
mod parser;
mod position;
mod read;
mod rows;
mod select;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod write;

use self::{
    ast::{Name, NameParts, Statement},
    bind::Binder,
    catalog::Database,
    rows::ResultColumn,
    select::Reader,
    types::Value,
    write::Counts,
};
pub(super) use self::{
    bind::{Parameter, Session},
    error::{Sql, SqlError},
    parser::{data_type, expression},
    rows::Rows,
    time::SessionZone,
    types::DataType,
};

/// A statement that has been parsed.
#[derive(Debug, Clone)]
pub(super) struct Parsed(Statement);

pub(super) fn parse(statement: &str) -> Sql<Parsed> {
    parser::statement(statement).map(Parsed)
}

/// How a statement touches a table, for conflicts between statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads rows and replaces them.
    Rewrites,
    /// Only adds rows.
    Appends,
    /// Changes columns or properties.
    Metadata,
}

impl Parsed {
    /// The table it writes to.
    pub(super) fn writes(&self, session: &Session) -> Option<([String; 3], Access)> {
        let (name, access) = match &self.0 {
            Statement::Insert { table, .. } => (table, Access::Appends),
            Statement::Update { table, .. } | Statement::Delete { table, .. } => {
                (&table.name, Access::Rewrites)
            }
            Statement::Merge(merge) => (&merge.target.name, Access::Rewrites),
            Statement::Alter { table, .. } => (table, Access::Metadata),
            _ => return None,
        };
        session.resolve(name).ok().map(|name| (name, access))
    }

    /// Whether it changes anything: what a read-only warehouse refuses.
    pub(super) fn changes(&self) -> bool {
        !matches!(
            &self.0,
            Statement::Query(_)
                | Statement::Describe { .. }
                | Statement::ShowTables { .. }
                | Statement::ShowSchemas { .. }
                | Statement::ShowVolumes { .. }
                | Statement::ShowColumns { .. }
        )
    }

    /// Executes it. Either everything happens or nothing. `None` for a statement without a result.
    pub(super) fn execute(&self, database: &mut Database, session: &Session) -> Sql<Option<Rows>> {
        match &self.0 {
            Statement::Query(query) => Reader::new(database, session).query(query).map(Some),
            Statement::CreateSchema { name, if_not_exists, comment } => {
                ddl::create_schema(database, session, name, *if_not_exists, comment.as_ref()).map(|()| None)
            }
            Statement::CreateVolume { name, if_not_exists, comment } => {
                ddl::create_volume(database, session, name, *if_not_exists, comment.as_ref()).map(|()| None)
            }
            Statement::CreateTable(table) => ddl::create_table(database, session, table).map(|()| None),
            Statement::CreateView { name, replace, if_not_exists, query } => {
                ddl::create_view(database, session, name, (*replace, *if_not_exists), query).map(|()| None)
            }
            Statement::Drop { kind, name, if_exists } => {
                ddl::drop_object(database, session, *kind, name, *if_exists).map(|()| None)
            }
            Statement::Alter { table, action } => ddl::alter(database, session, table, action).map(|()| None),
            Statement::Insert { table, columns, source } => {
                let name = session.resolve(table)?;
                let counts = write::insert(database, session, &name, table.at, columns.as_deref(), source)?;
                Ok(Some(counted(&["num_affected_rows", "num_inserted_rows"], counts)))
            }
            Statement::Update { table, set, filter } => {
                let counts = write::update(database, session, table, set, filter.as_ref())?;
                Ok(Some(counted(&["num_affected_rows"], counts)))
            }
            Statement::Delete { table, filter } => {
                let counts = write::delete(database, session, table, filter.as_ref())?;
                Ok(Some(counted(&["num_affected_rows"], counts)))
            }
            Statement::Merge(merge) => {
                let counts = write::merge(database, session, merge)?;
                let names =
                    ["num_affected_rows", "num_updated_rows", "num_deleted_rows", "num_inserted_rows"];
                Ok(Some(counted(&names, counts)))
            }
            Statement::Describe { table, extended } => {
                describe(database, session, table, *extended).map(Some)
            }
            Statement::ShowColumns { table } => {
                let name = session.resolve(table)?;
                let names =
                    database.table(&name, table.at)?.columns.iter().map(|column| vec![column.name.clone()]);
                Ok(Some(texts(&["col_name"], names)))
            }
            Statement::ShowTables { schema } => {
                let [catalog, schema] = session.schema_or_own(schema.as_ref())?;
                let content = database.schema(&catalog, &schema)?;
                let names = content.tables.keys().chain(content.views.keys());
                let rows = names.map(|name| vec![schema.clone(), name.clone(), "false".to_owned()]);
                Ok(Some(texts(&["database", "tableName", "isTemporary"], rows)))
            }
            Statement::ShowSchemas { catalog } => {
                let catalog = match catalog {
                    Some(name) => session.parts(name)?.join(".").to_lowercase(),
                    None => session.catalog.to_lowercase(),
                };
                let schemas = database.catalogs.get(&catalog).into_iter().flat_map(|schemas| schemas.keys());
                Ok(Some(texts(&["databaseName"], schemas.map(|name| vec![name.clone()]))))
            }
            Statement::ShowVolumes { schema } => {
                let [catalog, schema] = session.schema_or_own(schema.as_ref())?;
                let volumes = database.schema(&catalog, &schema)?.volumes.keys();
                Ok(Some(texts(
                    &["database", "volume_name"],
                    volumes.map(|name| vec![schema.clone(), name.clone()]),
                )))
            }
        }
    }
}

impl Session {
    fn parts(&self, name: &Name) -> Sql<Vec<String>> {
        match &name.parts {
            NameParts::Written(parts) => Ok(parts.clone()),
            NameParts::Computed(expr) => {
                let none = bind::Scope::default();
                match Binder::new(&none, self).constant(expr)?.0 {
                    Value::String(text) => parser::name_parts(&text),
                    _ => Err(SqlError::mismatch("IDENTIFIER takes a text.")),
                }
            }
        }
    }

    /// The full name, in lower case.
    fn resolve(&self, name: &Name) -> Sql<[String; 3]> {
        let mut parts: Vec<String> = self.parts(name)?.iter().map(|part| part.to_lowercase()).collect();
        if parts.len() == 1 {
            parts.insert(0, self.schema.to_lowercase());
        }
        if parts.len() == 2 {
            parts.insert(0, self.catalog.to_lowercase());
        }
        <[String; 3]>::try_from(parts).map_err(|parts| {
            let sentence = format!(
                "{} is not a valid identifier as it has more than 3 name parts.",
                error::quoted(&parts)
            );
            SqlError::new("IDENTIFIER_TOO_MANY_NAME_PARTS", "42601", sentence).at(name.at)
        })
    }

    fn resolve_schema(&self, name: &Name) -> Sql<[String; 2]> {
        let mut parts: Vec<String> = self.parts(name)?.iter().map(|part| part.to_lowercase()).collect();
        if parts.len() == 1 {
            parts.insert(0, self.catalog.to_lowercase());
        }
        <[String; 2]>::try_from(parts).map_err(|parts| {
            let sentence = format!(
                "{} is not a valid identifier as it has more than 2 name parts.",
                error::quoted(&parts)
            );
            SqlError::new("IDENTIFIER_TOO_MANY_NAME_PARTS", "42601", sentence).at(name.at)
        })
    }

    fn schema_or_own(&self, name: Option<&Name>) -> Sql<[String; 2]> {
        match name {
            Some(name) => self.resolve_schema(name),
            None => Ok([self.catalog.to_lowercase(), self.schema.to_lowercase()]),
        }
    }
}

/// The nested types of DESCRIBE are cut after this many fields.
const DESCRIBED_FIELDS: usize = 25;

fn describe(database: &Database, session: &Session, name: &Name, extended: bool) -> Sql<Rows> {
    let full = session.resolve(name)?;
    let table = database.table(&full, name.at)?;
    database.grants.require_use(&full[0], &full[1])?;
    database.grants.require("SELECT", "Table", &full.join("."))?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for column in &table.columns {
        rows.push(vec![column.name.clone(), cut(&column.ty), column.comment.clone().unwrap_or_default()]);
    }
    if !table.cluster_by.is_empty() {
        rows.push(vec!["# Clustering Information".to_owned(), String::new(), String::new()]);
        rows.push(vec!["# col_name".to_owned(), "data_type".to_owned(), "comment".to_owned()]);
        for name in &table.cluster_by {
            let ty = table.position(name).map(|at| cut(&table.columns[at].ty)).unwrap_or_default();
            rows.push(vec![name.clone(), ty, String::new()]);
        }
    }
    if extended {
        let properties: Vec<_> =
            table.properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for (key, value) in [
            ("", String::new()),
            ("# Detailed Table Information", String::new()),
            ("Catalog", full[0].clone()),
            ("Database", full[1].clone()),
            ("Table", full[2].clone()),
            ("Comment", table.comment.clone().unwrap_or_default()),
            ("Type", "MANAGED".to_owned()),
            ("Provider", "delta".to_owned()),
            ("Table Properties", format!("[{}]", properties.join(","))),
        ] {
            rows.push(vec![key.to_owned(), value, String::new()]);
        }
    }
    Ok(texts(&["col_name", "data_type", "comment"], rows.into_iter()))
}

fn cut(ty: &DataType) -> String {
    match ty {
        DataType::Struct(fields) if fields.len() > DESCRIBED_FIELDS => {
            let shown =
                fields[..DESCRIBED_FIELDS].iter().map(|field| format!("{}:{}", field.name, cut(&field.ty)));
            let shown: Vec<_> = shown.collect();
            format!("struct<{},... {} more fields>", shown.join(","), fields.len() - DESCRIBED_FIELDS)
        }
        DataType::Array(of) => format!("array<{}>", cut(of)),
        ty => ty.lower(),
    }
}

fn texts(names: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Rows {
    let column =
        |name: &&str| ResultColumn { qualifier: Vec::new(), name: (*name).to_owned(), ty: DataType::String };
    Rows {
        columns: names.iter().map(column).collect(),
        rows: rows.map(|row| row.into_iter().map(Value::text).collect()).collect(),
    }
}

fn counted(names: &[&str], counts: Counts) -> Rows {
    let Counts { inserted, updated, deleted } = counts;
    let number = |name: &&str| {
        let count = match *name {
            "num_affected_rows" => inserted + updated + deleted,
            "num_updated_rows" => updated,
            "num_deleted_rows" => deleted,
            _ => inserted,
        };
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    };
    let column =
        |name: &&str| ResultColumn { qualifier: Vec::new(), name: (*name).to_owned(), ty: DataType::BigInt };
    Rows { columns: names.iter().map(column).collect(), rows: vec![names.iter().map(number).collect()] }
}

/// A cell of a result: text, whatever the type.
pub(super) fn cell(value: &Value, ty: &DataType, zone: &SessionZone) -> Option<String> {
    use base64::Engine as _;
    match value {
        Value::Null => None,
        Value::Timestamp(micros) if *ty == DataType::Timestamp => Some(zone.cell(*micros)),
        Value::Timestamp(local) => Some(time::cell_text(*local)),
        Value::Binary(bytes) => Some(base64::engine::general_purpose::STANDARD.encode(bytes)),
        value => Some(cast::text(value, ty, zone)),
    }
}
