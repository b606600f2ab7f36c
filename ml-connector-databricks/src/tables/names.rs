//! Which record goes into which table.

use std::{collections::BTreeMap, sync::Arc};

use ml_connector_core::{
    Error, ErrorKind, Result, SourceInfo,
    model::{Columns, RecordKind},
};

use crate::sql::{TableName, object_name};

/// What is known of a connection whose records come.
#[derive(Debug, Clone)]
pub(crate) struct Feeding {
    pub(crate) system: &'static str,
    /// The organization, division or company; empty where the source does not name one.
    pub(crate) account: Arc<str>,
    pub(crate) columns: Vec<Arc<Columns>>,
}

impl Feeding {
    pub(crate) fn of(info: &SourceInfo) -> Self {
        let account = info.accounts.first().map(|account| account.as_str()).unwrap_or_default();
        Self { system: info.system, account: account.into(), columns: info.columns.clone() }
    }

    /// What the records of a kind look like.
    pub(crate) fn columns_of(&self, kind: &str) -> Option<&Arc<Columns>> {
        self.columns.iter().find(|columns| columns.kind == RecordKind::from(kind))
    }

    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the table that cannot be.
    pub(crate) fn validate(&self, names: &Names) -> Result<()> {
        if self.columns.is_empty() {
            let message = "the source does not say what its records look like as tables";
            return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("system", self.system));
        }
        self.columns.iter().try_for_each(|columns| {
            columns.validate()?;
            names.table(self.system, columns).map(drop)
        })
    }
}

/// What tables are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) catalog: Arc<str>,
    pub(crate) schema: Arc<str>,
    pub(crate) prefix: Option<String>,
    /// By `system/kind`.
    pub(crate) tables: BTreeMap<String, String>,
}

impl Names {
    /// The table of a kind of a system.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] for a name that Unity Catalog does not take.
    pub(crate) fn table(&self, system: &str, columns: &Columns) -> Result<TableName> {
        let name = match (self.tables.get(&format!("{system}/{}", columns.kind)), &self.prefix) {
            (Some(name), _) => object_name("tables", name)?,
            (None, Some(prefix)) => object_name("table_prefix", &format!("{prefix}{}", columns.table))?,
            (None, None) => object_name("table_prefix", &format!("{system}_{}", columns.table))?,
        };
        Ok(self.called(name))
    }

    pub(crate) fn called(&self, table: Arc<str>) -> TableName {
        TableName { catalog: Arc::clone(&self.catalog), schema: Arc::clone(&self.schema), table }
    }
}
