//! Behaviors of a [`Source`], in front of a vendor that answers as it should until the suite gets in between.

pub mod feeds;
pub mod reads;
pub mod webhooks;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};

use super::{
    Behavior, Refusals, behaviors,
    wire::{Lab, tidy},
};
use crate::{
    Clock, Context, HttpTransport, ReceiveRequest, Result, Source,
    model::{AccountKey, EntityRef, Intake, Observation, Resolution, Signal},
};

/// What every source has to do.
pub const BEHAVIORS: &[Behavior<SourceUnderTest>] = behaviors![SourceUnderTest:
    webhooks::a_verified_webhook_names_its_record,
    webhooks::a_repeated_webhook_gives_the_same_signals,
    webhooks::a_webhook_without_one_good_signature_is_refused_without_a_hint,
    webhooks::a_webhook_that_was_changed_is_refused,
    webhooks::a_handshake_is_kept_without_its_secrets,
    webhooks::a_handshake_that_nobody_waits_for_changes_nothing,
    webhooks::a_webhook_signed_long_ago_or_ahead_is_refused,
    webhooks::garbage_behind_a_good_signature_is_an_invalid_request,
    webhooks::what_proves_the_sender_is_not_kept,
    reads::a_read_begins_after_it_was_asked_for,
    reads::a_limit_is_asked_before_the_vendor,
    reads::the_answer_about_another_record_is_refused,
    reads::reading_again_shows_the_same,
    reads::a_refused_token_is_renewed,
    reads::a_token_that_stays_refused_stops_the_connection,
    reads::too_often_says_when_to_come_back,
    reads::a_failure_is_an_error_whatever_its_status,
    reads::half_an_answer_is_an_error,
    reads::a_vendor_that_hangs_is_left_at_the_deadline,
    reads::a_read_can_be_dropped_anywhere,
    reads::nothing_secret_is_shown,
    reads::not_there_is_not_gone_without_proof,
    reads::a_row_of_another_account_stops_the_connection,
    reads::its_table_holds_the_record,
    reads::a_check_names_what_fails,
    feeds::an_unknown_feed_is_unsupported,
    feeds::a_feed_ends_and_finds_the_record,
    feeds::a_feed_goes_on_from_any_checkpoint,
    feeds::half_a_page_is_an_error,
    feeds::a_page_can_be_dropped_anywhere,
    feeds::an_unreadable_row_keeps_its_id_and_the_page_goes_on,
    feeds::a_row_without_an_id_is_shown_as_lost_and_the_page_goes_on,
    feeds::a_row_that_stands_for_the_record_has_its_revision,
    feeds::a_row_before_its_detail_fits_it,
];

/// Checks [`BEHAVIORS`], each on a source of its own. Call it under tokio's paused clock.
pub async fn all(fresh: impl AsyncFn() -> SourceUnderTest) {
    for (_, check) in BEHAVIORS {
        check(&fresh().await).await;
    }
}

/// A source and what the suite has to know about its vendor. Every field is a question that every system answers;
/// a new question is a new field.
pub struct SourceUnderTest {
    /// Connects anew, as after a restart: nothing is remembered but what is in the token store.
    pub connect: Box<dyn Fn() -> Arc<dyn Source> + Send + Sync>,
    /// The vendor, healthy and with the record in it.
    pub vendor: Arc<dyn HttpTransport>,
    /// A clock that runs with tokio's, the vendor's too.
    pub clock: Arc<dyn Clock>,
    /// Which requests read records: not those for tokens.
    pub reads: fn(&Request<Bytes>) -> bool,
    /// The record.
    pub entity: EntityRef,
    /// Another record of the same kind that the vendor has; `None` where records cannot be read again.
    pub another: Option<EntityRef>,
    /// What the vendor sends when the record changes.
    pub webhook: Webhook,
    /// How webhooks come to be proven, where the vendor hands something over in a webhook.
    pub handshake: Option<Handshake>,
    /// What the vendor answers when it does not give the record.
    pub refusals: Refusals,
    /// What a first look and a backfill of its feed show of the record.
    pub lists: Lists,
    /// How the vendor's answers name the account that they are about: a text that is in them for nothing else. `None` where
    /// they do not.
    pub names_account: Option<String>,
    /// What the vendor says of a record that does not exist, and of one that is there and may not be seen: each of its words
    /// for both. None where records cannot be asked for by their id.
    pub missing: Vec<Response<Bytes>>,
    /// Texts that must not be shown: keys and tokens of the configuration, names and amounts in the record.
    pub secrets: Vec<String>,
}

