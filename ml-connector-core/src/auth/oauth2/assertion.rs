//! A signed statement in place of the app's secret.

use std::fmt::Debug;

use async_trait::async_trait;
use url::Url;

use crate::{Result, Secret, Timestamp};

/// Signs for the app: what a token endpoint takes in place of a secret (RFC 7523). A host implements it where the
/// key lies in a vault, or where another issuer vouches for the app.
///
/// # Contract
/// - Each assertion is a new one: endpoints refuse a `jti` that they have seen.
/// - `Debug` shows no key.
#[async_trait]
pub trait ClientAssertion: Debug + Send + Sync + 'static {
    /// Names the key, such as a certificate's thumbprint. Not empty, and another one for another key: a connection
    /// that failed with the old key is tried again at once.
    fn key_id(&self) -> &str;

    /// A JWT that says: `client_id` is calling `audience`, a token endpoint, `now`.
    ///
    /// # Errors
    /// Any error; then nothing is sent.
    async fn sign(&self, client_id: &str, audience: &Url, now: Timestamp) -> Result<Secret>;
}
