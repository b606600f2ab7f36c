//! Companies and environments.

use ml_connector_core::{Result, decode::Object};

/// A company of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Company {
    /// Its id: [`Config::company_id`](crate::Config::company_id).
    pub id: String,
    /// Its name: [`Config::company_name`](crate::Config::company_name).
    pub name: String,
    /// What people call it; may be empty.
    pub display_name: String,
    /// The version of Business Central, such as `28.2.41583.42017`.
    pub system_version: String,
}

impl Company {
    pub(crate) fn read(from: &Object<'_>) -> Result<Self> {
        Ok(Self {
            id: from.id("id")?,
            name: from.text("name"),
            display_name: from.text("displayName"),
            system_version: from.text("systemVersion"),
        })
    }

    /// The major version; approval entries exist from 29 on.
    #[must_use]
    pub fn major_version(&self) -> Option<u32> {
        self.system_version.split('.').next()?.parse().ok()
    }
}

/// An environment of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// Its name: [`Config::environment`](crate::Config::environment).
    pub name: String,
    /// `Production` or `Sandbox`.
    pub kind: String,
}

impl Environment {
    pub(crate) fn read(from: &Object<'_>) -> Result<Self> {
        Ok(Self { name: from.id("name")?, kind: from.text("type") })
    }
}
