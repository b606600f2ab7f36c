//! Databricks: a sink that keeps Delta tables.
