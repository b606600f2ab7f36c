//! Case g6: one open call for an app and a company, over all connections, and what cannot wait goes first.

use std::time::Duration;

use ml_connector_core::{
    Context, Source, Timestamp,
    model::{EntityRef, PollMode, Resolution, Signal},
};
use ml_connector_exact::ExactOnline;
use ml_connector_sim::exact::{ExactOnlineConfig, Kind, NewDocument};

use crate::support::{CUSTOMER, Lab, NOW, amount, builder};

/// How long the server works on a call.
const LATENCY: Duration = Duration::from_millis(300);

fn slow() -> Lab {
    let mut config = ExactOnlineConfig::default();
    config.conditions.latency = LATENCY;
    let lab = Lab::with(NOW, config);
    lab.sim.set_limits(1_000, 5_000);
    lab
}

fn connect(lab: &Lab, division: u32) -> ExactOnline {
    builder(&lab.sim).login("sanne").division(division).pace(1_000, 5_000).build().unwrap()
}

/// Reads a record for a webhook.
async fn read(ctx: &Context, source: &ExactOnline, kind: &str, id: &str) -> Timestamp {
    let signal = Signal::entity(EntityRef::new(kind, id));
    let read = source.resolve(ctx, &[signal], None).await.unwrap();
    assert!(matches!(read, Resolution::Observed(_)), "{read:?}");
    ctx.now()
}

/// When the calls to a path were made, since then.
fn calls(lab: &Lab, since: Timestamp, path: &str) -> Vec<Duration> {
    let calls = lab.sim.received().into_iter().filter(|call| call.path.ends_with(path) && call.at >= since);
    calls.map(|call| call.at.saturating_since(since)).collect()
}

/// Two connections of one company and one of another. One of them pages through a sweep and a backfill; six webhooks come,
/// somebody looks after the subscriptions, and the other connection reads the same company.
#[tokio::test(start_paused = true)]
async fn one_company_is_asked_one_thing_at_a_time_and_others_do_not_wait_for_it() {
    let lab = slow();
    let (source, twin, other) =
        (connect(&lab, 3_141_593), connect(&lab, 3_141_593), connect(&lab, 3_141_594));
    let invoices: Vec<String> = (0..300).map(|_| lab.invoice("10")).collect();
    let bills: Vec<String> = (0..6).map(|_| lab.with_lines(Kind::PurchaseEntries, 1)).collect();
    let there = lab.sim.within(3_141_594);
    let theirs = there.create(Kind::SalesInvoices, &NewDocument::new(CUSTOMER, amount("99")));
    for (source, id) in [(&source, &invoices[0]), (&twin, &invoices[0]), (&other, &theirs)] {
        read(&lab.ctx, source, "invoice", id).await;
    }
    let begun = lab.ctx.now();
    let named = |pages: &[ml_connector_core::model::Page]| {
        pages.iter().map(|page| page.signals.len() + page.rows.len()).sum::<usize>()
    };
    let sweep = async {
        let swept = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None).await.unwrap();
        (named(&swept.0), lab.ctx.now())
    };
    let backfill = async {
        let past = PollMode::Backfill { since: None };
        named(&lab.run(&source, "transaction_lines", past, None).await.unwrap().0)
    };
    // They come while the first page is under way.
    let webhooks = async {
        tokio::time::sleep(LATENCY / 2).await;
        let ctx = &lab.ctx;
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|n| read(ctx, &source, "bill", &bills[n]));
        let read = tokio::join!(a, b, c, d, e, f);
        [read.0, read.1, read.2, read.3, read.4, read.5].into_iter().max().unwrap()
    };
    let refresh = read(&lab.ctx, &twin, "invoice", &invoices[1]);
    let elsewhere = read(&lab.ctx, &other, "invoice", &theirs);
    let upkeep = lab.look(&source, None);
    let ((swept, end), past, last, _, elsewhere, _) =
        tokio::join!(sweep, backfill, webhooks, refresh, elsewhere, upkeep);
    assert_eq!((swept, past), (300, 6), "no row twice, none lost");
    assert_eq!(lab.sim.tallies().parallel_calls, 0);
    assert!(elsewhere.saturating_since(begun) < Duration::from_secs(1), "another company waits for none");
    assert!(last + LATENCY * 2 < end, "a webhook's read goes before the last page");
}

#[tokio::test(start_paused = true)]
async fn the_next_page_of_a_list_waits_for_the_reads_that_came_meanwhile() {
    let lab = slow();
    let source = connect(&lab, 3_141_593);
    let invoices: Vec<String> = (0..300).map(|_| lab.invoice("10")).collect();
    let bills: Vec<String> = (0..6).map(|_| lab.with_lines(Kind::PurchaseEntries, 1)).collect();
    read(&lab.ctx, &source, "invoice", &invoices[0]).await;
    tokio::time::sleep(LATENCY).await;
    let begun = lab.ctx.now();
    let sweep = lab.run(&source, "all_sales_invoices", PollMode::Sweep, None);
    let webhooks = async {
        tokio::time::sleep(LATENCY / 2).await;
        let ctx = &lab.ctx;
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|n| read(ctx, &source, "bill", &bills[n]));
        tokio::join!(a, b, c, d, e, f)
    };
    let (swept, _) = tokio::join!(sweep, webhooks);
    assert!(swept.unwrap().0.len() >= 5);
    let pages = calls(&lab, begun, "salesinvoice/SalesInvoices");
    let reads = calls(&lab, begun, "purchaseentry/PurchaseEntries");
    assert_eq!(reads.len(), 6);
    assert!(pages[0] < reads[0] && reads[5] < pages[1], "pages at {pages:?}, reads at {reads:?}");
}
