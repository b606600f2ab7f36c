//! The data API of a company: which resource, which rights, which rows.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use ml_connector_core::model::Decimal;

use super::{
    State,
    answer::{self, Refusal},
    books::{Books, Deleted, Record, State as RecordState, USER},
    call::{
        BULK_LEDGER, DIVISIONS, LEDGER, Named, PAGE, RIGHTS, SUBSCRIPTIONS, SYNC_TIMESTAMP, Seen, canonical,
        page,
    },
    companies,
    config::{Quirks, Right},
    feeds::{self, Feed},
    filter::Value,
    kind::Kind,
    list::{Lines, Options, Shown},
    schema, subscriptions,
    wall::Naive,
};
use crate::toolkit::{conditions::Conditions, gate::Call, json::Fields, params::Params};

/// Rows of a page of a sync feed.
const SYNC_PAGE: usize = 1_000;
/// Longer queries are cut off before they arrive.
const LONGEST_URL: usize = 6_000;

/// The area that the app needs.
fn scope_of(path: &str) -> &'static str {
    if let Some(feed) = Feed::ALL.into_iter().find(|feed| feed.path() == path) {
        return feed.scope();
    }
    let of = |kind: &&Kind| {
        let shape = kind.shape();
        shape.path == path || shape.lines.is_some_and(|(_, lines)| lines == path)
    };
    match Kind::ALL.iter().find(of) {
        Some(kind) => kind.shape().scope,
        None if path == LEDGER || path == BULK_LEDGER => "financial.accounting",
        None if canonical(path).is_some() => "organization.administration",
        // There is no such resource.
        None => "",
    }
}

