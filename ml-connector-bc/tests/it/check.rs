//! Connecting: tokens, companies, and the look whether all of it works.

use std::sync::Arc;

use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    CheckResult, CheckStep, ErrorKind, Result, Secret, Sink, Source, SourceMode, Timestamp, UpkeepRequest,
    auth::ClientAssertion, model::Decimal,
};
use ml_connector_sim::{
    Fault,
    bc::{BusinessCentralConfig, NewDocument, Set},
};

use crate::support::{HOOKS, Hooks, World};

fn step<'s>(steps: &'s [CheckStep], name: &str) -> &'s CheckStep {
    steps.iter().find(|step| step.step == name).unwrap_or_else(|| panic!("no {name} in {steps:#?}"))
}

/// What both halves of a connection say.
async fn look(world: &World, erp: &BusinessCentral) -> Vec<CheckStep> {
    let mut steps = Source::check(erp, &world.ctx()).await;
    steps.extend(Sink::check(erp, &world.ctx()).await);
    steps
}

/// The first step, which says why nothing works.
async fn fails(world: &World, erp: &BusinessCentral) -> String {
    let steps = Source::check(erp, &world.ctx()).await;
    assert_eq!(
        (steps.len(), steps[0].result),
        (1, CheckResult::Failed),
        "what depends on it is left out: {steps:?}"
    );
    assert!(steps[0].remedy.is_some());
    steps[0].found.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_check_ends_in_a_read_and_comes_near_no_action() {
    let world = World::new();
    drop(world.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::TEN)));
    let steps = look(&world, &world.connect()).await;
    assert!(step(&steps, "company").found.as_ref().unwrap().starts_with("HARBOR SUPPLY 29"));
    assert_eq!(step(&steps, "purchaseInvoices").result, CheckResult::Passed);
    assert_eq!(step(&steps, "salesInvoices").result, CheckResult::Warning, "it is empty, and may not be");
    assert_eq!(step(&steps, "posted sales invoices").result, CheckResult::Passed);
    assert_eq!(step(&steps, "app that reads").result, CheckResult::Warning, "reading writes to drafts");
    assert!(step(&steps, "app that posts").found.as_ref().unwrap().contains("first posting"));
    assert!(steps.iter().all(|step| step.result != CheckResult::Failed), "{steps:#?}");
    // Case 09: no probe comes near an action, in any spelling.
    for call in world.erp.received() {
        assert!(!call.path.to_ascii_lowercase().contains("microsoft.nav."), "{call:?}");
        assert!(call.method == http::Method::GET || call.path.ends_with("/token"), "{call:?}");
    }
    assert_eq!(world.connect().companies(&world.ctx()).await.unwrap().len(), 2);
    assert_eq!(world.connect().environments(&world.ctx()).await.unwrap()[0].name, "Production");
}

#[tokio::test(start_paused = true)]
async fn the_check_says_which_sets_have_webhooks() {
    let world = World::new();
    let erp = world.connect();
    let found = |steps: &[CheckStep]| step(steps, "sets with webhooks").found.clone().unwrap();
    assert_eq!(found(&look(&world, &erp).await), "all");
    world.erp.tune(|tuning| tuning.order_webhooks = false);
    assert!(found(&look(&world, &erp).await).contains("all but purchaseOrders, which are polled"));
    let polled = world.builder().mode(SourceMode::Poll).build().unwrap();
    assert!(!look(&world, &polled).await.iter().any(|step| step.step == "sets with webhooks"));
}

#[tokio::test(start_paused = true)]
async fn the_check_says_where_a_route_or_a_right_is_missing() {
    let world = World::new();
    let erp = world.connect();
    world.erp.tune(|tuning| tuning.automate = false);
    assert_eq!(step(&look(&world, &erp).await, "posted sales invoices").result, CheckResult::Warning);
    let denied = serde_json::json!({ "error": { "code": "Internal_ServerError",
        "message": "Sorry. (TableData 38 Purchase Header Read: Base Application)" } });
    let fault = Fault::status(http::StatusCode::FORBIDDEN).with_body("application/json", denied.to_string());
    world.erp.plant(fault.on("/purchaseInvoices"));
    let steps = look(&world, &erp).await;
    let refused = step(&steps, "purchaseInvoices");
    assert_eq!(refused.result, CheckResult::Failed);
    assert!(refused.remedy.as_ref().unwrap().contains("TableData 38 Purchase Header Read"), "{refused}");
}

