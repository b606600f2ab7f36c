//! One request: what is asked, by whom, and how addresses and times are written in the answer.

use std::sync::Arc;

use ml_connector_core::{Timestamp, model::ConnectionId};

use crate::{
    params::Params,
    scoped::Scoped,
    time::{When, Zones},
};

/// A request of somebody who may ask.
#[derive(Debug)]
pub(crate) struct Asked {
    pub scoped: Scoped,
    pub params: Params,
    pub now: Timestamp,
    zones: Zones,
    base: Arc<str>,
}

impl Asked {
    pub(crate) fn new(scoped: Scoped, params: Params, base: Arc<str>) -> Self {
        Self { now: scoped.now(), zones: Zones::of(&scoped.connections()), scoped, params, base }
    }

    /// The address of a page of the console.
    pub(crate) fn href(&self, path: &str, params: &[(&str, &str)]) -> String {
        let path = if path.is_empty() && self.base.is_empty() { "/" } else { path };
        let mut address = format!("{}{path}", self.base);
        let given: Vec<_> = params.iter().filter(|(_, value)| !value.is_empty()).collect();
        if !given.is_empty() {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            given.into_iter().for_each(|(name, value)| _ = text.append_pair(name, value));
            address.push('?');
            address.push_str(&text.finish());
        }
        address
    }

    /// A time in the zone of a connection's organization.
    pub(crate) fn when(&self, at: Timestamp, connection: &ConnectionId) -> When<'_> {
        When { at, zone: self.zones.of_connection(connection), now: self.now }
    }

    /// A time that belongs to no connection: in the zone of the first organization.
    pub(crate) fn at(&self, at: Timestamp) -> When<'_> {
        When { at, zone: self.zones.first(), now: self.now }
    }

    /// The name of the zone that times are in.
    pub(crate) fn zone_name(&self) -> &str {
        self.zones.first_name()
    }
}

/// A part of a path as it stands in an address.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
