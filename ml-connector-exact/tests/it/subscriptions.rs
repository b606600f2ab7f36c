//! Webhooks: subscribed once, and moved with the connection.

use ml_connector_core::{ReceiveRequest, Source, UpkeepRequest, model::Subject};
use ml_connector_sim::exact::{Kind, NewDocument};

use crate::support::{CUSTOMER, Lab, amount, below, builder};

#[tokio::test(start_paused = true)]
async fn one_subscription_for_each_topic_is_made_once() {
    let lab = Lab::new();
    let source = lab.source();
    let first = lab.look(&source, None).await;
    assert_eq!(first.problem, None);
    let mut topics: Vec<String> = lab.sim.subscriptions().into_iter().map(|one| one.topic).collect();
    topics.sort();
    assert_eq!(
        topics,
        [
            "BankEntries",
            "CashEntries",
            "GeneralJournalEntries",
            "PurchaseEntries",
            "PurchaseOrders",
            "SalesInvoices"
        ]
    );
    assert!(!first.signals.is_empty(), "what was missed meanwhile is read");
    let second = lab.look(&source, Some(&first.state)).await;
    assert!(second.signals.is_empty() && lab.sim.subscriptions().len() == 6);
    let lost = lab.sim.subscriptions().remove(0);
    assert!(lab.sim.drop_subscription(&lost.id));
    assert!(!lab.look(&source, Some(&second.state)).await.signals.is_empty());
    assert_eq!(lab.sim.subscriptions().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn notifications_name_records_of_their_company() {
    let lab = Lab::new();
    let source = lab.source();
    lab.look(&source, None).await;
    drop(lab.sim.take_webhooks());
    lab.sim.tune(|quirks| {
        (quirks.tells_lines, quirks.upper_case_actions, quirks.division_as_text) = (true, true, true);
    });
    let id = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("100")));
    let deliveries = lab.sim.take_webhooks();
    assert!(deliveries.len() >= 2, "a header and a line");
    let mut named = Vec::new();
    for delivery in &deliveries {
        let intake = lab.receive(&source, delivery).unwrap();
        assert_eq!(intake.signals[0].account, source.info().accounts.first().cloned());
        let Subject::Entity(entity) = &intake.signals[0].subject else { panic!() };
        named.push(entity.to_string());
    }
    assert!(named.contains(&format!("bill/{id}")), "{named:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_moves_ends_its_subscriptions_where_it_was() {
    let lab = Lab::new();
    let state = lab.look(&lab.source(), None).await.state;
    let moved = builder(&lab.sim).division(3_141_594).build().unwrap();
    let looked = lab.look(&moved, Some(&state)).await;
    assert_eq!(looked.problem, None);
    assert!(
        lab.sim.subscriptions().iter().all(|one| one.division == 3_141_594),
        "{:?}",
        lab.sim.subscriptions()
    );
}

#[tokio::test(start_paused = true)]
async fn what_keeps_webhooks_away_is_named_without_asking_again_and_again() {
    let lab = Lab::new();
    let source = lab.source();
    let elsewhere = UpkeepRequest::new().callback(Some("https://elsewhere.example/hooks"));
    let looked = source.upkeep(&lab.ctx, elsewhere).await.unwrap();
    assert!(looked.problem.unwrap().contains("redirect URI"));
    assert_eq!(lab.sim.received().len(), 0);
    lab.sim.refuse_scope("organization.administration", true);
    let looked = lab.look(&source, None).await;
    let problem = looked.problem.unwrap();
    assert!(problem.contains("Organization administration"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn one_endpoint_serves_many_companies() {
    let lab = Lab::new();
    let [one, other] =
        [3_141_593, 3_141_594].map(|division| builder(&lab.sim).division(division).build().unwrap());
    lab.look(&one, None).await;
    lab.look(&other, None).await;
    drop(lab.sim.take_webhooks());
    let _ = lab.sim.within(3_141_594).create(Kind::SalesInvoices, &NewDocument::new(CUSTOMER, amount("100")));
    let delivery = lab.sim.take_webhooks().remove(0);
    let request = below(&delivery.request);
    let intake = one.receive(ReceiveRequest::new(&request, lab.ctx.now())).unwrap();
    assert_eq!(intake.signals[0].account, other.info().accounts.first().cloned());
}
