//! Records with all that belongs to them: lines, documents and the files in these.

use std::collections::BTreeMap;

use ml_connector_core::{
    Context, Error, ErrorKind, Result,
    decode::{self, LeftOut, Object},
    model::{Attachment, Record},
};
use serde_json::value::RawValue;
use url::Url;

use super::{ExactClient, Query, key_is};
use crate::models::{Lines, Resource, document_of, entry_of, integer};

/// What a normal list shows on a page: a document with so many lines may have more.
const PAGE: usize = 60;
/// About so many documents is asked in one call: its URL stays below 2,000 characters.
const AT_ONCE: usize = 12;

/// A record with all its lines, and the vendor's JSON of it. It has no `Debug`: names and amounts are the customer's
/// business.
pub(crate) struct Detail {
    pub(crate) record: Record,
    pub(crate) raw: Box<RawValue>,
    /// What could not be read.
    pub(crate) left_out: Vec<LeftOut>,
    /// The document with its files.
    pub(crate) document: Option<String>,
}

impl ExactClient {
    /// One record with all its lines, asked for as a list: the URL of a deleted record would be a counted error. `None`: no
    /// row came, which proves nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when the answer is not that record; [`ErrorKind::ConfigInvalid`] in the scope of the
    /// connection when it is another company's; else as [`error::check`] says.
    pub(crate) async fn get(&self, ctx: &Context, resource: &Resource, id: &str) -> Result<Option<Detail>> {
        let query = Query { filter: key_is(resource.key, id)?, ..self.whole(resource) };
        let query = Query { top: Some(1), ..query };
        let rows = self.list(ctx, (resource.get, resource.path), resource.key, &query, |_| Ok(())).await?;
        let answered = |message| Error::new(ErrorKind::InvalidResponse, message).with_operation(resource.get);
        let Some(row) = rows.rows.into_iter().next() else {
            return if rows.unreadable.is_empty() {
                Ok(None)
            } else {
                Err(answered("the record cannot be read"))
            };
        };
        let detail = self.detail(ctx, resource, row.raw).await?;
        if detail.record.id.eq_ignore_ascii_case(id) {
            return Ok(Some(detail));
        }
        Err(answered("the answer is about another record").with_context("asked", id))
    }

