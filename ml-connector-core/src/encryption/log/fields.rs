//! What of an entry is sealed, and how it is opened again.

use std::{fmt::Write, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::{
    super::{Binding, KeyRing},
    index::{IndexKey, entity_column},
};
use crate::{
    Error, ErrorKind, Money, Result,
    audit::{DocKey, Entry, EntryKind, EntryRewrite, Index, NewEntry, Outcome, Recorded, Settlement, sealed},
    model::{EntityRef, Seq},
};

/// Begins a text that holds sealed bytes: why an entry was dead from the start, and everything else.
const DEAD_TEXT: &str = "mld1:";
const TEXT: &str = "mlc1:";

const HAS_TRACE: u8 = 1;
const HAS_AMOUNT: u8 = 2;

/// Seals and opens the fields of one log.
pub(super) struct FieldCipher {
    pub(super) ring: KeyRing,
    pub(super) index: IndexKey,
    /// Amounts stay in the index, to be searched by.
    pub(super) clear_amounts: bool,
}

impl FieldCipher {
    pub(super) fn seal_entry(&self, mut new: NewEntry) -> Result<NewEntry> {
        let owner = owner(new.kind, &new.index);
        let connection = new.connection.as_str();
        new.body = self.seal_opt("entry.body", connection, &owner, new.body.as_deref())?;
        new.trace = self.seal_trace(connection, &owner, &mut new.index, new.trace.take())?;
        if let Some(reason) = new.dead.take() {
            let sealed = self.seal("entry.dead", connection, &owner, reason.as_bytes())?;
            new.dead = Some(text(DEAD_TEXT, &sealed));
        }
        new.dedupe = new.dedupe.map(|key| self.index.dedupe(&key));
        new.index = self.conceal(&new.index)?;
        Ok(new)
    }

    pub(super) fn seal_settlement(&self, settlement: Settlement) -> Result<Settlement> {
        let Settlement { seq, outcome, trace } = settlement;
        let owner = outcome_owner(seq, &outcome);
        let trace = self.seal_opt("outcome.trace", "", &owner, trace.as_deref())?;
        Ok(Settlement { seq, outcome: self.seal_outcome(&owner, outcome)?, trace })
    }

    pub(super) fn seal_document(&self, key: &DocKey, bytes: &[u8]) -> Result<Bytes> {
        self.seal("document", "", key.as_str(), bytes).map(Bytes::from)
    }

    /// Opens a document by the key that it is stored under.
    pub(super) fn open_document(&self, key: &DocKey, bytes: Bytes, clear: bool) -> Result<Bytes> {
        self.open("document", "", key.as_str(), bytes, clear)
    }

    /// Opens everything that was read of an entry. `clear`: what is not sealed is taken as it is.
    pub(super) fn open_entry(&self, entry: Entry, clear: bool) -> Result<Entry> {
        let seq = entry.seq;
        self.open_fields(entry, clear).map_err(|error| error.with_context("seq", seq))
    }

    fn open_fields(&self, mut entry: Entry, clear: bool) -> Result<Entry> {
        self.reveal(&mut entry.index, clear)?;
        let owner = owner(entry.kind, &entry.index);
        let connection = entry.connection.clone();
        let connection = connection.as_str();
        entry.body = self.open_opt("entry.body", connection, &owner, entry.body, clear)?;
        entry.trace = match entry.trace.take() {
            Some(trace) => self.open_trace(connection, &owner, &mut entry.index, trace, clear)?,
            None => None,
        };
        let Entry { seq, outcomes, .. } = entry;
        let open = |recorded| self.open_recorded(seq, (connection, &owner), recorded, clear);
        entry.outcomes = outcomes.into_iter().map(open).collect::<Result<_>>()?;
        Ok(entry)
    }

    fn open_recorded(
        &self,
        seq: Seq,
        (connection, entry_owner): (&str, &str),
        recorded: Recorded,
        clear: bool,
    ) -> Result<Recorded> {
        let Recorded { at, mut outcome, trace } = recorded;
        let owner = outcome_owner(seq, &outcome);
        let trace = self.open_opt("outcome.trace", "", &owner, trace, clear)?;
        if let Outcome::Begun { note, .. } | Outcome::Retry { note, .. } = &mut outcome {
            *note = self.open_opt("outcome.note", "", &owner, note.take(), clear)?;
        }
        for (column, value) in texts(&mut outcome) {
            *value = match value.strip_prefix(DEAD_TEXT) {
                Some(encoded) => self.open_text("entry.dead", connection, entry_owner, encoded)?,
                None => match value.strip_prefix(TEXT) {
                    Some(encoded) => self.open_text(column, "", &owner, encoded)?,
                    None if clear => continue,
                    None => return Err(in_clear(column)),
                },
            };
        }
        if let Outcome::Done { receipt: Some(receipt) } = &mut outcome {
            *receipt = self.reveal_text("receipt", receipt, clear)?;
        }
        Ok(Recorded { at, outcome, trace })
    }

    fn seal_outcome(&self, owner: &str, mut outcome: Outcome) -> Result<Outcome> {
        if let Outcome::Begun { note, .. } | Outcome::Retry { note, .. } = &mut outcome {
            *note = self.seal_opt("outcome.note", "", owner, note.as_deref())?;
        }
        for (column, value) in texts(&mut outcome) {
            *value = text(TEXT, &self.seal(column, "", owner, value.as_bytes())?);
        }
        if let Outcome::Done { receipt: Some(receipt) } = &mut outcome {
            *receipt = self.receipt(receipt)?;
        }
        Ok(outcome)
    }

    pub(super) fn number(&self, number: &str) -> Result<Arc<str>> {
        self.index.conceal("number", number).map(Arc::from)
    }

    pub(super) fn destination(&self, destination: &str) -> Result<Arc<str>> {
        self.index.conceal("destination", destination).map(Arc::from)
    }

    pub(super) fn receipt(&self, receipt: &str) -> Result<Arc<str>> {
        self.index.conceal("receipt", receipt).map(Arc::from)
    }

    /// What stands in the index of the storage.
    fn conceal(&self, index: &Index) -> Result<Index> {
        let Index { entity, number, name, amount, destination } = index;
        Ok(Index {
            entity: entity.as_ref().map(|entity| self.index.entity(entity)).transpose()?,
            number: number.as_deref().map(|number| self.number(number)).transpose()?,
            name: name.clone(),
            amount: *amount,
            destination: destination.as_deref().map(|to| self.destination(to)).transpose()?,
        })
    }

    fn reveal(&self, index: &mut Index, clear: bool) -> Result<()> {
        if let Some(EntityRef { kind, id }) = &mut index.entity {
            *id = self.reveal_text(&entity_column(kind), id, clear)?;
        }
        if let Some(number) = &mut index.number {
            *number = self.reveal_text("number", number, clear)?;
        }
        if let Some(destination) = &mut index.destination {
            *destination = self.reveal_text("destination", destination, clear)?;
        }
        Ok(())
    }

    fn reveal_text(&self, column: &str, text: &Arc<str>, clear: bool) -> Result<Arc<str>> {
        match self.index.reveal(column, text)? {
            Some(value) => Ok(value.into()),
            None if clear => Ok(Arc::clone(text)),
            None => Err(in_clear(column)),
        }
    }

    /// The trace, and in front of it the amount: it has no place of its own where the storage could not read it.
    fn seal_trace(
        &self,
        connection: &str,
        owner: &str,
        index: &mut Index,
        trace: Option<Bytes>,
    ) -> Result<Option<Bytes>> {
        let amount = if self.clear_amounts { None } else { index.amount.take() };
        if trace.is_none() && amount.is_none() {
            return Ok(None);
        }
        let mut plain = vec![0];
        if let Some(Money { amount, currency }) = amount {
            plain[0] |= HAS_AMOUNT;
            let written = format!("{amount} {currency}");
            plain.push(u8::try_from(written.len()).unwrap_or(u8::MAX));
            plain.extend_from_slice(written.as_bytes());
        }
        if let Some(trace) = trace {
            plain[0] |= HAS_TRACE;
            plain.extend_from_slice(&trace);
        }
        self.seal("entry.trace", connection, owner, &plain).map(|sealed| Some(sealed.into()))
    }

    fn open_trace(
        &self,
        connection: &str,
        owner: &str,
        index: &mut Index,
        stored: Bytes,
        clear: bool,
    ) -> Result<Option<Bytes>> {
        if clear && sealed::key_id(&stored).is_none() {
            return Ok(Some(stored));
        }
        let unreadable = || Error::new(ErrorKind::Unexpected, "the trace has another form than expected");
        let mut plain = self.open("entry.trace", connection, owner, stored, false)?;
        if plain.is_empty() {
            return Err(unreadable());
        }
        let has = plain.split_to(1)[0];
        if has & HAS_AMOUNT != 0 {
            let length = usize::from(*plain.first().ok_or_else(unreadable)?) + 1;
            if plain.len() < length {
                return Err(unreadable());
            }
            let written = plain.split_to(length);
            let written = std::str::from_utf8(&written[1..]).map_err(|_| unreadable())?;
            let (amount, currency) = written.split_once(' ').ok_or_else(unreadable)?;
            index.amount = Some(Money::parse(amount, currency).map_err(|_| unreadable())?);
        }
        Ok((has & HAS_TRACE != 0).then_some(plain))
    }

    fn seal(&self, purpose: &str, connection: &str, key: &str, plain: &[u8]) -> Result<Vec<u8>> {
        self.ring.seal(&Binding { purpose, connection, key }, plain)
    }

    fn seal_opt(
        &self,
        purpose: &str,
        connection: &str,
        key: &str,
        plain: Option<&[u8]>,
    ) -> Result<Option<Bytes>> {
        plain.map(|plain| self.seal(purpose, connection, key, plain).map(Bytes::from)).transpose()
    }

    fn open(&self, purpose: &str, connection: &str, key: &str, stored: Bytes, clear: bool) -> Result<Bytes> {
        if clear && sealed::key_id(&stored).is_none() {
            return Ok(stored);
        }
        self.ring.open(&Binding { purpose, connection, key }, &stored)
    }

    fn open_opt(
        &self,
        purpose: &str,
        connection: &str,
        key: &str,
        stored: Option<Bytes>,
        clear: bool,
    ) -> Result<Option<Bytes>> {
        stored.map(|stored| self.open(purpose, connection, key, stored, clear)).transpose()
    }

    fn open_text(&self, purpose: &str, connection: &str, key: &str, encoded: &str) -> Result<Arc<str>> {
        let changed = || {
            Error::new(ErrorKind::Unexpected, "an encrypted text was changed")
                .with_context("purpose", purpose)
        };
        let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| changed())?;
        let plain = self.open(purpose, connection, key, sealed.into(), false)?;
        std::str::from_utf8(&plain).map(Arc::from).map_err(|_| changed())
    }

    /// Whether nothing of an entry has to be sealed anew.
    pub(super) fn is_current(&self, entry: &Entry) -> bool {
        let is_sealed =
            |bytes: &Option<Bytes>| bytes.as_ref().is_none_or(|bytes| self.ring.is_current(bytes));
        let is_current = |encoded: &str| {
            let sealed = encoded.strip_prefix(TEXT).or_else(|| encoded.strip_prefix(DEAD_TEXT));
            sealed
                .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
                .is_some_and(|it| self.ring.is_current(&it))
        };
        let mut clear = entry.index.clone();
        let is_concealed =
            self.reveal(&mut clear, false).is_ok() && (self.clear_amounts || clear.amount.is_none());
        is_concealed
            && is_sealed(&entry.body)
            && is_sealed(&entry.trace)
            && entry.outcomes.iter().all(|Recorded { outcome, trace, .. }| {
                let note = match outcome {
                    Outcome::Begun { note, .. } | Outcome::Retry { note, .. } => note,
                    _ => &None,
                };
                let receipt = match outcome {
                    Outcome::Done { receipt: Some(receipt) } => {
                        self.reveal_text("receipt", receipt, false).is_ok()
                    }
                    _ => true,
                };
                let mut outcome = outcome.clone();
                receipt
                    && is_sealed(trace)
                    && is_sealed(note)
                    && texts(&mut outcome).all(|(_, text)| is_current(text))
            })
    }
}

