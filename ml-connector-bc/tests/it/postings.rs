//! Many postings, each with something that goes wrong: every invoice is posted at most once, and never as nobody saw it.

use std::time::Duration;

use ml_connector_core::model::{Decimal, EntityRef};
use ml_connector_sim::{
    Fault,
    bc::{NewDocument, Refusal, Set},
};

use crate::support::{World, command, read, record, settle};

/// How many runs; `ML_POSTINGS=10000` for the full proof.
fn runs() -> u64 {
    std::env::var("ML_POSTINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// The same numbers in every run.
fn dice(run: u64, salt: u64, below: u64) -> u64 {
    let mut mixed =
        run.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % below
}

#[tokio::test(start_paused = true)]
async fn each_invoice_is_posted_at_most_once_and_never_as_nobody_saw_it() {
    let world = World::new();
    let erp = world.connect();
    let (mut posted, mut refused) = (0, 0);
    for run in 0..runs() {
        let set = if dice(run, 1, 4) == 0 { Set::SalesInvoices } else { Set::PurchaseInvoices };
        let kind = if set == Set::SalesInvoices { "invoice" } else { "bill" };
        let cents = i64::try_from(10_000 + dice(run, 2, 1_000_000)).unwrap();
        let total = Decimal::new(cents, 2);
        let id =
            world.erp.create(set, &NewDocument::new("Northline Packaging", total).vendor_invoice_number("N"));
        let entity = EntityRef::new(kind, id.as_str());
        let seen = read(&world, &erp, &entity).await;
        assert_eq!(record(&seen).total.unwrap().amount, total);

        let on_post = |fault: Fault| world.erp.plant(fault.on("Microsoft.NAV.post").target(&id));
        let fate = dice(run, 3, 12);
        match fate {
            0 => on_post(Fault::reset().having_acted()),
            1 => on_post(Fault::reset()),
            2 => on_post(Fault::html(http::StatusCode::BAD_GATEWAY).having_acted()),
            3 => on_post(Fault::timeout().having_acted()),
            4 => on_post(Fault::timeout()),
            5 => on_post(Fault::throttled().times(2)),
            6 => world.erp.tune(|tuning| tuning.although_posted = 1),
            7 => world.erp.tune(|tuning| tuning.posts_after = Duration::from_secs(60 + dice(run, 4, 400))),
            8 => world.erp.tune(|tuning| tuning.refuse = Some(Refusal::BlockedAccount)),
            9 => on_post(Fault::delay(Duration::from_secs(2))),
            _ => {}
        }
        // Two people click, or two hosts believe that it is theirs.
        let twice = dice(run, 5, 3) == 0;
        let edits = fate == 9 || (fate >= 10 && dice(run, 6, 2) == 0);
        let first = settle(&world, &erp, command(&world, &seen));
        let second = async {
            if twice {
                world.sleep(dice(run, 7, 3)).await;
                let _ = settle(&world, &erp, command(&world, &seen)).await;
            }
        };
        let somebody = async {
            if edits {
                tokio::time::sleep(Duration::from_millis(dice(run, 8, 1_500))).await;
                if dice(run, 9, 2) == 0 {
                    let _ = world.erp.set_total(set, &id, total + Decimal::ONE);
                } else {
                    world.erp.upgrade(set);
                }
            }
        };
        let (first, (), ()) = tokio::join!(first, second, somebody);
        world.erp.tune(|tuning| {
            (tuning.posts_after, tuning.refuse, tuning.although_posted) = (Duration::ZERO, None, 0);
        });
        // What may still be going on comes to its end.
        world.sleep(900).await;
        let ledger: Vec<_> = world.erp.postings().into_iter().filter(|posting| posting.id == id).collect();
        assert!(ledger.len() <= 1, "run {run}: posted {} times", ledger.len());
        assert!(ledger.iter().all(|posting| posting.total == total), "run {run}: posted as nobody saw it");
        match &first {
            Ok(receipt) => {
                assert_eq!(ledger.len(), 1, "run {run}: told as posted");
                assert!(receipt.reference.contains(&ledger[0].number), "run {run}: {}", receipt.reference);
                posted += 1;
            }
            Err(error) => {
                assert!(ledger.is_empty() || twice, "run {run}: told as refused and posted: {error}");
                refused += 1;
            }
        }
    }
    assert!(posted > runs() / 2 && refused > 0, "{posted} posted, {refused} refused");
    assert_eq!(world.erp.limit_violations(), 0);
}
