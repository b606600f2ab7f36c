//! Lists: pages of a set, and short looks into one.

use std::collections::HashSet;

use ml_connector_core::{
    Context, ErrorKind, Result, Timestamp,
    decode::{self, Decoded, Object, Row},
    http::{Answer, Call, Envelope, Pages, Position},
    model::{Decimal, LostRow},
};
use url::Url;

use super::{ApiClient, Detail, list_of};
use crate::models::{Set, read_record};

/// A page of a list.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Detail>,
    /// The ids of rows that could not be read.
    pub(crate) unreadable: Vec<String>,
    /// Rows that could not be read, and that have no id.
    pub(crate) lost: Vec<LostRow>,
    /// The link to the next page, if there is one.
    pub(crate) next: Option<Url>,
    /// The server's clock.
    pub(crate) at: Option<Timestamp>,
}

/// How a page of a list is asked for.
pub(crate) struct Listing<'a> {
    pub(crate) filter: Option<String>,
    pub(crate) pages: &'a Pages,
    /// Ids and stamps only, without lines: a record that refers to a missing one does not spoil it.
    pub(crate) bare: bool,
    pub(crate) page_size: u32,
    /// From the replica, which lags behind: for lists of ids only.
    pub(crate) replica: bool,
}

impl ApiClient {
    /// `GET {set}`: a page, in the order of the last modification.
    ///
    /// # Errors
    /// As [`get`](Self::get). A 404 of a list is never about a record of ours.
    pub(crate) async fn list(&self, ctx: &Context, set: Set, listing: Listing<'_>) -> Result<Rows> {
        let operation = set.list();
        let url = match listing.pages.at() {
            Some(Position::Link(link)) => link.clone(),
            _ => {
                let mut url = self.below(&[set.name()]);
                {
                    let mut query = url.query_pairs_mut();
                    query.extend_pairs(listing.filter.as_ref().map(|filter| ("$filter", filter)));
                    query.append_pair("$orderby", "lastModifiedDateTime");
                    match (listing.bare, set.lines()) {
                        (true, _) => drop(query.append_pair("$select", "id,lastModifiedDateTime")),
                        (false, Some(lines)) => drop(query.append_pair("$expand", lines)),
                        (false, None) => {}
                    }
                    if let Some(select) = set.select().filter(|_| !listing.bare) {
                        query.append_pair("$select", select);
                    }
                }
                url
            }
        };
        let request = self.request(&url, listing.replica, Some(listing.page_size))?;
        let call = Call::read(operation, request).with_costs(self.costs());
        let answer = self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))?;
        let rows = self.rows(&answer, set, listing.bare);
        rows.map_err(|error| error.with_operation(operation))
    }

    fn rows(&self, answer: &Answer, set: Set, bare: bool) -> Result<Rows> {
        let (mut envelope, list) = Envelope::with_list(answer, &[], "value")?;
        let context = envelope.take("@odata.context");
        self.require_own(&context.as_deref().and_then(decode::plain_text).unwrap_or_default())?;
        let next = envelope.take("@odata.nextLink");
        let next = next.as_deref().and_then(decode::plain_text).filter(|link| !link.is_empty());
        let next = next.map(|link| self.own_link(&link)).transpose()?;
        let (mut details, mut unreadable) = (Vec::new(), Vec::new());
        let read = |object: &Object<'_>| {
            let record = if bare { set.bare(object)? } else { read_record(set, object)? };
            Ok((record, object.text("@odata.etag")))
        };
        for row in list.rows("id", read) {
            match row {
                Row::Read { decoded: Decoded { value: (record, etag), left_out }, raw } => {
                    details.push(Detail { record, etag, raw, left_out });
                }
                Row::Unreadable { row, error } => {
                    let number = row.number;
                    tracing::warn!(%error, operation = set.list(), number, "a row cannot be read");
                    unreadable.push(row);
                }
            }
        }
        let (unreadable, lost) = decode::apart(unreadable);
        Ok(Rows { rows: details, unreadable, lost, next, at: answer.date() })
    }

    /// Whether a list that can be read shows the record: what a 404 cannot tell.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn is_listed(&self, ctx: &Context, set: Set, id: &str) -> Result<bool> {
        let mut url = self.below(&[set.name()]);
        url.query_pairs_mut().append_pair("$filter", &format!("id eq {id}")).append_pair("$select", "id");
        let answer = self.read(ctx, set.list(), &url).await?;
        let (_, list) = Envelope::with_list(&answer, &[], "value")?;
        let rows = list.rows("id", |row| row.id("id"));
        // A row that does not say which record it is may be this one.
        let is_it = |row: &Row<String>| match row {
            Row::Read { decoded, .. } => decoded.value == id,
            Row::Unreadable { row, .. } => row.id.as_deref().is_none_or(|listed| listed == id),
        };
        Ok(rows.iter().any(is_it))
    }

    /// The invoices that name an order: their ids and totals.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn totals_of_order(
        &self,
        ctx: &Context,
        set: Set,
        number: &str,
    ) -> Result<Vec<(String, Decimal)>> {
        let mut url = self.below(&[set.name()]);
        url.query_pairs_mut()
            .append_pair("$filter", &format!("orderNumber eq '{}'", number.replace('\'', "''")))
            .append_pair("$select", "id,totalAmountIncludingTax");
        let answer = self.read(ctx, set.list(), &url).await?;
        list_of(&answer, "id", |row| {
            Ok((row.id("id")?, row.decimal("totalAmountIncludingTax").unwrap_or_default()))
        })
    }

    /// The ids of the records of a set in which a field has this text.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn ids_where(
        &self,
        ctx: &Context,
        set: Set,
        field: &str,
        text: &str,
    ) -> Result<Vec<String>> {
        let mut url = self.below(&[set.name()]);
        url.query_pairs_mut()
            .append_pair("$filter", &format!("{field} eq '{}'", text.replace('\'', "''")))
            .append_pair("$select", "id");
        let answer = self.read(ctx, set.list(), &url).await?;
        list_of(&answer, "id", |row| row.id("id"))
    }

    /// The ids of the posted invoices among these numbers, by the route that lists posted ones. `None` where this version has
    /// no such route, or the app no right to it.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn posted_among(
        &self,
        ctx: &Context,
        set: Set,
        numbers: &[&str],
    ) -> Result<Option<HashSet<String>>> {
        let company = format!("companies({})", self.company);
        let mut url = self.http.url(&["microsoft", "automate", "v1.0", &company, set.posted()]);
        let each = numbers.iter().map(|number| format!("number eq '{}'", number.replace('\'', "''")));
        url.query_pairs_mut().append_pair("$filter", &each.collect::<Vec<_>>().join(" or "));
        match self.read(ctx, "business_central.list_posted", &url).await {
            Ok(answer) => Ok(Some(list_of(&answer, "apiId", |row| row.id("apiId"))?.into_iter().collect())),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How many rows of a set with this status there are to see, one at most.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn sees_any(&self, ctx: &Context, set: Set, status: Option<&str>) -> Result<bool> {
        let mut url = self.below(&[set.name()]);
        let filter = status.map(|status| format!("status eq '{status}'"));
        url.query_pairs_mut()
            .extend_pairs(filter.map(|filter| ("$filter", filter)))
            .append_pair("$select", "id")
            .append_pair("$top", "1");
        let answer = self.read(ctx, set.list(), &url).await?;
        Ok(!list_of(&answer, "id", |row| row.id("id"))?.is_empty())
    }
}
