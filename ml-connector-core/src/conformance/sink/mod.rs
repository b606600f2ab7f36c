//! Behaviors of a [`Sink`], in front of a vendor that answers as it should until the suite gets in between.

pub mod doubt;
pub mod reach;
pub mod writes;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;

use super::{
    Behavior, Refusals, behaviors,
    wire::{Lab, tidy},
};
use crate::{
    AttemptNotes, Clock, Context, HttpTransport, Result, Sink,
    model::{
        Change, Content, Delivery, DeliveryId, Destination, EntityRef, Event, Lookup, Raw, Receipt, Seq,
    },
    rate::Admission,
    sleep_until,
};

/// A look-up that has not told by then never does.
const MAX_LOOKS: usize = 100;

/// What every sink has to do.
pub const BEHAVIORS: &[Behavior<SinkUnderTest>] = behaviors![SinkUnderTest:
    writes::a_plan_is_the_same_every_time,
    writes::each_delivery_has_one_result_in_order,
    writes::a_write_that_was_never_sent_did_not_happen,
    writes::a_refused_write_did_not_happen,
    writes::too_often_says_when_to_come_back,
    writes::a_refused_token_is_renewed_or_stops_the_connection,
    writes::nothing_is_written_after_the_lease,
    writes::nothing_secret_is_shown,
    reach::a_ping_writes_nothing,
    reach::a_ping_tells_whether_the_vendor_answers,
    reach::a_check_writes_nothing,
    reach::a_check_names_what_fails,
    reach::maintenance_writes_no_delivery_and_can_be_repeated,
    doubt::a_failing_server_leaves_doubt,
    doubt::half_an_answer_leaves_doubt,
    doubt::a_vendor_that_hangs_is_left_in_doubt_at_the_deadline,
    doubt::a_write_whose_answer_was_lost_is_found,
    doubt::a_write_that_got_lost_is_never_found,
    doubt::a_dropped_delivery_is_taken_up_after_a_restart,
];

/// Checks [`BEHAVIORS`], each on a sink of its own. Call it under tokio's paused clock.
pub async fn all(fresh: impl AsyncFn() -> SinkUnderTest) {
    for (_, check) in BEHAVIORS {
        check(&fresh().await).await;
    }
}

/// A sink and what the suite has to know about its vendor. Every field is a question that every system answers; a
/// new question is a new field.
pub struct SinkUnderTest {
    /// Connects anew, as after a restart: nothing is remembered but what is in the token store.
    pub connect: Box<dyn Fn() -> Arc<dyn Sink> + Send + Sync>,
    /// The vendor, healthy and with the destination in it.
    pub vendor: Arc<dyn HttpTransport>,
    /// A clock that runs with tokio's, the vendor's too.
    pub clock: Arc<dyn Clock>,
    /// Which requests write: not those for tokens and look-ups.
    pub writes: fn(&Request<Bytes>) -> bool,
    /// How many writes the vendor has carried out.
    pub written: Box<dyn Fn() -> usize + Send + Sync>,
    /// Where deliveries go.
    pub destination: Destination,
    /// What the nth delivery brings: an entity, and what its event tells of it. Where a write is a state of its record, such as an approval, each has
    /// a record of its own.
    pub brings: Box<dyn Fn(u64) -> (EntityRef, Content) + Send + Sync>,
    /// What the vendor answers when it does not write.
    pub refusals: Refusals,
    /// Texts that must not be shown: keys and tokens of the configuration, names and amounts in the record.
    pub secrets: Vec<String>,
}

impl SinkUnderTest {
    async fn lab(&self) -> Lab {
        Lab::new(&self.vendor, &self.clock, self.writes).await
    }

    /// The first attempt of a delivery that nobody has made yet.
    fn delivery(&self, n: u64) -> Delivery {
        let now = self.clock.now();
        let changes = BTreeSet::from([Change::Paid, Change::Updated]);
        let (entity, content) = (self.brings)(n);
        // A sink that keeps what the vendor wrote has something to keep.
        let raw = serde_json::value::to_raw_value(&content).expect("the content is JSON");
        let mut event = Event::new("books".into(), entity, n, changes, now, Some(content));
        event.raw = Some(Raw::new(raw));
        let id = DeliveryId::generate(now);
        let mut delivery =
            Delivery::new(Seq(n), id, self.destination.clone(), "conformance", Arc::new(event), now);
        delivery.attempt = 1;
        delivery
    }

    /// Delivers when there is room for it, as the engine does.
    async fn deliver(
        &self,
        sink: &dyn Sink,
        ctx: &Context,
        batch: &[Delivery],
        kept: &LastNote,
    ) -> Vec<Result<Receipt>> {
        for delivery in batch {
            let costs = sink.plan(delivery).expect("the destination is served").costs;
            while let Admission::NotBefore(at) =
                ctx.limiter().admit(&costs, ctx.now()).await.expect("in memory")
            {
                sleep_until(ctx.clock(), at).await;
            }
        }
        let results = sink.deliver(ctx, batch, kept).await;
        assert_eq!(results.len(), batch.len(), "one result for each delivery");
        results.into_iter().map(|result| result.map_err(|error| tidy(error, &self.secrets))).collect()
    }

    async fn deliver_one(&self, sink: &dyn Sink, ctx: &Context, delivery: &Delivery) -> Result<Receipt> {
        self.deliver_noting(sink, ctx, delivery, &LastNote::default()).await
    }

    async fn deliver_noting(
        &self,
        sink: &dyn Sink,
        ctx: &Context,
        delivery: &Delivery,
        kept: &LastNote,
    ) -> Result<Receipt> {
        let mut results = self.deliver(sink, ctx, std::slice::from_ref(delivery), kept).await;
        results.remove(0)
    }

    /// Delivers until it succeeds, as the engine does.
    async fn deliver_at_last(&self, sink: &dyn Sink, lab: &Lab, delivery: &Delivery) -> Receipt {
        let began = lab.now();
        loop {
            match self.deliver_one(sink, &lab.ctx(), delivery).await {
                Ok(receipt) => return receipt,
                Err(error) => lab.wait_out(&error, began).await,
            }
        }
    }

    /// What became of a delivery, once the vendor can tell.
    async fn look_up(&self, sink: &dyn Sink, lab: &Lab, delivery: &Delivery) -> Lookup {
        let began = lab.now();
        for _ in 0..MAX_LOOKS {
            match sink.look_up(&lab.ctx(), delivery).await.map_err(|error| tidy(error, &self.secrets)) {
                Ok(Lookup::AskAgain { at }) => {
                    assert!(at > lab.now(), "`AskAgain` names a time that is over");
                    sleep_until(&*self.clock, at).await;
                }
                Ok(told) => return told,
                Err(error) => lab.wait_out(&error, began).await,
            }
        }
        panic!("the look-up never comes to an end")
    }
}

/// Takes notes, as a durable log would: the last one, for suites that make attempts one by one.
#[derive(Debug, Default)]
struct LastNote(Mutex<Option<Bytes>>);

impl LastNote {
    fn note(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl AttemptNotes for LastNote {
    async fn keep(&self, _: &[Seq], note: Bytes) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
        Ok(())
    }
}

impl fmt::Debug for SinkUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkUnderTest").field("destination", &self.destination).finish_non_exhaustive()
    }
}
