//! What a call of a company's API names and sees, and the page that answers it.

use bytes::Bytes;
use http::Response;
use ml_connector_core::Timestamp;

use super::{
    books::Books,
    config::Quirks,
    feeds::Feed,
    kind::Kind,
    list::{self, Options, Paging, Shown},
};
use crate::toolkit::conditions::Conditions;

/// Rows of a page.
pub(super) const PAGE: usize = 60;

pub(super) const LEDGER: &str = "financialtransaction/TransactionLines";
pub(super) const BULK_LEDGER: &str = "bulk/Financial/TransactionLines";
pub(super) const DIVISIONS: &str = "system/Divisions";
pub(super) const RIGHTS: &str = "users/UserHasRights";
pub(super) const SYNC_TIMESTAMP: &str = "read/sync/Sync/SyncTimestamp";
pub(super) const SUBSCRIPTIONS: &str = "webhooks/WebhookSubscriptions";

/// What a call of a company's API names.
pub(super) struct Named<'a> {
    /// `service/Resource`, in the vendor's casing where it is known.
    pub(super) path: &'a str,
    pub(super) key: Option<&'a str>,
    /// What follows the key.
    pub(super) nav: Option<&'a str>,
}

impl<'a> Named<'a> {
    pub(super) fn read(rest: &'a str) -> Self {
        let (path, after) = rest.split_once('(').map_or((rest, None), |(path, after)| (path, Some(after)));
        let (key, nav) = after.and_then(|after| after.split_once(')')).unzip();
        let path = canonical(path.trim_end_matches('/')).unwrap_or(path);
        Self { path, key, nav: nav.and_then(|nav| nav.strip_prefix('/')) }
    }
}

/// The resource with this path, whatever its casing.
pub(super) fn canonical(path: &str) -> Option<&'static str> {
    let kinds = Kind::ALL.iter().flat_map(|kind| {
        let shape = kind.shape();
        [Some(shape.path), shape.lines.map(|(_, path)| path)].into_iter().flatten()
    });
    let feeds = Feed::ALL.iter().map(|feed| feed.path());
    let others = [LEDGER, BULK_LEDGER, DIVISIONS, RIGHTS, SYNC_TIMESTAMP, SUBSCRIPTIONS];
    kinds.chain(feeds).chain(others).find(|known| known.eq_ignore_ascii_case(path))
}

/// What a request sees and how it is answered.
pub(super) struct Seen<'a> {
    pub(super) origin: &'a str,
    pub(super) quirks: &'a Quirks,
    pub(super) conditions: &'a Conditions,
    pub(super) now: Timestamp,
    /// Other calls to the company are under way.
    pub(super) is_parallel: bool,
    /// How long pages are, in thousandths of what they may be.
    pub(super) page: usize,
}

impl Seen<'_> {
    pub(super) fn at(&self, division: u32, path: &str) -> String {
        format!("{}/api/v1/{division}/{path}", self.origin)
    }
}

pub(super) fn page(
    rows: Vec<Shown<'_>>,
    books: &Books,
    path: &str,
    options: &Options,
    seen: &Seen<'_>,
    size: usize,
) -> Response<Bytes> {
    let rows =
        rows.into_iter().filter(|row| options.filter.as_ref().is_none_or(|filter| filter.holds(&row.fields)));
    // Sales invoices were recorded with `results` where others had none.
    let bare = seen.quirks.bare_arrays
        && options.top.is_some()
        && size == PAGE
        && path != Kind::SalesInvoices.path();
    let size = (size * seen.page / 1_000).max(1);
    let paging = Paging { size, bare, mixed: seen.is_parallel };
    list::answer(rows.collect(), &seen.at(books.division, path), options, paging, seen.quirks)
}
