//! Where deliveries go: to the table of their kind, or to one by name.

use ml_connector_core::{Error, ErrorKind, Result, model::Destination};

use crate::sql::object_name;

const TABLES: &str = "tables";
const TABLE: &str = "table:";

/// Every record goes to the table of its kind.
///
/// ```
/// use ml_connector_core::route::Route;
///
/// let route = Route::new("warehouse").with_pages().to("lake", ml_connector_databricks::tables());
/// ```
#[must_use]
pub fn tables() -> Destination {
    Destination::new(TABLES)
}

/// Records go to one table of the schema, by name. They have to be of one kind.
#[must_use]
pub fn table(name: &str) -> Destination {
    Destination::new(format!("{TABLE}{name}"))
}

/// The table that a destination names; `None`: that of the kind.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for any other destination.
pub(crate) fn named(destination: &Destination) -> Result<Option<std::sync::Arc<str>>> {
    let refused = |message| Error::new(ErrorKind::InvalidRequest, message);
    match (destination.as_str(), destination.as_str().strip_prefix(TABLE)) {
        (TABLES, _) => Ok(None),
        (_, Some(name)) => object_name("destination", name)
            .map(Some)
            .map_err(|source| refused("the destination names no table").with_source(source)),
        _ => Err(refused("expected a destination of tables() or table(name)")),
    }
}
