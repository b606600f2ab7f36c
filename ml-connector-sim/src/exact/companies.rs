//! The user: which companies there are, and what may be read in them.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use ml_connector_core::{Timestamp, model::Decimal};
use serde_json::json;

use super::{
    Company, State,
    answer::{self, Refusal},
    books::{USER, put},
    call::{DIVISIONS, Named, PAGE, Seen, canonical, page},
    config::Right,
    filter::Value,
    list::{Options, Shown},
    wall::Naive,
};
use crate::toolkit::{json::Fields, params::Params};

/// Whether the user may read a resource.
pub(super) fn has_right(company: &Company, query: &str, seen: &Seen<'_>) -> Response<Bytes> {
    if seen.quirks.rights_are_secret {
        return answer::forbidden(None);
    }
    let params = Params::parse([query.as_bytes()]);
    let Some(Value::Text(endpoint)) = params.get("endpoint").and_then(Value::literal) else {
        return answer::error(StatusCode::BAD_REQUEST, "", "Bad Request - Error in query syntax.");
    };
    let path = canonical(&endpoint).unwrap_or_default();
    let lacks = matches!(company.rights.get(path), Some(Right::MissingInRole | Right::ForbiddenByRole));
    match seen.quirks.bare_rights {
        true => answer::d(!lacks),
        false => answer::d(json!({ "UserHasRights": !lacks })),
    }
}

/// The companies that the user may open.
pub(super) fn divisions(
    companies: &[Company],
    asked_in: usize,
    named: &Named<'_>,
    query: &str,
    seen: &Seen<'_>,
) -> Result<Response<Bytes>, Refusal> {
    let options = Options::read(DIVISIONS, query)?;
    let at = seen.at(companies[asked_in].division.code, DIVISIONS);
    let template = Fields::template(include_str!("../../fixtures/exact-online/divisions.json"));
    let mut template = template.within("d").first_of("results");
    template.remove("__metadata");
    let row = |(nth, company): (usize, &Company)| {
        let division = &company.division;
        let mut fields = template.clone();
        let mut set = |name: &str, value: serde_json::Value| put(DIVISIONS, &mut fields, name, value);
        set("Code", division.code.into());
        set("Hid", division.hid.to_string().into());
        set("Description", division.description.as_str().into());
        set("CustomerName", division.customer.as_str().into());
        set("Currency", division.currency.as_str().into());
        set("Status", division.status.into());
        set("BlockingStatus", division.blocking_status.into());
        set("IsPracticeDivision", division.is_practice.into());
        set("IsDossierDivision", division.is_dossier.into());
        set("IsMainDivision", (nth == 0).into());
        set("Current", (nth == 0).into());
        set("DivisionMoveDate", company.moved.map(Naive::json).into());
        let archived = company.books.wall.at(seen.now).day().plus_days(-60).json();
        set("ArchiveDate", (division.status == 2).then_some(archived).into());
        Shown {
            key: Value::Number(Decimal::from(division.code)),
            at: at.clone(),
            type_name: "System.Division",
            fields: Cow::Owned(fields),
            lines: None,
            hides_amounts: false,
            negates: false,
        }
    };
    let open = companies.iter().enumerate().filter(|(_, company)| company.division.is_open);
    let rows: Vec<Shown<'_>> = open.map(row).collect();
    if let Some(key) = named.key.and_then(Value::literal) {
        let found = rows.into_iter().find(|row| row.key == key);
        return Ok(found.map_or_else(answer::not_found, |row| answer::d(row.render(&options, seen.quirks))));
    }
    Ok(page(rows, &companies[asked_in].books, DIVISIONS, &options, seen, PAGE))
}

/// `GET current/Me`.
pub(super) fn me(state: &State, query: &str, now: Timestamp) -> Response<Bytes> {
    const PATH: &str = "current/Me";
    let options = match Options::read(PATH, query) {
        Ok(options) => options,
        Err(refusal) => return *refusal,
    };
    let template = Fields::template(include_str!("../../fixtures/exact-online/me.json"));
    let mut fields = template.within("d").first_of("results");
    fields.remove("__metadata");
    if let Some(company) = state.companies.first() {
        let division = &company.division;
        fields.set("CurrentDivision", division.code);
        fields.set("AccountingDivision", division.code);
        fields.set("DivisionCustomerName", &division.customer);
        let wall = &company.books.wall;
        let whole = Naive(wall.at(now).0.div_euclid(1000) * 1000);
        fields.set("ServerTime", whole.iso());
        fields.set("ServerUtcOffset", wall.offset_secs(now));
    }
    let shown = Shown {
        key: Value::Guid(USER.to_owned()),
        at: format!("{}/api/v1/{PATH}", state.origin),
        type_name: "System.Me",
        fields: Cow::Owned(fields),
        lines: None,
        hides_amounts: false,
        negates: false,
    };
    answer::d(json!({ "results": [shown.render(&options, &state.quirks)] }))
}