/// What a list shows of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// All of it: [observations](crate::model::Page::observations), or what was read for the page one by one.
    Records,
    /// Less than its detail: [rows](crate::model::Page::rows).
    Rows,
    /// That it is there: [signals](crate::model::Page::signals). Or there is no list, or it depends.
    Ids,
}

/// A webhook about the record, signed now.
#[derive(Debug)]
pub struct Webhook {
    /// The request, with the path below the endpoint.
    pub request: Request<Bytes>,
    /// The account it names, where the endpoint is shared.
    pub account: Option<AccountKey>,
    /// What it proves.
    pub proves: Proof,
    /// What it is verified with, where that is what [`Source::upkeep`] or a handshake has stored.
    pub state: Option<Bytes>,
    /// The header with the signature, unless the body carries the proof.
    pub signature: Option<&'static str>,
    /// How far from now the vendor's time of signing may be, where it signs one.
    pub tolerance: Option<Duration>,
    /// Requests that prove nothing, beyond those that the suite makes of `request`.
    pub forged: Vec<Request<Bytes>>,
    /// Well signed requests that say nothing the source understands.
    pub misunderstood: Vec<Request<Bytes>>,
}

/// What a webhook proves. The less it does, the more has to be read before anything is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Every byte of the body is signed.
    Body,
    /// These bytes of the body are signed, such as one member of an object.
    Part(Range<usize>),
    /// Nothing of the body is: the path, or a text that the vendor repeats, proves that the sender is the vendor. Then
    /// [`Webhook::forged`] holds requests without that. They are refused, or answered with a success and a
    /// [note](Intake::note); then feeds may be read in their place, and no record that they name.
    Sender,
}

/// A webhook that hands over what others are verified with.
#[derive(Debug)]
pub struct Handshake {
    /// What is stored while it is waited for.
    pub waiting: Option<Bytes>,
    /// What the vendor sends then.
    pub request: Request<Bytes>,
    /// Texts of it that must be in no entry of the log.
    pub secrets: Vec<String>,
}

impl SourceUnderTest {
    async fn lab(&self) -> Lab {
        Lab::new(&self.vendor, &self.clock, self.reads).await
    }

    fn receive(&self, request: &Request<Bytes>) -> Result<Intake> {
        self.receive_with(request, self.webhook.state.as_ref())
    }

    fn receive_with(&self, request: &Request<Bytes>, state: Option<&Bytes>) -> Result<Intake> {
        let request = ReceiveRequest::new(request, self.clock.now()).state(state);
        let received = (self.connect)().receive(request);
        received.map_err(|error| tidy(error, &self.secrets))
    }

    /// Reads until it succeeds, as the engine does.
    async fn read_at_last(&self, source: &dyn Source, lab: &Lab) -> Observation {
        let began = lab.now();
        loop {
            match self.read(source, &lab.ctx()).await {
                Ok(read) => return read,
                Err(error) => lab.wait_out(&error, began).await,
            }
        }
    }

    /// Reads the record once.
    async fn read(&self, source: &dyn Source, ctx: &Context) -> Result<Observation> {
        self.read_record(source, ctx, &self.entity).await
    }

    async fn read_record(
        &self,
        source: &dyn Source,
        ctx: &Context,
        entity: &EntityRef,
    ) -> Result<Observation> {
        let signal = Signal { account: self.webhook.account.clone(), ..Signal::entity(entity.clone()) };
        let resolution = source.resolve(ctx, &[signal], None).await;
        match resolution.map_err(|error| tidy(error, &self.secrets))? {
            Resolution::Observed(observations) => {
                let ours = observations.into_iter().find(|observation| observation.entity == *entity);
                Ok(ours.unwrap_or_else(|| panic!("the read does not show {entity}")))
            }
            other => panic!("expected the record, which is there, to be read: {other:?}"),
        }
    }
}

impl fmt::Debug for SourceUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceUnderTest").field("entity", &self.entity).finish_non_exhaustive()
    }
}