/// Answers a call below `/api/v1/{division}/`.
pub(super) fn answer(
    state: &mut State,
    company: usize,
    named: &Named<'_>,
    (call, conditions): (&Call<'_>, &Conditions),
) -> Response<Bytes> {
    let is_read = call.request.method() == Method::GET;
    let right = state.companies[company].rights.get(named.path).copied();
    let scope = scope_of(named.path);
    if state.refused_scopes.contains(scope) || right == Some(Right::ScopeViolated) {
        return answer::scope_violated(scope, if is_read { "read" } else { "manage" });
    }
    if matches!(right, Some(Right::ForbiddenByRole | Right::ForbiddenByModule)) {
        return answer::forbidden(None);
    }
    if named.path == SUBSCRIPTIONS {
        return subscriptions::answer(state, company, named, call);
    }
    if !is_read {
        return answer::error(StatusCode::METHOD_NOT_ALLOWED, "", "Method not allowed.");
    }
    let query = call.request.uri().query().unwrap_or_default();
    if query.len() > LONGEST_URL {
        return answer::error(StatusCode::BAD_REQUEST, "", "The length of the URL is too long.");
    }
    // A check that failed once let rows of another company through.
    let rows_of = state.quirks.other_division.and_then(|code| state.company_of(code)).unwrap_or(company);
    let page = conditions.cursor_page(&mut state.pages, 1_000);
    let seen = Seen {
        page,
        origin: &state.origin,
        quirks: &state.quirks,
        conditions,
        now: call.now,
        is_parallel: call.at_once > 1 && state.quirks.parallel_calls_mix,
    };
    let outcome = match named.path {
        DIVISIONS => companies::divisions(&state.companies, company, named, query, &seen),
        RIGHTS => Ok(companies::has_right(&state.companies[company], query, &seen)),
        SYNC_TIMESTAMP => sync_timestamp(&state.companies[rows_of].books, query, &seen),
        _ => read(&state.companies[rows_of].books, named, query, &seen, right),
    };
    outcome.unwrap_or_else(|refusal| *refusal)
}

fn read(
    books: &Books,
    named: &Named<'_>,
    query: &str,
    seen: &Seen<'_>,
    right: Option<Right>,
) -> Result<Response<Bytes>, Refusal> {
    let path = named.path;
    let sees_nothing = right == Some(Right::MissingInRole);
    if let Some(feed) = Feed::ALL.into_iter().find(|feed| feed.path() == path) {
        return match feed.exists(seen.quirks) {
            true => sync(books, feed, query, seen, sees_nothing),
            false => Ok(answer::not_found()),
        };
    }
    let is_ledger = path == LEDGER || path == BULK_LEDGER;
    let kind = Kind::ALL.into_iter().find(|kind| kind.path() == path);
    let of_lines =
        Kind::ALL.into_iter().find(|kind| kind.shape().lines.is_some_and(|(_, lines)| lines == path));
    let schema_path = if is_ledger { LEDGER } else { path };
    // The lines of one record, as the deferred link leads to them.
    if let (Some(kind), Some(key), Some(nav)) = (kind, named.key, named.nav) {
        let Some((_, lines_path)) = kind.shape().lines.filter(|(name, _)| *name == nav) else {
            return Ok(answer::not_found());
        };
        let options = Options::read(lines_path, query)?;
        let rows = lines(books, kind, lines_path, seen).into_iter();
        let key = Value::literal(key);
        let rows =
            rows.filter(|row| Some(Value::of(row.fields.get(kind.shape().key), schema::Edm::Guid)) == key);
        return Ok(page(rows.collect(), books, lines_path, &options, seen, PAGE));
    }
    let options = Options::read(schema_path, query)?;
    if let Some(key) = named.key {
        if !options.expand.is_empty() && !seen.quirks.keyed_expand && kind != Some(Kind::SalesInvoices) {
            return Err(answer::bad("$expand is not supported for this resource."));
        }
        let wanted =
            Value::literal(key).ok_or_else(|| answer::bad("Bad Request - Error in query syntax."))?;
        let found = match (kind, &wanted) {
            _ if sees_nothing => None,
            (Some(kind), Value::Guid(id)) => {
                books.get(kind, id).map(|record| shown(books, record, &record.state, seen))
            }
            _ => rows(books, kind, of_lines, schema_path, &options, seen)
                .into_iter()
                .find(|row| row.key == wanted),
        };
        return Ok(found.map_or_else(answer::not_found, |row| answer::d(row.render(&options, seen.quirks))));
    }
    if kind.is_none() && of_lines.is_none() && !is_ledger {
        return Ok(answer::not_found());
    }
    check(path, kind, &options, seen.quirks)?;
    let rows = match sees_nothing {
        true => Vec::new(),
        false => rows(books, kind, of_lines, schema_path, &options, seen),
    };
    let size = if path == BULK_LEDGER { SYNC_PAGE } else { PAGE };
    Ok(page(rows, books, path, &options, seen, size))
}

/// What a list has to be asked with.
fn check(path: &str, kind: Option<Kind>, options: &Options, quirks: &Quirks) -> Result<(), Refusal> {
    let is_bulk = path.starts_with("bulk/") || path.starts_with("sync/");
    if options.select.is_none() && (is_bulk || quirks.requires_select && options.top != Some(1)) {
        return Err(answer::bad("Please add a $select or a $top=1 statement to the query string."));
    }
    if options.skips() && is_bulk {
        return Err(answer::bad("The query parameter '$skip' is not supported."));
    }
    if options.order.is_some() && quirks.refuses_orderby {
        return Err(answer::bad("The query parameter '$orderby' is not supported."));
    }
    let needed = match kind {
        _ if !quirks.requires_filter => return Ok(()),
        Some(Kind::SalesInvoices) => {
            "Created,DeliverTo,Description,Document,InvoiceDate,InvoiceID,InvoiceNumber,InvoiceTo,Journal,Modified,\
             OrderedBy,OrderNumber,Status,Type,YourRef"
        }
        Some(Kind::Accounts) => "Code,Created,Email,ID,IsSupplier,Modified,Name,Status",
        None if path == LEDGER || path == BULK_LEDGER => {
            "Account,Created,Date,Document,EntryID,EntryNumber,FinancialPeriod,FinancialYear,GLAccount,ID,InvoiceNumber,\
             JournalCode,Modified,Status,Type"
        }
        _ => return Ok(()),
    };
    let names = options.filter.iter().flat_map(|filter| filter.names());
    if names.into_iter().any(|name| needed.split(',').any(|known| known == name)) {
        return Ok(());
    }
    Err(answer::bad(&format!(
        "This endpoint has mandatory filtering applied. A GET request for this endpoint must have a $filter parameter with \
         one of the following fields in the url:{needed}."
    )))
}

/// The rows of a resource that a filter may hold for.
fn rows<'a>(
    books: &'a Books,
    kind: Option<Kind>,
    of_lines: Option<Kind>,
    path: &'a str,
    options: &Options,
    seen: &Seen<'_>,
) -> Vec<Shown<'a>> {
    match (kind, of_lines) {
        (Some(kind), _) => {
            let floor = options.filter.as_ref().and_then(|filter| filter.floor("Modified"));
            // The wall is at most so far ahead.
            let is_old = |state: &RecordState| match floor {
                Some(Value::Naive(Naive(floor))) => state.written.as_millis() + 4 * 3_600_000 < *floor,
                _ => false,
            };
            books
                .of(kind)
                .filter_map(|record| Some((record, record.listed(seen.conditions, seen.now)?)))
                .filter(|(_, state)| !is_old(state))
                .map(|(record, state)| shown(books, record, state, seen))
                .collect()
        }
        (None, Some(kind)) => lines(books, kind, path, seen),
        (None, None) => {
            let at = seen.at(books.division, path);
            let row = |flat: feeds::Flat<'a>| {
                let mut fields = Fields::default();
                for (name, _) in schema::properties(LEDGER).unwrap_or_default() {
                    flat.put(&mut fields, name);
                }
                Shown {
                    key: Value::Guid(flat.id.to_owned()),
                    at: at.clone(),
                    type_name: "Financial.TransactionLine",
                    fields: Cow::Owned(fields),
                    lines: None,
                    hides_amounts: false,
                    negates: false,
                }
            };
            feeds::ledger(books, seen.conditions, seen.now).into_iter().map(row).collect()
        }
    }
}

