//! What keeps webhooks away stands in the connection's health with its remedy, and goes away with it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ml_connector_core::{
    HttpTransport,
    http::{Limits, TransportError},
};
use ml_connector_exact::Builder;
use ml_connector_sim::{ExactOnlineSim, Fault};

use super::stage::Story;
use crate::world::secs;

/// A protection against bots that lets nothing through.
#[derive(Debug)]
struct Closed;

#[async_trait]
impl HttpTransport for Closed {
    async fn send(&self, _: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::FORBIDDEN;
        Ok(answer)
    }
}

/// How often something was subscribed, or was to be.
fn asked(sim: &ExactOnlineSim) -> usize {
    let calls = sim.received().into_iter().filter(|call| call.method == Method::POST);
    calls.filter(|call| call.path.contains("WebhookSubscriptions")).count()
}

struct Trouble {
    name: &'static str,
    begins: fn(&ExactOnlineSim),
    settings: fn(Builder) -> Builder,
    /// What health says.
    says: &'static [&'static str],
    /// How often Exact Online is asked before that is known.
    asked: usize,
    /// The repair, which may be in Exact Online.
    ends: fn(&Story),
}

#[tokio::test(start_paused = true)]
async fn what_keeps_webhooks_away_is_explained_and_ends_with_its_cause() {
    let troubles = [
        Trouble {
            name: "the app lacks the scope",
            begins: |sim| sim.refuse_scope("organization.administration", true),
            // The company's own is not shown without that scope.
            settings: |books| books.currency("EUR"),
            says: &["Organization administration", "right to manage", "App Center", "connect again"],
            asked: 0,
            ends: |story| story.sim.refuse_scope("organization.administration", false),
        },
        Trouble {
            name: "the app may look, and not manage",
            begins: |sim| {
                let body = r#"{"error":{"code":"","message":{"lang":"","value":"Forbidden - Application Scope Violated. Cannot create 'organization.administration' scope."}}}"#;
                let refused = Fault::status(StatusCode::FORBIDDEN).with_body("application/json", body);
                sim.plant(refused.on("WebhookSubscriptions").method(Method::POST).times(1));
            },
            settings: |books| books,
            says: &["Organization administration", "right to manage", "App Center", "connect again"],
            asked: 1,
            ends: |_| {},
        },
        Trouble {
            name: "the host is not the redirect URI's, as the settings say",
            begins: |_| {},
            settings: |books| books.redirect_uri("https://portal.example.com/connected"),
            says: &["portal.example.com", "erp.example.com", "redirect URI"],
            asked: 0,
            ends: |_| {},
        },
        Trouble {
            name: "the host is not the redirect URI's, as only Exact Online knows",
            begins: |sim| sim.set_redirect_uri("https://portal.example.com/connected"),
            settings: |books| books.redirect_uri("https://erp.example.com/connected"),
            says: &["erp.example.com", "redirect URI", "App Center"],
            asked: 3,
            ends: |story| story.sim.set_redirect_uri("https://erp.example.com/connected"),
        },
        Trouble {
            name: "the validation is refused",
            begins: |sim| sim.set_hooks(Arc::new(Closed)),
            settings: |books| books,
            says: &["erp.example.com", "answered with 200", "bot protection"],
            asked: 1,
            ends: |story| story.sim.set_hooks(story.served() as _),
        },
    ];
    for trouble in troubles {
        let mut story = Story::before();
        (trouble.begins)(&story.sim);
        let books = (trouble.settings)(Story::books(&story.sim));
        story.connect(books).await;
        let problem = story.health().await.webhooks.unwrap_or_else(|| panic!("{}", trouble.name));
        for said in trouble.says {
            assert!(problem.contains(said), "{}: {said}: {problem}", trouble.name);
        }
        assert_eq!(asked(&story.sim), trouble.asked, "{}", trouble.name);
        assert!(story.sim.subscriptions().is_empty());
        // News comes by polling.
        let _ = story.bill(4_242);
        story.later(secs(1_300)).await;
        assert_eq!(story.says("42.42"), 1, "{}", trouble.name);
        (trouble.ends)(&story);
        if trouble.says[0] == "portal.example.com" {
            // The settings are repaired.
            let books = Story::books(&story.sim);
            story.connect(books).await;
        }
        story.later(secs(3 * 3_600 + 600)).await;
        let health = story.health().await;
        assert_eq!((health.webhooks, story.sim.subscriptions().len()), (None, 6), "{}", trouble.name);
        assert_eq!(health.subscriptions.len(), 6);
        let _ = story.bill(1_717);
        story.later(secs(60)).await;
        assert_eq!((story.says("17.17"), story.says("42.42")), (1, 1), "{}", trouble.name);
        story.ends_well().await;
    }
}

/// There is one subscription for an app, a company and a topic.
#[tokio::test(start_paused = true)]
async fn subscriptions_that_are_in_the_way_are_replaced() {
    let mut story = Story::before();
    let books = Story::books(&story.sim).endpoint("before");
    story.connect(books).await;
    let before = story.sim.subscriptions();
    assert!(before.len() == 6 && before.iter().all(|one| one.callback_url.contains("/before")), "{before:?}");
    // The host has another path now. One is made twice at once: Exact Online says that it exists, and it does.
    let body = r#"{"error":{"code":"","message":{"lang":"","value":"Data already exists"}}}"#;
    let exists = Fault::status(StatusCode::INTERNAL_SERVER_ERROR).with_body("application/json", body);
    story.sim.plant(exists.on("WebhookSubscriptions").method(Method::POST).having_acted().times(1));
    let books = Story::books(&story.sim).endpoint("now");
    story.connect(books).await;
    let now = story.sim.subscriptions();
    assert!(now.len() == 6 && now.iter().all(|one| one.callback_url.contains("/now")), "{now:?}");
    assert_eq!(story.health().await.webhooks, None);
    story.ends_well().await;
}
