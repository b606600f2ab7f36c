//! Tamper evidence, as every store keeps it: which digest a row has, how links follow from each other, and how they are
//! checked. How links are stored is each store's own.
//!
//! A partition's chain begins at its anchor. A link is about a [`Subject`]: an entry, one of its outcomes, or its removal.
//! What is rewritten has several; the last one counts.

use std::{
    fmt::Write,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ml_connector_core::{
    Error, ErrorKind, Result,
    audit::{Break, Broken, ChainHead, ChainKey, KeyedChain, RowDigest, chain_tag},
    model::{Partition, Seq},
};

/// The tag of a link, or the digest of a row.
pub(crate) type Tag = [u8; 32];

/// How many links, or rows, are checked at once.
pub(crate) const PAGE: i64 = 500;

/// How many links are dropped at once at the front of a chain.
pub(crate) const DROPPED_AT_ONCE: i64 = 4096;

/// What an open log knows of its chain.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    is_kept: AtomicBool,
    keyed: RwLock<Option<KeyedChain>>,
}

impl Chain {
    /// Whether the log keeps one.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    pub(crate) fn give(&self, keyed: KeyedChain) {
        *self.keyed.write().unwrap_or_else(PoisonError::into_inner) = Some(keyed);
    }

    pub(crate) fn key(&self) -> Option<ChainKey> {
        self.keyed().map(|keyed| keyed.key)
    }

    /// Whether the chain has to have a key, by what is known from before.
    pub(crate) fn was_keyed(&self) -> bool {
        self.keyed().is_some_and(|keyed| keyed.was_keyed)
    }

    fn keyed(&self) -> Option<KeyedChain> {
        self.keyed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a link is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) seq: i64,
    /// 0 = the entry, n = its nth outcome, [`REMOVAL`].
    pub(crate) nth: i64,
}

/// That an entry was pruned, with its outcomes.
pub(crate) const REMOVAL: i64 = -1;

impl Subject {
    pub(crate) fn removal_of(seq: i64) -> Self {
        Self { seq, nth: REMOVAL }
    }
}

/// A place in a chain, and the link there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) position: i64,
    pub(crate) link: Tag,
}

impl Head {
    /// The next link.
    pub(crate) fn next(&self, key: Option<&ChainKey>, part: u8, subject: Subject, digest: &Tag) -> Self {
        let position = self.position.saturating_add(1);
        let Subject { seq, nth } = subject;
        let parts: [&[u8]; 7] = [
            b"link",
            &self.link,
            &[part],
            &position.to_be_bytes(),
            &seq.to_be_bytes(),
            &nth.to_be_bytes(),
            digest,
        ];
        Self { position, link: chain_tag(key, &parts) }
    }

    pub(crate) fn shown(&self, part: u8) -> ChainHead {
        ChainHead {
            partition: Partition::new(part),
            position: self.position.cast_unsigned(),
            link: hex(&self.link),
        }
    }
}

/// Where a chain begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) part: u8,
    /// The last link that is not kept.
    pub(crate) last: Head,
    /// Entries up to here were there before, and have no links.
    pub(crate) after: i64,
    /// The last link without a key; `None` = no link has one.
    pub(crate) keyed_after: Option<Head>,
}

impl Anchor {
    /// The beginning of a chain that has no links yet.
    pub(crate) fn begin(part: u8, after: i64) -> Self {
        Self { part, last: Head { position: 0, link: [0; 32] }, after, keyed_after: None }
    }

    /// What proves that the log wrote this: with the key, where the chain has one.
    pub(crate) fn proof(&self, key: Option<&ChainKey>) -> Tag {
        let Self { part, last, after, keyed_after } = self;
        let (keyed, link): (i64, &[u8]) =
            keyed_after.as_ref().map_or((-1, &[]), |head| (head.position, &head.link));
        let parts: [&[u8]; 7] = [
            b"anchor",
            &[*part],
            &last.position.to_be_bytes(),
            &last.link,
            &after.to_be_bytes(),
            &keyed.to_be_bytes(),
            link,
        ];
        chain_tag(key.filter(|_| keyed_after.is_some()), &parts)
    }

    /// The key of the link at a place.
    pub(crate) fn key_at<'k>(&self, position: i64, key: Option<&'k ChainKey>) -> Option<&'k ChainKey> {
        key.filter(|_| self.keyed_after.as_ref().is_some_and(|after| position > after.position))
    }

    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the chain has a key, and nobody gave it.
    pub(crate) fn check_key(&self, key: Option<&ChainKey>) -> Result<()> {
        if self.keyed_after.is_some() && key.is_none() {
            return Err(Error::new(ErrorKind::ConfigInvalid, NEEDS_KEY));
        }
        Ok(())
    }
}

