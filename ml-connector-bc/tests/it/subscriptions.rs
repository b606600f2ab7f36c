//! Subscriptions: made once, renewed in time, repaired, and answered so that none is lost.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    PollRequest, Source, UpkeepRequest,
    model::{Decimal, PollMode, Signal, Subject},
    sleep_until,
};
use ml_connector_sim::{
    Fault,
    bc::{NewDocument, Set},
};

use crate::support::{HOOKS, Hooks, World};

const FEED: &str = "purchaseInvoices";

/// Reads a feed to its end: the ids that were shown, and the last checkpoint.
async fn read_feed(
    world: &World,
    erp: &BusinessCentral,
    mode: PollMode,
    mut at: Option<Bytes>,
) -> (BTreeSet<String>, Bytes) {
    let mut read = BTreeSet::new();
    loop {
        let page =
            erp.poll(&world.ctx(), PollRequest::new(FEED, mode).checkpoint(at.as_ref())).await.unwrap();
        read.extend(page.observations.iter().map(|seen| seen.entity.id.to_string()));
        if !page.more {
            return (read, page.checkpoint);
        }
        at = Some(page.checkpoint);
    }
}

async fn look(world: &World, erp: &BusinessCentral) -> ml_connector_core::model::Upkeep {
    erp.upkeep(&world.ctx(), UpkeepRequest::new().callback(Some(HOOKS))).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_set_has_one_subscription_and_a_second_look_makes_no_other() {
    let world = World::new();
    let erp = world.connect();
    world.erp.set_hooks(Hooks::of(&world, &erp));
    let first = look(&world, &erp).await;
    assert_eq!(first.signals.len(), 3, "what happened before anybody was told is read");
    let made = world.erp.subscriptions();
    assert_eq!(made.len(), 3);
    assert!(made.iter().all(|one| one.client_state.len() == 40 && one.id.starts_with("mlc-")));
    assert!(look(&world, &erp).await.signals.is_empty());
    assert_eq!(world.erp.subscriptions().len(), 3);
}

/// Case 13, for both: whoever chooses the id, a lost answer makes no second subscription.
#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_is_adopted() {
    for own_ids in [false, true] {
        let world = World::new();
        let erp = world.connect();
        world.erp.set_hooks(Hooks::of(&world, &erp));
        world.erp.tune(|tuning| tuning.own_subscription_ids = own_ids);
        world.erp.plant(Fault::reset().having_acted().on("/subscriptions").method(Method::POST).times(3));
        for _ in 0..6 {
            look(&world, &erp).await;
        }
        assert_eq!(world.erp.subscriptions().len(), 3, "own ids: {own_ids}");
    }
}

#[tokio::test(start_paused = true)]
async fn orders_are_polled_where_they_have_no_webhook_and_a_refused_handshake_is_a_problem() {
    let world = World::new();
    let erp = world.connect();
    let hooks = Hooks::of(&world, &erp);
    world.erp.set_hooks(Arc::clone(&hooks) as _);
    world.erp.tune(|tuning| tuning.order_webhooks = false);
    *hooks.answers.lock().unwrap() = Some(404);
    assert!(look(&world, &erp).await.problem.is_some());
    assert!(world.erp.subscriptions().is_empty());
    *hooks.answers.lock().unwrap() = None;
    assert!(look(&world, &erp).await.problem.is_none());
    assert_eq!(world.erp.subscriptions().len(), 2);
}

