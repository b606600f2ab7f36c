//! What people do in the company.

use ml_connector_core::{Result, model::Decimal};
use serde_json::{Value, json};

use super::{BusinessCentralSim, NewDocument, Set, rows::Stage};
use crate::toolkit::json::number;

impl BusinessCentralSim {
    /// Creates a document as people do.
    #[must_use]
    pub fn create(&self, set: Set, new: &NewDocument) -> String {
        self.act(|state, now| state.create(set, new, now))
    }

    /// Creates a vendor, an employee, an account and so on, with these values.
    #[must_use]
    pub fn create_master(&self, set: Set, values: &[(&str, Value)]) -> String {
        self.act(|state, now| state.create_master(set, values, now))
    }

    /// Changes a field as people do: with a new stamp and a notice.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound) without such a record.
    pub fn set(&self, set: Set, id: &str, field: &str, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        self.act(|state, now| state.change(set, id, now, |shown| shown.fields.set(field, value)))
    }

    /// Changes the first line so that the document has this total.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_total(&self, set: Set, id: &str, total: Decimal) -> Result<()> {
        self.act(|state, now| state.set_total(set, id, total, now))
    }

    /// Posts an invoice inside Business Central.
    ///
    /// # Errors
    /// As [`set`](Self::set); [`Conflict`](ml_connector_core::ErrorKind::Conflict) when it is posted already.
    pub fn post(&self, set: Set, id: &str) -> Result<()> {
        self.act(|state, now| state.post(set, id, "people", now))
    }

    /// Settles a posted invoice in full.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn pay(&self, set: Set, id: &str) -> Result<()> {
        self.act(|state, now| {
            state.change(set, id, now, |shown| {
                shown.stage = Stage::Paid;
                if set == Set::SalesInvoices {
                    shown.fields.set("remainingAmount", 0);
                }
            })
        })
    }

    /// `[code]` Pays a part of a sales invoice: one value changes, without stamp, etag or notice.
    pub fn pay_part(&self, id: &str, remaining: Decimal) {
        self.act(|state, now| {
            state.rows.touch_up(Set::SalesInvoices, id, now, |fields| {
                fields.set("remainingAmount", number(remaining));
            });
        });
    }

    /// Cancels a posted invoice with a credit memo.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn cancel(&self, set: Set, id: &str) -> Result<()> {
        self.act(|state, now| state.change(set, id, now, |shown| shown.stage = Stage::Canceled))
    }

    /// Sends a document for approval. Returns the id of its approval entry. A purchase invoice goes on reading Draft.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn send_for_approval(&self, set: Set, id: &str, sender: &str, approver: &str) -> Result<String> {
        self.act(|state, now| {
            state.change(set, id, now, |shown| shown.stage = Stage::PendingApproval)?;
            let number = state.rows.get(set, id).map(|shown| shown.fields.text("number")).unwrap_or_default();
            let table = if set.is_purchase() { 38 } else { 36 };
            let kind = if set.is_invoice() { "Invoice" } else { "Order" };
            let values = [
                ("tableId", json!(table)),
                ("documentType", json!(kind)),
                ("documentNumber", json!(number)),
                ("senderId", json!(sender)),
                ("approverId", json!(approver)),
                ("status", json!("Open")),
                ("dateTimeSentForApproval", json!(now.to_string())),
            ];
            Ok(state.create_master(Set::ApprovalEntries, &values, now))
        })
    }

    /// Approves and releases a document inside Business Central.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn release(&self, set: Set, id: &str) -> Result<()> {
        self.act(|state, now| {
            let number = state.rows.get(set, id).map(|shown| shown.fields.text("number")).unwrap_or_default();
            for entry in state.rows.ids(Set::ApprovalEntries) {
                let waits = state.rows.get(Set::ApprovalEntries, &entry).is_some_and(|shown| {
                    shown.fields.text("documentNumber") == number && shown.fields.text("status") == "Open"
                });
                if waits {
                    state.change(Set::ApprovalEntries, &entry, now, |shown| {
                        shown.fields.set("status", "Approved");
                    })?;
                }
            }
            state.change(set, id, now, |shown| shown.stage = Stage::Released)
        })
    }

    /// Invoices an order in full. The order is gone; the invoice has an id of its own, which is returned.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn invoice_order(&self, set: Set, id: &str) -> Result<String> {
        self.act(|state, now| state.invoice_order(set, id, now))
    }

    /// Invoices a part of an order: the order stays, and the invoice, whose id is returned, names it.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn invoice_order_in_part(&self, set: Set, id: &str, part: Decimal) -> Result<String> {
        self.act(|state, now| state.invoice_part(set, id, Some(part), now))
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(&self, set: Set, id: &str) -> Result<()> {
        self.act(|state, now| state.delete(set, id, now))
    }

    /// Takes the stamp from a record, as of one that was never modified since it was brought over.
    pub fn forget_stamp(&self, set: Set, id: &str) {
        self.act(|state, now| {
            if let Some(mut shown) = state.rows.get(set, id).cloned() {
                shown.modified = None;
                state.rows.put(set, id, shown, now);
            }
        });
    }

    /// Runs the data upgrade of the API: every record of a set gets a stamp of now, and nothing else changes.
    pub fn upgrade(&self, set: Set) {
        self.act(|state, now| {
            for id in state.rows.ids(set) {
                let _ = state.change(set, &id, now, |_| {});
            }
        });
    }
}
