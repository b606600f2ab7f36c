//! Lists with row versions: they name documents, which are then read. A row version is a checkpoint and no order.

use std::collections::{BTreeMap, BTreeSet};

use ml_connector_core::{
    ErrorKind, Result, Timestamp,
    decode::{Object, apart},
    http::Pages,
    model::{DeletionProof, EntityRef, Observation, Observed, Page, PollMode, Signal},
};

use super::{
    checkpoint::{Checkpoint, Step},
    poll::{Found, Listing},
    read::{SYNCED, UNREADABLE},
    terms::Paid,
};
use crate::{
    client::{Query, is_refusal, rows::Rows},
    models::{
        Resource, Settlement, at_the_latest,
        feed::{FeedRows, Sync, of_deleted, of_ledger},
        instant, integer, is_guid, part_of, settlement, side,
    },
};

/// What is changed while a baseline is read is news. Servers of one vendor may differ by so much.
const CLOCKS_DIFFER: std::time::Duration = std::time::Duration::from_secs(60);
/// How far back a start is looked for, in days, where nothing was changed since.
const BACK: [u32; 2] = [7, 366];
/// How much longer than a run the company's own time of a change may be behind.
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A row of a list with row versions.
struct Change {
    version: i64,
    document: String,
    resource: Option<&'static Resource>,
    /// At the latest.
    modified: Option<Timestamp>,
    settled: Settlement,
    /// Of a term that does not say what kind of entry it comes from: the entry.
    entry: Option<String>,
}

