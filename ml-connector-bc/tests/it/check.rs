//! Connecting: tokens, companies, and the look whether all of it works.

use std::sync::Arc;

use ml_connector_core::{ErrorKind, Result, Scope, Secret, Timestamp, auth::ClientAssertion, model::Decimal};
use ml_connector_sim::bc::{BusinessCentralConfig, NewDocument, Set};

use crate::support::World;

#[tokio::test(start_paused = true)]
async fn the_check_ends_in_a_read_and_posts_nothing() {
    let world = World::new();
    drop(world.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::TEN)));
    let checked = world.connect().check(&world.ctx()).await.unwrap();
    assert_eq!((&*checked.company.name, checked.company.major_version()), ("HARBOR SUPPLY", Some(29)));
    assert!(checked.warnings.iter().any(|warning| warning.starts_with("salesInvoices is empty")));
    assert!(!checked.warnings.iter().any(|warning| warning.starts_with("purchaseInvoices is empty")));
    for call in world.erp.received() {
        assert!(!call.path.to_ascii_lowercase().contains("microsoft.nav."), "{call:?}");
        assert!(call.method == http::Method::GET || call.path.ends_with("/token"), "{call:?}");
    }
    assert_eq!(world.connect().companies(&world.ctx()).await.unwrap().len(), 2);
    assert_eq!(world.connect().environments(&world.ctx()).await.unwrap()[0].name, "Production");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_be_misconfigured_says_what_to_do() {
    let world = World::new();
    let known = world.erp.credentials();
    let error = world.builder().company("3f9d6a1e-58c4-ef11-8a77-6045bd2f5510", "X").build().unwrap();
    let error = error.check(&world.ctx()).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert!(error.context("companies").unwrap().contains(&known.company_id));
    let elsewhere = world.builder().environment("Sandbox").build().unwrap();
    let error = elsewhere.check(&world.ctx()).await.unwrap_err();
    assert!(error.message().contains("environment"), "{error}");
    world.erp.expire_tokens();
    let wrong = world.builder().client(&known.client_id, "planted wrong secret").build().unwrap();
    let error = wrong.check(&world.ctx()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    world.erp.tune(|tuning| tuning.app_disabled = true);
    let error = world.connect().check(&world.ctx()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("Microsoft Entra Applications"), "{error}");
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
    erp.check(&world.ctx()).await.unwrap();
    assert_eq!(world.erp.tokens_issued(), 1);
    world.erp.expire_tokens();
    erp.check(&world.ctx()).await.unwrap();
    assert_eq!(world.erp.tokens_issued(), 2);
    world.erp.tune(|tuning| (tuning.entra_busy, tuning.expires_in_as_text) = (1, true));
    world.erp.expire_tokens();
    let _ = erp.check(&world.ctx()).await;
    world.sleep(120).await;
    erp.check(&world.ctx()).await.unwrap();
}

#[test]
fn settings_that_do_not_fit_are_named() {
    use ml_connector_bc::BusinessCentral;
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
