//! Lists: filters, sorting, pages. There is no snapshot: rows move between pages while records change.

use http::StatusCode;
use ml_connector_core::model::{Date, Decimal};

use super::{
    Kind,
    books::Record,
    errors::Failure,
    records::{Data, Expense},
    render::{Printer, eastern_date},
};
use crate::toolkit::{conditions::Conditions, json::Fields};

/// Rows by default, and at most.
const PER_PAGE: (usize, usize) = (15, 100);

/// Decoded parameters of a list, in the order they came.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What `include[]` asks for.
    pub(super) fn includes(&self) -> Vec<String> {
        let asked = self.0.iter().filter(|(name, _)| name == "include[]");
        asked.map(|(_, value)| value.clone()).collect()
    }

    /// The value of `search[key]`.
    pub(super) fn search(&self, key: &str) -> Option<&str> {
        self.get(&format!("search[{key}]"))
    }

    /// The values of `search[key][]`.
    fn search_all(&self, key: &str) -> Vec<&str> {
        let name = format!("search[{key}][]");
        self.0.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Page and rows a page; what is no number is refused.
    pub(super) fn page(&self) -> Result<(usize, usize), Failure> {
        let number = |name: &'static str, errno: u32| match self.get(name) {
            None => Ok(None),
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| {
                let message = format!("The {name} argument must be a positive integer.");
                Failure::new(StatusCode::UNPROCESSABLE_ENTITY, errno, message).about("", name, text)
            }),
        };
        let page = number("page", 1014)?.unwrap_or(1).max(1);
        let per_page = number("per_page", 1013)?.filter(|rows| *rows > 0).unwrap_or(PER_PAGE.0);
        Ok((page, per_page.min(PER_PAGE.1)))
    }
}

/// A page of records, with its counts.
pub(super) fn page(
    kind: Kind,
    query: &Query,
    printer: Printer<'_>,
    conditions: &Conditions,
) -> Result<Fields, Failure> {
    let (page, per_page) = query.page()?;
    let per_page = conditions.numbered_page(per_page);
    let filter = Filter { kind, query, printer };
    let known =
        printer.books.of_kind(kind).filter(|record| conditions.lists_know(record.created, printer.now));
    let mut found: Vec<&Record> = known.filter(|record| filter.passes(record, conditions)).collect();
    sort(kind, query.get("sort"), &mut found);
    let total = found.len();
    let rows = found.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page);
    let rows: Vec<Fields> = rows.map(|record| printer.print(record)).collect();
    let total = total + if total > 0 { printer.quirks.phantom_rows } else { 0 };
    let mut result = Fields::default();
    result.set(kind.plural(), rows);
    count(&mut result, page, per_page, total);
    Ok(result)
}

/// What every list tells about its pages: none when there is nothing.
pub(super) fn count(result: &mut Fields, page: usize, per_page: usize, total: usize) {
    result.set("page", if total == 0 { 1 } else { page });
    result.set("pages", total.div_ceil(per_page));
    result.set("per_page", per_page);
    result.set("total", total);
}

/// Filters that FreshBooks heeds. It ignores all others, and so does this.
struct Filter<'a> {
    kind: Kind,
    query: &'a Query,
    printer: Printer<'a>,
}