impl Listing<'_> {
    /// A page of a list with row versions.
    pub(super) async fn synced(
        &self,
        sync: &'static Sync,
        resource: Option<&'static Resource>,
        mut at: Checkpoint,
    ) -> Result<Page> {
        let of_documents = matches!(sync.rows, FeedRows::Documents | FeedRows::Ledger);
        if at.step == Step::Start && of_documents && matches!(self.mode, PollMode::Backfill { .. }) {
            at.step = Step::Documents(0);
        }
        if at.step == Step::Start {
            match self.start(sync, &at).await {
                Ok(seen) => at.seen = seen,
                // Without the scope Organization administration nobody says where to begin: all rows are gone through.
                Err(error) if is_refusal(&error) && error.kind() == ErrorKind::PermissionDenied => {
                    tracing::info!(%error, feed = sync.name, "nobody says where to begin: all rows are gone through");
                }
                // Not every package has the list; then changes are looked for by their time.
                Err(error) if is_refusal(&error) && resource.is_some() => {
                    tracing::info!(%error, feed = sync.name, "the list with row versions is not there");
                    at.by_time = true;
                    return Found::default().page(&at, true);
                }
                Err(error) => return Err(error),
            }
            let opens = self.mode == PollMode::Baseline && of_documents;
            at.step = if opens { Step::Documents(0) } else { Step::Changes };
        }
        if let Step::Documents(number) = at.step {
            return self.documents(sync, number, at).await;
        }
        let top = self.books.narrowed.rows(sync.name);
        let query = Query {
            filter: format!("Timestamp gt {}L", at.seen),
            select: select(sync),
            // A part of a list in no order would say nothing about the rest.
            order: top.map(|_| "Timestamp"),
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
        if self.may_have_moved(&at, &listed) {
            self.books.division.forget("");
            self.begin(&mut at).await?;
            if at.step == Step::Start {
                return Found::default().page(&at, true);
            }
        }
        at.count(&versions);
        let full = top.is_some_and(|top| versions.len() >= usize::try_from(top).unwrap_or(usize::MAX));
        let next = self.client.next_page(sync.path, listed.next.clone())?;
        // Asked for less, a list ends without saying so; its rows then have to be in order to go on behind them.
        let ends_early = full && next.is_none();
        if ends_early && at.shuffled {
            self.books.narrowed.widen(sync.name);
            at.pages = Pages::default();
            return Found::default().page(&at, true);
        }
        let news_since = match self.mode {
            // Of terms all are remembered that are paid: what is matched later is not paid again.
            PollMode::Baseline if sync.rows == FeedRows::Terms => None,
            PollMode::Baseline => at.begun.map(|begun| begun - CLOCKS_DIFFER),
            _ => at.news_since,
        };
        let found = self.found(sync, listed, (read_at, news_since)).await?;
        if ends_early {
            (at.seen, at.pages) = (at.newest, Pages::default());
            return found.page(&at, true);
        }
        let ids: Vec<String> = versions.iter().map(i64::to_string).collect();
        let more = at.pages.advance(next, ids)?;
        if !more {
            at.finish();
        }
        found.page(&at, more)
    }

    /// Whether the first page of a run shows what was changed long before the run before: then row versions may have begun
    /// anew since the company was looked at last.
    fn may_have_moved(&self, at: &Checkpoint, listed: &Rows<Change>) -> bool {
        let is_old = |modified: Option<Timestamp>| {
            at.before.zip(modified).is_some_and(|(before, modified)| modified + DAY < before)
        };
        self.mode == PollMode::Live
            && at.news_since.is_none()
            && at.pages == Pages::default()
            && listed.rows.iter().any(|row| is_old(row.value.modified))
    }

    fn change(&self, sync: &Sync, row: &Object<'_>) -> Result<Change> {
        let (kind, zone) = (|name| integer(row, name), &self.client.site().zone);
        let resource = match sync.rows {
            FeedRows::Documents => sync.resources.first().copied(),
            FeedRows::Ledger => kind("Type").and_then(of_ledger),
            FeedRows::Terms => side(row),
            FeedRows::Deleted => kind("EntityType").and_then(of_deleted),
        };
        // Costs are listed with hours.
        let is_cost = sync.name != "cost_transactions" || kind("Type").is_none_or(|kind| kind == 2);
        Ok(Change {
            version: kind("Timestamp").unwrap_or_default(),
            document: row.id(sync.document)?.to_ascii_lowercase(),
            resource: resource.filter(|_| is_cost).and_then(|resource| self.own(resource)),
            modified: instant(row, "Modified", zone).map(|at| at_the_latest(at, zone)),
            settled: settlement(row),
            entry: row.some_text("TransactionEntryID").filter(|id| {
                sync.rows == FeedRows::Terms && kind("TransactionType").is_none() && is_guid(id)
            }),
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

    /// What the rows of a page lead to: one signal for a document, however many of its rows there are.
    async fn found(
        &self,
        sync: &Sync,
        listed: Rows<Change>,
        (read_at, news_since): (Timestamp, Option<Timestamp>),
    ) -> Result<Found> {
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
        let mut paid = Vec::new();
        for row in listed.rows {
            let Change { document, resource, modified, settled, entry, .. } = row.value;
            let Some(resource) = resource else { continue };
            let since = match self.mode {
                PollMode::Backfill { since } => since,
                _ => news_since,
            };
            let is_old = modified.zip(since).is_some_and(|(modified, since)| modified < since);
            // A baseline tells nothing that was there before it: what is not open is known from its next change on.
            let is_undated = self.mode == PollMode::Baseline && since.is_some() && modified.is_none();
            if is_old || is_undated {
                continue;
            }
            match sync.rows {
                FeedRows::Terms if settled == Settlement::Paid => {
                    if !self.books.is_of_a_bank(self.ctx, &self.client, entry.as_deref()).await? {
                        paid.push(Paid { resource, detail: self.client.decode(resource, row.raw)? });
                    }
                }
                FeedRows::Terms => {
                    let entity = EntityRef::new(resource.kind, document.as_str());
                    if settled == Settlement::Open && self.books.is_known(self.ctx, &entity).await? {
                        let detail = self.client.decode(resource, row.raw)?;
                        found.observations.push(self.books.seen(resource, detail, read_at)?);
                    }
                }
                FeedRows::Deleted => {
                    let entity = EntityRef::new(resource.kind, document.as_str());
                    if self.mode == PollMode::Live && self.books.is_known(self.ctx, &entity).await? {
                        let state = Observed::Gone(DeletionProof::DeletionFeed);
                        found.observations.push(Observation { entity, read_at, state });
                    }
                }
                FeedRows::Documents | FeedRows::Ledger => _ = documents.insert(document, resource),
            }
        }
        // A baseline tells nothing, and the past is told as it stands.
        let split = match self.mode {
            PollMode::Live => self.books.split(self.ctx, &self.client, &paid).await?,
            _ => BTreeSet::new(),
        };
        for Paid { resource, detail } in paid {
            if part_of(&detail.raw).is_none_or(|document| !split.contains(&document)) {
                found.observations.push(self.books.seen(resource, detail, read_at)?);
            }
        }
        found.signals.extend(documents.iter().map(|(id, resource)| signal(resource, id)));
        // A baseline has the documents' own lists besides, but for terms; and who deletes is told by what is missing then: such a
        // row is seen in the log only.
        let elsewhere = self.mode == PollMode::Baseline && sync.rows != FeedRows::Terms;
        if elsewhere || sync.rows == FeedRows::Deleted {
            found.lost = listed.unreadable;
            return Ok(found);
        }
        // Of a row of the ledger or of a term nobody can tell then what it belongs to: each kind is looked at once.
        let own = sync.resources.iter().copied().filter(|resource| self.reads(resource));
        let (unreadable, lost) = apart(listed.unreadable);
        found.lost = lost;
        for id in unreadable {
            let unreadable = |resource: &Resource| Signal {
                hint: Some(UNREADABLE.into()),
                ..signal(resource, &id.to_ascii_lowercase())
            };
            found.signals.extend(own.clone().map(unreadable));
        }
        Ok(found)
    }

    /// The row version behind which a run begins.
    async fn start(&self, sync: &Sync, at: &Checkpoint) -> Result<i64> {
        let Some(endpoint) = sync.endpoint else { return Ok(0) };
        // The company was moved: nobody knows which of the new versions are low, so all rows are looked through.
        if at.news_since.is_some() {
            return Ok(0);
        }
        let since = self.ctx.now();
        // The first row that is named is the first that counts, so the run begins before it.
        if let Some(version) = self.client.row_version(self.ctx, endpoint, since).await? {
            return Ok(version - 1);
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
}

/// What is asked for of a row.
fn select(sync: &Sync) -> String {
    match sync.rows {
        FeedRows::Terms => {
            let of_terms = sync.resources.first().map_or(&[][..], |resource| resource.select);
            [&[sync.select][..], of_terms].concat().join(",")
        }
        _ => format!("Timestamp,{}", sync.select),
    }
}
