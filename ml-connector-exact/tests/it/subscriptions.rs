//! Webhooks: subscribed once, and moved with the connection.

use http::StatusCode;
use ml_connector_core::{ReceiveRequest, Source, UpkeepRequest, model::Subject};
use ml_connector_exact::{Builder, Config, Region};
use ml_connector_sim::{
    ExactOnlineSim, Fault,
    exact::{ExactOnlineConfig, Kind, NewDocument},
};

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

/// What the engine hands over when the connection reads another account than before.
fn elsewhere<'a>(callback: &'a str, former: &'a bytes::Bytes) -> UpkeepRequest<'a> {
    UpkeepRequest::new().callback(Some(callback)).former(Some(former))
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_ended_where_the_connection_was_before_any_is_subscribed_where_it_is() {
    let lab = Lab::new();
    let former = lab.look(&lab.source(), None).await.state;
    let begun = lab.sim.received().len();
    let moved = builder(&lab.sim).division(3_141_594).build().unwrap();
    let callback = lab.callback();
    moved.upkeep(&lab.ctx, elsewhere(&callback, &former)).await.unwrap();
    let writes: Vec<_> = lab.sim.received().into_iter().skip(begun).map(|call| call.method).collect();
    let first = |method| writes.iter().position(|one| *one == method).unwrap();
    let last = |method| writes.iter().rposition(|one| *one == method).unwrap();
    assert!(last(http::Method::DELETE) < first(http::Method::POST), "{writes:?}");
    assert_eq!(writes.iter().filter(|one| *one == http::Method::DELETE).count(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_old_company_that_cannot_be_reached_is_not_forgotten() {
    let lab = Lab::new();
    let former = lab.look(&lab.source(), None).await.state;
    lab.sim.change_division(|company| company.is_open = false);
    let moved = builder(&lab.sim).division(3_141_594).build().unwrap();
    let callback = lab.callback();
    let looked = moved.upkeep(&lab.ctx, elsewhere(&callback, &former)).await.unwrap();
    assert!(looked.problem.as_ref().unwrap().contains("3141593"), "{looked:?}");
    // The next look still knows it, and the user may enter it again.
    let looked = lab.look(&moved, Some(&looked.state)).await;
    assert!(looked.problem.is_some());
    lab.sim.change_division(|company| company.is_open = true);
    let looked = lab.look(&moved, Some(&looked.state)).await;
    assert_eq!(looked.problem, None);
    assert!(lab.sim.subscriptions().iter().all(|one| one.division == 3_141_594));
}

#[tokio::test(start_paused = true)]
async fn another_region_has_another_app_whose_webhooks_are_ended_with_the_old_settings() {
    let belgian = |config: &mut ExactOnlineConfig| {
        "start.exactonline.be".clone_into(&mut config.host);
        config.seed = 7;
    };
    let dutch = Lab::new();
    let mut config = ExactOnlineConfig::default();
    belgian(&mut config);
    let sim = ExactOnlineSim::with_config(std::sync::Arc::clone(&dutch.clock) as _, config);
    dutch.answer_for(&sim);
    // As it was connected in Belgium.
    let credentials = sim.credentials();
    let mut old = Config::new("books");
    (old.region, old.division) = (Region::Be, credentials.division);
    (old.client_id, old.client_secret) = (credentials.client_id, credentials.client_secret.as_str().into());
    old.refresh_token = Some(credentials.refresh_token.as_str().into());
    old.webhook_secrets = vec![credentials.webhook_secret];
    let source = Builder::from(old.clone()).build().unwrap();
    let former = dutch.look(&source, None).await.state;
    assert_eq!(sim.subscriptions().len(), 6);

    let callback = dutch.callback();
    let now = || builder(&dutch.sim).login("sanne-nl");
    let looked = now().build().unwrap().upkeep(&dutch.ctx, elsewhere(&callback, &former)).await.unwrap();
    let problem = looked.problem.unwrap();
    assert!(problem.contains("start.exactonline.be") && problem.contains("formerly"), "{problem}");
    assert_eq!((sim.subscriptions().len(), dutch.sim.subscriptions().len()), (6, 6));

    let moved = now().formerly(old.clone()).build().unwrap();
    let ended = dutch.look(&moved, Some(&looked.state)).await;
    assert_eq!((ended.problem, sim.subscriptions().len()), (None, 0));
    let again = dutch.look(&moved, Some(&ended.state)).await;
    assert_eq!(again.problem, None);

    // Without the person's consent Exact Online ends them itself.
    sim.revoke_grants();
    dutch.pass_minutes(11).await;
    let looked = moved.upkeep(&dutch.ctx, elsewhere(&callback, &former)).await.unwrap();
    assert_eq!(looked.problem, None);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_webhooks_away_is_named_without_asking_again_and_again() {
    let lab = Lab::new();
    let source = lab.source();
    let elsewhere = UpkeepRequest::new().callback(Some("https://elsewhere.example/hooks"));
    let looked = source.upkeep(&lab.ctx, elsewhere).await.unwrap();
    assert!(looked.problem.unwrap().contains("redirect URI"));
    assert_eq!(lab.calls("webhooks/WebhookSubscriptions"), 0);
    lab.sim.refuse_scope("organization.administration", true);
    let looked = lab.look(&source, None).await;
    let problem = looked.problem.unwrap();
    assert!(problem.contains("Organization administration"), "{problem}");
}

/// The topics that are refused one by one keep the others from nothing; what is refused for all is asked once.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_refused_is_named_and_the_others_are_subscribed() {
    let scope = |scope: &str| {
        format!(
            r#"{{"error":{{"code":"","message":{{"lang":"","value":"Forbidden - Application Scope Violated. Cannot read '{scope}' scope."}}}}}}"#
        )
    };
    for (name, times, made, says) in [
        ("purchase.orders", 1, 5, "purchase.orders"),
        ("organization.administration", 9, 0, "right to manage"),
    ] {
        let lab = Lab::new();
        let refused = Fault::status(StatusCode::FORBIDDEN).with_body("application/json", scope(name));
        lab.sim.plant(refused.on("WebhookSubscriptions").method(http::Method::POST).times(times));
        let looked = lab.look(&lab.source(), None).await;
        let problem = looked.problem.unwrap();
        assert!(problem.contains(says), "{problem}");
        assert_eq!(lab.sim.subscriptions().len(), made, "{problem}");
        let posts = lab.sim.received().into_iter().filter(|call| call.method == http::Method::POST);
        let posts = posts.filter(|call| call.path.contains("WebhookSubscriptions")).count();
        assert_eq!(posts, if made == 0 { 1 } else { 6 }, "{problem}");
        assert_eq!(
            looked.next.saturating_since(lab.ctx.now()).as_secs().div_ceil(3600),
            3,
            "three hours later"
        );
    }
}

/// Somebody else subscribes the same topic at the same time: Exact Online says that it exists.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_exists_already_is_no_trouble_unless_it_does_not() {
    let body = r#"{"error":{"code":"","message":{"lang":"","value":"Data already exists"}}}"#;
    for exists in [true, false] {
        let lab = Lab::new();
        let fault = Fault::status(StatusCode::INTERNAL_SERVER_ERROR).with_body("application/json", body);
        let fault = fault.on("WebhookSubscriptions").method(http::Method::POST);
        lab.sim.plant(if exists { fault.having_acted() } else { fault });
        let first = lab.look(&lab.source(), None).await;
        assert_eq!(first.problem.is_none(), exists, "{first:?}");
        let second = lab.look(&lab.source(), Some(&first.state)).await;
        assert_eq!((second.problem, lab.sim.subscriptions().len()), (None, 6));
    }
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
