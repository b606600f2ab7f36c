//! What people and the vendor do to companies, called by tests.

use std::time::Duration;

use http::StatusCode;
use ml_connector_core::{Error, ErrorKind, Result, Timestamp, model::Decimal};
use serde::Serialize;

use super::{
    Company, ExactOnlineSim, State,
    booking::{self, Settlement},
    books::{Books, missing},
    config::{Division, Quirks, Right},
    documents::{NewDocument, NewLine},
    kind::Kind,
};
use crate::{Fault, toolkit::json::Fields};

/// Something that a person did by chance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// To what.
    pub kind: Kind,
    /// Its key.
    pub id: String,
    /// `create`, `change`, `process`, `settle` or `delete`.
    pub action: &'static str,
}

impl ExactOnlineSim {
    /// Writes a document as people do. Suppliers and customers are created when they are not there. Returns its key; empty
    /// when the company is unknown.
    pub fn create(&self, kind: Kind, new: &NewDocument) -> String {
        self.act(|books, quirks, now| Ok(books.create(kind, new, quirks, now))).unwrap_or_default()
    }

    /// Writes an account, a G/L account, a cost center, a cost unit or a journal. Returns its key.
    pub fn create_master(&self, kind: Kind, code: &str, name: &str) -> String {
        self.act(|books, _, now| Ok(books.master(kind, code, name, now))).unwrap_or_default()
    }

