//! Writing, and knowing that nothing was written.

use super::{LastNote, SinkUnderTest};
use crate::{
    Effect, Error, ErrorKind, Repeat, Retry, Scope,
    conformance::wire::{Fault, Lab, shows_no_secret},
    model::Lookup,
};

/// For any instance: the order and the pace of what waits in the log do not depend on who plans it.
pub async fn a_plan_is_the_same_every_time(sink: &SinkUnderTest) {
    let delivery = sink.delivery(1);
    let plan = (sink.connect)().plan(&delivery).expect("the destination is served");
    for _ in 0..2 {
        let again = (sink.connect)().plan(&delivery).expect("the destination is served");
        assert_eq!((&again.lane, &again.costs), (&plan.lane, &plan.costs));
    }
    assert_eq!((sink.written)(), 0, "planning writes nothing");
}

/// And a look-up finds each of them where its receipt says.
pub async fn each_delivery_has_one_result_in_order(sink: &SinkUnderTest) {
    let (lab, connected) = (sink.lab().await, (sink.connect)());
    let batch: Vec<_> =
        (1..=connected.info().max_batch.clamp(1, 3)).map(|n| sink.delivery(n as u64)).collect();
    let results = sink.deliver(&*connected, &lab.ctx(), &batch, &LastNote::default()).await;
    let receipts: Vec<_> = results.into_iter().map(|result| result.expect("the vendor takes it")).collect();
    if connected.info().repeat == Repeat::AfterLookup {
        assert_eq!((sink.written)(), batch.len(), "each delivery is one write");
    }
    for (delivery, receipt) in batch.iter().zip(receipts) {
        match sink.look_up(&*connected, &lab, delivery).await {
            Lookup::Happened(found) => assert_eq!(found.reference, receipt.reference, "in order"),
            Lookup::MayRepeat | Lookup::CannotTell => {}
            other => panic!("a delivery that was taken is looked up as {other:?}"),
        }
    }
}

/// No connection, no effect.
pub async fn a_write_that_was_never_sent_did_not_happen(sink: &SinkUnderTest) {
    let lab = sink.lab().await;
    lab.always(Fault::NoConnection);
    let error = failure(sink, &lab, "no connection").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    none_written(sink, &error);
}

/// Behind a 200 too. It is written once it is sent again and accepted.
pub async fn a_refused_write_did_not_happen(sink: &SinkUnderTest) {
    for answer in &sink.refusals.refused {
        let lab = sink.lab().await;
        lab.always(Fault::Answer(answer.clone()));
        let error = failure(sink, &lab, &format!("a refusal with status {}", answer.status())).await;
        none_written(sink, &error);
    }
}

/// In every form: nothing was done, and the error names the time.
pub async fn too_often_says_when_to_come_back(sink: &SinkUnderTest) {
    for (wait, answer) in &sink.refusals.too_often {
        let lab = sink.lab().await;
        lab.always(Fault::Answer(answer.clone()));
        let error = failure(sink, &lab, "an answer that says too often").await;
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error:?}");
        let sent: Vec<_> = lab.seen().iter().map(|seen| seen.at).collect();
        let last = *sent.last().expect("the vendor was asked: does the adapter tell which requests write?");
        let Retry::At(at) = error.retry() else { panic!("expected to hear when to come back: {error:?}") };
        assert!(at >= last + *wait, "told to wait {wait:?} at {last}, the error says {at}");
        assert!(sent.windows(2).all(|pair| pair[1] >= pair[0] + *wait), "asked too early, at {sent:?}");
        none_written(sink, &error);
    }
}

/// One fresh token is tried, where there can be one; then somebody has to connect it anew. A sink that has just read
/// with the same token knows that only the permission to write is missing, and stops no more than the lane.
pub async fn a_refused_token_is_renewed_or_stops_the_connection(sink: &SinkUnderTest) {
    let refused = || Fault::Answer(sink.refusals.token.clone());
    let lab = sink.lab().await;
    lab.always(refused());
    let error = failure(sink, &lab, "a refused token").await;
    let stops = (error.kind(), error.scope());
    let known =
        [(ErrorKind::Unauthenticated, &Scope::Connection), (ErrorKind::PermissionDenied, &Scope::Lane)];
    assert!(known.contains(&stops), "{error:?}");
    assert!(lab.seen().len() <= 2, "{} attempts with a token that is refused", lab.seen().len());
    none_written(sink, &error);

    if sink.refusals.renews_tokens {
        let lab = sink.lab().await;
        lab.plant(refused(), 1);
        let written = sink.deliver_one(&*(sink.connect)(), &lab.ctx(), &sink.delivery(1)).await;
        written.expect("a write succeeds with a fresh token");
        let tokens: Vec<_> = lab.seen().into_iter().map(|seen| seen.authorization).collect();
        assert!(tokens[0].is_some() && tokens[0] != tokens[1], "the token that was refused is sent again");
        assert_eq!((sink.written)(), 1);
    }
}

/// A host that was paused for longer than its lease may have been replaced by another, which writes the same: whatever a
/// sink does before it writes, it asks right before it. What is known not to be written is written later.
pub async fn nothing_is_written_after_the_lease(sink: &SinkUnderTest) {
    let (lab, connected, delivery) = (sink.lab().await, (sink.connect)(), sink.delivery(1));
    match sink.deliver_one(&*connected, &lab.ctx_after_the_lease(), &delivery).await {
        Ok(receipt) => panic!("it is written although the host's lease is over: {receipt:?}"),
        Err(error) => {
            none_written(sink, &error);
            assert_ne!(error.retry(), Retry::Never, "the host may get its lease back: {error:?}");
        }
    }
    assert_eq!(lab.seen().len(), 0, "a write is sent although the host's lease is over");
    sink.deliver_at_last(&*connected, &lab, &delivery).await;
}

/// Not by the sink, not by what it plans and gives back.
pub async fn nothing_secret_is_shown(sink: &SinkUnderTest) {
    let (lab, connected, delivery) = (sink.lab().await, (sink.connect)(), sink.delivery(1));
    shows_no_secret(&connected, &sink.secrets);
    shows_no_secret(&connected.plan(&delivery), &sink.secrets);
    let written = sink.deliver_one(&*connected, &lab.ctx(), &delivery).await;
    shows_no_secret(&written.expect("the vendor takes it"), &sink.secrets);
    shows_no_secret(&connected, &sink.secrets);
}

pub(super) async fn failure(sink: &SinkUnderTest, lab: &Lab, what: &str) -> Error {
    match sink.deliver_one(&*(sink.connect)(), &lab.ctx(), &sink.delivery(1)).await {
        Ok(receipt) => panic!("{what} is taken for {receipt:?}"),
        Err(error) => error,
    }
}

fn none_written(sink: &SinkUnderTest, error: &Error) {
    assert_eq!(error.effect(), Effect::None, "it is known that nothing was written: {error:?}");
    assert_eq!((sink.written)(), 0, "something was written although the error says that nothing was");
}
