//! What the person who connected may open and read: companies and rights.

use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    decode::{self, Object},
    http::Pages,
};

use super::{ExactClient, Query, is_refusal, rows};
use crate::{
    error::{self, Window},
    models::{Division, integer},
};

/// Where the person who connected is at the moment, and what time it is there.
pub(crate) struct Me {
    current: Option<u32>,
    /// What the server's clocks show, without a zone.
    pub(crate) server_time: Option<String>,
    /// When the server answered.
    pub(crate) date: Option<Timestamp>,
}

/// What a short look into a list shows.
pub(crate) struct Glance {
    pub(crate) is_empty: bool,
    /// What is left of the day's calls.
    pub(crate) day: Option<Window>,
}

impl ExactClient {
    /// The person who connected.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn me(&self, ctx: &Context) -> Result<Me> {
        const OPERATION: &str = "exact_online.get_me";
        let mut url = self.http.url(&["api", "v1", "current", "Me"]);
        url.set_query(Some("$select=CurrentDivision,UserID,ServerTime"));
        let answer = self.send(ctx, OPERATION, "current/Me", &url).await?;
        let read = |row: &Object<'_>| Ok((row.some_text("CurrentDivision"), row.some_text("ServerTime")));
        let rows = rows::read(&answer, "UserID", read).map_err(|error| error.with_operation(OPERATION))?;
        let date = rows.date;
        let (current, server_time) = rows.rows.into_iter().next().map(|row| row.value).unwrap_or_default();
        Ok(Me { current: current.and_then(|code| code.parse().ok()), server_time, date })
    }

    /// Looks whether a list is answered, with one row at most.
    ///
    /// # Errors
    /// As [`error::check`] says.
    pub(crate) async fn glance(
        &self,
        ctx: &Context,
        (operation, path): (&'static str, &str),
        id: &'static str,
        filter: &str,
    ) -> Result<Glance> {
        let query = Query {
            filter: filter.to_owned(),
            select: format!("{id},Division"),
            top: Some(1),
            ..Query::default()
        };
        let answer = self.send(ctx, operation, path, &self.page_url(path, &query, &Pages::default())).await?;
        let rows = rows::read(&answer, id, |row| self.site.require_own(row));
        let rows = rows.map_err(|error| error.with_operation(operation))?;
        let is_empty = rows.rows.is_empty() && rows.unreadable.is_empty();
        Ok(Glance { is_empty, day: error::window(&answer, "") })
    }

    /// Whether the person who connected may read a resource: an empty list looks the same. `None`: Exact Online does not say.
    pub(crate) async fn may_read(&self, ctx: &Context, path: &str) -> Result<Option<bool>> {
        const OPERATION: &str = "exact_online.user_has_rights";
        let mut url = self.url("users/UserHasRights");
        url.set_query(Some(&format!("endpoint='{path}'&action='GET'")));
        let answer = match self.send(ctx, OPERATION, "users/UserHasRights", &url).await {
            Err(error) if is_refusal(&error) => return Ok(None),
            answer => answer?,
        };
        let read = decode::body(&answer.body, |body| {
            let bare = body.some_text("d").filter(|text| text == "true" || text == "false");
            let within = body.object("d").and_then(|d| d.some_text("UserHasRights"));
            Ok(bare.or(within))
        });
        Ok(read.ok().and_then(|read| read.value).map(|text| text == "true" || text == "1"))
    }

    /// The company itself; `None` when the person who connected may not list companies.
    pub(crate) async fn division(&self, ctx: &Context) -> Result<Option<Division>> {
        const OPERATION: &str = "exact_online.get_division";
        let (division, zone) = (self.site.division, &self.site.zone);
        let query = Query {
            filter: format!("Code eq {division}"),
            select: Division::SELECT.to_owned(),
            top: Some(1),
            ..Query::default()
        };
        let read = |row: &Object<'_>| Division::read(row, zone);
        let rows = match self.list_any(ctx, (OPERATION, "system/Divisions"), "Code", &query, read).await {
            Err(error) if is_refusal(&error) => return Ok(None),
            rows => rows?,
        };
        let found = rows.rows.into_iter().map(|row| row.value).find(|found| found.code == division);
        found.map(Some).ok_or_else(|| {
            Error::new(
                ErrorKind::ConfigInvalid,
                "the person who connected may not open this company: check division and region",
            )
            .with_scope(Scope::Connection)
            .with_operation(OPERATION)
            .with_context("division", division)
        })
    }

    /// All companies that the person who connected may open.
    pub(crate) async fn divisions(&self, ctx: &Context) -> Result<Vec<Division>> {
        const LIST: &str = "exact_online.list_divisions";
        let current = self.me(ctx).await?.current;
        let current: u32 = current.ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "Exact Online does not say where the person is")
                .with_operation("exact_online.get_me")
        })?;
        let there = self.at_division(current);
        let query = Query { select: Division::SELECT.to_owned(), ..Query::default() };
        let (mut pages, mut all) = (Pages::default(), Vec::new());
        loop {
            let url = there.page_url("system/Divisions", &query, &pages);
            let answer = there.send(ctx, LIST, "system/Divisions", &url).await?;
            let page = rows::read(&answer, "Code", |row| Division::read(row, &self.site.zone))
                .map_err(|error| error.with_operation(LIST))?;
            let ids: Vec<String> = page.rows.iter().map(|row| row.value.code.to_string()).collect();
            all.extend(page.rows.into_iter().map(|row| row.value));
            let next = there.next_page("system/Divisions", page.next)?;
            if !pages.advance(next, ids)? {
                return Ok(all);
            }
        }
    }

    /// The row version of the first record that was changed at that time, on the server's clocks, or later. `None`: nothing
    /// was changed since.
    pub(crate) async fn row_version(
        &self,
        ctx: &Context,
        endpoint: &str,
        since: Timestamp,
    ) -> Result<Option<i64>> {
        const OPERATION: &str = "exact_online.sync_timestamp";
        const PATH: &str = "read/sync/Sync/SyncTimestamp";
        let mut url = self.url(PATH);
        let at = self.site.zone.wall_clock(since);
        url.set_query(Some(&format!("modified=datetime'{at}'&endPoint='{endpoint}'")));
        let answer = self.send(ctx, OPERATION, PATH, &url).await?;
        let read =
            |row: &Object<'_>| Ok(integer(row, "TimeStampAsBigInt").or_else(|| integer(row, "TimeStamp")));
        let rows = rows::read(&answer, "API", read).map_err(|error| error.with_operation(OPERATION))?;
        Ok(rows.rows.into_iter().find_map(|row| row.value))
    }
}
