//! Feeds: what has changed since the last look.
//!
//! Where the customer's package has no list with row versions, and for what documents refer to, changes are found by their time
//! on the server's clocks.

use ml_connector_core::{
    Context, Error, ErrorKind, PollRequest, Result,
    decode::{Object, apart},
    http::Pages,
    model::{EntityRef, LostRow, Observation, Page, PollMode, Signal},
};

use super::{
    checkpoint::{Checkpoint, Step, beginning},
    read::SYNCED,
};
use crate::{
    ExactOnline,
    client::{Class, ExactClient, Query, is_refusal},
    error::TOO_MUCH,
    models::{
        Resource,
        feed::{FEEDS, Sync},
        instant,
    },
};

/// A filter that everything passes: some lists are not answered without one.
pub(super) const EVERYTHING: &str = "Modified ge datetime'1970-01-01T00:00:00'";

/// After a move all rows are new: those that were not changed since a day before the last run are not.
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

const EMPTY: &str = "the list is empty, because the role of the user who connected does not allow it: give the user the right";

/// One run through a feed.
pub(super) struct Listing<'a> {
    pub(super) books: &'a ExactOnline,
    pub(super) ctx: &'a Context,
    pub(super) client: ExactClient,
    pub(super) mode: PollMode,
}

/// What a page shows.
#[derive(Default)]
pub(super) struct Found {
    pub(super) observations: Vec<Observation>,
    /// Documents of the past without their lines.
    pub(super) rows: Vec<Observation>,
    pub(super) signals: Vec<Signal>,
    /// Rows that nothing can be read for.
    pub(super) lost: Vec<LostRow>,
}

impl Found {
    pub(super) fn page(self, at: &Checkpoint, more: bool) -> Result<Page> {
        let Self { observations, rows, signals, lost } = self;
        let page = Page::new(at.write()?).observations(observations).rows(rows).signals(signals);
        Ok(page.lost(lost).more(more))
    }
}

impl<'a> Listing<'a> {
    pub(super) fn new(books: &'a ExactOnline, ctx: &'a Context, mode: PollMode) -> Self {
        let class = match mode {
            PollMode::Live => Class::Live,
            _ => Class::Background,
        };
        Self { books, ctx, client: books.client.for_class(class), mode }
    }

    /// The next page.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a feed that the connection does not have; as the list call's.
    pub(super) async fn page(&self, request: PollRequest<'_>) -> Result<Page> {
        let PollRequest { feed, mode, checkpoint, .. } = request;
        let info = &self.books.source;
        let known = if mode == PollMode::Sweep { &info.sweeps } else { &info.feeds };
        let unsupported = || {
            Error::new(ErrorKind::Unsupported, "exact_online has no such feed")
                .with_context("feed", feed.escape_debug())
        };
        if !known.iter().any(|known| known.name == feed) {
            return Err(unsupported());
        }
        let mut at = checkpoint.map_or_else(|| Ok(Checkpoint::default()), Checkpoint::read)?;
        let sync = FEEDS.into_iter().find(|sync| sync.name == feed).filter(|_| mode != PollMode::Sweep);
        let resource = self.books.resources.iter().copied().find(|resource| match mode {
            PollMode::Sweep => resource.sweep() == feed,
            _ => resource.feed == feed,
        });
        let (list, path, scope) = match (sync, resource) {
            (Some(sync), _) if !at.by_time => {
                (sync.name, sync.path, sync.resources.first().map_or("", |resource| resource.scope))
            }
            (_, Some(resource)) => (resource.feed, resource.path, resource.scope),
            _ => return Err(unsupported()),
        };
        if mode != PollMode::Sweep && at.pages == Pages::default() {
            self.begin(&mut at).await?;
        } else {
            // A run goes on after a restart, which knows nothing of the company yet.
            self.books.require_division(self.ctx, &self.books.client).await?;
        }
        let page = match (sync, resource) {
            (Some(sync), _) if !at.by_time => self.synced(sync, resource, at).await,
            (_, Some(resource)) if mode == PollMode::Sweep => self.sweep(resource, at).await,
            (_, Some(resource)) => self.by_time(resource, at).await,
            _ => return Err(unsupported()),
        };
        self.books.narrowed.learn(list, page.as_ref().is_err_and(|error| error.context(TOO_MUCH).is_some()));
        match page {
            Err(error) => Err(self.books.explained(self.ctx, path, scope, error).await),
            page => page,
        }
    }

    /// Looks whether the company is what it was. Row versions begin anew when it was moved: so does the run, from the time of
    /// the one before, and what is known already is told as no change.
    pub(super) async fn begin(&self, at: &mut Checkpoint) -> Result<()> {
        let division = self.books.require_division(self.ctx, &self.books.client).await?;
        let Some(division) = division else { return Ok(()) };
        if at.step == Step::Changes && at.moved != division.moved && !at.by_time {
            tracing::warn!(
                connection = %self.books.source.connection,
                "the company was moved: its row versions begin anew"
            );
            let news_since = Some(at.before.unwrap_or_else(|| self.ctx.now()) - DAY);
            *at = Checkpoint { before: at.before, news_since, ..Checkpoint::default() };
        }
        at.moved = division.moved;
        Ok(())
    }

    pub(super) fn reads(&self, resource: &Resource) -> bool {
        self.books.resources.iter().any(|own| own.path == resource.path)
    }

