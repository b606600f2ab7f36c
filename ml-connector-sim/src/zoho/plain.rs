//! Records without a life of payments: orders, expenses, and what documents refer to.

use ml_connector_core::{Error, ErrorKind, Result, Timestamp};

use super::{
    books::{Books, How, missing},
    records::{Entity, NewRecord, Plain},
};

impl Books {
    pub(super) fn create_plain(&mut self, entity: Entity, new: NewRecord, now: Timestamp) -> Result<String> {
        let status = match entity {
            Entity::PurchaseOrder => "open",
            Entity::Expense => "nonbillable",
            Entity::Contact | Entity::Item | Entity::Account | Entity::Currency => "active",
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    "this kind of record has a maker of its own",
                ));
            }
        };
        let party = self.party(&new.name);
        // A contact is who documents name already, if they do.
        let id = if entity == Entity::Contact { party.id.clone() } else { self.next_id() };
        let ordinal = 61 + self.plain.values().filter(|plain| plain.entity == entity).count();
        let plain = Plain {
            entity,
            id: id.clone(),
            number: format!("PO-{ordinal:05}"),
            name: new.name,
            party,
            amount: new.amount,
            status: status.to_owned(),
            date: new.date.unwrap_or_else(|| self.today(now)),
            created: now,
            modified: now,
        };
        self.plain.insert(id.clone(), plain);
        self.happened(entity, &id, How::Added);
        Ok(id)
    }

    /// Changes a record. Its modification time moves, and edit rules fire.
    pub(super) fn edit_plain(
        &mut self,
        entity: Entity,
        id: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Plain),
    ) -> Result<()> {
        let plain = self.plain.get_mut(id).filter(|plain| plain.entity == entity);
        let plain = plain.ok_or_else(|| missing(entity, id))?;
        change(plain);
        plain.modified = now;
        self.happened(entity, id, How::Edited);
        Ok(())
    }

    pub(super) fn plain(&self, entity: Entity, id: &str) -> Option<&Plain> {
        self.plain.get(id).filter(|plain| plain.entity == entity)
    }
}
