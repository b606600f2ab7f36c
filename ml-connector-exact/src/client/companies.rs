//! What the person who connected may open and read: companies and rights.

use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    decode::{self, Object},
    http::Pages,
};

use super::{ExactClient, Query, is_refusal, rows};
use crate::models::{Division, integer};

impl ExactClient {
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
        const ME: &str = "exact_online.get_me";
        const LIST: &str = "exact_online.list_divisions";
        let mut url = self.http.url(&["api", "v1", "current", "Me"]);
        url.set_query(Some("$select=CurrentDivision,UserID"));
        let answer = self.send(ctx, ME, "current/Me", &url).await?;
        let read = |row: &Object<'_>| row.id("CurrentDivision");
        let me = rows::read(&answer, "UserID", read).map_err(|error| error.with_operation(ME))?;
        let current = me.rows.into_iter().next().and_then(|row| row.value.parse().ok());
        let current: u32 = current.ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, "Exact Online does not say where the person is")
                .with_operation(ME)
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
