//! The entries that an act changes: those of its selection that were there when it was written down. What came later is not
//! meant, however late the act is gone on with.

use serde::{Deserialize, Serialize};

use crate::{
    Connector, Result,
    audit::{Committed, DocKey, Entry, EntryKind, Outcome, Query, Settlement, Transaction},
    engine::{documents::JsonDocument, writes},
    model::Seq,
};

/// How many entries are settled at once.
const PAGE: usize = 200;

/// How far an act is: kept in the log until it has ended, so that it goes on where it was, on any host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ActState {
    /// The last entry of the selection that was looked at.
    after: Option<Seq>,
    looked_at: usize,
    changed: usize,
    is_over: bool,
}

impl JsonDocument for ActState {
    const NAME: &'static str = "state of an act";
}

pub(super) fn state_key(act: Seq) -> DocKey {
    DocKey::new("act", &"all".into(), &act.to_string())
}

/// Some of the entries of a selection.
pub(super) struct Selected {
    pub(super) entries: Vec<Entry>,
    /// Whether nothing follows.
    pub(super) is_last: bool,
}

impl Connector {
    /// The entries of a selection after one of them, without those that are younger than the act.
    pub(super) async fn selected(
        &self,
        act: Option<Seq>,
        selection: &Query,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Selected> {
        if limit == 0 {
            return Ok(Selected { entries: Vec::new(), is_last: true });
        }
        // A page that is short has nothing behind it: bytes are no bound here.
        let mut query =
            Query { limit, after: after.or(selection.after), max_bytes: None, ..selection.clone() };
        if selection.newest_first
            && let Some(act) = act
        {
            query.after = Some(query.after.map_or(act, |after| after.min(act)));
        }
        let mut entries = self.search(&query).await?;
        let found = entries.len();
        entries.retain(|entry| act.is_none_or(|act| entry.seq < act));
        Ok(Selected { is_last: found < limit || entries.len() < found, entries })
    }

    /// Adds an outcome to every entry of an act's selection that it fits. Returns how many those are.
    pub(super) async fn settle_all(&self, act: Seq, selection: &Query, outcome: &Outcome) -> Result<usize> {
        let selection = Query { bodies: false, ..selection.clone() };
        loop {
            let known = self.shared.load::<ActState>(state_key(act)).await?;
            let mut state = known.value.clone().unwrap_or_default();
            if known.value.is_none() && writes::is_settled(&self.shared, act).await? {
                // Another host went on with it, and has ended it.
                return Ok(0);
            }
            if state.is_over {
                return Ok(state.changed);
            }
            let left = selection.effective_limit().saturating_sub(state.looked_at);
            let page = self.selected(Some(act), &selection, state.after, PAGE.min(left)).await?;
            let settle = settlements(&page.entries, outcome);
            state.looked_at += page.entries.len();
            state.changed += settle.len();
            state.is_over = page.is_last || page.entries.len() == left;
            state.after = page.entries.last().map(|last| last.seq).or(state.after);
            let documents = vec![known.replace(&state)?];
            let transaction = Transaction { settle, documents, ..Transaction::default() };
            // Stale: another host goes on with it as well.
            if matches!(writes::commit(&self.shared, transaction).await?, Committed::Applied(_))
                && state.is_over
            {
                return Ok(state.changed);
            }
        }
    }

    /// Adds an outcome to every entry of a selection that it fits, and that is older than the act. Returns how many those
    /// are. To be done again from the beginning if it does not end.
    pub(super) async fn settle_each(
        &self,
        act: Option<Seq>,
        selection: &Query,
        outcome: &Outcome,
    ) -> Result<usize> {
        let (mut after, mut changed) = (None, 0);
        loop {
            let page = self.selected(act, selection, after, PAGE).await?;
            let settle = settlements(&page.entries, outcome);
            changed += settle.len();
            writes::append(&self.shared, Transaction { settle, ..Transaction::default() }).await?;
            after = page.entries.last().map(|last| last.seq).or(after);
            if page.is_last {
                return Ok(changed);
            }
        }
    }
}

fn settlements(entries: &[Entry], outcome: &Outcome) -> Vec<Settlement> {
    let fits = |entry: &&Entry| entry.kind != EntryKind::Act && outcome.fits(entry.state, entry.acknowledged);
    entries.iter().filter(fits).map(|entry| Settlement::new(entry.seq, outcome.clone())).collect()
}
