//! What is known of a `response_url`.

use std::collections::HashMap;

use ml_connector_core::Timestamp;

/// The URLs that were handed out, by path.
#[derive(Debug, Default)]
pub(super) struct ResponseUrls(pub(super) HashMap<String, ResponseUrl>);

/// Whom a URL answers, and how often it did.
#[derive(Debug, Clone)]
pub(super) struct ResponseUrl {
    pub(super) user: String,
    pub(super) channel: String,
    /// The message that was clicked; empty for a command.
    pub(super) ts: String,
    pub(super) issued: Timestamp,
    pub(super) uses: u32,
}
