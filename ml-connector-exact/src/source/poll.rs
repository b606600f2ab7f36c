//! Feeds: what has changed since the last look.
//!
//! Lists with row versions are detectors: they name documents, which are then read. A row version is a checkpoint and no
//! order. Where the customer's package has no such list, and for what documents refer to, changes are found by their time on
//! the server's clocks.

use std::collections::BTreeMap;

use ml_connector_core::{
    Context, Error, ErrorKind, PollRequest, Result, Timestamp,
    decode::Object,
    http::Pages,
    model::{EntityRef, Observation, Observed, Page, PollMode, Proof, Signal},
};

use super::{
    checkpoint::{Checkpoint, Step},
    read::{SYNCED, UNREADABLE},
};
use crate::{
    ExactOnline,
    client::{Class, ExactClient, Query, is_refusal, rows::Rows as Listed},
    error::TOO_MUCH,
    models::{
        Resource, Settlement,
        feed::{FEEDS, Rows, Sync, of_deleted, of_ledger},
        integer, settlement, side,
    },
};

/// A filter that everything passes: some lists are not answered without one.
const EVERYTHING: &str = "Modified ge datetime'1970-01-01T00:00:00'";
/// How far back a start is looked for, in days, where nothing was changed since.
const BACK: [u32; 2] = [7, 366];
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// One run through a feed.
pub(super) struct Listing<'a> {
    books: &'a ExactOnline,
    ctx: &'a Context,
    client: ExactClient,
    mode: PollMode,
}

/// What a page shows.
#[derive(Default)]
struct Found {
    observations: Vec<Observation>,
    signals: Vec<Signal>,
}

impl Found {
    fn page(self, at: &Checkpoint, more: bool) -> Result<Page> {
        Ok(Page::new(at.write()?).observations(self.observations).signals(self.signals).more(more))
    }
}

