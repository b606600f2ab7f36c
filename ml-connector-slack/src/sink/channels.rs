//! From channel names to ids.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ml_connector_core::{Context, Error, ErrorKind, Result, Scope, Timestamp};
use tokio::sync::Mutex;

use crate::{client::Client, error::is_code, models::Channel};

/// How long a name that was found stays good: a channel may be renamed, and another may take its name.
const KEEP: Duration = Duration::from_secs(3600);
/// A list that takes longer than that, because pages are short and rare, is read to its end: it is under way for as long as a
/// page came within this time.
const UNDER_WAY: Duration = Duration::from_secs(900);
/// How long a name that was not found stays unknown, so that a wrong route does not list the workspace per event.
const KEEP_UNKNOWN: Duration = Duration::from_secs(60);
/// Pages end by themselves; this bounds a list that does not. They are often short, so it is generous.
const PAGES_MAX: usize = 2000;

/// The workspace's channels by name, read page by page as far as names are needed. One caller reads for all. What has been
/// read is kept when a call has no more time or a limit no more room: the next one goes on where it stopped.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<Option<ChannelDirectory>>);

impl Channels {
    /// Finds the id of a channel.
    ///
    /// # Errors
    /// In the scope of the lane and for good when there is no such channel or it is archived, with what to do.
    pub(crate) async fn resolve(&self, ctx: &Context, client: &Client, name: &str) -> Result<String> {
        let mut known = self.0.lock().await;
        if known.as_ref().is_some_and(|directory| directory.is_old(ctx.now())) {
            *known = None;
        }
        loop {
            let directory = known.get_or_insert_with(|| ChannelDirectory::new(ctx.now()));
            if let Some(live) = directory.current.get(name).filter(|entry| !entry.archived) {
                return Ok(live.id.clone());
            }
            let Some(read_at) = directory.read_at else {
                directory.read_page(ctx, client).await?;
                continue;
            };
            match directory.find(name) {
                Ok(id) => {
                    if !directory.current.contains_key(name) {
                        tracing::warn!(
                            system = "slack",
                            channel.id = id,
                            "a route names a channel by its former name"
                        );
                    }
                    return Ok(id);
                }
                Err(error) if ctx.now().saturating_since(read_at) < KEEP_UNKNOWN => return Err(error),
                Err(_) => *known = None,
            }
        }
    }

    /// Forgets all names, because one of them led to a channel that refuses messages.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

#[derive(Debug)]
struct ChannelDirectory {
    begun_at: Timestamp,
    /// When a page was read last.
    page_at: Timestamp,
    /// When the last page was read; `None` = there are more.
    read_at: Option<Timestamp>,
    next: Option<String>,
    /// The cursors that have been followed.
    seen: HashSet<String>,
    began_again: bool,
    current: HashMap<String, Entry>,
    former: HashMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: String,
    archived: bool,
}

impl ChannelDirectory {
    fn new(begun_at: Timestamp) -> Self {
        Self {
            begun_at,
            page_at: begun_at,
            read_at: None,
            next: None,
            seen: HashSet::new(),
            began_again: false,
            current: HashMap::new(),
            former: HashMap::new(),
        }
    }

    fn is_old(&self, now: Timestamp) -> bool {
        let good_until = match self.read_at {
            Some(read_at) if read_at.saturating_since(self.begun_at) >= KEEP => read_at + KEEP,
            Some(_) => self.begun_at + KEEP,
            None => (self.begun_at + KEEP).max(self.page_at + UNDER_WAY),
        };
        now >= good_until
    }

    /// Reads the next page.
    async fn read_page(&mut self, ctx: &Context, client: &Client) -> Result<()> {
        let page = match client.conversations_list(ctx, self.next.as_deref()).await {
            // A cursor lives for a while only.
            Err(error) if is_code(&error, "invalid_cursor") && !self.began_again => {
                *self = Self { began_again: true, ..Self::new(self.begun_at) };
                return Ok(());
            }
            page => page?,
        };
        self.page_at = ctx.now();
        page.channels.into_iter().for_each(|channel| self.add(channel));
        match page.next_cursor {
            None => self.read_at = Some(ctx.now()),
            Some(next) if self.seen.len() >= PAGES_MAX || !self.seen.insert(next.clone()) => {
                let channels = self.current.len();
                *self = Self::new(self.begun_at);
                return Err(Error::new(
                    ErrorKind::InvalidResponse,
                    "the list of channels does not end: use channel ids",
                )
                .with_context("channels", channels));
            }
            next => self.next = next,
        }
        Ok(())
    }

    fn add(&mut self, channel: Channel) {
        let entry = Entry { id: channel.id, archived: channel.is_archived };
        for name in channel.previous_names {
            self.former.entry(name).or_default().push(entry.clone());
        }
        // An archived channel keeps its name, but gives way to a live one that took it.
        let taken = self.current.get(&channel.name).is_some_and(|known| !known.archived);
        if !(taken && entry.archived) {
            self.current.insert(channel.name, entry);
        }
    }

    fn find(&self, name: &str) -> Result<String> {
        let lost = |kind, message| {
            Error::new(kind, message)
                .with_operation("slack.resolve_channel")
                .with_scope(Scope::Lane)
                .with_context("channel", name)
        };
        let entry = match (self.current.get(name), self.former.get(name).map(Vec::as_slice)) {
            (Some(entry), _) => entry,
            (None, Some([renamed])) => renamed,
            (None, Some([_, _, ..])) => {
                return Err(lost(
                    ErrorKind::Conflict,
                    "several channels once had this name: use a channel id",
                ));
            }
            (None, _) => {
                return Err(lost(
                    ErrorKind::NotFound,
                    "no channel of this name is visible to the bot: check the name, invite the bot if the channel \
                     is private, or use the channel's id",
                ));
            }
        };
        if entry.archived {
            return Err(lost(
                ErrorKind::Conflict,
                "the channel is archived: unarchive it, or route to another one",
            )
            .with_context("channel_id", &entry.id));
        }
        Ok(entry.id.clone())
    }
}
