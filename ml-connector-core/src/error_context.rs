//! The keys of an error's context that code reads, or that mean the same in every crate.
//!
//! [`Error::with_context`](crate::Error::with_context) takes any key: one that only a person reads is written where it is
//! used.

/// The other side's word or number for what went wrong, verbatim: `invalid_grant`, `channel_not_found`, `1002`. Where
/// it has none, the HTTP status. Health shows it, and the engine files it.
pub const CODE: &str = "code";
/// The HTTP status of an answer of an API. What a token endpoint said has none.
pub const STATUS: &str = "status";
/// Set where a token was refused that is too young to be renewed.
pub const TOO_YOUNG: &str = "too_young";
/// The vendor's id of the request: what its support asks for.
pub const REQUEST_ID: &str = "request_id";
/// The system, such as `zoho_books`.
pub const SYSTEM: &str = "system";
/// The token endpoint, without a query.
pub const TOKEN_URL: &str = "token_url";
/// The host's name for the connection.
pub const CONNECTION: &str = "connection";
/// The setting of a system crate that is missing or wrong.
pub const SETTING: &str = "setting";
/// The field of a structure that is missing or wrong.
pub const FIELD: &str = "field";
/// The feed of a source.
pub const FEED: &str = "feed";
/// The route's name.
pub const ROUTE: &str = "route";
/// How many bytes something has that is not shown itself.
pub const BYTES: &str = "bytes";
/// How many characters something has that is not shown itself.
pub const CHARS: &str = "chars";
