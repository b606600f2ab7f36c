//! Whether the vendor can be reached, apart from any delivery.

use super::SinkUnderTest;
use crate::{
    CheckResult, CheckStep, ErrorKind, Sink,
    conformance::wire::{Fault, Lab, fails_with_a_remedy, html, is_well},
    model::Lookup,
};

/// A lab in which every request counts.
async fn lab(sink: &SinkUnderTest) -> Lab {
    Lab::new(&sink.vendor, &sink.clock, |_| true).await
}

/// As often as it is asked.
pub async fn a_ping_writes_nothing(sink: &SinkUnderTest) {
    let (lab, connected) = (lab(sink).await, (sink.connect)());
    for _ in 0..3 {
        connected.ping(&lab.ctx()).await.expect("the vendor is healthy");
    }
    assert_eq!((sink.written)(), 0, "a ping writes something");
}

/// No connection, no answer, and a failing server's answer are failures; every later ping asks anew. A sink that calls
/// nobody has nobody to reach.
pub async fn a_ping_tells_whether_the_vendor_answers(sink: &SinkUnderTest) {
    for fault in [Fault::NoConnection, Fault::Hang, Fault::Answer(html(503))] {
        let (lab, connected) = (lab(sink).await, (sink.connect)());
        connected.ping(&lab.ctx()).await.expect("the vendor is healthy");
        if lab.seen().is_empty() {
            sink.deliver_one(&*connected, &lab.ctx(), &sink.delivery(1)).await.expect("the vendor takes it");
            assert!(lab.seen().is_empty(), "a sink that calls its vendor has to ask it");
            return;
        }
        lab.always(fault.clone());
        match connected.ping(&lab.ctx()).await {
            Ok(()) => panic!("{fault:?} is taken for an answer"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?}: {error:?}"),
        }
        lab.heal();
        connected.ping(&lab.ctx()).await.expect("the vendor is healthy again");
    }
}

/// Somebody who sets a connection up looks as often as he likes. Of a healthy vendor nothing is said to fail.
pub async fn a_check_writes_nothing(sink: &SinkUnderTest) {
    let (lab, connected) = (lab(sink).await, (sink.connect)());
    for _ in 0..3 {
        is_well(&check(sink, &*connected, &lab).await, &sink.secrets);
    }
    assert_eq!((sink.written)(), 0, "a check writes something");
}

/// With what somebody has to do about it. A check that asks nobody, because another looks at the same, says that nothing was
/// looked at. A sink that calls nobody has nothing to look at.
pub async fn a_check_names_what_fails(sink: &SinkUnderTest) {
    let (lab, connected) = (lab(sink).await, (sink.connect)());
    connected.ping(&lab.ctx()).await.expect("the vendor is healthy");
    if lab.seen().is_empty() {
        return;
    }
    lab.always(Fault::Answer(sink.refusals.token.clone()));
    let before = lab.seen().len();
    let steps = check(sink, &*(sink.connect)(), &lab).await;
    if lab.seen().len() > before {
        return fails_with_a_remedy(&steps, &sink.secrets);
    }
    let says_so = |step: &CheckStep| step.result == CheckResult::Skipped && step.found.is_some();
    assert!(!steps.is_empty() && steps.iter().all(says_so), "nobody was asked, and a check says: {steps:?}");
}

/// It may come at any time, and more often than it asked for: it delivers nothing, and takes nothing away that was delivered.
pub async fn maintenance_writes_no_delivery_and_can_be_repeated(sink: &SinkUnderTest) {
    let (lab, connected, delivery) = (lab(sink).await, (sink.connect)(), sink.delivery(1));
    for delivered in [false, true] {
        if delivered {
            sink.deliver_at_last(&*connected, &lab, &delivery).await;
        }
        let written = (sink.written)();
        for _ in 0..3 {
            let next = connected.maintain(&lab.ctx()).await.expect("the vendor is healthy");
            assert!(next.is_none_or(|next| next > lab.now()), "it is due again at once: {next:?}");
        }
        assert_eq!((sink.written)(), written, "maintenance writes or takes away a delivery");
    }
    let told = sink.look_up(&*connected, &lab, &delivery).await;
    assert!(!matches!(told, Lookup::DidNotHappen), "what was delivered is not there any more: {told:?}");
}

async fn check(sink: &SinkUnderTest, connected: &dyn Sink, lab: &Lab) -> Vec<CheckStep> {
    let mut steps = connected.check(&lab.ctx()).await;
    steps.extend(connected.check_destination(&lab.ctx(), &sink.destination).await);
    steps
}
