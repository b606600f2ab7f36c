//! What the simulator starts with, and what of FreshBooks is not certain.

use std::time::Duration;

use http::StatusCode;

use crate::toolkit::conditions::Conditions;

/// A business of the login.
#[derive(Debug, Clone)]
pub struct Business {
    /// The number in paths of projects and in deliveries.
    pub business_id: u64,
    /// The id in paths of the chart of accounts.
    pub business_uuid: String,
    /// Its name.
    pub name: String,
    /// The id in paths of accounting; a business without accounting has none.
    pub account_id: Option<String>,
    /// The login's role in it: `owner`, `business_employee`.
    pub role: String,
    /// The business's time zone, which no time of the API is in.
    pub time_zone: String,
    /// Whether the plan has bills.
    pub has_bills: bool,
}

impl Business {
    /// An owner's business with accounting and bills, in Toronto.
    #[must_use]
    pub fn new(business_id: u64, account_id: &str, name: &str) -> Self {
        Self {
            business_id,
            business_uuid: format!("5d0f3c1e-8a47-4b1e-9c7d-{business_id:012}"),
            name: name.to_owned(),
            account_id: Some(account_id.to_owned()),
            role: "owner".to_owned(),
            time_zone: "America/Toronto".to_owned(),
            has_bills: true,
        }
    }
}

/// What a [`FreshBooksSim`](super::FreshBooksSim) starts with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FreshBooksConfig {
    /// Where ids and tokens come from.
    pub seed: u64,
    /// The businesses of the login; control methods act on the first unless told otherwise.
    pub businesses: Vec<Business>,
    /// The scopes that are ticked on the app: what is granted when none are asked for.
    pub scopes: Vec<String>,
    /// Calls in any second, and calls at once, of the login.
    pub limits: (u32, u32),
    /// How unkind network and vendor are.
    pub conditions: Conditions,
}

impl Default for FreshBooksConfig {
    fn default() -> Self {
        let mut studio = Business::new(7_310_042, "Zq84Xk", "Northwind Studio Inc.");
        "5d0f3c1e-8a47-4b1e-9c7d-2f6e4b90a113".clone_into(&mut studio.business_uuid);
        let mut side = Business::new(7_310_049, "", "Side Project (no accounting account)");
        "c2b4a9d0-55f1-4f39-8f57-0a6b7f1d2e44".clone_into(&mut side.business_uuid);
        side.account_id = None;
        let objects = [
            "profile",
            "invoices",
            "payments",
            "bills",
            "bill_vendors",
            "bill_payments",
            "expenses",
            "clients",
            "billable_items",
            "taxes",
            "journal_entries",
        ];
        Self {
            seed: 1,
            businesses: vec![studio, side],
            scopes: objects.map(|object| format!("user:{object}:read")).to_vec(),
            // Nothing is published; a client is safe with these.
            limits: (5, 4),
            conditions: Conditions::ordinary(),
        }
    }
}

/// A generation of error answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `response.errors`, as today.
    #[default]
    Today,
    /// As today, but one error instead of a list of them.
    Single,
    /// As today, but `errno` is text.
    ErrnoAsText,
    /// `code` and `details`, as from 2022-10-31 to early 2024.
    Rpc,
}

/// What becomes of a callback whose deliveries fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabling {
    /// After so many failed attempts in a row it is no longer verified, until a resend.
    Unverify {
        /// How many.
        failures: u32,
    },
    /// After so many failed attempts in a row it is gone.
    Delete {
        /// How many.
        failures: u32,
    },
}

/// What sources disagree about or nobody has seen. The default is what is likelier; a client has to hold both.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Quirks {
    /// A refresh answers the `created_at` of the first token, and 43199 seconds.
    pub original_created_at: bool,
    /// Token answers leave `scope` out.
    pub no_scope_in_token_answers: bool,
    /// Memberships name no `account_id`, though `roles` do.
    pub null_account_ids: bool,
    /// How errors of accounting and callbacks look.
    pub error_form: ErrorForm,
    /// A bad token is answered by accounting and callbacks in a form of their own.
    pub own_unauthenticated: bool,
    /// The status of an answer that refuses a feature of the plan: 200 or 403.
    pub feature_status: StatusCode,
    /// The status of a verification with a wrong verifier: 422 or 400.
    pub verifier_status: StatusCode,
    /// The name of a callback's id: `callbackid`, `id` or `callback_id`.
    pub callback_id_key: &'static str,
    /// `updated_at` of callbacks has a space in it instead of `T` and `Z`.
    pub callback_times_with_space: bool,
    /// A resend sends the same verifier as before.
    pub resend_keeps_verifier: bool,
    /// What becomes of a callback that fails.
    pub disabling: Option<Disabling>,
    /// A callback for a noun is told the noun alone, without the verb.
    pub bare_nouns: bool,
    /// Deliveries have the fields of older ones: another order, `system`, no business and no identity.
    pub old_deliveries: bool,
    /// A payment tells of its invoice too.
    pub invoice_update_on_payment: bool,
    /// A payment of a bill tells of its bill.
    pub bill_update_on_payment: bool,
    /// Bills have neither `lines` nor `bill_payments` unless they are asked for.
    pub bare_bills: bool,
    /// A category in a bill's line is its name.
    pub bill_categories_as_text: bool,
    /// `updated_min` narrows the list of bills.
    pub bills_heed_updated_min: bool,
    /// Clients have tokens that open their statements.
    pub client_tokens: bool,
    /// Lists count so many rows that the login may not read.
    pub phantom_rows: usize,
    /// 429 names no time to wait.
    pub no_retry_after: bool,
    /// The pauses before a failed delivery is tried again. Then it is dropped.
    pub retries: Vec<Duration>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            original_created_at: false,
            no_scope_in_token_answers: false,
            null_account_ids: false,
            error_form: ErrorForm::Today,
            own_unauthenticated: false,
            feature_status: StatusCode::OK,
            verifier_status: StatusCode::UNPROCESSABLE_ENTITY,
            callback_id_key: "callbackid",
            callback_times_with_space: false,
            resend_keeps_verifier: false,
            disabling: None,
            bare_nouns: false,
            old_deliveries: false,
            invoice_update_on_payment: true,
            bill_update_on_payment: false,
            bare_bills: false,
            bill_categories_as_text: false,
            bills_heed_updated_min: false,
            client_tokens: false,
            phantom_rows: 0,
            no_retry_after: false,
            // Nothing but "periodically" is published.
            retries: [1, 5, 30].map(|minutes| Duration::from_secs(minutes * 60)).to_vec(),
        }
    }
}
