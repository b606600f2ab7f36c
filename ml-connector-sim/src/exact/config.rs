//! What the simulator starts with, and what of Exact Online is not certain.

use std::{fmt, time::Duration};

use ml_connector_core::Secret;

use crate::toolkit::conditions::Conditions;

/// A company. One user may open several; control methods act on one of them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Division {
    /// Its number in paths.
    pub code: u32,
    /// The number that people see.
    pub hid: u32,
    /// Its name.
    pub description: String,
    /// Who owns it.
    pub customer: String,
    /// ISO 4217.
    pub currency: String,
    /// 0 inactive, 1 active, 2 archived.
    pub status: u8,
    /// 0 is open; 1 backup or restore, 2 to 4 conversion, 5 and 6 copy.
    pub blocking_status: u8,
    /// A company to practice with.
    pub is_practice: bool,
    /// An accountant's dossier.
    pub is_dossier: bool,
    /// Whether the user may open it. It is listed only then.
    pub is_open: bool,
}

impl Division {
    /// An active company in euros.
    #[must_use]
    pub fn new(code: u32, description: &str) -> Self {
        Self {
            code,
            hid: 1,
            description: description.to_owned(),
            customer: description.to_owned(),
            currency: "EUR".to_owned(),
            status: 1,
            blocking_status: 0,
            is_practice: false,
            is_dossier: false,
            is_open: true,
        }
    }
}

/// What an [`ExactOnlineSim`](super::ExactOnlineSim) starts with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExactOnlineConfig {
    /// Where ids and tokens come from.
    pub seed: u64,
    /// The region's host, such as `start.exactonline.be`.
    pub host: String,
    /// The zone of the server's clock.
    pub zone: String,
    /// The companies; the first is the user's current one, and control methods act on it unless told otherwise.
    pub divisions: Vec<Division>,
    /// The previous refresh token works until its successor is used for the first time, as one integrator observed. Not so:
    /// it is dead at its use.
    pub lasting_refresh_tokens: bool,
    /// Calls of the app to a company in a minute, in a day, and to all companies in a day.
    pub limits: (u32, u32, u32),
    /// Token calls in a day.
    pub token_calls: u32,
    /// How unkind network and vendor are.
    pub conditions: Conditions,
}

impl Default for ExactOnlineConfig {
    fn default() -> Self {
        let mut transport = Division::new(3_141_594, "Waalkade Transport B.V.");
        transport.hid = 2;
        "Waalkade Groothandel B.V.".clone_into(&mut transport.customer);
        Self {
            seed: 1,
            host: "start.exactonline.nl".to_owned(),
            zone: "Europe/Amsterdam".to_owned(),
            divisions: vec![Division::new(3_141_593, "Waalkade Groothandel B.V."), transport],
            lasting_refresh_tokens: false,
            limits: (60, 5_000, 20_000),
            token_calls: 200,
            conditions: Conditions::ordinary(),
        }
    }
}

/// What a connector needs to connect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Credentials {
    /// The app's id.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: String,
    /// The app's third value: what notifications are signed with.
    pub webhook_secret: Secret,
    /// Where the consent page sends people back to.
    pub redirect_uri: String,
    /// A refresh token that was granted already. It works once.
    pub refresh_token: String,
    /// The company.
    pub division: u32,
    /// The user who consented.
    pub user_id: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("division", &self.division).finish_non_exhaustive()
    }
}

/// What keeps a resource away from the user or the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The user's role lacks it: reads find nothing, and `UserHasRights` says no.
    MissingInRole,
    /// The user's role lacks it: reads are refused without a reason, and `UserHasRights` says no.
    ForbiddenByRole,
    /// The module is not in the subscription: reads are refused without a reason, and `UserHasRights` says yes.
    ForbiddenByModule,
    /// The app lacks the scope.
    ScopeViolated,
}

/// Which hosts may be subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackHost {
    /// The host of the redirect URI.
    Same,
    /// Hosts below the same two last labels as the redirect URI's.
    SameDomain,
    /// All of them.
    Any,
}