fn shown<'a>(books: &Books, record: &'a Record, state: &'a RecordState, seen: &Seen<'_>) -> Shown<'a> {
    let shape = record.kind.shape();
    let lines = shape.lines.map(|(nav, path)| Lines {
        nav,
        at: seen.at(books.division, path),
        type_name: shape.line_type,
        rows: state.lines.iter().map(|row| (row.id.as_str(), &row.fields)).collect(),
    });
    let mut fields = Cow::Borrowed(&state.header.fields);
    // Pages for people are on the same host, whatever that is.
    let page = |name: &str| {
        let (origin, id, division) = (seen.origin, &state.header.id, books.division);
        format!("{origin}/docs/{name}.aspx?ID={id}&_Division_={division}&Stamp=NL001")
    };
    match record.kind {
        Kind::Documents => fields.to_mut().set("DocumentViewUrl", page("DocViewContent")),
        Kind::DocumentAttachments => fields.to_mut().set("Url", page("SysAttachment")),
        _ => {}
    }
    let is_of_invoice = state.header.fields.text_or_number("TransactionType") != "40";
    Shown {
        key: Value::Guid(state.header.id.clone()),
        at: seen.at(books.division, shape.path),
        type_name: shape.type_name,
        fields,
        lines,
        hides_amounts: record.created + seen.quirks.null_amounts > seen.now,
        negates: seen.quirks.negative_receivables && record.kind == Kind::Receivables && is_of_invoice,
    }
}

fn lines<'a>(books: &'a Books, kind: Kind, path: &str, seen: &Seen<'_>) -> Vec<Shown<'a>> {
    let at = seen.at(books.division, path);
    let states = books.of(kind).filter_map(|record| record.listed(seen.conditions, seen.now));
    let rows = states.flat_map(|state| &state.lines);
    let row = |row: &'a super::books::Row| Shown {
        key: Value::Guid(row.id.clone()),
        at: at.clone(),
        type_name: kind.shape().line_type,
        fields: Cow::Borrowed(&row.fields),
        lines: None,
        hides_amounts: false,
        negates: false,
    };
    rows.map(row).collect()
}

