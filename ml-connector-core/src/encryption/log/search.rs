//! Searching in what is encrypted.

use super::{EncryptedLog, fields::FieldCipher};
use crate::{
    Error, ErrorKind, Result,
    audit::{Entry, Query},
};

/// By how much a sealed body is longer than what is in it, at most.
const OVERHEAD: usize = 96;

/// How many entries are read at once where each has to be opened to be compared.
const PAGE: usize = 256;

impl EncryptedLog {
    pub(super) async fn search(&self, query: &Query) -> Result<Vec<Entry>> {
        self.check(query)?;
        let mut fits = query.budget();
        let mut found = self.matching(query).await?;
        let within = found.iter().take_while(|entry| fits(entry)).count();
        found.truncate(within);
        Ok(found)
    }

    /// Without a look at the size of bodies.
    async fn matching(&self, query: &Query) -> Result<Vec<Entry>> {
        let Some(wanted) = query.error.clone() else { return self.page(query).await };
        let limit = query.effective_limit();
        let mut found = Vec::new();
        let mut rest = Query { error: None, limit: PAGE, max_bytes: None, ..query.clone() };
        loop {
            let page = self.page(&rest).await?;
            let is_last = page.len() < PAGE;
            rest.after = page.last().map(|entry| entry.seq).or(rest.after);
            found.extend(page.into_iter().filter(|entry| entry.has_error(&wanted)));
            if is_last || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    pub(super) async fn number_of(&self, query: &Query, cap: usize) -> Result<usize> {
        self.check(query)?;
        if query.error.is_some() {
            let query = Query { limit: cap.max(1), bodies: false, ..query.clone() };
            return Ok(self.search(&query).await?.len().min(cap));
        }
        let mut counted = 0;
        for concealed in self.as_stored(query)? {
            counted += self.inner.count(&concealed, cap).await?;
        }
        Ok(counted.min(cap))
    }

    /// Without a look at the reasons.
    async fn page(&self, query: &Query) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let queries = self.as_stored(query)?;
        let is_one = queries.len() == 1;
        for concealed in queries {
            found.extend(self.inner.query(&concealed).await?);
        }
        if !is_one {
            found.sort_unstable_by_key(|entry| entry.seq);
            found.dedup_by_key(|entry| entry.seq);
            if query.newest_first {
                found.reverse();
            }
            found.truncate(query.effective_limit());
        }
        found.into_iter().map(|entry| self.opened(entry, query.bodies)).collect()
    }

    fn opened(&self, mut entry: Entry, bodies: bool) -> Result<Entry> {
        if !bodies {
            // Not opened in vain. The trace is: it may hold the amount.
            entry.body = None;
            entry.outcomes.iter_mut().for_each(|recorded| recorded.trace = None);
        }
        let mut entry = self.fields.open_entry(entry, self.takes_clear())?;
        if !bodies {
            entry.trace = None;
        }
        Ok(entry)
    }

    fn check(&self, query: &Query) -> Result<()> {
        let by_amount = query.amount_from.is_some() || query.amount_to.is_some() || query.currency.is_some();
        let unsupported =
            |message| Err(Error::new(ErrorKind::Unsupported, message).with_operation("encrypted_log.query"));
        if by_amount && !self.fields.clear_amounts {
            return unsupported("amounts are encrypted: search by something else, or leave them clear");
        }
        if query.receipt_prefix.is_some() {
            return unsupported("receipts are encrypted: search by a whole one");
        }
        Ok(())
    }

    /// The query in the words of the storage. There are several while some of it is in clear: an entry is found under one
    /// form of its index, and its receipt under either.
    fn as_stored(&self, query: &Query) -> Result<Vec<Query>> {
        // Amounts stand before the traces.
        let bodies = query.bodies || !self.fields.clear_amounts;
        // Sealed bodies are longer: what fits is looked at when they are opened.
        let longer = OVERHEAD.saturating_mul(query.effective_limit());
        let max_bytes = query.max_bytes.filter(|_| query.bodies).map(|most| most.saturating_add(longer));
        let query = Query { bodies, max_bytes, ..query.clone() };
        let mut queries = vec![concealed_index(&self.fields, &query)?];
        if self.takes_clear() && queries[0] != query {
            queries.push(query.clone());
        }
        if let Some(receipt) = &query.receipt {
            let concealed = self.fields.receipt(receipt)?;
            let with_receipt = |query: &Query| Query { receipt: Some(concealed.clone()), ..query.clone() };
            let mut with: Vec<Query> = queries.iter().map(with_receipt).collect();
            if self.takes_clear() {
                with.extend(queries);
            }
            return Ok(with);
        }
        Ok(queries)
    }
}

fn concealed_index(fields: &FieldCipher, query: &Query) -> Result<Query> {
    Ok(Query {
        entity: query.entity.as_ref().map(|entity| fields.index.entity(entity)).transpose()?,
        number: query.number.as_deref().map(|number| fields.number(number)).transpose()?,
        destination: query.destination.as_deref().map(|to| fields.destination(to)).transpose()?,
        ..query.clone()
    })
}