/// A month, with changes all the time: subscriptions get lost and endpoints fail, and every change is told or read. Nobody
/// polls but where a look says that there was a gap.
#[tokio::test(start_paused = true)]
async fn a_month_without_a_gap() {
    let world = World::new();
    let erp = world.connect();
    let hooks = Hooks::of(&world, &erp);
    world.erp.set_hooks(Arc::clone(&hooks) as _);
    let (_, mut checkpoint) = read_feed(&world, &erp, PollMode::Baseline, None).await;
    let mut next = world.now();
    let mut gap_read = 0;
    let end = world.now() + Duration::from_secs(30 * 24 * 3600);
    let mut hour = 0_u64;
    // What nobody has told yet; it may only be there while a subscription is missing.
    let mut untold = BTreeSet::new();
    let mut lost = 0;
    while world.now() < end {
        if world.now() >= next {
            let looked = look(&world, &erp).await;
            let of_feed =
                |signal: &Signal| matches!(&signal.subject, Subject::Feed { name, .. } if &**name == FEED);
            if looked.signals.iter().any(of_feed) {
                gap_read += 1;
                let (read, at) = read_feed(&world, &erp, PollMode::Live, Some(checkpoint)).await;
                checkpoint = at;
                untold.retain(|id| !read.contains(id));
                assert!(untold.is_empty(), "hour {hour}: the gap was read, and {} are missing", untold.len());
            }
            assert!(looked.problem.is_none(), "{looked:?}");
            next = looked.next;
        }
        if hour % 97 == 50 {
            let all = world.erp.subscriptions();
            let at =
                all.iter().position(|one| one.resource.ends_with(FEED)).filter(|_| hour.is_multiple_of(2));
            world.erp.drop_subscription(&all[at.unwrap_or(0)].id);
        }
        let serving = world.erp.subscriptions().into_iter().filter(|one| one.expires > world.now()).count();
        assert!(serving >= 2, "hour {hour}: {serving} of 3 serve");
        let served = world.erp.subscriptions().iter().any(|one| one.resource.ends_with(FEED));
        let id = world.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline", Decimal::TEN));
        let told_before = hooks.signals.lock().unwrap().len();
        world.sleep(31).await;
        *hooks.answers.lock().unwrap() = (hour % 5 == 4).then_some(503);
        world.erp.deliver_notices(&*hooks).await;
        *hooks.answers.lock().unwrap() = None;
        world.sleep(3600 - 31).await;
        world.erp.deliver_notices(&*hooks).await;
        let told = hooks.signals.lock().unwrap()[told_before..]
            .iter()
            .any(|signal| matches!(&signal.subject, Subject::Entity(entity) if *entity.id == *id));
        assert!(told || !served, "hour {hour}: a change was not told");
        if !told {
            lost += 1;
            untold.insert(id);
        }
        hour += 1;
    }
    assert!(lost > 6, "{lost} changes happened while nobody was told");
    assert!(untold.is_empty(), "{untold:?}");
    sleep_until(&*world.clock, end).await;
    assert!(gap_read >= 7, "each lost subscription leads to a read of the gap");
    assert_eq!(world.erp.notices().iter().filter(|notice| notice.cost_subscriptions).count(), 0);
}

/// A connection that is pointed at another company first ends what the old one is subscribed to, and takes nothing of others'.
#[tokio::test(start_paused = true)]
async fn the_old_company_s_subscriptions_are_ended_first() {
    let world = World::new();
    let old = world.connect();
    world.erp.set_hooks(Hooks::of(&world, &old));
    let state = look(&world, &old).await.state;
    assert_eq!(world.erp.subscriptions().len(), 3);
    // Another connection of the host has the same secret, and another endpoint.
    let theirs = "https://hooks.example.net/hooks/other";
    let elsewhere = UpkeepRequest::new().callback(Some(theirs));
    let hooks = Hooks::of(&world, &old);
    *hooks.at.lock().unwrap() = theirs.to_owned();
    world.erp.set_hooks(hooks);
    old.upkeep(&world.ctx(), elsewhere).await.unwrap();
    let of = |url: &str| {
        let all = world.erp.subscriptions();
        all.iter().filter(|one| one.notification_url.starts_with(&format!("{url}/"))).count()
    };
    let before = of(theirs);
    let second = world.erp.second_company();
    let moved = world.builder().company(&second, "HARBOR TEST").build().unwrap();
    assert_ne!(moved.info().accounts, old.info().accounts);
    world.erp.set_hooks(Hooks::of(&world, &moved));
    // While the environment does not answer, nothing is forgotten.
    world.erp.plant(Fault::html(http::StatusCode::BAD_GATEWAY).on("/subscriptions").times(9));
    let request = UpkeepRequest::new().callback(Some(HOOKS)).former(Some(&state));
    assert!(moved.upkeep(&world.ctx(), request).await.is_err());
    world.sleep(60).await;
    world.erp.plant(Fault::delay(Duration::ZERO));
    let mut looked = None;
    for _ in 0..6 {
        looked = moved.upkeep(&world.ctx(), request).await.ok();
        if looked.is_some() {
            break;
        }
        world.sleep(60).await;
    }
    let looked = looked.expect("it answers again");
    let left = world.erp.subscriptions();
    let company = world.erp.credentials().company_id;
    let mut old_ones = left.iter().filter(|one| one.notification_url.starts_with(&format!("{HOOKS}/")));
    assert!(!old_ones.any(|one| one.resource.contains(&company)), "{left:?}");
    assert_eq!(of(theirs), before, "another connection's stay");
    let text = String::from_utf8(looked.state.to_vec()).unwrap();
    assert!(text.contains(&second) && !text.contains(&company), "{text}");
}
