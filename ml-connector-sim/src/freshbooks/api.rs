//! Accounting and the chart of accounts: reading records.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Kind, Tenant,
    config::Quirks,
    errors::{self, Failure, JSON},
    list::{self, Query},
    render::Printer,
};
use crate::toolkit::{conditions::Conditions, exchange, gate::Call, json::Fields};

/// Answers a call below `/accounting/account/ID`. `has` tells whether a scope was granted for reading an object.
pub(super) fn accounting(
    tenant: &mut Tenant,
    quirks: &Quirks,
    conditions: &Conditions,
    (call, segments): (&Call<'_>, &[&str]),
    has: impl Fn(&str) -> bool,
) -> Response<Bytes> {
    let outcome = match *segments {
        [first, second, ref rest @ ..] if call.request.method() == Method::GET => {
            match Kind::of_path(first, second) {
                Some(kind) => read(tenant, quirks, conditions, (kind, rest, call), has),
                None => return errors::not_simulated(call.request.uri().path()),
            }
        }
        _ => {
            return errors::not_simulated(&format!(
                "{} {}",
                call.request.method(),
                call.request.uri().path()
            ));
        }
    };
    match outcome {
        Ok(result) => exchange::json(StatusCode::OK, JSON, json!({ "response": { "result": result } })),
        Err(failure) => failure.answer(quirks.error_form),
    }
}

fn read(
    tenant: &mut Tenant,
    quirks: &Quirks,
    conditions: &Conditions,
    (kind, rest, call): (Kind, &[&str], &Call<'_>),
    has: impl Fn(&str) -> bool,
) -> Result<Fields, Failure> {
    if tenant.is_suspended {
        return Err(Failure::new(StatusCode::FORBIDDEN, 1042, "The account is not active."));
    }
    if !has(kind.scope()) {
        return Err(Failure::new(StatusCode::FORBIDDEN, 1003, "Permission Denied").about(
            kind.name(),
            "",
            "",
        ));
    }
    let is_of_bills = matches!(kind, Kind::Bill | Kind::BillPayment | Kind::BillVendor);
    let is_refused = (is_of_bills && !tenant.business.has_bills) || tenant.refused.contains(&kind);
    if is_refused && let Some((errno, what)) = kind.feature() {
        let message = format!("You do not have access to {what}.");
        return Err(Failure::new(quirks.feature_status, errno, message).about(kind.name(), "", ""));
    }
    let query = Query::parse(call.request.uri().query().unwrap_or_default());
    let includes = query.includes();
    let (id, is_link) = match *rest {
        [] => (None, false),
        [id] => (Some(id), false),
        [id, "share_link"] if kind == Kind::Invoice => (Some(id), true),
        _ => return Err(not_found(kind, rest.last().copied().unwrap_or_default())),
    };
    let parsed = id.and_then(|id| id.parse::<u64>().ok());
    // A record that was hidden from this read is found by the next one.
    if let Some(id) = parsed
        && tenant.books.read(kind, id).is_none()
    {
        return Err(not_found(kind, &id.to_string()));
    }
    let printer = Printer {
        account: tenant.business.account_id.as_deref().unwrap_or_default(),
        books: &tenant.books,
        quirks,
        includes: &includes,
        is_detail: id.is_some(),
        now: call.now,
    };
    let Some(id) = id else { return list::page(kind, &query, printer, conditions) };
    let record = parsed.and_then(|id| tenant.books.find(kind, id)).ok_or_else(|| not_found(kind, id))?;
    let mut result = Fields::default();
    if is_link {
        let link = json!({
            "clientid": 618_204,
            "resource_type": "invoice",
            "resourceid": record.id,
            "share_link": "https://my.freshbooks.com/#/link/made_up_share_token?type=secondary&share_method=share_link",
            "share_method": "share_link",
        });
        result.set("share_link", link);
    } else {
        result.set(kind.name(), printer.print(record));
    }
    Ok(result)
}

fn not_found(kind: Kind, id: &str) -> Failure {
    let (first, rest) = kind.name().split_at(1);
    let message = format!("{}{} not found.", first.to_uppercase(), rest.replace('_', " "));
    Failure::new(StatusCode::NOT_FOUND, 1012, message).about(kind.name(), kind.id_field(), id)
}

/// Answers a call below `/accounting/businesses/UUID`: the chart of accounts, whole and without pages.
pub(super) fn ledger(segments: &[&str], has: impl Fn(&str) -> bool) -> Response<Bytes> {
    static RECORDED: LazyLock<Value> = LazyLock::new(|| {
        let file = include_str!("../../fixtures/freshbooks/ledger_accounts_list.json");
        serde_json::from_str(file).unwrap_or_default()
    });
    if !has("journal_entries") {
        return errors::ledger(StatusCode::FORBIDDEN, "You do not have permission to perform this action.");
    }
    match segments {
        ["ledger_accounts", "accounts"] => exchange::json(StatusCode::OK, JSON, &*RECORDED),
        ["ledger_accounts", "accounts", uuid] => {
            let accounts = RECORDED["data"].as_array().into_iter().flatten();
            match accounts.into_iter().find(|account| account["uuid"] == **uuid) {
                Some(account) => exchange::json(StatusCode::OK, JSON, json!({ "data": account })),
                None => errors::ledger(StatusCode::NOT_FOUND, "Not found."),
            }
        }
        _ => errors::ledger(StatusCode::NOT_FOUND, "Not found."),
    }
}
