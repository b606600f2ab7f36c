//! Subscriptions: made once, renewed in time, repaired, and answered so that none is lost.

use std::{sync::Arc, time::Duration};

use http::Method;
use ml_connector_core::{
    Source, UpkeepRequest,
    model::{Decimal, Subject},
    sleep_until,
};
use ml_connector_sim::{
    Fault,
    bc::{NewDocument, Set},
};

use crate::support::{HOOKS, Hooks, World};

async fn look(world: &World, erp: &ml_connector_bc::BusinessCentral) -> ml_connector_core::model::Upkeep {
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

/// A month, with changes all the time: subscriptions get lost and endpoints fail, and every change is told or read.
#[tokio::test(start_paused = true)]
async fn a_month_without_a_gap() {
    let world = World::new();
    let erp = world.connect();
    let hooks = Hooks::of(&world, &erp);
    world.erp.set_hooks(Arc::clone(&hooks) as _);
    let mut next = world.now();
    let mut gap_read = 0;
    let end = world.now() + Duration::from_secs(30 * 24 * 3600);
    let mut hour = 0_u64;
    while world.now() < end {
        if world.now() >= next {
            let looked = look(&world, &erp).await;
            gap_read += usize::from(!looked.signals.is_empty());
            assert!(looked.problem.is_none(), "{looked:?}");
            next = looked.next;
        }
        if hour % 97 == 50 {
            let lost = world.erp.subscriptions().remove(0);
            world.erp.drop_subscription(&lost.id);
        }
        let serving = world.erp.subscriptions().into_iter().filter(|one| one.expires > world.now()).count();
        assert!(serving >= 2, "hour {hour}: {serving} of 3 serve");
        let served = world.erp.subscriptions().iter().any(|one| one.resource.ends_with("purchaseInvoices"));
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
        hour += 1;
    }
    sleep_until(&*world.clock, end).await;
    assert!(gap_read >= 7, "each lost subscription leads to a read of the gap");
    assert_eq!(world.erp.notices().iter().filter(|notice| notice.cost_subscriptions).count(), 0);
}