pub(crate) const NEEDS_KEY: &str = "the log's chain has a key: open the log with its key ring";

/// # Errors
/// Always: the log keeps no chain.
pub(crate) fn none_kept<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "the log keeps no chain: open it with the option for one"))
}

/// A link as it is stored, and what is found of its subject.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) position: i64,
    pub(crate) subject: Subject,
    pub(crate) digest: Vec<u8>,
    pub(crate) link: Vec<u8>,
    /// Whether a later link is about the same.
    pub(crate) is_superseded: bool,
    /// Whether a later link says that the entry was removed.
    pub(crate) is_removed: bool,
}

impl Stored {
    /// Whether the link does not have to be kept for what is there.
    pub(crate) fn can_go(&self) -> bool {
        self.subject.nth == REMOVAL || self.is_superseded || self.is_removed
    }

    /// The head after this link, if it follows from the one before.
    pub(crate) fn follow(&self, before: &Head, part: u8, key: Option<&ChainKey>) -> Option<Head> {
        let digest: Tag = self.digest.as_slice().try_into().ok()?;
        let next = before.next(key, part, self.subject, &digest);
        (next.position == self.position && next.link == *self.link).then_some(next)
    }
}

/// A check of one partition's chain, link by link.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    anchor: Anchor,
    key: Option<&'a ChainKey>,
    was_keyed: bool,
    head: Head,
    /// Of heads that were kept: those that are still to come.
    kept: Vec<(i64, String)>,
    pub(crate) links: u64,
    pub(crate) broken: Option<Broken>,
}

