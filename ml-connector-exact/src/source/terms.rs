//! Payment terms that are paid: which of them are news.
//!
//! A payment that is matched in parts afterwards splits its term: another row appears, which is paid as well, and the first
//! one gets a lower amount. No money has moved. Together the rows of the document then show as much as was told.

use std::collections::{BTreeMap, BTreeSet};

use ml_connector_core::{
    Context, Result,
    model::{Decimal, EntityRef, Status},
};

use crate::{
    ExactOnline,
    client::{Detail, ExactClient, is_refusal},
    models::{BANK_ENTRIES, CASH_ENTRIES, Resource, part_of},
};

/// A term that is paid.
pub(super) struct Paid {
    pub(super) resource: &'static Resource,
    pub(super) detail: Detail,
}

impl ExactOnline {
    /// The documents whose terms show no more money than was told already, of those to which these paid terms belong. Exact
    /// Online is asked only where a document has several terms, and about many documents at a time.
    ///
    /// # Errors
    /// As the list call's. Where that is refused there are none: what is told twice is better than what is not told.
    pub(super) async fn split(
        &self,
        ctx: &Context,
        client: &ExactClient,
        paid: &[Paid],
    ) -> Result<BTreeSet<String>> {
        let mut asked: BTreeMap<&'static str, (&'static Resource, BTreeMap<String, Vec<&Detail>>)> =
            BTreeMap::new();
        for Paid { resource, detail: term } in paid {
            if let Some(document) = part_of(&term.raw)
                && self.told(ctx, &term.record.entity()).await? != amount(term)
            {
                let (_, documents) = asked.entry(resource.path).or_insert((resource, BTreeMap::new()));
                documents.entry(document).or_default().push(term);
            }
        }
        let mut split = BTreeSet::new();
        for (resource, documents) in asked.into_values() {
            let listed = match client.terms_of(ctx, resource, documents.keys()).await {
                Err(error) if is_refusal(&error) => continue,
                listed => listed?,
            };
            for (document, seen) in documents {
                let terms = listed.get(&document).map_or(&[][..], Vec::as_slice);
                if self.is_told(ctx, terms, &seen).await? {
                    split.insert(document);
                }
            }
        }
        Ok(split)
    }

    /// Whether the terms of a document that are paid now show exactly what was told of those among them that were told. A
    /// list that does not show the terms that were `seen` is behind, and says nothing.
    async fn is_told(&self, ctx: &Context, terms: &[Detail], seen: &[&Detail]) -> Result<bool> {
        let paid = || terms.iter().filter(|term| term.record.status == Status::Paid);
        let shows = |one: &&Detail| {
            paid().any(|term| term.record.id == one.record.id && term.record.total == one.record.total)
        };
        if !seen.iter().all(shows) {
            return Ok(false);
        }
        let (mut now, mut told) = (Decimal::ZERO, Decimal::ZERO);
        for term in paid() {
            let Some(amount) = amount(term) else { return Ok(false) };
            now += amount;
            told += self.told(ctx, &term.record.entity()).await?.unwrap_or_default();
        }
        Ok(!told.is_zero() && now == told)
    }

    /// The amount with which a term was told as paid.
    async fn told(&self, ctx: &Context, entity: &EntityRef) -> Result<Option<Decimal>> {
        let known = ctx.known(&self.source.connection, entity).await?;
        let facts = known.filter(|known| known.revision.is_some()).and_then(|known| known.facts);
        let paid = facts.filter(|facts| facts.status == Status::Paid);
        Ok(paid.and_then(|facts| facts.total).map(|total| total.amount))
    }

    /// Whether a term comes from an entry of a bank or a cash box, which tells it already.
    pub(super) async fn is_of_a_bank(
        &self,
        ctx: &Context,
        client: &ExactClient,
        entry: Option<&str>,
    ) -> Result<bool> {
        let Some(entry) = entry else { return Ok(false) };
        let entry = entry.to_ascii_lowercase();
        for resource in [&BANK_ENTRIES, &CASH_ENTRIES] {
            if self.is_known(ctx, &EntityRef::new(resource.kind, entry.as_str())).await? {
                return Ok(true);
            }
        }
        for resource in [&BANK_ENTRIES, &CASH_ENTRIES] {
            match client.shows(ctx, resource, &entry).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Whether a record was seen and is not gone.
    pub(super) async fn is_known(&self, ctx: &Context, entity: &EntityRef) -> Result<bool> {
        let known = ctx.known(&self.source.connection, entity).await?;
        Ok(known.is_some_and(|known| known.revision.is_some()))
    }
}

fn amount(term: &Detail) -> Option<Decimal> {
    term.record.total.map(|total| total.amount)
}
