//! Lists: filters, sorting, pages. There is no snapshot: rows move between pages while records change.

use ml_connector_core::{Timestamp, model::Date};
use serde_json::json;

use super::{
    books::Books,
    records::{Document, Entity, Payment, Plain},
    render,
};
use crate::toolkit::{conditions::Conditions, json::Fields, params::Params};

/// Zoho Books API v3, "Pagination": default and largest page.
const PER_PAGE: usize = 200;

/// Why there is no page.
pub(super) enum Refused {
    /// This parameter has a value that Zoho refuses.
    Invalid(&'static str),
    /// Zoho has this filter, the simulator does not.
    NotSimulated(String),
}

/// Filters that Zoho documents and that would give other rows than the simulator does. What Zoho does not know either
/// is ignored, as it does.
fn is_not_simulated(name: &str) -> bool {
    const ENDINGS: [&str; 8] = [
        "_startswith",
        "_contains",
        "_less_than",
        "_less_equals",
        "_greater_than",
        "_greater_equals",
        "_before",
        "_after",
    ];
    const NAMES: [&str; 6] = [
        "search_text",
        "item_id",
        "item_name",
        "item_description",
        "recurring_invoice_id",
        "zcrm_potential_id",
    ];
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || NAMES.contains(&name)
}

/// A page of a list with its context, or the parameter that was refused.
pub(super) fn page(
    books: &Books,
    entity: Entity,
    params: &Params,
    conditions: &Conditions,
    now: Timestamp,
) -> Result<Fields, Refused> {
    if let Some(name) = params.names().find(|name| is_not_simulated(name)) {
        return Err(Refused::NotSimulated(name.to_owned()));
    }
    let number = |name: &'static str, or: usize| match params.get(name).map(str::parse) {
        None => Ok(or),
        Some(Ok(number)) if number > 0 => Ok(number),
        Some(_) => Err(Refused::Invalid(name)),
    };
    let page = number("page", 1)?;
    let per_page = match entity {
        // More rows by default than anybody may ask for.
        Entity::Account if params.get("per_page").is_none() => 5000,
        _ => conditions.numbered_page(number("per_page", PER_PAGE)?.min(PER_PAGE)),
    };
    let since = match params.get("last_modified_time") {
        // Like every parameter that a list does not have, it is ignored.
        Some(_) if !has_filter(books, entity) => None,
        Some(text) => Some(modified_since(text).ok_or(Refused::Invalid("last_modified_time"))?),
        None => None,
    };
    // What lists do not know yet is not there; a change that they do not know yet is no news.
    let shown = |created: Timestamp, modified: Timestamp| {
        conditions.lists_know(created, now)
            && since
                .is_none_or(|since| is_newer(modified, since, entity) && conditions.lists_know(modified, now))
    };
    let (rows, sort_column) = match entity {
        Entity::Invoice | Entity::Bill => documents(books, entity, params, shown, now),
        Entity::CustomerPayment | Entity::VendorPayment => payments(books, entity, params, shown),
        _ => plain(books, entity, params, shown),
    };
    let ascending = match (entity, params.get("sort_order")) {
        // Recorded: the order of purchase orders cannot be changed, though the answer is asked for another.
        (Entity::PurchaseOrder, _) => false,
        (_, Some(order)) => order == "A",
        (Entity::Contact | Entity::Item | Entity::Account | Entity::Currency, None) => true,
        (_, None) => false,
    };
    let ordered: Vec<Fields> = if ascending { rows } else { rows.into_iter().rev().collect() };
    let from = (page - 1).saturating_mul(per_page);
    let all_rows = ordered.len();
    let has_more_page = all_rows > from.saturating_add(per_page);
    let rows: Vec<Fields> = ordered.into_iter().skip(from).take(per_page).collect();

