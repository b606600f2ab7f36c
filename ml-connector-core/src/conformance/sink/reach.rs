//! Whether the vendor can be reached, apart from any delivery.

use super::SinkUnderTest;
use crate::{
    ErrorKind,
    conformance::wire::{Fault, Lab, html},
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