/// The texts of an outcome that nobody searches by, each with its column.
fn texts(outcome: &mut Outcome) -> impl Iterator<Item = (&'static str, &mut Arc<str>)> {
    let (first, second) = match outcome {
        Outcome::Retry { error: reason, .. }
        | Outcome::Parked { error: reason }
        | Outcome::Dead { error: reason }
        | Outcome::Dropped { reason } => (Some(("outcome.reason", reason)), None),
        Outcome::Acknowledged { by, why }
        | Outcome::Cancelled { by, why }
        | Outcome::Discarded { by, why } => (Some(("outcome.by", by)), Some(("outcome.reason", why))),
        Outcome::Begun { .. } | Outcome::Done { .. } | Outcome::Replayed { .. } => (None, None),
    };
    first.into_iter().chain(second)
}

/// What body and trace of an entry are bound to, besides the connection: everything that it can be found by. Nobody can
/// give it the body of another record. (Its number is not known before it is appended.)
fn owner(kind: EntryKind, index: &Index) -> String {
    let Index { entity, number, name, destination, .. } = index;
    let entity = entity.as_ref();
    let parts = [
        entity.map(|entity| &entity.kind),
        entity.map(|entity| &entity.id),
        number.as_ref(),
        name.as_ref(),
        destination.as_ref(),
    ];
    // Each with its length before it, of three digits at most.
    let length = parts.iter().map(|part| part.map_or(2, |text| text.len() + 5)).sum::<usize>();
    let mut owner = String::with_capacity(length + 3);
    _ = write!(owner, "{}", kind as u8);
    for part in parts {
        _ = match part {
            Some(text) => write!(owner, "/{}:{text}", text.len()),
            None => owner.write_str("/-"),
        };
    }
    owner
}