/// A wrong or expired secret of the app that posts is told before anybody decides anything.
#[tokio::test(start_paused = true)]
async fn the_app_that_posts_is_tried_before_somebody_decides() {
    let world = World::new();
    let known = world.erp.credentials();
    world.erp.tune(|tuning| tuning.reads_only = true);
    let good = world.builder().poster(&known.poster_id, known.poster_secret.as_str()).build().unwrap();
    let steps = look(&world, &good).await;
    assert_eq!(step(&steps, "app that posts").result, CheckResult::Passed);
    assert!(!steps.iter().any(|step| step.step == "app that reads"), "{steps:#?}");
    world.erp.expire_tokens();
    let wrong = World::new();
    let known = wrong.erp.credentials();
    let erp = wrong.builder().poster(&known.poster_id, "planted wrong secret").build().unwrap();
    let steps = look(&wrong, &erp).await;
    let told = step(&steps, "app that posts");
    assert_eq!(told.result, CheckResult::Failed);
    assert!(told.found.as_ref().unwrap().contains("client secret is wrong"), "{told}");
    assert!(!format!("{steps:?}").contains("planted"));
    assert!(erp.ping(&wrong.ctx()).await.is_err());
    // The health says so, too.
    wrong.erp.set_hooks(Hooks::of(&wrong, &erp));
    let upkeep = erp.upkeep(&wrong.ctx(), UpkeepRequest::new().callback(Some(HOOKS))).await.unwrap();
    let problem = upkeep.problem.unwrap();
    assert!(problem.contains("the app that posts does not work"), "{problem}");
    assert_eq!(wrong.erp.subscriptions().len(), 3, "notifications come all the same");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_signs_for_the_app_that_posts() {
    let world = World::new();
    let known = world.erp.credentials();
    let erp = world.builder().poster_assertion(&known.poster_id, Arc::new(Signed)).build().unwrap();
    let steps = look(&world, &erp).await;
    assert_eq!(step(&steps, "app that posts").result, CheckResult::Passed);
}

/// A connection may be called what another one's token might have been.
#[tokio::test(start_paused = true)]
async fn no_connection_shares_the_token_of_another_one_s_poster() {
    let world = World::new();
    let known = world.erp.credentials();
    let erp = world.builder().poster(&known.poster_id, known.poster_secret.as_str()).build().unwrap();
    let other = crate::support::builder(&world.erp, "erp-poster").build().unwrap();
    look(&world, &erp).await;
    look(&world, &other).await;
    assert_eq!(world.erp.tokens_issued(), 3, "each application has its own");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_be_misconfigured_says_what_to_do() {
    let world = World::new();
    let known = world.erp.credentials();
    let other = world.builder().company("3f9d6a1e-58c4-ef11-8a77-6045bd2f5510", "X").build().unwrap();
    assert!(fails(&world, &other).await.contains(&known.company_id), "the companies that there are");
    let elsewhere = world.builder().environment("Sandbox").build().unwrap();
    assert!(fails(&world, &elsewhere).await.contains("environment"));
    world.erp.expire_tokens();
    let wrong = world.builder().client(&known.client_id, "planted wrong secret").build().unwrap();
    assert!(!fails(&world, &wrong).await.contains("planted"));
    world.erp.tune(|tuning| tuning.app_disabled = true);
    let found = fails(&world, &crate::support::builder(&world.erp, "anew").build().unwrap()).await;
    assert!(found.contains("Microsoft Entra Applications"), "{found}");
}

#[derive(Debug)]
struct Signed;

#[async_trait::async_trait]
impl ClientAssertion for Signed {
    fn key_id(&self) -> &str {
        "thumbprint"
    }

    async fn sign(&self, client_id: &str, audience: &url::Url, _: Timestamp) -> Result<Secret> {
        // {"alg":"PS256","typ":"JWT","x5t#S256":"thumbprint"}
        let head = "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCIsIng1dCNTMjU2IjoidGh1bWJwcmludCJ9";
        let claims = format!(r#"{{"aud":"{audience}","iss":"{client_id}","sub":"{client_id}","jti":"1"}}"#);
        Ok(Secret::from(format!("{head}.{}.c2ln", base64(claims.as_bytes()))))
    }
}

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group =
            three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(SIGNS[(group >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

#[tokio::test(start_paused = true)]
async fn an_assertion_stands_for_the_secret_and_tokens_are_renewed() {
    let world = World::with(BusinessCentralConfig::default());
    let known = world.erp.credentials();
    let erp = world.builder().client("", "").assertion(&known.client_id, Arc::new(Signed)).build().unwrap();
    erp.companies(&world.ctx()).await.unwrap();
    assert_eq!(world.erp.tokens_issued(), 1);
    world.erp.expire_tokens();
    erp.companies(&world.ctx()).await.unwrap();
    assert_eq!(world.erp.tokens_issued(), 2);
    world.erp.tune(|tuning| (tuning.entra_busy, tuning.expires_in_as_text) = (1, true));
    world.erp.expire_tokens();
    let _ = erp.companies(&world.ctx()).await;
    world.sleep(120).await;
    erp.companies(&world.ctx()).await.unwrap();
}

#[test]
fn settings_that_do_not_fit_are_named() {
    let good = || {
        BusinessCentral::builder("erp")
            .tenant("contoso.example")
            .company("3f9d6a1e-58c4-ef11-8a77-6045bd2f5510", "X")
            .client("app", "planted")
            .webhook_secret("planted, and long enough")
    };
    assert!(good().build().is_ok());
    for (builder, setting) in [
        (good().tenant(""), "tenant"),
        (good().tenant("common"), "tenant"),
        (good().tenant("a/b"), "tenant"),
        (good().environment(""), "environment"),
        (good().company("", "X"), "company_id"),
        (good().company("{3F9D6A1E}", "X"), "company_id"),
        (good().client("", "planted"), "client_id"),
        (good().client("app", ""), "client_secret"),
        (good().webhook_secret("planted"), "webhook_secret"),
        (good().api_url("http://remote.example"), "api_url"),
        (good().poll_minutes(0), "poll_minutes"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!((error.kind(), error.context("setting")), (ErrorKind::ConfigInvalid, Some(setting)));
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
    assert!(good().sets(["purchaseInvoices", "purchaseInvoices"]).build().is_err());
    assert!(good().sets(["journals"]).build().is_err());
}
