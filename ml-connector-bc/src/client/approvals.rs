//! What Business Central's own approvals say: entries from version 29 on, and who approves whose documents.

use ml_connector_core::{
    Context, ErrorKind, Result, Timestamp, decode,
    http::{Envelope, Pages, Position},
    model::Decimal,
};
use url::Url;

use super::{ApiClient, list_of};
use crate::models::Set;

/// A row of the page Approval User Setup. It has no `Debug`: an address is the person's.
#[derive(Clone)]
pub(crate) struct UserSetup {
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    /// The code of a salesperson or purchaser.
    pub(crate) purchaser: String,
    pub(crate) approver: String,
    pub(crate) sales: Limit,
    pub(crate) purchases: Limit,
}

/// How much somebody may approve by themselves, in local currency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) unlimited: bool,
    pub(crate) amount: Decimal,
}

impl ApiClient {
    /// Who sent which documents of a table for approval, while they wait: number and sender. From the primary. `None` where
    /// this version has no approval entries.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn open_approvals(
        &self,
        ctx: &Context,
        set: Set,
        number: Option<&str>,
    ) -> Result<Option<Vec<(String, String)>>> {
        let mut url = self.below(&[Set::APPROVAL_ENTRIES]);
        let table = if set.is_purchase() { 38 } else { 36 };
        let mut filter = format!("tableId eq {table} and status eq 'Open'");
        if let Some(number) = number {
            filter.push_str(&format!(" and documentNumber eq '{}'", number.replace('\'', "''")));
        }
        url.query_pairs_mut().append_pair("$filter", &filter);
        let kind = if set.is_order() { "Order" } else { "Invoice" };
        match self.read(ctx, "business_central.list_approval_entries", &url).await {
            Ok(answer) => {
                let entries = list_of(&answer, "id", |row| {
                    Ok((row.text("documentType"), row.text("documentNumber"), row.text("senderId")))
                })?;
                Ok(Some(
                    entries
                        .into_iter()
                        .filter(|(of, ..)| of == kind)
                        .map(|(_, number, sender)| (number, sender))
                        .collect(),
                ))
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Approval entries that changed after an instant: the table, the document's type and its number. Their link leads on.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn approval_changes(
        &self,
        ctx: &Context,
        since: Option<Timestamp>,
        pages: &Pages,
    ) -> Result<(Vec<(Option<Set>, String)>, Timestamp, Option<Url>)> {
        let url = match pages.at() {
            Some(Position::Link(link)) => link.clone(),
            _ => {
                let mut url = self.below(&[Set::APPROVAL_ENTRIES]);
                let filter = since.map(|since| format!("lastModifiedDateTime gt {since}"));
                url.query_pairs_mut()
                    .extend_pairs(filter.map(|filter| ("$filter", filter)))
                    .append_pair("$orderby", "lastModifiedDateTime");
                url
            }
        };
        let answer = self.read(ctx, "business_central.list_approval_entries", &url).await?;
        let mut envelope = Envelope::of(&answer)?;
        let next = envelope.take("@odata.nextLink");
        let next =
            next.as_deref().and_then(decode::plain_text).map(|link| self.own_link(&link)).transpose()?;
        let mut newest = Timestamp::default();
        let mut changed = Vec::new();
        for (table, kind, number, at) in list_of(&answer, "id", |row| {
            let at = row.instant("lastModifiedDateTime").unwrap_or_default();
            Ok((row.text("tableId"), row.text("documentType"), row.text("documentNumber"), at))
        })? {
            newest = newest.max(at);
            let set = match (&*table, &*kind) {
                ("38", "Invoice") => Some(Set::PurchaseInvoices),
                ("36", "Invoice") => Some(Set::SalesInvoices),
                ("38", "Order") => Some(Set::PurchaseOrders),
                ("36", "Order") => Some(Set::SalesOrders),
                _ => None,
            };
            changed.push((set, number));
        }
        Ok((changed, newest, next))
    }

    /// `GET approvalUserSetups`, from the primary. `None` where this version has none.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says.
    pub(crate) async fn user_setups(&self, ctx: &Context) -> Result<Option<Vec<UserSetup>>> {
        let url = self.below(&["approvalUserSetups"]);
        let answer = match self.read(ctx, "business_central.list_approval_user_setups", &url).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
            answer => answer?,
        };
        let setups = list_of(&answer, "id", |row| {
            let limit = |amount: &str, unlimited: &str| Limit {
                unlimited: row.flag(unlimited),
                amount: row.decimal(amount).unwrap_or_default(),
            };
            Ok(UserSetup {
                user: row.text("userId"),
                name: row.some_text("userFullName"),
                email: row.some_text("email"),
                purchaser: row.text("salesPersonPurchaser"),
                approver: row.text("approverId"),
                sales: limit("salesAmountApprovalLimit", "unlimitedSalesApproval"),
                purchases: limit("purchaseAmountApprovalLimit", "unlimitedPurchaseApproval"),
            })
        });
        setups.map(Some)
    }
}
