//! Databricks: the SQL Statement Execution API, the Files API and Unity Catalog of one workspace.

mod sql;
