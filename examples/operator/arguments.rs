//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ml_connector_core::{
    Error, ErrorKind, Result, Timestamp,
    audit::{EntryKind, EntryState, Query},
    model::{Currency, Decimal, EntityRef},
};

/// Looks into a connector's log, and repairs what it shows.
#[derive(Debug, Parser)]
#[command(name = "operator")]
pub(crate) struct Arguments {
    /// The SQLite file to look into, where no file of connections names one.
    #[arg(long, default_value = "connector.db", env = "ML_CONNECTOR_LOG")]
    pub log: PathBuf,
    /// A file of connections, such as examples/connections.toml; it names the log. `health`, `expiries`, `resume` and the
    /// replay of signals need it.
    #[arg(long)]
    pub connections: Option<PathBuf>,
    /// Prints JSON instead of tables, where something is only looked at, and what was done by `reencrypt`.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How each connection does, and what to do about it.
    Health,
    /// What waits: by connection and kind, how much, how old.
    Lanes,
    /// When tokens and webhooks end.
    Expiries,
    /// Entries that fit.
    Search(Which),
    /// The whole story of an entry, from the bytes received to the receipt.
    Explain {
        /// Its number.
        entry: u64,
    },
    /// What was given up, by its reason.
    Dead {
        /// The most entries that are looked at.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// Whether entries were changed, removed or added behind the log's back.
    Verify {
        /// A file with the ends of the chains as they were the last time, which are looked for. If nothing is broken, it holds
        /// the ends as they are now afterwards. Keep it where nobody who may write to the log can.
        #[arg(long)]
        heads: Option<PathBuf>,
    },
    /// Encrypts what is in clear or under an older key with the active key of ML_CONNECTOR_KEY. The connector may run
    /// meanwhile, once all of its hosts have that key. Whoever stops goes on where it was.
    Reencrypt,
    /// Sends again.
    Replay {
        #[command(flatten)]
        which: Which,
        /// Names the request: the same one, given again, goes on and adds nothing. The time of day unless it is given.
        #[arg(long)]
        nonce: Option<String>,
        /// Sends events where the routes send them now.
        #[arg(long)]
        reroute: bool,
        /// Does it, instead of counting.
        #[arg(long)]
        yes: bool,
    },
    /// Says that dead or parked entries are known: health is good again.
    Acknowledge(Settle),
    /// Leaves dead entries undone.
    Discard(Settle),
    /// Takes waiting and parked entries off the work list.
    Cancel(Settle),
    /// Tries a connection again at once.
    Resume {
        /// Which.
        connection: String,
        /// Who asks for it.
        #[arg(long, env = "USER")]
        by: String,
    },
    /// Removes what is older.
    Prune {
        /// How many days are kept.
        #[arg(long)]
        days: u32,
        /// Does it, instead of saying so.
        #[arg(long)]
        yes: bool,
    },
}

/// Entries to settle, by whom and why.
#[derive(Debug, Args)]
pub(crate) struct Settle {
    #[command(flatten)]
    pub which: Which,
    /// Why.
    #[arg(long)]
    pub why: String,
    /// Who.
    #[arg(long, env = "USER")]
    pub by: String,
    /// Does it, instead of counting.
    #[arg(long)]
    pub yes: bool,
}

/// Which entries. Every filter narrows.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// signal, event, delivery, note or act.
    #[arg(long)]
    kind: Option<String>,
    /// pending, parked, done, dead, dropped, cancelled, discarded or replayed.
    #[arg(long)]
    state: Option<String>,
    #[arg(long)]
    connection: Option<String>,
    /// A record, such as invoice/8000000005001.
    #[arg(long)]
    record: Option<String>,
    /// The record's number, such as INV-000042.
    #[arg(long)]
    number: Option<String>,
    /// The type of an event, such as invoice.paid; the route of a delivery.
    #[arg(long)]
    name: Option<String>,
    /// Where it goes, such as channel:C07ACCTNG1.
    #[arg(long)]
    destination: Option<String>,
    /// What the receipt begins with.
    #[arg(long)]
    receipt: Option<String>,
    /// What an error says.
    #[arg(long)]
    error: Option<String>,
    /// Appended at this time or later: 2026-03-12T06:00:00Z.
    #[arg(long)]
    from: Option<String>,
    /// Appended before.
    #[arg(long)]
    to: Option<String>,
    #[arg(long)]
    amount_from: Option<Decimal>,
    #[arg(long)]
    amount_to: Option<Decimal>,
    #[arg(long)]
    currency: Option<String>,
    /// The most entries that are looked at.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// The newest first.
    #[arg(long)]
    newest: bool,
}

impl Settle {
    /// About entries in this state, unless another one was named.
    pub(crate) fn of(self, state: EntryState) -> Self {
        Self { which: self.which.of(state), ..self }
    }
}

impl Which {
    /// Those in this state, unless another one was named.
    pub(crate) fn of(mut self, state: EntryState) -> Self {
        self.state.get_or_insert_with(|| format!("{state:?}").to_lowercase());
        self
    }

    /// The query.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the filter that cannot be read.
    pub(crate) fn query(self) -> Result<Query> {
        let mut query = Query::default().with_limit(self.limit);
        query.newest_first = self.newest;
        query.kind = self.kind.map(|word| one_of("kind", &word, &EntryKind::ALL)).transpose()?;
        query.state = self.state.map(|word| one_of("state", &word, &EntryState::ALL)).transpose()?;
        query.connection = self.connection.map(Into::into);
        query.entity = self.record.map(|text| record(&text)).transpose()?;
        query.number = self.number.map(Into::into);
        query.name = self.name.map(Into::into);
        query.destination = self.destination.map(Into::into);
        query.receipt_prefix = self.receipt.map(Into::into);
        query.error = self.error.map(Into::into);
        query.from = self.from.map(|text| Timestamp::parse(&text)).transpose()?;
        query.to = self.to.map(|text| Timestamp::parse(&text)).transpose()?;
        (query.amount_from, query.amount_to) = (self.amount_from, self.amount_to);
        query.currency = self.currency.map(|code| Currency::parse(&code)).transpose()?;
        Ok(query)
    }
}

/// A word of a list, as `Debug` names it.
fn one_of<T: Copy + std::fmt::Debug>(filter: &'static str, word: &str, all: &[T]) -> Result<T> {
    let names = || all.iter().map(|one| format!("{one:?}").to_lowercase());
    let found = all.iter().zip(names()).find(|(_, name)| *name == word).map(|(one, _)| *one);
    found.ok_or_else(|| {
        Error::new(ErrorKind::InvalidRequest, format!("no such {filter}"))
            .with_context("given", word)
            .with_context("one_of", names().collect::<Vec<_>>().join(", "))
    })
}

fn record(text: &str) -> Result<EntityRef> {
    let parts = text.split_once('/').filter(|(kind, id)| !kind.is_empty() && !id.is_empty());
    parts.map(|(kind, id)| EntityRef::new(kind, id)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidRequest, "a record is written as kind/id, such as invoice/8000000005001")
    })
}
