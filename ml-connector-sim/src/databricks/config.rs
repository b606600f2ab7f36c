//! What the simulator starts with, and what can be made to go wrong.

use std::time::Duration;

use crate::toolkit::conditions::Conditions;

/// What a [`DatabricksSim`](super::DatabricksSim) starts with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DatabricksConfig {
    /// Where ids and tokens come from.
    pub seed: u64,
    /// The origin of the workspace.
    pub host: String,
    /// The id of the workspace.
    pub workspace_id: String,
    /// The catalog that exists.
    pub catalog: String,
    /// The schema that exists in it, with every privilege granted.
    pub schema: String,
    /// The zone of statements: what a timestamp without an offset is in.
    pub session_zone: String,
    /// How long an access token lives.
    pub token_life: Duration,
    /// How long the warehouse takes to start.
    pub warehouse_start: Duration,
    /// Whether the warehouse runs at the beginning.
    pub warehouse_runs: bool,
    /// How unkind network and vendor are.
    pub conditions: Conditions,
}

impl Default for DatabricksConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            host: "https://dbc-0a1b2c3d-4e5f.cloud.databricks.com".to_owned(),
            workspace_id: "4211907733508126".to_owned(),
            catalog: "main".to_owned(),
            schema: "ml_finance".to_owned(),
            session_zone: "UTC".to_owned(),
            token_life: Duration::from_secs(3600),
            warehouse_start: Duration::from_secs(4),
            warehouse_runs: true,
            conditions: Conditions::ordinary(),
        }
    }
}

/// How an expired token is answered. Clients have met all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryWording {
    /// 403 "Invalid access token."
    InvalidAccessToken,
    /// 403 "JWT has expired"
    JwtExpired,
    /// 403 "Token is expiring within 30 seconds."
    ExpiringSoon,
    /// 400 with `ExpiredJwtException`.
    BadRequest,
    /// 401 without a word about the cause.
    Unauthorized,
}

/// What goes wrong, beside planted [`Fault`](crate::Fault)s and [`Conditions`](crate::Conditions). Everything that is
/// not named in a test is as the vendor usually does it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DatabricksTuning {
    /// How long a statement runs. Statements that run at the same time and rewrite the same table conflict.
    pub execution: Duration,
    /// The submit that sees its statement succeed is answered CLOSED with the result inside, and the id is unknown
    /// afterwards.
    pub closed_at_once: bool,
    /// SUCCEEDED becomes CLOSED without a result at the first look after the submit.
    pub closed_when_polled: bool,
    /// Where the SQLSTATE of a failure stands: beside `error`, inside it, or only in the message.
    pub sql_state: SqlStatePlace,
    /// Rows of one chunk of a result.
    pub chunk_rows: usize,
    /// MERGE refuses a table with a row filter or a mask. Otherwise hidden rows do not match, and are doubled.
    pub policies_refuse_merge: bool,
    /// Directory calls on the root of an empty volume answer 404.
    pub empty_volume_hidden: bool,
    /// An old workspace refuses `query_tags`.
    pub refuses_query_tags: bool,
    /// The address that the IP access list blocks: at the API, and at the token endpoint if `blocks_tokens`.
    pub blocked_address: Option<String>,
    /// Whether the token endpoint is blocked as well.
    pub blocks_tokens: bool,
    /// An account-level host: calls must name the workspace in a header, and only the account's token endpoint is there.
    pub account_level: bool,
    /// How an expired token is answered.
    pub expiry: ExpiryWording,
    /// So many token requests are answered `invalid_client` although the secret is right.
    pub false_invalid_clients: u32,
    /// So many statements that rewrite a table fail with a conflict.
    pub conflicts: u32,
    /// MERGEs that run at the same time do not conflict: each inserts what was not there when it began. Whether the vendor
    /// ever does so with new rows of the same key, its documentation does not say.
    pub doubles_inserts: bool,
    /// Statement requests in a minute; one more is answered 429.
    pub statements_per_minute: Option<u32>,
}

impl Default for DatabricksTuning {
    fn default() -> Self {
        Self {
            execution: Duration::ZERO,
            closed_at_once: false,
            closed_when_polled: false,
            sql_state: SqlStatePlace::Beside,
            chunk_rows: 5_000,
            policies_refuse_merge: false,
            empty_volume_hidden: true,
            refuses_query_tags: false,
            blocked_address: None,
            blocks_tokens: false,
            account_level: false,
            expiry: ExpiryWording::InvalidAccessToken,
            false_invalid_clients: 0,
            conflicts: 0,
            doubles_inserts: false,
            statements_per_minute: None,
        }
    }
}

/// Where the SQLSTATE of a failure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlStatePlace {
    /// In `status.sql_state`.
    Beside,
    /// In `status.error.sql_state`.
    Inside,
    /// In the message only.
    Message,
}

/// How the next statement fails.
#[derive(Debug, Clone)]
pub struct StatementFailure {
    /// `status.error.error_code`, such as `BAD_REQUEST`.
    pub error_code: String,
    /// The whole message, such as `[DELTA_CONCURRENT_APPEND] ... SQLSTATE: 2D521`.
    pub message: String,
    /// The SQLSTATE, if it is told.
    pub sql_state: Option<String>,
    /// Whether the statement is executed first, as with `DELTA_POST_COMMIT_HOOK_FAILED`.
    pub after_commit: bool,
    /// Hits the next statement whose text contains this.
    pub statement: String,
}