    /// A page of documents by their own lists, one list after another: at the beginning those that are not done with, of the past
    /// all. There documents come as they are but for their lines, many at a call; row versions name one at a time.
    pub(super) async fn documents(
        &self,
        sync: &'static Sync,
        number: usize,
        mut at: Checkpoint,
    ) -> Result<Page> {
        let own = sync.resources.iter().copied().filter(|resource| self.reads(resource));
        let Some(resource) = own.clone().nth(number) else {
            let more = self.mode == PollMode::Baseline;
            match more {
                true => at.step = Step::Changes,
                false => at.finish(),
            }
            return Found::default().page(&at, more);
        };
        let Some(filter) = self.filter(resource, &at) else {
            at.step = Step::Documents(number + 1);
            return Found::default().page(&at, true);
        };
        let mut found = Found::default();
        let listed = self.rows(resource, filter, &mut at, &mut found).await;
        let more = match listed {
            Ok(more) => more,
            // It will be told as its own feed's state when something changes in it.
            Err(error) if is_refusal(&error) && own.count() > 1 => {
                tracing::warn!(%error, path = resource.path, "documents cannot be listed");
                false
            }
            Err(error) => return Err(error),
        };
        if !more {
            (at.step, at.pages) = (Step::Documents(number + 1), Pages::default());
        }
        found.page(&at, true)
    }

    /// Which rows of its list a run looks at; `None`: of none.
    fn filter(&self, resource: &Resource, at: &Checkpoint) -> Option<String> {
        let zone = &self.client.site().zone;
        let since = match self.mode {
            PollMode::Baseline => return resource.open.map(str::to_owned),
            PollMode::Backfill { since } => since.map(|since| beginning(since, zone)),
            PollMode::Live => at.window(zone),
            _ => None,
        };
        let since = since.map(|since| format!("Modified ge datetime'{}'", zone.wall_clock(since)));
        Some(since.unwrap_or_else(|| EVERYTHING.to_owned()))
    }

    /// A page of whole rows.
    async fn rows(
        &self,
        resource: &'static Resource,
        filter: String,
        at: &mut Checkpoint,
        found: &mut Found,
    ) -> Result<bool> {
        let query = Query { filter, select: resource.select.join(","), ..Query::default() };
        let read_at = self.ctx.now();
        let call = (resource.list, resource.path);
        let read = |row: &Object<'_>| {
            Ok((row.id(resource.key)?, instant(row, "Modified", &self.client.site().zone)))
        };
        let listed = self.client.page(self.ctx, call, resource.key, &query, &at.pages, read).await?;
        at.begun = at.begun.or(Some(listed.date.unwrap_or(read_at)));
        let next = self.client.next_page(resource.path, listed.next)?;
        let ids: Vec<String> = listed.rows.iter().map(|row| row.value.0.clone()).collect();
        let signal = |id: &str| Signal::entity(EntityRef::new(resource.kind, id.to_ascii_lowercase()));
        let past = matches!(self.mode, PollMode::Backfill { .. });
        for row in listed.rows {
            let (id, modified) = row.value;
            at.newest_change = at.newest_change.max(modified);
            let has_more = resource.lines.is_some() && self.mode != PollMode::Baseline;
            if has_more && !(past && resource.has_amounts()) {
                if past || at.is_news(&id, modified) {
                    let hint = Some(if past { Signal::BACKFILL } else { SYNCED }.into());
                    found.signals.push(Signal { hint, ..signal(&id) });
                }
                continue;
            }
            let seen = self.books.seen(resource, self.client.decode(resource, row.raw)?, read_at)?;
            if has_more { &mut found.rows } else { &mut found.observations }.push(seen);
        }
        let (unreadable, lost) = apart(listed.unreadable);
        found.signals.extend(unreadable.iter().map(|id| signal(id)));
        found.lost.extend(lost);
        at.pages.advance(next, ids)
    }

    /// A page of a list whose changes are found by their time.
    async fn by_time(&self, resource: &'static Resource, mut at: Checkpoint) -> Result<Page> {
        let filter = self.filter(resource, &at).unwrap_or_else(|| EVERYTHING.to_owned());
        let mut found = Found::default();
        let more = self.rows(resource, filter, &mut at, &mut found).await?;
        if !more {
            // What changed while a baseline was read is read again.
            if self.mode == PollMode::Baseline {
                at.newest_change = at.begun;
            }
            at.finish();
        }
        found.page(&at, more)
    }

    /// A page of all that there is.
    async fn sweep(&self, resource: &'static Resource, mut at: Checkpoint) -> Result<Page> {
        let select = format!("{},Division", resource.key);
        let query = Query { filter: EVERYTHING.to_owned(), select, ..Query::default() };
        let call = (resource.list, resource.path);
        let read = |row: &Object<'_>| row.id(resource.key);
        let listed = self.client.page(self.ctx, call, resource.key, &query, &at.pages, read).await?;
        let next = self.client.next_page(resource.path, listed.next)?;
        let (unreadable, lost) = apart(listed.unreadable);
        let ids = listed.rows.into_iter().map(|row| row.value).chain(unreadable);
        let ids: Vec<String> = ids.map(|id| id.to_ascii_lowercase()).collect();
        let signals =
            ids.iter().map(|id| Signal::entity(EntityRef::new(resource.kind, id.as_str()))).collect();
        // Whoever may not see a list gets an empty one: that is told, and nothing is gone.
        if ids.is_empty()
            && lost.is_empty()
            && at.pages == Pages::default()
            && self.client.may_read(self.ctx, resource.path).await? == Some(false)
        {
            return Err(self.books.not_shown(self.ctx, resource, EMPTY).await);
        }
        let more = at.pages.advance(next, &ids)?;
        Found { signals, lost, ..Found::default() }.page(&at, more)
    }
}