    let (report, all) = match entity {
        Entity::Invoice => ("Invoices", "Status.All"),
        Entity::Bill => ("Bills", "Status.All"),
        Entity::CustomerPayment => ("Payments Received", "PaymentMode.All"),
        Entity::VendorPayment => ("Payments Made", "PaymentMode.All"),
        Entity::PurchaseOrder => ("Purchase Orders", "Status.All"),
        Entity::Expense => ("Expenses", "Status.All"),
        Entity::Contact => ("Contacts", "Status.All"),
        Entity::Item => ("Items", "Status.All"),
        Entity::Account => ("List Chart Of Accounts", "AccountType.Active"),
        Entity::Currency => ("Currencies", "Currencies.All"),
    };
    let mut answer = Fields::default();
    answer.set("code", 0);
    answer.set("message", "success");
    let counts = match params.get("response_option").filter(|_| entity == Entity::Invoice) {
        None | Some("0") => false,
        Some("2") => true,
        Some(_) => return Err(Refused::NotSimulated("response_option".to_owned())),
    };
    if !counts {
        answer.set(entity.plural(), rows);
    }
    let mut context = json!({
            "page": page,
            "per_page": per_page,
            "has_more_page": has_more_page,
            "report_name": report,
            "applied_filter": params.get("filter_by").unwrap_or(all),
            "custom_fields": [],
        "sort_column": sort_column,
        "sort_order": if ascending { "A" } else { "D" },
    });
    if counts {
        context["total"] = all_rows.into();
    }
    answer.set("page_context", context);
    Ok(answer)
}

fn documents(
    books: &Books,
    entity: Entity,
    params: &Params,
    shown: impl Fn(Timestamp, Timestamp) -> bool,
    now: Timestamp,
) -> (Vec<Fields>, &'static str) {
    let today = books.today(now);
    let (number_key, party_key, party_name) = match entity {
        Entity::Bill => ("bill_number", "vendor_id", "vendor_name"),
        _ => ("invoice_number", "customer_id", "customer_name"),
    };
    let equals = |name: &str, value: &str| params.get(name).is_none_or(|wanted| wanted == value);
    let mut found: Vec<&Document> = books
        .documents
        .values()
        .filter(|document| document.entity == entity)
        .filter(|document| shown(document.created, document.modified))
        .filter(|document| equals("status", document.status(today)))
        .filter(|document| {
            params.get("filter_by").is_none_or(|filter| passes(filter, document.status(today)))
        })
        .filter(|document| equals(number_key, &document.number) && equals(party_key, &document.party.id))
        .filter(|document| equals(party_name, &document.party.name))
        .filter(|document| equals("reference_number", &document.reference))
        .filter(|document| equals("due_date", &document.due_date.to_string()))
        .filter(|document| {
            within(params, "date", document.date) && within(params, "due_date", document.due_date)
        })
        .collect();
    let column = match params.get("sort_column") {
        Some("date") => "date",
        Some("due_date") => "due_date",
        Some("total") => "total",
        Some("balance") => "balance",
        Some(number) if number == number_key => number_key,
        // Modification time is not among the documented columns: the answer says what was taken instead.
        _ => "created_time",
    };
    found.sort_by(|a, b| {
        let by_column = match column {
            "date" => a.date.cmp(&b.date),
            "due_date" => a.due_date.cmp(&b.due_date),
            "total" => a.total.cmp(&b.total),
            "balance" => a.balance().cmp(&b.balance()),
            "created_time" => a.created.cmp(&b.created),
            _ => a.number.cmp(&b.number),
        };
        by_column.then_with(|| a.id.cmp(&b.id))
    });
    (found.into_iter().map(|document| render::document_row(books, document, now)).collect(), column)
}

fn payments(
    books: &Books,
    entity: Entity,
    params: &Params,
    shown: impl Fn(Timestamp, Timestamp) -> bool,
) -> (Vec<Fields>, &'static str) {
    let party_key = if entity == Entity::VendorPayment { "vendor_id" } else { "customer_id" };
    let mut found: Vec<&Payment> = books
        .payments
        .values()
        .filter(|payment| payment.entity == entity)
        .filter(|payment| shown(payment.created, payment.created))
        .filter(|payment| params.get(party_key).is_none_or(|party| party == payment.party.id))
        .filter(|payment| within(params, "date", payment.date))
        .collect();
    found.sort_by(|a, b| (a.date, a.created, &a.id).cmp(&(b.date, b.created, &b.id)));
    (found.into_iter().map(|payment| render::payment_row(books, payment)).collect(), "date")
}

