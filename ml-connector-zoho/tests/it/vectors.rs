//! The signature vectors hold, which other languages can use as well.

use ml_connector_core::{
    Secret,
    conformance::vectors::{self, SignatureVector},
    webhook::{Encoding, HmacSha256},
};
use ml_connector_zoho::{WebhookParameters, ZohoBooks};
use url::form_urlencoded::parse;

use crate::support::builder;

const FILE: &str = include_str!("../vectors/webhook_signatures.json");

#[test]
fn every_vector_is_signed_and_classified_as_the_file_says() {
    vectors::check(FILE, sign, source);
}

#[test]
#[should_panic(expected = "wrong-secret: Refuse")]
fn a_wrong_verdict_is_noticed() {
    vectors::check(&FILE.replacen("\"refuse\"", "\"accept\"", 1), sign, source);
}

#[test]
#[should_panic(expected = "vendor-example: the signature is f0a009")]
fn a_wrong_signature_is_noticed() {
    vectors::check(&FILE.replace("f0a009", "f0a00a"), sign, source);
}

/// The scheme once more, as the file describes it.
fn sign(vector: &SignatureVector) -> String {
    let body = vector.body();
    let query = vector.target.split_once('?').map_or("", |(_, query)| query);
    let media_type = vector.header("content-type").split(';').next().unwrap_or_default().to_lowercase();
    let form = media_type == "application/x-www-form-urlencoded";
    let mut pairs: Vec<_> = parse(query.as_bytes()).collect();
    if form {
        pairs.extend(parse(&body));
    }
    pairs.sort();
    let text: String = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
    let tail: &[u8] = if form { b"" } else { &body };
    let secret = Secret::from(vector.secret.as_str());
    HmacSha256::new(&[secret]).unwrap().sign(&[text.as_bytes(), tail], Encoding::Hex)
}

fn source(vector: &SignatureVector) -> Option<ZohoBooks> {
    let parameters: Vec<&str> = vector.parameters.iter().map(String::as_str).collect();
    let parameters = match parameters[..] {
        ["mlc_event", "mlc_org"] => WebhookParameters::EventAndOrganization,
        ["mlc_org"] => WebhookParameters::Organization,
        [] => WebhookParameters::None,
        // Zoho's own example has names that this crate does not use.
        _ => return None,
    };
    let secret = vector.secret.as_str();
    Some(builder().webhook_secret(secret).webhook_parameters(parameters).build().unwrap())
}
