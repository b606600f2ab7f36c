//! What Databricks sends and takes. Everything that may be missing is optional, and unknown values are kept.

mod catalog;
mod statement;
#[cfg(test)]
mod tests;
mod warehouse;

pub(crate) use catalog::{Listing, Named, Permissions, Table, TableColumn};
pub(crate) use statement::{Execute, Parameter, QueryTag, ResultData, State, Statement, Status};
pub(crate) use warehouse::{Warehouse, WarehouseState};

/// The vendor's words for where something stands; what is not known is kept.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum $name { $($variant,)* Other(String) }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = String::deserialize(from)?;
                Ok(match word.as_str() { $($text => Self::$variant,)* _ => Self::Other(word) })
            }
        }
    };
}
pub(crate) use words;
