//! Ids of the app, and how ids look.

pub(super) const APP_ID: &str = "A07MLCONN1";
pub(super) const BOT_ID: &str = "B07MLBOT01";
pub(super) const BOT_USER: &str = "U07MLBOT01";
pub(super) const BOT_NAME: &str = "ml-connector";

/// Thirteen decimal digits out of hexadecimal ones.
pub(super) fn digits(hex: &str) -> String {
    hex.bytes().take(13).map(|byte| char::from(b'0' + byte % 10)).collect()
}
