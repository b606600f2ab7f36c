//! How a simulated Business Central is set up, and what can be made to go wrong.

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::model::Decimal;

use crate::toolkit::{conditions::Conditions, outbox::DeliveryTuning};

/// How an environment begins.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BusinessCentralConfig {
    /// Where ids and tokens come from.
    pub seed: u64,
    /// What every call meets.
    pub conditions: Conditions,
    /// The environment's name.
    pub environment: String,
    /// The company's name: the key of deep links.
    pub company: String,
    /// The company's own currency.
    pub currency: String,
    /// The major version: approval entries exist from 29 on.
    pub version: u32,
    /// How long access tokens live.
    pub token_life: Duration,
}

impl Default for BusinessCentralConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            conditions: Conditions::ordinary(),
            environment: "Production".to_owned(),
            company: "HARBOR SUPPLY".to_owned(),
            currency: "USD".to_owned(),
            version: 29,
            token_life: Duration::from_secs(3599),
        }
    }
}

/// What a connector needs to connect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Credentials {
    /// The Entra directory.
    pub tenant: String,
    /// The environment.
    pub environment: String,
    /// The company with the records.
    pub company_id: String,
    /// An application that may read and post.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// A second application, for posting only.
    pub poster_id: String,
    /// Its secret.
    pub poster_secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("tenant", &self.tenant)
            .field("company_id", &self.company_id)
            .finish_non_exhaustive()
    }
}

/// The language of error texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Language {
    /// `en-US`.
    #[default]
    English,
    /// `nl-NL`: whatever `Accept-Language` says.
    Dutch,
}

/// Why posting is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The posting date lies in a closed period: checked before anything is written.
    ClosedPeriod,
    /// The vendor's invoice number is missing: checked before anything is written.
    VendorInvoiceNumber,
    /// The vendor or customer is blocked.
    Blocked,
    /// An account is blocked: seen after the draft was written to and committed.
    BlockedAccount,
    /// A line names a location that does not exist.
    UnknownLocation,
    /// Business Central's own workflow has not approved it.
    NeedsApproval,
    /// The application lacks a right on a table of an extension: 403 with `Internal_ServerError`.
    Permission,
}

/// What can be made to go wrong, or right again. Marked `[code]`: read from the published source, not documented.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct BusinessCentralTuning {
    /// Every posting is refused so, until this is `None` again.
    pub refuse: Option<Refusal>,
    /// Posting these documents is refused so, by their id.
    pub refusals: BTreeMap<String, Refusal>,
    /// `[code]` A refusal that comes late has touched the draft: a new etag, stamp and notice.
    pub refusal_touches_draft: bool,
    /// `[code]` And released it: the discount was calculated anew, and the total is this.
    pub refusal_recalculates: Option<Decimal>,
    /// So many of the next postings find the database busy: 409 with a code of its own, and nothing happened.
    pub busy_postings: u32,
    /// `[code]` So many of the next reads of single drafts find somebody else writing: 409.
    pub busy_reads: u32,
    /// So many of the next postings are answered with 400 although they happened.
    pub although_posted: u32,
    /// The posting goes on so long after its answer, as when the caller's connection breaks. Until then it reads Draft.
    pub posts_after: Duration,
    /// Posting these documents goes on so long after its answer, by their id.
    pub goes_on: BTreeMap<String, Duration>,
    /// Posting is asked of the workflow first: only released documents are posted.
    pub workflow: bool,
    /// Action names in another casing are 404. Seen live: any casing posts.
    pub strict_action_names: bool,
    /// `[code]` One number series for drafts and posted invoices: the number stays.
    pub one_series: bool,
    /// A stale etag is 412 instead of 409.
    pub stale_is_412: bool,
    /// `[code]` A draft that is read by an application which may write is written to, in lists too.
    pub reading_touches_drafts: bool,
    /// The first application has read-only permission sets: it posts nothing, and its reads write nothing.
    pub reads_only: bool,
    /// This version has the route that lists posted documents.
    pub automate: bool,
    /// Enum values as older documentation shows them: `In Review`.
    pub plain_enums: bool,
    /// Reads with `Data-Access-Intent: ReadOnly` see what was so long ago.
    pub replica_lag: Duration,
    /// The applications are not entered in the environment: 401 although the token is good.
    pub app_disabled: bool,
    /// Error texts in another language.
    pub language: Language,
    /// `nextLink` names another host.
    pub foreign_next_link: bool,
    /// `nextLink` leads to the same page again.
    pub repeats_next_link: bool,
    /// Reads that touch this id fail with 404 about a related record, on lists too.
    pub broken_reference: Option<String>,
    /// Answers say that they are about this company: something between has mixed them up.
    pub answers_for: Option<String>,
    /// Deleting a draft leaves a posted document of zero in its place.
    pub placeholders: bool,
    /// `purchaseOrders` is among the resources with webhooks.
    pub order_webhooks: bool,
    /// A subscription's id is the server's own, whatever the caller chose.
    pub own_subscription_ids: bool,
    /// Changes are noted and not told, as those of delegated administrators.
    pub holds_notices: bool,
    /// A notice goes out so long after the first change: half a minute.
    pub notice_after: Duration,
    /// So many changes of one subscription become one `collection` notice.
    pub collection_above: usize,
    /// Losing, repeating, delaying and shuffling notices.
    pub notices: DeliveryTuning,
    /// Calls of one application within five minutes.
    pub calls_per_5_minutes: u32,
    /// 429 names a time.
    pub retry_after_secs: Option<u32>,
    /// So many of the next token requests find Entra busy.
    pub entra_busy: u32,
    /// `expires_in` is a text.
    pub expires_in_as_text: bool,
}

impl BusinessCentralTuning {
    /// How long after a change it is told.
    pub(super) fn notices_after(&self) -> Duration {
        self.notice_after + self.notices.delay
    }
}

impl Default for BusinessCentralTuning {
    fn default() -> Self {
        Self {
            refuse: None,
            refusals: BTreeMap::new(),
            refusal_touches_draft: true,
            refusal_recalculates: None,
            busy_postings: 0,
            busy_reads: 0,
            although_posted: 0,
            posts_after: Duration::ZERO,
            goes_on: BTreeMap::new(),
            workflow: false,
            strict_action_names: false,
            one_series: false,
            stale_is_412: false,
            reading_touches_drafts: false,
            reads_only: false,
            automate: true,
            plain_enums: false,
            replica_lag: Duration::ZERO,
            app_disabled: false,
            language: Language::default(),
            foreign_next_link: false,
            repeats_next_link: false,
            broken_reference: None,
            answers_for: None,
            placeholders: false,
            order_webhooks: true,
            own_subscription_ids: false,
            holds_notices: false,
            notice_after: Duration::from_secs(30),
            collection_above: 1000,
            notices: DeliveryTuning::default(),
            calls_per_5_minutes: 6000,
            retry_after_secs: None,
            entra_busy: 0,
            expires_in_as_text: false,
        }
    }
}