    /// What is asked for to have the whole record.
    fn whole<'a>(&self, resource: &'a Resource) -> Query<'a> {
        let expand = resource.lines.map(|lines| lines.navigation);
        let select: Vec<&str> = resource.select.iter().copied().chain(expand).collect();
        Query { select: select.join(","), expand, ..Query::default() }
    }

    /// A row as a record, with the lines that the row lacks.
    async fn detail(&self, ctx: &Context, resource: &Resource, row: Box<RawValue>) -> Result<Detail> {
        let raw = match &resource.lines {
            Some(lines) => self.with_lines(ctx, resource, lines, row).await?,
            None => row,
        };
        self.decode(resource, raw)
    }

    /// A row as a record.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when it has no id.
    pub(crate) fn decode(&self, resource: &Resource, raw: Box<RawValue>) -> Result<Detail> {
        let read = |object: &Object<'_>| Ok(((resource.read)(object, &self.site)?, document_of(object)));
        let decoded = decode::object(&raw, read).map_err(|error| error.with_operation(resource.get))?;
        let (record, document) = decoded.value;
        Ok(Detail { record, raw, left_out: decoded.left_out, document })
    }

    /// The same record with all its lines in the order of their numbers. An expanded list may end after 60.
    async fn with_lines(
        &self,
        ctx: &Context,
        resource: &Resource,
        lines: &Lines,
        row: Box<RawValue>,
    ) -> Result<Box<RawValue>> {
        let not_json =
            || Error::new(ErrorKind::InvalidResponse, "expected a record").with_operation(resource.get);
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(row.get()).map_err(|_| not_json())?;
        let expanded = members.get(lines.navigation).and_then(|raw| {
            serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(raw.get()).ok()?.remove("results")
        });
        let expanded = expanded.and_then(|raw| serde_json::from_str::<Vec<Box<RawValue>>>(raw.get()).ok());
        let mut all = match expanded {
            Some(all) if all.len() < PAGE => all,
            _ => {
                let id =
                    members.get(resource.key).and_then(|raw| decode::plain_text(raw)).unwrap_or_default();
                self.lines(ctx, lines, &id).await?
            }
        };
        let number = |line: &RawValue| {
            decode::object(line, |line| {
                self.site.require_own(line)?;
                Ok((integer(line, "LineNumber"), line.text("ID")))
            })
        };
        let mut numbered = Vec::with_capacity(all.len());
        for line in all.drain(..) {
            numbered.push((number(&line).map_err(|error| error.with_operation(resource.get))?.value, line));
        }
        numbered.sort_by(|(one, _), (other, _)| one.cmp(other));
        let all: Vec<Box<RawValue>> = numbered.into_iter().map(|(_, line)| line).collect();
        let write = |value| serde_json::value::to_raw_value(value).map_err(|_| not_json());
        members.insert(lines.navigation.to_owned(), write(&BTreeMap::from([("results", all)]))?);
        serde_json::value::to_raw_value(&members).map_err(|_| not_json())
    }

    async fn lines(&self, ctx: &Context, lines: &Lines, parent: &str) -> Result<Vec<Box<RawValue>>> {
        let query = Query {
            filter: key_is(lines.parent, parent)?,
            select: lines.select.to_owned(),
            ..Query::default()
        };
        self.all(ctx, (lines.list, lines.path), "ID", &query).await
    }

    /// The document that a line belongs to; `None`: no such line is shown.
    pub(crate) async fn parent_of(&self, ctx: &Context, lines: &Lines, line: &str) -> Result<Option<String>> {
        let select = format!("ID,{},Division", lines.parent);
        let query = Query { filter: key_is("ID", line)?, select, top: Some(1), ..Query::default() };
        let rows = self.list(ctx, (lines.list, lines.path), "ID", &query, |row| row.id(lines.parent)).await?;
        Ok(rows.rows.into_iter().next().map(|row| row.value))
    }

    /// The terms of documents, by document.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn terms_of(
        &self,
        ctx: &Context,
        resource: &Resource,
        documents: impl Iterator<Item = &String>,
    ) -> Result<BTreeMap<String, Vec<Detail>>> {
        let (select, mut terms) = (resource.select.join(","), BTreeMap::<String, Vec<Detail>>::new());
        let documents: Vec<&String> = documents.collect();
        for some in documents.chunks(AT_ONCE) {
            let filters = some.iter().map(|document| key_is("TransactionEntryID", document));
            let filter = filters.collect::<Result<Vec<_>>>()?.join(" or ");
            let query = Query { filter, select: select.clone(), ..Query::default() };
            for raw in self.all(ctx, (resource.list, resource.path), resource.key, &query).await? {
                let term = self.decode(resource, raw)?;
                let of = entry_of(&term.raw).unwrap_or_default();
                terms.entry(of).or_default().push(term);
            }
        }
        Ok(terms)
    }

    /// The link to the document and the files in it.
    pub(crate) async fn files(
        &self,
        ctx: &Context,
        document: &str,
    ) -> Result<(Option<String>, Vec<Attachment>)> {
        const DOCUMENT: &str = "exact_online.get_document";
        const FILES: &str = "exact_online.list_document_attachments";
        let query = Query {
            filter: key_is("ID", document)?,
            select: "ID,DocumentViewUrl,Division".to_owned(),
            top: Some(1),
            ..Query::default()
        };
        let link = |row: &Object<'_>| Ok(row.some_text("DocumentViewUrl"));
        let found = self.list(ctx, (DOCUMENT, "documents/Documents"), "ID", &query, link).await?;
        let link = found.rows.into_iter().next().and_then(|row| self.own_link(row.value));
        let query = Query {
            filter: key_is("Document", document)?,
            select: "ID,Document,FileName,Url".to_owned(),
            ..Query::default()
        };
        let file = |row: &Object<'_>| Ok((row.id("ID")?, row.text("FileName"), row.some_text("Url")));
        let files = self.list(ctx, (FILES, "documents/DocumentAttachments"), "ID", &query, file).await?;
        let files = files.rows.into_iter().map(|row| {
            let (id, name, url) = row.value;
            Attachment { id: Some(id.into()), name, url: self.own_link(url) }
        });
        Ok((link, files.collect()))
    }

    /// A link, if it leads to the region's own pages.
    fn own_link(&self, link: Option<String>) -> Option<String> {
        link.filter(|link| Url::parse(link).is_ok_and(|url| url.origin() == self.site.base.origin()))
    }

    /// Whether a list shows a record.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn shows(&self, ctx: &Context, resource: &Resource, id: &str) -> Result<bool> {
        let select = format!("{},Division", resource.key);
        let query = Query { filter: key_is(resource.key, id)?, select, top: Some(1), ..Query::default() };
        let rows = self.list(ctx, (resource.list, resource.path), resource.key, &query, |_| Ok(())).await?;
        Ok(!rows.rows.is_empty())
    }
}