    /// Writes a record as JSON has it, with its lines under its navigation property: for rows that are odd, or recorded.
    /// `Created`, `Modified`, `Division` and the line numbers are written over.
    ///
    /// # Errors
    /// [`InvalidRequest`](ErrorKind::InvalidRequest) when it is no object.
    pub fn insert(&self, kind: Kind, record: &str) -> Result<String> {
        let read = || serde_json::from_str::<Fields>(record);
        let mut fields = read()
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "expected a record as a JSON object"))?;
        let lines =
            kind.shape().lines.map(|(nav, _)| fields.within(nav).all_of("results")).unwrap_or_default();
        fields.remove("__metadata");
        if let Some((nav, _)) = kind.shape().lines {
            fields.set(nav, ());
        }
        self.act(|books, _, now| Ok(books.insert(kind, fields, lines, now)))
    }

    /// Changes a property of a record.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) without such a record.
    pub fn set(&self, kind: Kind, id: &str, name: &str, value: impl Serialize) -> Result<()> {
        self.act(|books, quirks, now| {
            books.change(kind, id, quirks, now, |state| state.header.fields.set(name, &value))
        })
    }

    /// Changes a property of a line, counted from 0.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_line(
        &self,
        kind: Kind,
        id: &str,
        nth: usize,
        name: &str,
        value: impl Serialize,
    ) -> Result<()> {
        self.act(|books, quirks, now| {
            books.change(kind, id, quirks, now, |state| {
                state.lines.get_mut(nth).into_iter().for_each(|line| line.fields.set(name, &value));
            })
        })
    }

    /// Removes a line, counted from 0.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn remove_line(&self, kind: Kind, id: &str, nth: usize) -> Result<()> {
        self.act(|books, quirks, now| {
            books.change(kind, id, quirks, now, |state| {
                if nth < state.lines.len() {
                    state.lines.remove(nth);
                }
            })
        })
    }

    /// Changes the total of a document, and its first line with it.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_total(&self, kind: Kind, id: &str, total: Decimal) -> Result<()> {
        self.act(|books, quirks, now| {
            books.change(kind, id, quirks, now, |state| booking::set_total(kind, state, total))
        })
    }

    /// Processes a document. A sales invoice gets its number, a document, a sales entry and a term.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn process(&self, kind: Kind, id: &str) -> Result<()> {
        self.act(|books, quirks, now| books.process(kind, id, quirks, now))
    }

    /// Approves a purchase order.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn approve(&self, id: &str) -> Result<()> {
        self.act(|books, quirks, now| {
            let stamp = books.wall.at(now).json();
            books.change(Kind::PurchaseOrders, id, quirks, now, |state| {
                let fields = &mut state.header.fields;
                fields.set("ApprovalStatus", 2);
                fields.set("ApprovalStatusDescription", "Approved");
                fields.set("Approved", &stamp);
                fields.set("Approver", super::books::USER);
                fields.set("ApproverFullName", super::books::USER_NAME);
            })
        })
    }

    /// The keys of the open terms of an entry or of a processed sales invoice.
    #[must_use]
    pub fn open_terms(&self, id: &str) -> Vec<(Kind, String)> {
        self.act(|books, _, _| Ok(books.terms_of(id))).unwrap_or_default()
    }

    /// Settles the first open term of an entry or of a processed sales invoice. Money writes a bank entry, whose key is
    /// returned.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) without an open term.
    pub fn settle(&self, id: &str, how: Settlement) -> Result<Option<String>> {
        self.settle_part(id, how, None)
    }

    /// Settles a part of a term, which is two rows afterwards.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn settle_part(&self, id: &str, how: Settlement, part: Option<Decimal>) -> Result<Option<String>> {
        self.act(|books, quirks, now| {
            let (kind, term) = books.terms_of(id).into_iter().next().ok_or_else(missing)?;
            books.settle((kind, &term), how, part, quirks, now)
        })
    }

    /// Makes a paid term one that is matched: 40 becomes 50.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn match_term(&self, kind: Kind, id: &str) -> Result<()> {
        self.set(kind, id, "Status", 50)
    }

    /// Splits a term, as matching a payment in parts does: the term keeps `part`, and another row with the same status has the
    /// rest. Returns its key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn split_term(&self, kind: Kind, id: &str, part: Decimal) -> Result<String> {
        self.act(|books, quirks, now| books.split((kind, id), part, quirks, now))
    }

    /// Leaves an amount of a bank entry unmatched, which is a term too. Returns the term's key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn leave_unmatched(&self, bank_entry: &str, open: Decimal) -> Result<String> {
        self.act(|books, _, now| books.unmatched(bank_entry, open, now).ok_or_else(missing))
    }

    /// Gives a record a document with a PDF. Returns the document's key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn attach(&self, kind: Kind, id: &str) -> Result<String> {
        self.act(|books, quirks, now| books.attach(kind, id, quirks, now).ok_or_else(missing))
    }

    /// Deletes a record with its lines.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(&self, kind: Kind, id: &str) -> Result<()> {
        self.act(|books, _, now| books.delete(kind, id, now))
    }

    /// A property as text; `None` for null and without such a record.
    #[must_use]
    pub fn field(&self, kind: Kind, id: &str, name: &str) -> Option<String> {
        self.act(|books, _, _| {
            let record = books.get(kind, id).ok_or_else(missing)?;
            Ok(record.state.header.fields.text_or_number(name))
        })
        .ok()
        .filter(|text| !text.is_empty())
    }

    /// The keys of all records of a kind.
    #[must_use]
    pub fn ids(&self, kind: Kind) -> Vec<String> {
        self.act(|books, _, _| Ok(books.of(kind).map(|record| record.state.header.id.clone()).collect()))
            .unwrap_or_default()
    }

    /// The keys of a record's lines.
    #[must_use]
    pub fn line_ids(&self, kind: Kind, id: &str) -> Vec<String> {
        let lines = |books: &mut Books| {
            let record = books.get(kind, id).ok_or_else(missing)?;
            Ok(record.state.lines.iter().map(|row| row.id.clone()).collect())
        };
        self.act(|books, _, _| lines(books)).unwrap_or_default()
    }

    /// The highest row version of the company.
    #[must_use]
    pub fn row_version(&self) -> i64 {
        self.act(|books, _, _| Ok(books.highest())).unwrap_or_default()
    }

    /// Moves the company to another database: all row versions are new, and `DivisionMoveDate` says so.
    pub fn move_division(&self) {
        let now = self.now();
        self.company(|company| {
            company.books.move_database();
            company.moved = Some(company.books.wall.at(now));
        });
    }

    /// Changes what the list of companies says about the company: `sim.change_division(|it| it.is_open = false)`.
    pub fn change_division(&self, change: impl FnOnce(&mut Division)) {
        self.company(|company| change(&mut company.division));
    }

    /// Keeps a kind, its lines and what else is named by its path away from the company's readers, or gives it back.
    pub fn refuse(&self, kind: Kind, right: Option<Right>) {
        self.refuse_path(kind.path(), right);
        if let Some((_, path)) = kind.shape().lines {
            self.refuse_path(path, right);
        }
    }

    /// As [`refuse`](Self::refuse), for any `service/Resource`, such as a sync feed.
    pub fn refuse_path(&self, path: &str, right: Option<Right>) {
        self.company(|company| match right {
            Some(right) => company.rights.insert(path.to_owned(), right),
            None => company.rights.remove(path),
        });
    }

    /// Takes a scope from the app, such as `organization.administration`, or gives it back.
    pub fn refuse_scope(&self, scope: &str, is_refused: bool) {
        self.state(|state| match is_refused {
            true => state.refused_scopes.insert(scope.to_owned()),
            false => state.refused_scopes.remove(scope),
        });
    }

    /// The gateway's answer to a token call that went wrong inside. The token may be rotated nevertheless.
    #[must_use]
    pub fn gateway_fault(has_rotated: bool) -> Fault {
        let body = r#"{"fault":{"faultstring":"Failed to execute the ExtractVariables: ExtractAccessToken","detail":{"errorcode":"steps.extractvariables.ExecutionFailed"}}}"#;
        let fault = Fault::status(StatusCode::INTERNAL_SERVER_ERROR)
            .with_body("application/json", body)
            .on("/api/oauth2/token");
        if has_rotated { fault.having_acted() } else { fault }
    }

    /// An empty 408, as an overloaded resource answers: `/cashflow/Receivables`.
    #[must_use]
    pub fn timed_out(path: &str) -> Fault {
        Fault::status(StatusCode::REQUEST_TIMEOUT).on(path)
    }

    /// The 599 of a proxy in between, which no RFC knows.
    #[must_use]
    pub fn network_timed_out(path: &str) -> Fault {
        let status = StatusCode::from_u16(599).unwrap_or(StatusCode::GATEWAY_TIMEOUT);
        Fault::status(status).with_body("text/html", "").on(path)
    }

    /// Does something that a person may do, by chance that is the same in every run: mostly new documents, sometimes a
    /// change, a settlement or a deletion. A mirror test calls it again and again and compares.
    pub fn change_at_random(&self) -> Option<Change> {
        let now = self.now();
        let (which, what, amount, nth) = self.state(|state| {
            let mut draw = |below| state.dice.below(below);
            (draw(100), draw(7), draw(900_000) + 1, draw(u64::MAX))
        });
        let kind = [
            Kind::SalesInvoices,
            Kind::PurchaseEntries,
            Kind::PurchaseOrders,
            Kind::GeneralJournalEntries,
            Kind::BankEntries,
            Kind::CashEntries,
            Kind::CostTransactions,
        ][usize::try_from(what).unwrap_or_default() % 7];
        let ids = self.ids(kind);
        let at = usize::try_from(nth % u64::try_from(ids.len().max(1)).unwrap_or(1)).unwrap_or_default();
        let one = ids.get(at).cloned();
        let amount = Decimal::new(i64::try_from(amount).unwrap_or(1), 2);
        let change = |id: String, action| Some(Change { at: now, kind, id, action });
        match (which, one) {
            (55..70, Some(id)) => {
                self.set_total(kind, &id, amount).ok()?;
                change(id, "change")
            }
            (70..82, Some(id)) if kind != Kind::CostTransactions => {
                let is_open = self.field(kind, &id, "Status").as_deref() == Some("20");
                if kind == Kind::PurchaseOrders {
                    self.approve(&id).ok()?;
                } else if is_open {
                    self.process(kind, &id).ok()?;
                } else {
                    return None;
                }
                change(id, "process")
            }
            (82..92, Some(id)) if matches!(kind, Kind::SalesInvoices | Kind::PurchaseEntries) => {
                let how = [Settlement::Bank, Settlement::Bank, Settlement::CreditNote];
                self.settle(&id, how[usize::try_from(which).unwrap_or_default() % 3]).ok()?;
                change(id, "settle")
            }
            (92..100, Some(id)) => {
                // What is processed stays.
                if self.field(kind, &id, "Status").as_deref() == Some("50") {
                    return None;
                }
                self.delete(kind, &id).ok()?;
                change(id, "delete")
            }
            _ => {
                let party = ["Bakkerij Linde V.O.F.", "Molen De Hoop B.V.", "Kwekerij Zonnehof B.V."];
                let party = party[usize::try_from(which % 3).unwrap_or_default()];
                let new = match kind {
                    Kind::GeneralJournalEntries => NewDocument::empty(party)
                        .line(NewLine::new("Doorbelasting huur", amount).for_cost_center("DC1", "Nijmegen"))
                        .line(
                            NewLine::new("Tussenrekening huur", -amount).on_account("1990", "Tussenrekening"),
                        ),
                    _ => NewDocument::new(party, amount),
                };
                change(self.create(kind, &new), "create")
            }
        }
    }

    /// Advances nothing, but says how long the wall is ahead of UTC now: one hour, or two in summer.
    #[must_use]
    pub fn wall_offset(&self) -> Duration {
        let now = self.now();
        let secs = self.company(|company| company.books.wall.offset_secs(now)).unwrap_or_default();
        Duration::from_secs(u64::try_from(secs).unwrap_or_default())
    }

    fn company<T>(&self, act: impl FnOnce(&mut Company) -> T) -> Option<T> {
        self.state(|state| {
            let at = state.company_of(self.division)?;
            Some(act(&mut state.companies[at]))
        })
    }

    /// Changes the books and tells the subscriptions, all at one instant.
    fn act<T>(&self, act: impl FnOnce(&mut Books, &Quirks, Timestamp) -> Result<T>) -> Result<T> {
        let now = self.now();
        self.state(|state: &mut State| {
            let at = state.company_of(self.division).ok_or_else(missing)?;
            let books = &mut state.companies[at].books;
            let outcome = act(books, &state.quirks, now);
            let happened = std::mem::take(&mut books.happened);
            let wall = books.wall.at(now);
            state.tell(self.division, happened, wall, now);
            outcome
        })
    }
}
