//! Orders, expenses, and what documents refer to.

use ml_connector_core::model::Decimal;

use super::super::{
    books::Books,
    records::{Document, Entity, Plain},
};
use crate::toolkit::json::Fields;

/// As `GET` by id shows it.
pub(in super::super) fn detail(books: &Books, plain: &Plain) -> Fields {
    let mut shown = match plain.entity {
        Entity::PurchaseOrder => template!("purchase-order"),
        Entity::Expense => template!("expense"),
        Entity::Contact => template!("contact"),
        _ => return row(books, plain),
    };
    if let Entity::PurchaseOrder | Entity::Expense = plain.entity {
        let mut line = shown.first_of("line_items");
        line.set("line_item_id", format!("{}1", &plain.id[..plain.id.len().saturating_sub(1)]));
        line.set_amounts(&["item_total", "amount"], plain.amount);
        shown.set("line_items", [line]);
        shown.set_amounts(&["sub_total"], plain.amount);
        // Orders show these in lists only.
        shown.set_all(&["billed_status", "received_status"], "");
    }
    fields(&mut shown, books, plain);
    shown
}

/// As a list shows it.
pub(in super::super) fn row(books: &Books, plain: &Plain) -> Fields {
    let mut shown = match plain.entity {
        Entity::PurchaseOrder => template!("purchase-order-row"),
        Entity::Expense => template!("expense-row"),
        Entity::Contact => template!("contact-row"),
        Entity::Item => template!("item"),
        Entity::Account => template!("account"),
        _ => template!("currency"),
    };
    fields(&mut shown, books, plain);
    shown
}

fn fields(to: &mut Fields, books: &Books, plain: &Plain) {
    to.set(plain.entity.id_key(), &plain.id);
    match plain.entity {
        Entity::PurchaseOrder => {
            to.set("purchaseorder_number", &plain.number);
            to.set_all(&["status", "order_status", "current_sub_status"], &plain.status);
        }
        Entity::Contact => {
            to.set_all(&["contact_name", "company_name"], &plain.name);
            to.set("status", &plain.status);
            let owed: Decimal = books
                .documents
                .values()
                .filter(|document| document.party == plain.party && document.entity == Entity::Invoice)
                .map(Document::balance)
                .sum();
            // Moves with the documents, and moves no stamp.
            to.set_amounts(&["outstanding_receivable_amount", "outstanding_receivable_amount_bcy"], owed);
        }
        Entity::Item => {
            to.set_all(&["name", "item_name"], &plain.name);
            to.set("status", &plain.status);
            to.set_amounts(&["rate"], plain.amount);
        }
        Entity::Account => {
            to.set("account_name", &plain.name);
            to.set("is_active", plain.status == "active");
        }
        Entity::Currency => {
            to.set_all(&["currency_code", "currency_name"], &plain.name);
            to.set_amounts(&["exchange_rate"], plain.amount);
            return;
        }
        _ => to.set("status", &plain.status),
    }
    if let Entity::PurchaseOrder | Entity::Expense = plain.entity {
        to.set("vendor_id", &plain.party.id);
        to.set("vendor_name", &plain.party.name);
        to.set("date", plain.date.to_string());
        to.set_amounts(&["total"], plain.amount);
    }
    to.set("created_time", books.stamp(plain.created));
    to.set("last_modified_time", books.stamp(plain.modified));
}
