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
/// How long a name that was not found stays unknown, so that a wrong route does not list the workspace per event.
const KEEP_UNKNOWN: Duration = Duration::from_secs(60);
/// Pages end by themselves; this bounds a list that does not.
const PAGES_MAX: usize = 100;

/// The workspace's channels by name, read when a name is first needed. One caller reads for all.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<Option<Directory>>);

impl Channels {
    /// Finds the id of a channel.
    ///
    /// # Errors
    /// In the scope of the lane and for good when there is no such channel or it is archived, with what to do.
    pub(crate) async fn resolve(&self, ctx: &Context, client: &Client, name: &str) -> Result<String> {
        let mut directory = self.0.lock().await;
        if let Some(known) = &*directory {
            let age = ctx.now().saturating_since(known.read_at);
            match known.find(name) {
                Ok(id) if age < KEEP => return Ok(id),
                Err(error) if age < KEEP_UNKNOWN => return Err(error),
                _ => {}
            }
        }
        let read = directory.insert(Directory::read(ctx, client).await?);
        let id = read.find(name)?;
        if !read.current.contains_key(name) {
            tracing::warn!(system = "slack", channel.id = id, "a route names a channel by its former name");
        }
        Ok(id)
    }

    /// Forgets all names, because one of them led to a channel that refuses messages.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

#[derive(Debug)]
struct Directory {
    read_at: Timestamp,
    current: HashMap<String, Entry>,
    former: HashMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: String,
    archived: bool,
}

impl Directory {
    async fn read(ctx: &Context, client: &Client) -> Result<Self> {
        let mut directory = Self { read_at: ctx.now(), current: HashMap::new(), former: HashMap::new() };
        let mut cursor: Option<String> = None;
        let mut seen = HashSet::new();
        let mut began_again = false;
        for _ in 0..PAGES_MAX {
            let page = match client.conversations_list(ctx, cursor.as_deref()).await {
                Err(error) if is_code(&error, "invalid_cursor") && !began_again => {
                    (began_again, cursor) = (true, None);
                    seen.clear();
                    continue;
                }
                page => page?,
            };
            page.channels.into_iter().for_each(|channel| directory.add(channel));
            match page.next_cursor {
                None => return Ok(directory),
                Some(next) if !seen.insert(next.clone()) => break,
                next => cursor = next,
            }
        }
        Err(Error::new(ErrorKind::InvalidResponse, "the list of channels does not end: use channel ids")
            .with_context("channels", directory.current.len()))
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
