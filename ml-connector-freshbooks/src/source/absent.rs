//! Whether lists prove that a record is gone. A list without a filter for ids is read to its end, which may take longer than
//! a call may last: then the next call goes on.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ml_connector_core::{Context, Error, ErrorKind, Result, http::Pages, model::EntityRef};

use crate::{
    client::{Filter, FreshBooksClient},
    models::Resource,
};

/// With less time left no page is asked for: a call of its own may wait for room and for its answer.
const LEAST_TIME: Duration = Duration::from_secs(15);
/// The records that are looked for at a time; more begin anew.
const MOST: usize = 1_000;

/// How far lists have been read for records that are not found. It is lost with the process, and read again then.
#[derive(Debug, Default)]
pub(crate) struct Searches(Mutex<HashMap<EntityRef, Search>>);

#[derive(Debug, Clone)]
struct Search {
    /// How many lists were read to their end.
    complete: u32,
    pages: Pages,
    /// How many rows there were in all pages, by the page before.
    total: Option<u64>,
}

impl Default for Search {
    fn default() -> Self {
        Self { complete: 0, pages: Pages::numbered(1), total: None }
    }
}

impl Searches {
    /// Reads so many lists for a record. `false` = time is up, and the next call goes on.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] when it is listed; as the list call's, and as [`Pages::advance_number`] for a list
    /// that has no end.
    pub(super) async fn is_absent<T: Resource>(
        &self,
        ctx: &Context,
        client: &FreshBooksClient,
        id: &str,
        lists: u32,
    ) -> Result<bool> {
        let entity = EntityRef::new(T::KIND, id);
        let mut search = self.known().remove(&entity).unwrap_or_default();
        while search.complete < lists {
            if ctx.time_left() < LEAST_TIME {
                self.keep(entity, search);
                return Ok(false);
            }
            let read = search.next::<T>(ctx, client, id).await;
            if let Err(error) = read {
                if error.kind() == ErrorKind::RateLimited || error.kind() == ErrorKind::Unavailable {
                    self.keep(entity, search);
                }
                return Err(error);
            }
        }
        Ok(true)
    }

    fn keep(&self, entity: EntityRef, search: Search) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(entity, search);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<EntityRef, Search>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Search {
    /// Reads the next page. Rows move while pages are read: where there are fewer than before, some have moved to the page
    /// before, which is read again. A filter may be ignored, so rows are compared with the id.
    async fn next<T: Resource>(&mut self, ctx: &Context, client: &FreshBooksClient, id: &str) -> Result<()> {
        let number = self.pages.number().unwrap_or(1);
        let filter = Filter { id: Some(id), ..Filter::default() };
        let page = client.list::<T>(ctx, filter, number).await?;
        let read = page.rows.iter().map(|row| row.record.id.to_string());
        let ids: Vec<String> = read.chain(page.unreadable.iter().cloned()).collect();
        if ids.iter().any(|listed| listed == id) {
            return Err(Error::new(ErrorKind::PermissionDenied, "the record is listed, but may not be read")
                .with_operation(T::GET)
                .with_context("id", id));
        }
        if !page.lost.is_empty() {
            let error = "a row does not say which record it is: the list proves nothing";
            return Err(Error::new(ErrorKind::InvalidResponse, error).with_operation(T::LIST));
        }
        let shrunk = self.total.zip(page.total).is_some_and(|(before, now)| now < before);
        self.total = page.total;
        if shrunk && number > 1 {
            self.pages = Pages::numbered(number - 1);
            return Ok(());
        }
        let more = self.pages.advance_number(page.has_more, &ids);
        if !more.map_err(|error| error.with_operation(T::LIST).with_context("id", id))? {
            *self = Self { complete: self.complete + 1, ..Self::default() };
        }
        Ok(())
    }
}
