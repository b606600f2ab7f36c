//! What mirror tests share. Such a test lets people work with a simulated vendor, writes down what they do, and compares it
//! with what was told.

mod lake;
mod post;
mod skewed;
mod world;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Connector, HttpTransport,
    http::{Limits, TransportError},
};

pub(crate) use self::{
    lake::{Course, lake, mirrored, tables_mirror_the_books},
    post::Post,
    skewed::Skewed,
    world::{Diary, Kept, Vendor, World},
};

/// The stories to play: as many as a test has time for, or `MIRROR_SEEDS`. `MIRROR_FROM=3 MIRROR_SEEDS=1` plays one again.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let wanted = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = wanted("MIRROR_FROM").unwrap_or(1);
    from..from + wanted("MIRROR_SEEDS").unwrap_or(usual)
}

/// Whether what was told is what happened, as often as it did.
pub(crate) fn same_story(happened: impl IntoIterator<Item = String>, told: impl IntoIterator<Item = String>) {
    fn count(all: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
        all.into_iter().fold(BTreeMap::new(), |mut counts, what| {
            *counts.entry(what).or_default() += 1;
            counts
        })
    }
    let (happened, told) = (count(happened), count(told));
    let mut differ: Vec<String> = happened
        .keys()
        .chain(told.keys())
        .filter(|what| happened.get(*what) != told.get(*what))
        .map(|what| format!("{what}: happened {:?}, told {:?}", happened.get(what), told.get(what)))
        .collect();
    differ.dedup();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// Whoever serves the host's endpoints at present: where a vendor looks whether webhooks can arrive.
#[derive(Debug, Default)]
pub(crate) struct Host(Mutex<Option<Connector>>);

impl Host {
    pub(crate) fn is_served_by(self: &Arc<Self>, connector: &Connector) {
        *self.0.lock().unwrap() = Some(connector.clone());
    }
}

#[async_trait]
impl HttpTransport for Host {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let connector = self.0.lock().unwrap().clone().unwrap();
        Ok(connector.receive(request).await)
    }
}