impl<'a> Check<'a> {
    /// Begins at an anchor, which has to have its proof.
    pub(crate) fn begin(
        anchor: Anchor,
        proof: &[u8],
        chain: (&'a Option<ChainKey>, bool),
        kept: &[ChainHead],
    ) -> Self {
        let (key, was_keyed) = (chain.0.as_ref(), chain.1);
        let part = anchor.part;
        let kept = kept.iter().filter(|head| head.partition.number() == part);
        let kept = kept.map(|head| (i64::try_from(head.position).unwrap_or(i64::MAX), head.link.clone()));
        // What is older than the anchor cannot be compared any more.
        let mut kept: Vec<_> = kept.filter(|(position, _)| *position >= anchor.last.position).collect();
        kept.sort_unstable();
        let mut check =
            Self { head: anchor.last.clone(), anchor, key, was_keyed, kept, links: 0, broken: None };
        check.begins(proof);
        check
    }

    /// The front of the chain may have been dropped meanwhile: it was checked when that was done.
    pub(crate) fn begins_later(&mut self, anchor: Anchor, proof: &[u8]) {
        if anchor.last.position > self.head.position {
            (self.head, self.anchor) = (anchor.last.clone(), anchor);
            self.kept.retain(|(position, _)| *position >= self.head.position);
            self.begins(proof);
        }
    }

    fn begins(&mut self, proof: &[u8]) {
        let lost_key = self.was_keyed && self.anchor.keyed_after.is_none();
        if lost_key || self.anchor.proof(self.key) != *proof {
            self.fails(None, None, Break::Anchor);
        }
        self.compare();
    }

    /// The place of the last link that was checked.
    pub(crate) fn position(&self) -> i64 {
        self.head.position
    }

    /// The next link, with the digest that the row it is about has now.
    pub(crate) fn link(&mut self, stored: &Stored, found: Option<Tag>) {
        if self.broken.is_some() {
            return;
        }
        let subject = stored.subject;
        let key = self.anchor.key_at(self.head.position + 1, self.key);
        let Some(next) = stored.follow(&self.head, self.anchor.part, key) else {
            return self.fails(Some(self.head.position + 1), Some(subject), Break::Link);
        };
        self.head = next;
        self.links += 1;
        self.compare();
        if self
            .anchor
            .keyed_after
            .as_ref()
            .is_some_and(|after| after.position == self.head.position && *after != self.head)
        {
            return self.fails(Some(self.head.position), Some(subject), Break::Link);
        }
        let how = match found {
            Some(_) if subject.nth == REMOVAL || stored.is_removed => Break::Added,
            _ if stored.can_go() => return,
            None => Break::Removed,
            Some(found) if found != *stored.digest => Break::Changed,
            Some(_) => return,
        };
        self.fails(Some(stored.position), Some(subject), how);
    }

    /// No link follows. Heads that were kept and have not been seen are not in the chain.
    pub(crate) fn end(&mut self) {
        if self.anchor.keyed_after.as_ref().is_some_and(|after| after.position > self.head.position) {
            self.fails(Some(self.head.position + 1), None, Break::Link);
        }
        if let Some((position, _)) = self.kept.first() {
            self.fails(Some(*position), None, Break::Kept);
        }
    }

    /// A row that has no link.
    pub(crate) fn unlinked(&mut self, subject: Subject) {
        self.fails(None, Some(subject), Break::Added);
    }

    /// Compares heads that were kept of this place.
    fn compare(&mut self) {
        while self.kept.first().is_some_and(|(position, _)| *position == self.head.position) {
            let (position, link) = self.kept.remove(0);
            if link != hex(&self.head.link) {
                self.fails(Some(position), None, Break::Kept);
            }
        }
    }

    fn fails(&mut self, position: Option<i64>, subject: Option<Subject>, how: Break) {
        let place = |number: i64| number.cast_unsigned();
        self.broken.get_or_insert(Broken {
            partition: Partition::new(self.anchor.part),
            position: position.map(place),
            entry: subject.map(|subject| Seq(place(subject.seq))),
            outcome: subject.map(|subject| subject.nth).filter(|nth| *nth > 0).map(place),
            how,
        });
    }
}

/// All of a chain is gone, although the log has to have one.
pub(crate) fn all_gone() -> Broken {
    let partition = Partition::new(0);
    Broken { partition, position: None, entry: None, outcome: None, how: Break::Anchor }
}

/// The columns of an entry that have a digest, in this order.
pub(crate) const ENTRY: &str = "seq, part, kind, connection, parent, at, entity_kind, entity_id, number, name, amount, \
                                currency, destination, dedupe, trace, body";

/// The columns of an outcome that have a digest, in this order.
pub(crate) const OUTCOME: &str =
    "seq, at, what, attempt, due, uncertain, reason, receipt, actor, replay, note, trace";

/// An entry's columns, in the order of [`ENTRY`].
#[derive(Debug, Default)]
pub(crate) struct EntryRow<'a> {
    pub(crate) seq: i64,
    pub(crate) part: i64,
    pub(crate) kind: i64,
    pub(crate) connection: &'a str,
    pub(crate) parent: Option<i64>,
    pub(crate) at: i64,
    pub(crate) entity_kind: Option<&'a str>,
    pub(crate) entity_id: Option<&'a str>,
    pub(crate) number: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) amount: Option<&'a [u8]>,
    pub(crate) currency: Option<&'a str>,
    pub(crate) destination: Option<&'a str>,
    pub(crate) dedupe: Option<&'a str>,
    pub(crate) trace: Option<&'a [u8]>,
    pub(crate) body: Option<&'a [u8]>,
}

impl EntryRow<'_> {
    pub(crate) fn digest(&self) -> Tag {
        RowDigest::of("entry")
            .int(Some(self.seq))
            .int(Some(self.part))
            .int(Some(self.kind))
            .text(Some(self.connection))
            .int(self.parent)
            .int(Some(self.at))
            .text(self.entity_kind)
            .text(self.entity_id)
            .text(self.number)
            .text(self.name)
            .bytes(self.amount)
            .text(self.currency)
            .text(self.destination)
            .text(self.dedupe)
            .bytes(self.trace)
            .bytes(self.body)
            .finish()
    }
}

/// An outcome's columns, in the order of [`OUTCOME`].
#[derive(Debug, Default)]
pub(crate) struct OutcomeRow<'a> {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) what: i64,
    pub(crate) attempt: Option<i64>,
    pub(crate) due: Option<i64>,
    pub(crate) uncertain: Option<i64>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) receipt: Option<&'a str>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) replay: Option<i64>,
    pub(crate) note: Option<&'a [u8]>,
    pub(crate) trace: Option<&'a [u8]>,
}

impl OutcomeRow<'_> {
    pub(crate) fn digest(&self) -> Tag {
        RowDigest::of("outcome")
            .int(Some(self.seq))
            .int(Some(self.at))
            .int(Some(self.what))
            .int(self.attempt)
            .int(self.due)
            .int(self.uncertain)
            .text(self.reason)
            .text(self.receipt)
            .text(self.actor)
            .int(self.replay)
            .bytes(self.note)
            .bytes(self.trace)
            .finish()
    }
}

fn hex(tag: &Tag) -> String {
    tag.iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
