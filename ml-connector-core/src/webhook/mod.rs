//! Verifying what vendors send, and keeping webhooks registered.

mod form;
mod hmac;
mod request;
mod subscriptions;

pub use form::Form;
pub use hmac::{Encoding, HmacSha256};
pub use request::{fresh_unix_seconds, require_token, single_header};
pub use subscriptions::{Changes, LookedAfter, Subscriptions, look_after};
