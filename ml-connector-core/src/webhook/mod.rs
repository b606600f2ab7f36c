//! Verifying what vendors send.

mod hmac;

pub use hmac::{Encoding, HmacSha256};
