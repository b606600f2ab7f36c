//! Replacing the stored form of what is there.

use async_trait::async_trait;

use super::{MemoryLog, state::Tables};
use crate::{
    Result,
    audit::{
        DocKey, DocumentRewrite, Entry, EntryRewrite, KeyedChain, Outcome, Rename, RewriteLog,
        StoredDocument, StoredEntry,
    },
    model::Seq,
};

#[async_trait]
impl RewriteLog for MemoryLog {
    async fn stored_entries(&self, after: Seq, limit: usize) -> Result<Vec<StoredEntry>> {
        Ok(self.state().stored_entries(after, limit))
    }

    async fn stored_documents(&self, after: Option<&DocKey>, limit: usize) -> Result<Vec<StoredDocument>> {
        Ok(self.state().stored_documents(after, limit))
    }

    async fn rename(&self, names: Vec<Rename>) -> Result<()> {
        let mut state = self.state();
        names.into_iter().for_each(|name| state.rename(name));
        Ok(())
    }

    async fn rewrite(&self, entries: Vec<EntryRewrite>, documents: Vec<DocumentRewrite>) -> Result<()> {
        let mut state = self.state();
        entries.into_iter().for_each(|entry| state.rewrite_entry(entry));
        documents.into_iter().for_each(|document| state.rewrite_document(document));
        Ok(())
    }

    /// Who can change this log can change the program.
    async fn key_chain(&self, _keyed: KeyedChain) -> Result<bool> {
        Ok(false)
    }
}

impl Tables {
    fn stored_entries(&self, after: Seq, limit: usize) -> Vec<StoredEntry> {
        let rows = self.entries.range(Seq(after.0.saturating_add(1))..).take(limit);
        rows.map(|(_, row)| StoredEntry { entry: row.entry.clone(), dedupe: row.dedupe.clone() }).collect()
    }

    fn stored_documents(&self, after: Option<&DocKey>, limit: usize) -> Vec<StoredDocument> {
        let mut rows: Vec<_> =
            self.documents.iter().filter(|(key, _)| after.is_none_or(|after| *key > after)).collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        let stored = |(key, (version, bytes)): (&DocKey, &(u64, Option<bytes::Bytes>))| StoredDocument {
            key: key.clone(),
            version: *version,
            bytes: bytes.clone(),
        };
        rows.into_iter().take(limit).map(stored).collect()
    }

    fn rename(&mut self, name: Rename) {
        match name {
            Rename::Document { from, to } if !self.documents.contains_key(&to) => {
                if let Some(slot) = self.documents.remove(&from) {
                    self.documents.insert(to, slot);
                }
            }
            Rename::Dedupe { from, to } if !self.dedupe.contains_key(&to) => {
                if let Some(seq) = self.dedupe.remove(&from) {
                    if let Some(row) = self.entries.get_mut(&seq) {
                        row.dedupe = Some(to.clone());
                    }
                    self.dedupe.insert(to, seq);
                }
            }
            Rename::Document { .. } | Rename::Dedupe { .. } => {}
        }
    }

    fn rewrite_entry(&mut self, rewrite: EntryRewrite) {
        let EntryRewrite { seq, index, body, trace, outcomes } = rewrite;
        let Some(row) = self.entries.get_mut(&seq) else { return };
        let before = row.entry.receipt().map(str::to_owned);
        row.entry = Entry { index, body, trace, ..row.entry.clone() };
        for (place, outcome) in row.entry.outcomes.iter_mut().zip(outcomes) {
            place.outcome = outcome.outcome;
            place.trace = outcome.trace;
        }
        if let Some(receipt) = before
            && let Some(seqs) = self.receipts.get_mut(&*receipt)
        {
            seqs.remove(&seq);
        }
        for recorded in &row.entry.outcomes {
            if let Outcome::Done { receipt: Some(receipt) } = &recorded.outcome {
                self.receipts.entry(receipt.clone()).or_default().insert(seq);
            }
        }
    }

    fn rewrite_document(&mut self, rewrite: DocumentRewrite) {
        if let Some((version, bytes)) = self.documents.get_mut(&rewrite.key)
            && *version == rewrite.version
            && bytes.is_some()
        {
            *bytes = Some(rewrite.bytes);
        }
    }
}