/// What the parts of an outcome are bound to: its entry, what it is, and which attempt it belongs to.
fn outcome_owner(seq: Seq, outcome: &Outcome) -> String {
    let (what, attempt) = match outcome {
        Outcome::Begun { attempt, .. } => ("begun", *attempt),
        Outcome::Retry { attempt, .. } => ("retry", *attempt),
        Outcome::Parked { .. } => ("parked", 0),
        Outcome::Done { .. } => ("done", 0),
        Outcome::Dead { .. } => ("dead", 0),
        Outcome::Dropped { .. } => ("dropped", 0),
        Outcome::Acknowledged { .. } => ("acknowledged", 0),
        Outcome::Cancelled { .. } => ("cancelled", 0),
        Outcome::Discarded { .. } => ("discarded", 0),
        Outcome::Replayed { .. } => ("replayed", 0),
    };
    format!("{seq}/{what}/{attempt}")
}

fn text(prefix: &str, sealed: &[u8]) -> Arc<str> {
    let mut text = String::from(prefix);
    URL_SAFE_NO_PAD.encode_string(sealed, &mut text);
    text.into()
}

fn in_clear(column: &str) -> Error {
    Error::new(ErrorKind::Unexpected, "expected something encrypted, but this is in clear")
        .with_context("column", column)
}

/// The sealed form of an entry that was read and opened.
pub(super) fn resealed(fields: &FieldCipher, plain: Entry) -> Result<EntryRewrite> {
    let Entry { seq, kind, connection, mut index, body, trace, outcomes, .. } = plain;
    let owner = owner(kind, &index);
    let connection = connection.as_str();
    let body = fields.seal_opt("entry.body", connection, &owner, body.as_deref())?;
    let trace = fields.seal_trace(connection, &owner, &mut index, trace)?;
    let outcomes = outcomes.into_iter().map(|Recorded { at, outcome, trace }| {
        let Settlement { outcome, trace, .. } = fields.seal_settlement(Settlement { seq, outcome, trace })?;
        Ok(Recorded { at, outcome, trace })
    });
    let outcomes = outcomes.collect::<Result<_>>()?;
    Ok(EntryRewrite { seq, index: fields.conceal(&index)?, body, trace, outcomes })
}
