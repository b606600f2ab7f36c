//! What people do in FreshBooks.

use ml_connector_core::{Result, model::Decimal};
use serde_json::Value;

use super::{
    FreshBooksSim, Kind,
    records::{Data, Entry, Invoice, Stage},
};

impl FreshBooksSim {
    /// Creates a record of any kind. Returns its id.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ml_connector_core::{SystemClock, model::Decimal};
    /// # use ml_connector_sim::{FreshBooksSim, freshbooks::{Client, Invoice}};
    /// # fn main() -> ml_connector_core::Result<()> {
    /// let sim = FreshBooksSim::new(Arc::new(SystemClock));
    /// let client = sim.create(Client::new("Larkspur Dental Group"))?;
    /// let invoice = sim.create(Invoice::new(client, Decimal::new(125_050, 2)))?;
    /// sim.mark_sent(invoice)?;
    /// sim.pay_invoice(invoice, Decimal::new(125_050, 2))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound) when it refers to a record that is not there,
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) for a negative total.
    pub fn create(&self, record: impl Entry) -> Result<u64> {
        let data: Data = record.into();
        self.change(|books, now| books.create(data, now))
    }

    /// Changes a record: `sim.edit(id, |invoice: &mut Invoice| invoice.due_offset_days = 14)`. A change that changes
    /// nothing moves no stamp and tells nobody.
    ///
    /// # Errors
    /// As [`create`](Self::create), and when there is no such record.
    pub fn edit<E: Entry>(&self, id: u64, change: impl FnOnce(&mut E)) -> Result<()> {
        self.change(|books, now| {
            books.edit(id, now, |entry| {
                change(entry);
                Ok(())
            })
        })
    }

    /// Marks an invoice as sent: an `invoice.update`.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn mark_sent(&self, invoice: u64) -> Result<()> {
        self.edit(invoice, |invoice: &mut Invoice| invoice.stage = Stage::Sent)
    }

    /// Sends an invoice by e-mail: an `invoice.update` if it was a draft, and an `invoice.sendByEmail`.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn send_by_email(&self, invoice: u64) -> Result<()> {
        self.change(|books, now| books.send_by_email(invoice, now))
    }

    /// The client opens an invoice: its status and its stamps move.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn view(&self, invoice: u64) -> Result<()> {
        self.edit(invoice, |invoice: &mut Invoice| invoice.stage = Stage::Viewed)
    }

    /// Moves a record's stamps without changing it, as FreshBooks does by itself.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn touch(&self, kind: Kind, id: u64) -> Result<()> {
        self.change(|books, now| books.touch(kind, id, now))
    }

    /// Records a payment of an invoice. What is more than the invoice owes becomes a credit, which is a payment without
    /// an invoice. Returns the payment's id.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound), or
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) for an amount of zero or less.
    pub fn pay_invoice(&self, invoice: u64, amount: Decimal) -> Result<u64> {
        self.change(|books, now| books.pay_invoice(invoice, amount, now))
    }

    /// Pays an invoice from the client's credit. Returns the payment's id.
    ///
    /// # Errors
    /// As [`pay_invoice`](Self::pay_invoice).
    pub fn pay_from_credit(&self, invoice: u64, amount: Decimal) -> Result<u64> {
        self.change(|books, now| books.pay_from_credit(invoice, amount, now))
    }

    /// Gives back part of a payment: the payment is then so much less, and the invoice owes it again.
    ///
    /// # Errors
    /// As [`pay_invoice`](Self::pay_invoice), and [`Conflict`](ml_connector_core::ErrorKind::Conflict) above what was
    /// paid.
    pub fn refund(&self, payment: u64, amount: Decimal) -> Result<()> {
        self.change(|books, now| books.refund(payment, amount, now))
    }

    /// Records a payment of a bill. Returns its id.
    ///
    /// # Errors
    /// As [`pay_invoice`](Self::pay_invoice), and [`Conflict`](ml_connector_core::ErrorKind::Conflict) above what is
    /// owed.
    pub fn pay_bill(&self, bill: u64, amount: Decimal) -> Result<u64> {
        self.change(|books, now| books.pay_bill(bill, amount, now))
    }

    /// Deletes a record: it stays readable by id. What a deleted payment paid is owed again.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn delete(&self, kind: Kind, id: u64) -> Result<()> {
        self.change(|books, now| books.set_vis_state(kind, id, 1, now))
    }

    /// Archives a record: lists still have it.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn archive(&self, kind: Kind, id: u64) -> Result<()> {
        self.change(|books, now| books.set_vis_state(kind, id, 2, now))
    }

    /// Brings a deleted or archived record back.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn restore(&self, kind: Kind, id: u64) -> Result<()> {
        self.change(|books, now| books.set_vis_state(kind, id, 0, now))
    }

    /// Removes a record as if it had never been: reading it by id is 404 with errno 1012. Nobody is told.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn purge(&self, kind: Kind, id: u64) -> Result<()> {
        self.change(|books, _| books.purge(kind, id))
    }

    /// The next record of a kind gets this id.
    pub fn number_from(&self, kind: Kind, id: u64) {
        self.tenant(|tenant| tenant.books.number_from(kind, id));
    }

    /// Shows a field of a record otherwise than it is, or leaves it out: what no release notes announced. Nothing
    /// moves and nobody is told.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn distort(&self, kind: Kind, id: u64, field: &str, value: Option<Value>) -> Result<()> {
        self.change(|books, _| books.distort(kind, id, field, value))
    }

    /// Hides a record from so many reads by id, as after an event that came too early: 404, then 200.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn hide(&self, kind: Kind, id: u64, reads: u32) -> Result<()> {
        self.change(|books, _| books.hide(kind, id, reads))
    }

    /// The ids of a kind's records, oldest first, with whether each is deleted.
    #[must_use]
    pub fn ids(&self, kind: Kind) -> Vec<(u64, bool)> {
        let ids = |books: &super::Books| {
            books.of_kind(kind).map(|record| (record.id, record.vis_state == 1)).collect()
        };
        self.tenant(|tenant| ids(&tenant.books)).unwrap_or_default()
    }

    /// What an invoice owes.
    ///
    /// # Errors
    /// [`NotFound`](ml_connector_core::ErrorKind::NotFound).
    pub fn outstanding(&self, invoice: u64) -> Result<Decimal> {
        self.change(|books, _| books.outstanding(invoice))
    }

    /// A record as it was entered.
    #[must_use]
    pub fn get<E: Entry + Clone>(&self, id: u64) -> Option<E> {
        self.tenant(|tenant| tenant.books.get::<E>(id).ok().map(|(_, entry)| entry.clone())).flatten()
    }
}