/// A row of a list with row versions.
struct Change {
    version: i64,
    document: String,
    resource: Option<&'static Resource>,
    modified: Option<Timestamp>,
    settled: Settlement,
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
        let resource = self.books.resources.iter().copied().find(|resource| resource.feed == feed);
        let (list, path, scope) = match (sync, resource) {
            (Some(sync), _) if !at.by_time => {
                (sync.name, sync.path, sync.resources.first().map_or("", |resource| resource.scope))
            }
            (_, Some(resource)) => (resource.feed, resource.path, resource.scope),
            _ => return Err(unsupported()),
        };
        if mode != PollMode::Sweep && at.pages == Pages::default() {
            self.begin(&mut at).await?;
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
    async fn begin(&self, at: &mut Checkpoint) -> Result<()> {
        let division = self.books.require_division(self.ctx).await?;
        let Some(division) = division else { return Ok(()) };
        if at.step == Step::Changes && at.moved != division.moved && !at.by_time {
            tracing::warn!(
                connection = %self.books.source.connection,
                "the company was moved: its row versions begin anew"
            );
            *at = Checkpoint { before: at.before, ..Checkpoint::default() };
        }
        at.moved = division.moved;
        Ok(())
    }

    /// A page of a list with row versions.
    async fn synced(
        &self,
        sync: &'static Sync,
        resource: Option<&'static Resource>,
        mut at: Checkpoint,
    ) -> Result<Page> {
        if at.step == Step::Start {
            match self.start(sync, &at).await {
                Ok(seen) => at.seen = seen,
                // Not every package has the list; then changes are looked for by their time.
                Err(error) if is_refusal(&error) && resource.is_some() => {
                    tracing::info!(%error, feed = sync.name, "the list with row versions is not there");
                    at.by_time = true;
                    return Found::default().page(&at, true);
                }
                Err(error) => return Err(error),
            }
            let opens =
                self.mode == PollMode::Baseline && matches!(sync.rows, Rows::Documents | Rows::Ledger);
            at.step = if opens { Step::Open(0) } else { Step::Changes };
        }
        if let Step::Open(number) = at.step {
            return self.open(sync, number, at).await;
        }
        let top = self.books.narrowed.rows(sync.name);
        let query = Query {
            filter: format!("Timestamp gt {}L", at.seen),
            select: select(sync),
            top,
            ..Query::default()
        };
        let read = |row: &Object<'_>| self.change(sync, row);
        let read_at = self.ctx.now();
        let call = (sync.operation, sync.path);
        let listed = match self.client.page(self.ctx, call, sync.document, &query, &at.pages, read).await {
            // The list of row versions is asked about elsewhere, and answers for itself.
            Err(error) if is_refusal(&error) && resource.is_some() && at.before.is_none() => {
                tracing::info!(%error, feed = sync.name, "the list with row versions is not there");
                at = Checkpoint { by_time: true, moved: at.moved, ..Checkpoint::default() };
                return Found::default().page(&at, true);
            }
            listed => listed?,
        };
        let clock = listed.date.unwrap_or(read_at);
        at.begun = at.begun.or(Some(clock));
        let versions: Vec<i64> = listed.rows.iter().map(|row| row.value.version).collect();
        at.newest = versions.iter().copied().fold(at.newest, i64::max);
        let full = top.is_some_and(|top| versions.len() >= usize::try_from(top).unwrap_or(usize::MAX));
        let next = self.client.next_page(sync.path, listed.next.clone())?;
        let found = self.found(sync, listed, read_at).await?;
        let ids: Vec<String> = versions.iter().map(i64::to_string).collect();
        // Asked for less, a list ends without saying so; its rows then have to be in order to go on behind them.
        if full && next.is_none() && versions.is_sorted() {
            (at.seen, at.pages) = (at.newest, Pages::default());
            return found.page(&at, true);
        }
        let more = at.pages.advance(next, ids)?;
        if !more {
            at.finish();
        }
        found.page(&at, more)
    }

    fn change(&self, sync: &Sync, row: &Object<'_>) -> Result<Change> {
        let kind = |name| integer(row, name);
        let resource = match sync.rows {
            Rows::Documents => sync.resources.first().copied(),
            Rows::Ledger => kind("Type").and_then(of_ledger),
            Rows::Terms => side(row),
            Rows::Deleted => kind("EntityType").and_then(of_deleted),
        };
        // Costs are listed with hours.
        let is_cost = sync.name != "cost_transactions" || kind("Type").is_none_or(|kind| kind == 2);
        Ok(Change {
            version: kind("Timestamp").unwrap_or_default(),
            document: row.id(sync.document)?.to_ascii_lowercase(),
            resource: resource.filter(|_| is_cost).and_then(|resource| self.own(resource)),
            modified: row.parsed("Modified", |text| self.instant(text)),
            settled: settlement(row),
        })
    }

    /// The resource, if this connection reads it. Entries of banks may be entries of cash.
    fn own(&self, resource: &'static Resource) -> Option<&'static Resource> {
        let find = |path: &str| self.books.resources.iter().copied().find(|own| own.path == path);
        find(resource.path).or_else(|| match resource.kind {
            "bank_entry" => find("financialtransaction/CashEntries"),
            _ => None,
        })
    }

    fn reads(&self, resource: &Resource) -> bool {
        self.books.resources.iter().any(|own| own.path == resource.path)
    }

    fn instant(&self, text: &str) -> Result<Timestamp> {
        let malformed = || Error::new(ErrorKind::InvalidResponse, "expected /Date(milliseconds)/");
        let millis =
            text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")).ok_or_else(malformed)?;
        let millis = millis.parse().map_err(|_| malformed())?;
        Ok(self.client.site().zone.local_millis(millis)?.earliest())
    }

    /// What the rows of a page lead to: one signal for a document, however many of its rows there are.
    async fn found(&self, sync: &Sync, listed: Listed<Change>, read_at: Timestamp) -> Result<Found> {
        let mut found = Found::default();
        let hint = match self.mode {
            PollMode::Backfill { .. } => Signal::BACKFILL,
            _ => SYNCED,
        };
        let signal = |resource: &Resource, id: &str| Signal {
            hint: Some(hint.into()),
            ..Signal::entity(EntityRef::new(resource.kind, id))
        };
        let mut documents: BTreeMap<String, &'static Resource> = BTreeMap::new();
        for row in listed.rows {
            let Change { document, resource, modified, settled, .. } = row.value;
            let Some(resource) = resource else { continue };
            if let PollMode::Backfill { since: Some(since) } = self.mode
                && modified.is_some_and(|modified| modified < since)
            {
                continue;
            }
            match sync.rows {
                Rows::Terms => {
                    let entity = EntityRef::new(resource.kind, document.as_str());
                    if settled == Settlement::Paid
                        || settled == Settlement::Open && self.is_known(&entity).await?
                    {
                        let detail = self.client.decode(resource, row.raw)?;
                        found.observations.push(self.books.seen(resource, detail, read_at)?);
                    }
                }
                Rows::Deleted => {
                    let entity = EntityRef::new(resource.kind, document.as_str());
                    if self.mode == PollMode::Live && self.is_known(&entity).await? {
                        let state = Observed::Gone(Proof::DeletionFeed);
                        found.observations.push(Observation { entity, read_at, state });
                    }
                }
                Rows::Documents | Rows::Ledger => _ = documents.insert(document, resource),
            }
        }
        // A baseline tells nothing: what is not open is known from its next change on.
        if self.mode != PollMode::Baseline {
            found.signals.extend(documents.iter().map(|(id, resource)| signal(resource, id)));
            // Of a row of the ledger nobody can tell then what it belongs to: each kind is looked at once.
            let own = sync.resources.iter().copied().filter(|resource| self.reads(resource));
            if matches!(sync.rows, Rows::Documents | Rows::Ledger) {
                for id in &listed.unreadable {
                    let unreadable = |resource: &Resource| Signal {
                        hint: Some(UNREADABLE.into()),
                        ..signal(resource, &id.to_ascii_lowercase())
                    };
                    found.signals.extend(own.clone().map(unreadable));
                }
            }
        }
        Ok(found)
    }

    async fn is_known(&self, entity: &EntityRef) -> Result<bool> {
        let known = self.ctx.known(&self.books.source.connection, entity).await?;
        Ok(known.is_some_and(|known| known.revision.is_some()))
    }

    /// The row version behind which a run begins.
    async fn start(&self, sync: &Sync, at: &Checkpoint) -> Result<i64> {
        let Some(endpoint) = sync.endpoint else { return Ok(0) };
        let since = match self.mode {
            PollMode::Backfill { since } => match since {
                Some(since) => since,
                None => return Ok(0),
            },
            // The company was moved: what happened since the run before is looked through again.
            PollMode::Live => at.before.map_or(self.ctx.now(), |before| before - DAY),
            _ => self.ctx.now(),
        };
        // The first row that is named is the first that counts, so the run begins before it.
        if let Some(version) = self.client.row_version(self.ctx, endpoint, since).await? {
            return Ok(version - 1);
        }
        if matches!(self.mode, PollMode::Backfill { .. }) {
            return Ok(i64::MAX - 1);
        }
        // Nothing has changed since: a quiet company. Whatever is older is gone through without a word.
        for days in BACK {
            let earlier = since - DAY * days;
            if let Some(version) = self.client.row_version(self.ctx, endpoint, earlier).await? {
                return Ok(version - 1);
            }
        }
        Ok(0)
    }

    /// A page of the documents that are not done with.
    async fn open(&self, sync: &'static Sync, number: usize, mut at: Checkpoint) -> Result<Page> {
        let own = sync.resources.iter().copied().filter(|resource| self.reads(resource));
        let Some(resource) = own.clone().nth(number) else {
            at.step = Step::Changes;
            return Found::default().page(&at, true);
        };
        let Some(open) = resource.open else {
            at.step = Step::Open(number + 1);
            return Found::default().page(&at, true);
        };
        let mut found = Found::default();
        let listed = self.rows(resource, open.to_owned(), &mut at, &mut found).await;
        let more = match listed {
            Ok(more) => more,
            // It will be told as its own feed's state when something changes in it.
            Err(error) if is_refusal(&error) && own.count() > 1 => {
                tracing::warn!(%error, path = resource.path, "open documents cannot be listed");
                false
            }
            Err(error) => return Err(error),
        };
        if !more {
            (at.step, at.pages) = (Step::Open(number + 1), Pages::default());
        }
        found.page(&at, true)
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
        let read =
            |row: &Object<'_>| Ok((row.id(resource.key)?, row.parsed("Modified", |text| self.instant(text))));
        let listed = self.client.page(self.ctx, call, resource.key, &query, &at.pages, read).await?;
        at.begun = at.begun.or(Some(listed.date.unwrap_or(read_at)));
        let next = self.client.next_page(resource.path, listed.next)?;
        let ids: Vec<String> = listed.rows.iter().map(|row| row.value.0.clone()).collect();
        let signal = |id: &str| Signal::entity(EntityRef::new(resource.kind, id.to_ascii_lowercase()));
        let past = matches!(self.mode, PollMode::Backfill { .. });
        for row in listed.rows {
            let (id, modified) = row.value;
            at.newest_change = at.newest_change.max(modified);
            if resource.lines.is_some() && self.mode != PollMode::Baseline {
                if past || at.is_news(&id, modified) {
                    let hint = Some(if past { Signal::BACKFILL } else { SYNCED }.into());
                    found.signals.push(Signal { hint, ..signal(&id) });
                }
                continue;
            }
            let detail = self.client.decode(resource, row.raw)?;
            found.observations.push(self.books.seen(resource, detail, read_at)?);
        }
        found.signals.extend(listed.unreadable.iter().map(|id| signal(id)));
        at.pages.advance(next, ids)
    }

    /// A page of a list whose changes are found by their time.
    async fn by_time(&self, resource: &'static Resource, mut at: Checkpoint) -> Result<Page> {
        let zone = &self.client.site().zone;
        let filter = match (self.mode, at.window(zone)) {
            (PollMode::Backfill { since: Some(since) }, _) | (PollMode::Live, Some(since)) => {
                format!("Modified ge datetime'{}'", zone.wall_clock(since))
            }
            (PollMode::Baseline, _) => resource.open.unwrap_or(EVERYTHING).to_owned(),
            _ => EVERYTHING.to_owned(),
        };
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
        let ids = listed.rows.into_iter().map(|row| row.value).chain(listed.unreadable);
        let ids: Vec<String> = ids.map(|id| id.to_ascii_lowercase()).collect();
        let signals =
            ids.iter().map(|id| Signal::entity(EntityRef::new(resource.kind, id.as_str()))).collect();
        let more = at.pages.advance(next, &ids)?;
        Found { signals, ..Found::default() }.page(&at, more)
    }
}

/// What is asked for of a row.
fn select(sync: &Sync) -> String {
    match sync.rows {
        Rows::Terms => {
            let of_terms = sync.resources.first().map_or(&[][..], |resource| resource.select);
            [&[sync.select][..], of_terms].concat().join(",")
        }
        _ => format!("Timestamp,{}", sync.select),
    }
}
