//! The signature vectors hold, which other languages can use as well.

use ml_connector_core::{
    Secret,
    conformance::vectors::{self, SignatureVector},
    webhook::{Encoding, HmacSha256},
};

use crate::receive::source_with;

#[test]
fn every_vector_is_signed_and_classified_as_the_file_says() {
    let source = |vector: &SignatureVector| Some(source_with(&vector.secret));
    vectors::check(include_str!("../vectors/request_signatures.json"), sign, source);
}

/// The scheme once more, as the file describes it.
fn sign(vector: &SignatureVector) -> String {
    let time = vector.header("x-slack-request-timestamp");
    let secret = Secret::from(vector.secret.as_str());
    let text: [&[u8]; 4] = [b"v0:", time.as_bytes(), b":", &vector.body()];
    format!("v0={}", HmacSha256::new(&[secret]).unwrap().sign(&text, Encoding::Hex))
}