/// What sources disagree about, nobody has seen, or happens only at times. The default is what is likelier; a client has to
/// hold both.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Quirks {
    /// Lists with `$top` up to the page size answer a bare array, except sales invoices.
    pub bare_arrays: bool,
    /// Lists need `$select` or `$top=1`.
    pub requires_select: bool,
    /// Resources with a sync counterpart need a `$filter`.
    pub requires_filter: bool,
    /// `$orderby` is refused.
    pub refuses_orderby: bool,
    /// `$expand` works with a key for all entries, not for sales invoices only.
    pub keyed_expand: bool,
    /// `UserHasRights` answers `{"d":true}` and no object.
    pub bare_rights: bool,
    /// `UserHasRights` cannot be asked.
    pub rights_are_secret: bool,
    /// Calls with a token that nobody issued, or whose time is over, get the login page.
    pub login_page: bool,
    /// 64-bit numbers are numbers and no texts.
    pub int64_as_numbers: bool,
    /// Errors speak Dutch.
    pub dutch_errors: bool,
    /// Amounts of a record are null for so long after it was created.
    pub null_amounts: Duration,
    /// `AmountDC` of open receivables is negative, as was checked on a real company.
    pub negative_receivables: bool,
    /// `__next` leads to this host.
    pub foreign_next: Option<String>,
    /// Lists answer rows of this division, whichever was asked for.
    pub other_division: Option<u32>,
    /// `Modified` of a header stays when only a line changes.
    pub line_changes_are_silent: bool,
    /// A change renews the row versions of all ledger lines of an entry, and not only of what changed.
    pub ledger_rows_change_together: bool,
    /// Sync feeds have no order.
    pub unordered_feeds: bool,
    /// `sync/Financial/PurchaseEntries` and `SalesEntries` exist.
    pub entry_feeds: bool,
    /// `sync/PurchaseOrder/PurchaseOrders` exists.
    pub purchase_order_feed: bool,
    /// So many counted errors of an endpoint within an hour pass; one more blocks it for an hour.
    pub errors_per_hour: usize,
    /// Refused token calls count as errors.
    pub counts_token_errors: bool,
    /// Parallel calls to a company double one row of a page and lose another.
    pub parallel_calls_mix: bool,
    /// Answers carry no limit headers.
    pub no_limit_headers: bool,
    /// Creating answers 200 and not 201.
    pub created_is_200: bool,
    /// Which hosts may be subscribed.
    pub callback_host: CallbackHost,
    /// The callback is checked a second after the subscription was created, and not during the call.
    pub late_check: bool,
    /// The topic `FinancialTransactions` still exists.
    pub umbrella_topic: bool,
    /// Notifications say `Update` when a record was created.
    pub creates_are_updates: bool,
    /// A change is also told for every line, with the line's key.
    pub tells_lines: bool,
    /// `Action` is in upper case.
    pub upper_case_actions: bool,
    /// `Division` of notifications is text.
    pub division_as_text: bool,
    /// `ExactOnlineEndpoint` is on this host.
    pub foreign_endpoint: Option<String>,
    /// `ExactOnlineEndpoint` is a path.
    pub relative_endpoint: bool,
    /// Notifications are not compact.
    pub spaced_notifications: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            bare_arrays: true,
            requires_select: true,
            requires_filter: true,
            refuses_orderby: false,
            keyed_expand: true,
            bare_rights: false,
            rights_are_secret: false,
            login_page: false,
            int64_as_numbers: false,
            dutch_errors: false,
            null_amounts: Duration::ZERO,
            negative_receivables: true,
            foreign_next: None,
            other_division: None,
            line_changes_are_silent: false,
            ledger_rows_change_together: false,
            unordered_feeds: false,
            entry_feeds: true,
            purchase_order_feed: true,
            errors_per_hour: 10,
            counts_token_errors: true,
            parallel_calls_mix: true,
            no_limit_headers: false,
            created_is_200: false,
            callback_host: CallbackHost::Same,
            late_check: false,
            umbrella_topic: true,
            creates_are_updates: false,
            tells_lines: false,
            upper_case_actions: false,
            division_as_text: false,
            foreign_endpoint: None,
            relative_endpoint: false,
            spaced_notifications: false,
        }
    }
}
