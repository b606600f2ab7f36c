//! Where people open records.

use ml_connector_core::model::{Record, Status};
use url::Url;

use super::Set;

/// The web client of one company.
#[derive(Debug, Clone)]
pub(crate) struct Site(Option<Url>);

impl Site {
    /// Without a company's name there are no links: it is their key.
    pub(crate) fn new(web: &Url, tenant: &str, environment: &str, company: &str) -> Self {
        if company.is_empty() {
            return Self(None);
        }
        let mut url = web.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([tenant, environment]);
        }
        url.query_pairs_mut().append_pair("company", company);
        Self(Some(url))
    }

    /// The link to a record: the page changes with posting, and so may the number. The list's page, which shows nothing
    /// strange when the record is gone.
    pub(crate) fn link(&self, set: Set, record: &Record) -> Option<String> {
        let (mut url, number) = (self.0.clone()?, record.number.as_deref()?);
        let posted =
            matches!(record.status, Status::Open | Status::PartiallyPaid | Status::Paid | Status::Void)
                || record.status.as_str() == "corrective";
        let page = match (set, posted) {
            (Set::PurchaseInvoices, false) => "9308",
            (Set::PurchaseInvoices, true) => "146",
            (Set::SalesInvoices, false) => "9301",
            (Set::SalesInvoices, true) => "143",
            (Set::PurchaseOrders, _) => "9307",
            (Set::SalesOrders, _) => "9305",
            (Set::Vendors, _) => "27",
            (Set::Customers, _) => "22",
            (Set::Employees, _) => "5201",
            _ => return None,
        };
        let filter = format!("'No.' IS '{}'", number.replace('\'', "''"));
        url.query_pairs_mut().append_pair("page", page).append_pair("filter", &filter);
        // Blanks as %20: the web client does not read a plus sign as one.
        Some(url.as_str().replace('+', "%20"))
    }
}