impl Filter<'_> {
    fn passes(&self, record: &Record, conditions: &Conditions) -> bool {
        self.passes_vis_state(record)
            && self.passes_updated(record, conditions)
            && self.passes_status(record)
            && match &record.data {
                Data::Invoice(invoice) => {
                    self.is("customerid", invoice.client)
                        && self.is("invoiceid", record.id)
                        && self.is_text("invoice_number", &invoice.number)
                        && self.is_dated(invoice.date)
                }
                Data::Payment(payment) => {
                    self.is("invoiceid", payment.invoice.unwrap_or_default())
                        && self.is("clientid", payment.client)
                        && self.is("customerid", payment.client)
                        && self.is("logid", record.id)
                        && self.is_text("type", &payment.method)
                        && self.is_text("currency", &payment.currency)
                        && self.is_text("from_credit", if payment.from_credit { "true" } else { "false" })
                        && self.is_between(payment.amount)
                        && self.is_dated(payment.date)
                        && match self.query.search("payment_or_credit") {
                            Some("invoice") => payment.invoice.is_some(),
                            Some("credit") => payment.invoice.is_none(),
                            _ => true,
                        }
                }
                Data::Bill(bill) => {
                    self.is("vendorid", bill.vendor)
                        && self.is("id", record.id)
                        && self.is_text("currency_code", &bill.currency)
                }
                Data::Expense(expense) => self.passes_expense(expense),
                Data::Client(client) => {
                    let like = |key, text: &str| {
                        self.query
                            .search(key)
                            .is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
                    };
                    self.is("userid", record.id)
                        && self.is_text("email", &client.email)
                        && like("organization_like", &client.organization)
                        && like("fname_like", &client.fname)
                        && like("lname_like", &client.lname)
                        && like("email_like", &client.email)
                }
                _ => true,
            }
    }

    fn passes_expense(&self, expense: &Expense) -> bool {
        self.is("clientid", expense.client.unwrap_or_default())
            && self.is("categoryid", expense.category.unwrap_or_default())
            && self.is_text("vendor", &expense.vendor)
            && self.is_between(expense.amount)
            && self.is_dated(expense.date)
    }

    /// Filters by the words that an invoice's or a bill's state has.
    fn passes_status(&self, record: &Record) -> bool {
        let shown = || serde_json::to_value(self.printer.print(record)).unwrap_or_default();
        match self.kind {
            Kind::Invoice => self.query.search("v3_status").is_none_or(|asked| shown()["v3_status"] == asked),
            Kind::Bill => {
                let asked = self.query.search_all("statuses");
                asked.is_empty() || asked.iter().any(|asked| shown()["status"] == **asked)
            }
            _ => true,
        }
    }

    /// Active and archived, unless one of the three is asked for. Deleted ones come only when asked for.
    fn passes_vis_state(&self, record: &Record) -> bool {
        match self.query.search("vis_state").and_then(|asked| asked.parse::<u8>().ok()) {
            Some(asked @ 0..=2) => record.vis_state == asked,
            _ => record.vis_state != 1,
        }
    }

    /// By whole days of New York. A change that lists do not know yet is no news.
    fn passes_updated(&self, record: &Record, conditions: &Conditions) -> bool {
        let heeds = match self.kind {
            Kind::Invoice | Kind::Payment | Kind::Expense | Kind::Client => true,
            Kind::Bill => self.printer.quirks.bills_heed_updated_min,
            _ => false,
        };
        let asked = |key| self.query.search(key).and_then(|text| Date::parse(text.get(..10)?).ok());
        let (min, max) = (asked("updated_min"), asked("updated_max"));
        if !heeds || (min.is_none() && max.is_none()) {
            return true;
        }
        let Some(day) = eastern_date(record.updated) else { return true };
        let is_known = conditions.lists_know(record.updated, self.printer.now);
        is_known && min.is_none_or(|min| day >= min) && max.is_none_or(|max| day < max)
    }

    /// `search[key]`, or any of `search[keys][]`.
    fn is(&self, key: &str, id: u64) -> bool {
        let id = id.to_string();
        let any = self.query.search_all(&format!("{key}s"));
        self.query.search(key).is_none_or(|asked| asked == id)
            && (any.is_empty() || any.iter().any(|asked| **asked == *id))
    }

    fn is_text(&self, key: &str, text: &str) -> bool {
        self.query.search(key).is_none_or(|asked| asked == text)
    }

    fn is_dated(&self, date: Option<Date>) -> bool {
        let asked = |key| self.query.search(key).and_then(|text| Date::parse(text).ok());
        let Some(date) = date else { return true };
        asked("date_min").is_none_or(|min| date >= min) && asked("date_max").is_none_or(|max| date <= max)
    }

    fn is_between(&self, amount: Decimal) -> bool {
        let asked = |key| self.query.search(key).and_then(|text| text.parse::<Decimal>().ok());
        asked("amount_min").is_none_or(|min| amount >= min)
            && asked("amount_max").is_none_or(|max| amount <= max)
    }
}

/// Newest id first, unless one of the few orders is asked for that FreshBooks heeds.
fn sort(kind: Kind, sort: Option<&str>, rows: &mut [&Record]) {
    rows.sort_by_key(|record| std::cmp::Reverse(record.id));
    let Some((key, is_descending)) = sort.and_then(|sort| {
        let ascending = sort.strip_suffix("_asc").map(|key| (key, false));
        ascending.or_else(|| sort.strip_suffix("_desc").map(|key| (key, true)))
    }) else {
        return;
    };
    let by = |record: &Record| match (&record.data, key) {
        (Data::Invoice(invoice), "invoice_date") => invoice.date.map(|date| date.to_string()),
        (Data::Client(client), "organization_name") => Some(client.organization.clone()),
        (Data::Client(client), "fullname") => Some(format!("{} {}", client.fname, client.lname)),
        (Data::Client(client), "email") => Some(client.email.clone()),
        (Data::Client(_), "updated") => Some(format!("{:020}", record.updated.as_millis())),
        _ => None,
    };
    let heeded = matches!((kind, key), (Kind::Invoice, "invoice_date"))
        || (kind == Kind::Client && ["organization_name", "fullname", "email", "updated"].contains(&key));
    if heeded {
        rows.sort_by_cached_key(|record| by(record));
        if is_descending {
            rows.reverse();
        }
    }
}
