//! What a query gives.

use super::{
    ast::Alias,
    bind::ScopeColumn,
    catalog::Row,
    error::{Sql, SqlError},
    types::DataType,
};

/// Columns and rows: a result, or what a FROM clause gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<ResultColumn>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultColumn {
    /// What may stand before the name, inside the query.
    pub(crate) qualifier: Vec<String>,
    pub(crate) name: String,
    pub(crate) ty: DataType,
}

impl Rows {
    /// The columns as names an expression may use, lying in a row of the frame.
    pub(crate) fn scope(&self, row: u8) -> Vec<ScopeColumn> {
        let column = |(at, column): (usize, &ResultColumn)| ScopeColumn {
            row,
            at,
            qualifier: column.qualifier.clone(),
            name: column.name.clone(),
            ty: column.ty.clone(),
        };
        self.columns.iter().enumerate().map(column).collect()
    }

    /// With the names that an alias gives.
    pub(crate) fn aliased(mut self, alias: Option<&Alias>) -> Sql<Self> {
        let Some(Alias { name, columns }) = alias else { return Ok(self) };
        if !columns.is_empty() && columns.len() != self.columns.len() {
            let sentence =
                format!("Number of column aliases does not match number of columns: {}.", self.columns.len());
            return Err(SqlError::new("ASSIGNMENT_ARITY_MISMATCH", "42802", sentence));
        }
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.qualifier = vec![name.clone()];
            if let Some(alias) = columns.get(at) {
                column.name.clone_from(alias);
            }
        }
        Ok(self)
    }
}
