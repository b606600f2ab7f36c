//! The companies that a person may read.

use std::fmt;

use ml_connector_core::{Result, Timestamp, decode::Object, model::Zone};

use super::value;

/// A company that the connected person may read. `Debug` shows its number and states only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Division {
    /// Its number: what [`Config::division`](crate::Config::division) wants. Names are not unique.
    pub code: u32,
    /// Its name.
    pub name: String,
    /// Who owns it. Accountants see their clients' companies.
    pub owner: String,
    /// ISO 4217.
    pub currency: String,
    /// Why somebody should think twice before connecting it.
    pub caution: Option<Caution>,
    /// Whether it can be read at present.
    pub(crate) blocked: bool,
    /// Row versions begin anew whenever this changes.
    pub(crate) moved: Option<Timestamp>,
}

/// Why somebody should think twice before connecting a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caution {
    /// Made-up books for practice. Connecting it has to be [allowed](crate::Config::practice).
    Practice,
    /// An accountant's dossier.
    Dossier,
    /// Archived: it cannot be connected.
    Archived,
    /// Inactive: it cannot be connected.
    Inactive,
}

impl Division {
    pub(crate) const SELECT: &'static str = "Code,Description,CustomerName,Currency,Status,BlockingStatus,IsPracticeDivision,\
         IsDossierDivision,DivisionMoveDate,DivisionHRLinkUnlinkDate";

    pub(crate) fn read(from: &Object<'_>, zone: &Zone) -> Result<Self> {
        let code = from.id("Code")?;
        let is = |name: &str| from.flag(name) || from.text(name) == "1";
        let caution = match value::integer(from, "Status") {
            Some(2) => Some(Caution::Archived),
            Some(0) => Some(Caution::Inactive),
            _ if is("IsPracticeDivision") => Some(Caution::Practice),
            _ if is("IsDossierDivision") => Some(Caution::Dossier),
            _ => None,
        };
        let moves =
            ["DivisionMoveDate", "DivisionHRLinkUnlinkDate"].map(|name| value::instant(from, name, zone));
        Ok(Self {
            code: code.parse().map_err(|_| {
                ml_connector_core::Error::new(
                    ml_connector_core::ErrorKind::InvalidResponse,
                    "a company's number is no number",
                )
            })?,
            name: value::text(from, "Description").unwrap_or_default(),
            owner: value::text(from, "CustomerName").unwrap_or_default(),
            currency: value::text(from, "Currency").unwrap_or_default(),
            caution,
            blocked: value::integer(from, "BlockingStatus").is_some_and(|status| status != 0),
            moved: moves.into_iter().flatten().max(),
        })
    }
}

impl fmt::Debug for Division {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, currency, caution, blocked, .. } = self;
        f.debug_struct("Division")
            .field("code", code)
            .field("currency", currency)
            .field("caution", caution)
            .field("blocked", blocked)
            .finish_non_exhaustive()
    }
}