fn plain(
    books: &Books,
    entity: Entity,
    params: &Params,
    shown: impl Fn(Timestamp, Timestamp) -> bool,
) -> (Vec<Fields>, &'static str) {
    let active_only = match (entity, params.get("filter_by")) {
        (Entity::Account, filter) => filter != Some("AccountType.All"),
        (_, filter) => filter == Some("Status.Active"),
    };
    let mut found: Vec<&Plain> = books
        .plain
        .values()
        .filter(|record| record.entity == entity)
        .filter(|record| shown(record.created, record.modified))
        .filter(|record| !active_only || record.status == "active")
        .filter(|record| params.get("purchaseorder_number").is_none_or(|number| number == record.number))
        .collect();
    let column = match (entity, params.get("sort_column")) {
        (Entity::Contact, Some("last_modified_time")) => "last_modified_time",
        (Entity::Expense, Some("date")) => "date",
        (Entity::PurchaseOrder | Entity::Expense, _) => "created_time",
        (Entity::Contact, _) => "contact_name",
        (Entity::Account, _) => "account_name",
        _ => "name",
    };
    found.sort_by(|a, b| {
        let by_column = match column {
            // Whole seconds, as it is shown.
            "last_modified_time" => a.modified.as_secs().cmp(&b.modified.as_secs()),
            "date" => a.date.cmp(&b.date),
            "created_time" => a.created.cmp(&b.created),
            _ => a.name.cmp(&b.name),
        };
        by_column.then_with(|| a.id.cmp(&b.id))
    });
    (found.into_iter().map(|record| render::plain::row(books, record)).collect(), column)
}

/// Which lists have `last_modified_time`.
fn has_filter(books: &Books, entity: Entity) -> bool {
    match entity {
        Entity::CustomerPayment => books.filters_payments,
        Entity::Expense | Entity::Contact | Entity::Item | Entity::Currency => false,
        _ => true,
    }
}

/// Invoices: modified after. The others: at or after. Both in whole seconds.
fn is_newer(modified: Timestamp, since: Timestamp, entity: Entity) -> bool {
    match entity {
        Entity::Invoice => modified.as_secs() > since.as_secs(),
        _ => modified.as_secs() >= since.as_secs(),
    }
}

/// Whether a date is the one asked for, and lies between `<name>_start` and `<name>_end`, both included.
fn within(params: &Params, name: &str, date: Date) -> bool {
    let asked = |suffix: &str| params.get(&format!("{name}{suffix}")).and_then(|text| Date::parse(text).ok());
    asked("").is_none_or(|asked| date == asked)
        && asked("_start").is_none_or(|start| date >= start)
        && asked("_end").is_none_or(|end| date <= end)
}

fn passes(filter: &str, status: &str) -> bool {
    match filter {
        "Status.Sent" => status == "sent",
        "Status.Draft" => status == "draft",
        "Status.OverDue" | "Status.Overdue" => status == "overdue",
        "Status.Paid" => status == "paid",
        "Status.Void" => status == "void",
        "Status.Open" => status == "open",
        "Status.PartiallyPaid" => status == "partially_paid",
        "Status.Unpaid" => matches!(status, "sent" | "overdue" | "partially_paid"),
        _ => true,
    }
}

/// Seconds with an offset and no colon in it. A `+` that was not encoded arrives as a space and is refused.
fn modified_since(text: &str) -> Option<Timestamp> {
    let (time, offset) = text.split_at_checked(19)?;
    let offset = offset.as_bytes();
    let plain = offset.len() == 5
        && matches!(offset[0], b'+' | b'-')
        && offset[1..].iter().all(u8::is_ascii_digit)
        && time.as_bytes().get(10) == Some(&b'T');
    if plain { Timestamp::parse(text).ok() } else { None }
}
