//! Connecting through the browser, and one chain of tokens for all businesses of a login.

use http::Request;
use ml_connector_core::{
    ErrorKind, PollRequest, Secret, Source,
    auth::Authorizer,
    http::Limits,
    model::{PollMode, RecordKind},
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    Fault,
    freshbooks::{Business, FreshBooksConfig},
};

use crate::support::{Lab, builder};

fn authorizer(lab: &Lab) -> Authorizer {
    let credentials = lab.sim.credentials();
    let redirect_uri = credentials.redirect_uri.parse().unwrap();
    let secret = Secret::from(credentials.client_secret.as_str());
    Authorizer::new(FreshBooks::authorizer_config(&credentials.client_id, secret, redirect_uri).unwrap())
        .unwrap()
}

/// Opens the page as a browser does, and returns the query of where it leads.
async fn consent(lab: &Lab, page: &url::Url) -> String {
    let request = Request::get(page.as_str()).body(bytes::Bytes::new()).unwrap();
    let answer = lab.transport.send(request, Limits::within(Limits::TOTAL)).await.unwrap();
    let location: url::Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    location.query().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_person_connects_chooses_a_business_and_is_told_which_scopes_are_missing() {
    let mut config = FreshBooksConfig::default();
    config.scopes.retain(|scope| scope != "user:expenses:read");
    let lab = Lab::with(config);
    let authorizer = authorizer(&lab);
    let page = authorizer.begin(&lab.ctx, &"books".into(), Some("session")).await.unwrap();
    assert!(page.query_pairs().all(|(name, _)| name != "scope"), "an unticked scope would end the consent");
    let query = consent(&lab, &page).await;
    let connected = authorizer.finish(&lab.ctx, &query, Some("session")).await.unwrap();
    let kinds = [RecordKind::Invoice, RecordKind::Expense];
    assert_eq!(FreshBooks::missing_scopes(&connected, &kinds), ["user:expenses:read"]);

    // The same name and no refresh token: the store has it.
    let source = builder(&lab.sim).refresh_token("").build().unwrap();
    let identity = source.identity(&lab.ctx).await.unwrap();
    assert_eq!(identity.identity_id, lab.sim.credentials().identity_id.to_string());
    let accounts: Vec<_> =
        identity.businesses.iter().map(|business| business.account_id.as_deref()).collect();
    assert_eq!(accounts, [Some("Zq84Xk"), None]);
}

#[tokio::test(start_paused = true)]
async fn a_code_works_once_and_a_foreign_state_is_refused() {
    let lab = Lab::new();
    let authorizer = authorizer(&lab);
    let page = authorizer.begin(&lab.ctx, &"books".into(), None).await.unwrap();
    let query = consent(&lab, &page).await;
    authorizer.finish(&lab.ctx, &query, None).await.unwrap();
    assert!(authorizer.finish(&lab.ctx, &query, None).await.is_err());
    assert!(authorizer.finish(&lab.ctx, "code=abc&state=made-up", None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn answers_without_scopes_and_with_the_time_of_the_first_token_are_taken() {
    let lab = Lab::new();
    lab.sim.tune(|quirks| (quirks.no_scope_in_token_answers, quirks.original_created_at) = (true, true));
    let source = lab.source();
    for _ in 0..30 {
        source.identity(&lab.ctx).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
    let issued = lab.sim.tokens_issued();
    assert!((2..=40).contains(&issued), "{issued} tokens in 30 hours");
}

fn two_businesses() -> FreshBooksConfig {
    let mut config = FreshBooksConfig::default();
    config.businesses.push(Business::new(880_214, "Hn7Tq2", "Brackwater Boats"));
    config
}

/// FreshBooks ends the older chain of a login and an app: with two of them, each would end the other.
// Proves: limits_of_freshbooks.
#[tokio::test(start_paused = true)]
async fn two_businesses_of_one_login_share_tokens_and_limits() {
    let lab = Lab::with(two_businesses());
    let first = builder(&lab.sim).login("marisol").build().unwrap();
    let second = builder(&lab.sim.within("Hn7Tq2")).account_id("Hn7Tq2").login("marisol").build().unwrap();
    assert_eq!(first.info().affinity, second.info().affinity);
    for round in 0..3 {
        for source in [&first, &second] {
            let (pages, _) = lab.run(source, "invoices", PollMode::Baseline, None).await;
            assert_eq!(pages.len(), 1, "round {round}");
        }
        lab.sim.expire_tokens();
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
    assert_eq!((lab.sim.tokens_issued(), lab.sim.limit_violations()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_answer_is_lost_is_tried_once_more_and_then_a_person_is_asked() {
    let lab = Lab::new();
    let source = lab.source();
    lab.sim.plant(Fault::reset().on("oauth/token").times(1));
    let poll = || source.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline));
    let mut tries = 0;
    while poll().await.is_err() {
        tries += 1;
        assert!(tries < 5, "the request never arrived: the token still works");
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
    lab.sim.expire_tokens();
    lab.sim.plant(Fault::reset().having_acted().on("oauth/token").times(1));
    let mut last = None;
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        last = poll().await.err();
    }
    let error = last.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.to_string().contains("connect FreshBooks again"), "{error}");
    let fresh = lab.sim.grant(&["user:profile:read", "user:invoices:read"]);
    let again = builder(&lab.sim).refresh_token(fresh.as_str()).build().unwrap();
    again.poll(&lab.ctx, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap();
}
