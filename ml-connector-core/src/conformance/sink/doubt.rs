//! What may have happened: said honestly, and found out before anything is repeated.

use std::time::Duration;

use super::{LastNote, SinkUnderTest, writes::failure};
use crate::{
    Effect, Error, Repeat,
    conformance::wire::{Fault, GRACE, Lab, cuts, html, polled_at_most},
    model::{Delivery, Lookup},
};

/// Whatever a load balancer says of a server behind it.
pub async fn a_failing_server_leaves_doubt(sink: &SinkUnderTest) {
    for status in [500, 502, 503, 504] {
        let lab = sink.lab().await;
        lab.always(Fault::Answer(html(status)));
        doubtful(&failure(sink, &lab, &format!("status {status}")).await);
    }
}

/// It was written; only the answer suffered. A look-up finds it.
pub async fn half_an_answer_leaves_doubt(sink: &SinkUnderTest) {
    let lab = sink.lab().await;
    sink.deliver_one(&*(sink.connect)(), &lab.ctx(), &sink.delivery(1)).await.expect("the vendor takes it");
    let faults = cuts(lab.body_bytes()).into_iter().map(Fault::Cut).chain([Fault::Torn]);
    for (n, fault) in (2..).zip(faults) {
        let lab = sink.lab().await;
        lab.plant(fault.clone(), 1);
        let (connected, delivery) = ((sink.connect)(), sink.delivery(n));
        match sink.deliver_one(&*connected, &lab.ctx(), &delivery).await {
            Ok(receipt) => panic!("{fault:?} is taken for {receipt:?}"),
            Err(error) => doubtful(&error),
        }
        lab.heal();
        is_found(&sink.look_up(&*connected, &lab, &delivery).await);
    }
}

/// No call takes longer than the engine gave it, and nobody knows what became of it.
pub async fn a_vendor_that_hangs_is_left_in_doubt_at_the_deadline(sink: &SinkUnderTest) {
    let (lab, allowed) = (sink.lab().await, Duration::from_secs(5));
    lab.always(Fault::Hang);
    let began = lab.now();
    let ctx = lab.ctx().within(allowed);
    let error = match sink.deliver_one(&*(sink.connect)(), &ctx, &sink.delivery(1)).await {
        Ok(receipt) => panic!("no answer is taken for {receipt:?}"),
        Err(error) => error,
    };
    let took = lab.now().saturating_since(began);
    assert!(took <= allowed + GRACE, "a call that has {allowed:?} took {took:?}");
    doubtful(&error);
}

/// By the instance that sent it, and by one that knows nothing of it.
pub async fn a_write_whose_answer_was_lost_is_found(sink: &SinkUnderTest) {
    let (lab, connected, delivery) = (sink.lab().await, (sink.connect)(), sink.delivery(1));
    lab.plant(Fault::LostAnswer, 1);
    let lost = sink.deliver_one(&*connected, &lab.ctx(), &delivery).await;
    doubtful(&lost.expect_err("a write without an answer is no success"));
    assert_eq!((sink.written)(), 1, "a write is not repeated within the call");
    for instance in [connected, (sink.connect)()] {
        is_found(&sink.look_up(&*instance, &lab, &delivery).await);
    }
    // A neighbor that was never sent is not mistaken for it.
    let other = sink.delivery(2);
    assert!(!matches!(sink.look_up(&*(sink.connect)(), &lab, &other).await, Lookup::Happened(_)));
}

/// "It did not happen" is said only when that is so, and "it happened" never.
pub async fn a_write_that_got_lost_is_never_found(sink: &SinkUnderTest) {
    let (lab, connected, delivery) = (sink.lab().await, (sink.connect)(), sink.delivery(1));
    lab.plant(Fault::LostRequest, 1);
    let lost = sink.deliver_one(&*connected, &lab.ctx(), &delivery).await;
    doubtful(&lost.expect_err("a write without an answer is no success"));
    assert_eq!((sink.written)(), 0, "a write is not repeated within the call");
    for instance in [connected, (sink.connect)()] {
        let told = sink.look_up(&*instance, &lab, &delivery).await;
        assert!(
            matches!(told, Lookup::DidNotHappen | Lookup::MayRepeat | Lookup::CannotTell),
            "nothing was written: {told:?}"
        );
    }
}

/// At every point at which it waits: another instance looks it up, repeats it only if it did not happen, and in the
/// end it is there, once.
pub async fn a_dropped_delivery_is_taken_up_after_a_restart(sink: &SinkUnderTest) {
    for polls in 0.. {
        let before = (sink.written)();
        let (lab, delivery) = (sink.lab().await, sink.delivery(polls as u64 + 1));
        let connected = (sink.connect)();
        let kept = LastNote::default();
        let ctx = lab.ctx();
        let attempt = sink.deliver_noting(&*connected, &ctx, &delivery, &kept);
        let dropped = polled_at_most(polls, attempt).await;
        drop(connected);
        let done = dropped.is_some_and(|result| result.is_ok());
        let delivery = Delivery { note: kept.note(), ..delivery };
        let settled = done || resumed(sink, &lab, delivery).await;
        let times = (sink.written)() - before;
        let once = match (sink.connect)().info().repeat {
            Repeat::AfterLookup if settled => times == 1,
            Repeat::AfterLookup => times <= 1,
            Repeat::Safe => times >= 1,
        };
        assert!(once, "a delivery that was dropped at its poll {polls} is there {times} times");
        if done {
            return;
        }
    }
}

/// Does with an attempt whose end nobody saw what the engine does. Returns whether it is known to be there now.
async fn resumed(sink: &SinkUnderTest, lab: &Lab, mut delivery: Delivery) -> bool {
    let connected = (sink.connect)();
    let is_safe = connected.info().repeat == Repeat::Safe;
    if !is_safe || delivery.note.is_some() {
        match sink.look_up(&*connected, lab, &delivery).await {
            Lookup::Happened(_) => return true,
            Lookup::DidNotHappen => {}
            _ if is_safe => {}
            _ => return false,
        }
    }
    delivery.attempt += 1;
    sink.deliver_at_last(&*connected, lab, &delivery).await;
    true
}

fn doubtful(error: &Error) {
    assert_ne!(
        error.effect(),
        Effect::None,
        "it may have been written, but the error says that it was not: {error:?}"
    );
}

fn is_found(told: &Lookup) {
    assert!(
        matches!(told, Lookup::Happened(_) | Lookup::MayRepeat | Lookup::CannotTell),
        "it was written, but the look-up says {told:?}"
    );
}
