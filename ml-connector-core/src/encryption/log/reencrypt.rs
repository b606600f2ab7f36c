//! Encrypting anew what is there already.

use super::{
    EncryptedLog,
    fields::resealed,
    index::{is_filed, is_named},
    marker::{KeyProgress, Marker},
};
use crate::{
    Result,
    audit::{DocKey, DocumentRewrite, Rename, StoredDocument, StoredEntry, sealed},
    model::Seq,
};

/// How far a re-encryption has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reencrypted {
    /// How many entries were looked at, since it began.
    pub entries: u64,
    /// How many documents were looked at.
    pub documents: u64,
    /// Whether everything is encrypted with the active key: older ones are not needed any more.
    pub is_done: bool,
}

impl EncryptedLog {
    /// Encrypts the next entries or documents with the active key, `limit` at most: what is in clear, and what an older
    /// key encrypted. Call it until it says that it is done; whoever stops goes on where it was, also after a restart. The
    /// connector may run meanwhile, on this host and on others, as soon as all of them have the new key.
    ///
    /// It begins anew for every key that becomes active.
    ///
    /// ```
    /// # use ml_connector_core::{audit::MemoryLog, encryption::{EncryptLog, Key, KeyRing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let log = MemoryLog::new().encrypting(KeyRing::new(Key::generate("2026-11")?)).await?;
    /// loop {
    ///     let so_far = log.reencrypt(500).await?;
    ///     println!("{} entries, {} documents", so_far.entries, so_far.documents);
    ///     if so_far.is_done {
    ///         break;
    ///     }
    /// }
    /// # Ok::<_, ml_connector_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when storage does not answer; those of
    /// [`KeyRing::open`](crate::encryption::KeyRing::open), with the number of the entry.
    pub async fn reencrypt(&self, limit: usize) -> Result<Reencrypted> {
        let ring = &self.fields.ring;
        let key = ring.active();
        let marker = Marker::change(&*self.inner, ring, |_| {}).await?;
        let mut progress = match marker.progress {
            Some(progress) if *progress.key == *key.as_str() => progress,
            _ => KeyProgress {
                key: key.as_str().into(),
                entry: Some(Seq(0)),
                document: None,
                entries: 0,
                documents: 0,
            },
        };
        let is_done = match progress.entry {
            Some(after) => {
                let last = self.reencrypt_entries(after, limit, &mut progress.entries).await?;
                progress.entry = last;
                false
            }
            None => {
                let after = progress.document.as_deref().map(DocKey::from_stored);
                let last = self.reencrypt_documents(after.as_ref(), limit, &mut progress.documents).await?;
                let is_done = last.is_none();
                progress.document = last.map(|key| key.as_str().into()).or(progress.document);
                is_done
            }
        };
        let so_far = Reencrypted { entries: progress.entries, documents: progress.documents, is_done };
        let change = |marker: &mut Marker| {
            marker.progress = (!is_done).then(|| progress.clone());
            marker.clear_left &= !is_done;
        };
        Marker::change(&*self.inner, ring, change).await?;
        if is_done {
            self.all_is_encrypted();
        }
        Ok(so_far)
    }

    /// Returns the last one; `None` = there are no more.
    async fn reencrypt_entries(&self, after: Seq, limit: usize, count: &mut u64) -> Result<Option<Seq>> {
        let page = self.inner.stored_entries(after, limit).await?;
        let Some(last) = page.last().map(|stored| stored.entry.seq) else { return Ok(None) };
        *count += page.len() as u64;
        let (mut names, mut rewrites) = (Vec::new(), Vec::new());
        for StoredEntry { entry, dedupe } in page {
            if let Some(from) = dedupe.filter(|key| !is_named(key)) {
                let to = self.fields.index.dedupe(&from);
                names.push(Rename::Dedupe { from, to });
            }
            if self.fields.is_current(&entry) {
                continue;
            }
            let plain = self.fields.open_entry(entry, self.takes_clear())?;
            rewrites.push(resealed(&self.fields, plain)?);
        }
        if !names.is_empty() {
            self.inner.rename(names).await?;
        }
        if !rewrites.is_empty() {
            self.inner.rewrite(rewrites, Vec::new()).await?;
        }
        Ok(Some(last))
    }

    /// Returns the last one; `None` = there are no more.
    async fn reencrypt_documents(
        &self,
        after: Option<&DocKey>,
        limit: usize,
        count: &mut u64,
    ) -> Result<Option<DocKey>> {
        let page = self.inner.stored_documents(after, limit).await?;
        let Some(last) = page.last().map(|stored| stored.key.clone()) else { return Ok(None) };
        *count += page.len() as u64;
        let marker = sealed::marker_key();
        let (mut names, mut rewrites) = (Vec::new(), Vec::new());
        for StoredDocument { key: from, version, bytes } in
            page.into_iter().filter(|stored| stored.key != marker)
        {
            let key = if is_filed(&from) { from.clone() } else { self.fields.index.document(&from) };
            if key != from {
                names.push(Rename::Document { from, to: key.clone() });
            }
            let Some(bytes) = bytes.filter(|bytes| !self.fields.ring.is_current(bytes)) else { continue };
            let plain = self.fields.open_document(&key, bytes, self.takes_clear())?;
            let bytes = self.fields.seal_document(&key, &plain)?;
            rewrites.push(DocumentRewrite { key, version, bytes });
        }
        if !names.is_empty() {
            self.inner.rename(names).await?;
        }
        if !rewrites.is_empty() {
            self.inner.rewrite(Vec::new(), rewrites).await?;
        }
        Ok(Some(last))
    }
}
