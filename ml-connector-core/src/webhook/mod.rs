//! Verifying what vendors send.

mod hmac;
mod request;

pub use hmac::{Encoding, HmacSha256};
pub use request::{fresh_unix_seconds, require_token, single_header};