/// A page of a sync feed.
fn sync(
    books: &Books,
    feed: Feed,
    query: &str,
    seen: &Seen<'_>,
    sees_nothing: bool,
) -> Result<Response<Bytes>, Refusal> {
    let path = feed.path();
    let options = Options::read(path, query)?;
    check(path, None, &options, seen.quirks)?;
    let allowed: &[&str] = if feed == Feed::Deleted { &["Timestamp", "EntityType"] } else { &["Timestamp"] };
    let mut names = options.filter.iter().flat_map(|filter| filter.names());
    if names.any(|name| !allowed.contains(&name)) || query.contains("select=*") {
        return Err(answer::bad("This $filter parameter is not supported for this resource."));
    }
    let at = seen.at(books.division, path);
    let keyed = |version: i64, id: &str, fields: Fields| Shown {
        key: match seen.quirks.unordered_feeds {
            true => Value::Guid(id.to_owned()),
            false => Value::Number(Decimal::from(version)),
        },
        at: at.clone(),
        type_name: feed.type_name(),
        fields: Cow::Owned(fields),
        lines: None,
        hides_amounts: false,
        negates: false,
    };
    let from = match options.filter.as_ref().and_then(|filter| filter.floor("Timestamp")) {
        Some(Value::Number(floor)) => i64::try_from(*floor).unwrap_or_default(),
        _ => 0,
    };
    let rows: Vec<Shown<'_>> = match feed {
        _ if sees_nothing => Vec::new(),
        Feed::Deleted => {
            let row = |deleted: &Deleted| keyed(deleted.version, &deleted.id, deletion(books, deleted));
            books.deleted.iter().map(row).collect()
        }
        _ => {
            let flat = feed.rows(books, from, seen.conditions, seen.now);
            let wants = |name: &str| name == "Timestamp" || options.wants(name);
            let row = |row: &feeds::Flat<'_>| {
                let mut shown = keyed(row.version, row.id, feed.render(row, wants));
                shown.negates = seen.quirks.negative_receivables && row.is_receivable_of_invoice();
                shown
            };
            flat.iter().map(row).collect()
        }
    };
    Ok(page(rows, books, path, &options, seen, SYNC_PAGE))
}

fn deletion(books: &Books, deleted: &Deleted) -> Fields {
    let mut fields = Fields::default();
    fields.set("Timestamp", deleted.version.to_string());
    fields.set("DeletedBy", USER);
    fields.set("DeletedDate", books.wall.at(deleted.at).json());
    fields.set("Division", books.division);
    fields.set("EntityKey", &deleted.key);
    fields.set("EntityType", deleted.entity);
    fields.set("ID", &deleted.id);
    fields
}

/// The version of the first row that was modified at a time or later.
fn sync_timestamp(books: &Books, query: &str, seen: &Seen<'_>) -> Result<Response<Bytes>, Refusal> {
    let params = Params::parse([query.as_bytes()]);
    let value = |wanted: &str| {
        let name = params.names().find(|name| name.eq_ignore_ascii_case(wanted))?;
        Value::literal(params.get(name)?)
    };
    let (Some(Value::Naive(from)), Some(Value::Text(name))) = (value("modified"), value("endPoint")) else {
        return Err(answer::bad("Bad Request - Error in query syntax."));
    };
    let feed =
        Feed::dated(&name).ok_or_else(|| answer::bad(&format!("Endpoint '{name}' is not supported.")))?;
    let modified = |row: &feeds::Flat<'_>| {
        let fields = feed.render(row, |name| name == "Modified");
        Naive::of_json(&fields.text("Modified"))
    };
    let rows = feed.rows(books, 0, seen.conditions, seen.now);
    let first = rows.iter().find_map(|row| Some((row, modified(row).filter(|modified| *modified >= from)?)));
    let rows = first.into_iter().map(|(row, modified)| {
        let mut fields = Fields::default();
        fields.set("Modified", modified.json());
        fields.set("API", &name);
        fields.set("TimeStampAsBigInt", row.version.to_string());
        Shown {
            key: Value::Number(Decimal::from(row.version)),
            at: seen.at(books.division, SYNC_TIMESTAMP),
            type_name: "Sync.SyncTimestamp",
            fields: Cow::Owned(fields),
            lines: None,
            hides_amounts: false,
            negates: false,
        }
    });
    Ok(page(rows.collect(), books, SYNC_TIMESTAMP, &Options::default(), seen, SYNC_PAGE))
}
