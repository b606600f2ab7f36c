//! How a vendor hands out tokens.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::{assertion::ClientAssertion, response::TokenResponse};
use crate::{
    Error, ErrorKind, Result, Secret,
    http::{Answer, Limits, require_secure},
    token::{self, Configured, Rotation, Rules},
};

/// How a vendor hands out tokens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OAuth2Config {
    /// The system, for error operations and spans, such as `zoho_books`.
    pub system: &'static str,
    /// The token endpoint. https, or http to a loopback address.
    pub token_url: Url,
    /// The app's id.
    pub client_id: String,
    /// The app's secret; empty with [`ClientAuth::Assertion`].
    pub client_secret: Secret,
    /// Where the app's id and secret go.
    pub client_auth: ClientAuth,
    /// What is exchanged for an access token.
    pub grant: Grant,
    /// Further form fields of each token request, such as the `redirect_uri` that a vendor wants repeated.
    pub form: Vec<(&'static str, String)>,
    /// The word before the token in the `Authorization` header.
    pub scheme: &'static str,
    /// A token is renewed when it is this old, or has this little left (see `lead`), whichever comes first.
    pub refresh_after: Option<Duration>,
    /// A token with less than this left, or less than half its life, is renewed while it is still used. Calls wait
    /// for a new one only in its last ten seconds.
    pub lead: Duration,
    /// The vendor refuses a refresh of a token younger than this.
    pub not_before: Duration,
    /// What happens to the refresh token.
    pub rotation: Rotation,
    /// How long the vendor keeps a refresh token that is not used, such as 30 days; `None`: for ever. It is used when
    /// half of that is over: with the next call, or by [`OAuth2::keep_alive`](super::OAuth2::keep_alive) where none
    /// comes.
    pub idle_life: Option<Duration>,
    /// Whether the vendor may grant an access token that has no end, and no refresh token beside it, as Slack does
    /// unless an app rotates its tokens. It is used until an API refuses it; then somebody has to connect anew. Where
    /// this is `false`, a consent that leads to no refresh token is refused.
    pub unending: bool,
    /// At most so many token requests in ten minutes, failed ones included.
    pub max_per_10_minutes: u32,
    /// At most so many token requests in any 24 hours, beside those of ten minutes; `None`: the vendor counts no days.
    pub max_per_day: Option<u32>,
    /// How long one token request may take. A host that dies with one under way keeps the others away for twice as
    /// long and five seconds.
    pub request_time: Duration,
    /// How long the endpoint is left alone after a throttle answer that names no time.
    pub throttle_pause: Duration,
    /// Reads the vendor's token answers. [`TokenResponse::rfc6749`] unless the vendor strays from it. It is pure: an
    /// answer that was stored is read again by another host.
    pub normalize: fn(&Answer) -> TokenResponse,
}

/// Where the app's id and secret go in a token request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientAuth {
    /// In the form body.
    Body,
    /// In an HTTP Basic header.
    Basic,
    /// Nowhere: a signed assertion in the form body stands for the secret (RFC 7523), as Microsoft Entra takes it
    /// from whoever holds a certificate.
    Assertion(Arc<dyn ClientAssertion>),
}

/// What is exchanged for an access token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Grant {
    /// A refresh token. The first one may be configured; it is the vendor's answers that count from then on.
    ///
    /// Each configured token begins a chain of tokens once at most, of which a digest in the store reminds all hosts:
    /// - One that is new there replaces the chain at the next call, whether that still works or is dead: the customer
    ///   has consented anew. Should it be refused, the chain that was there goes on.
    /// - One that is known there changes nothing, neither after a restart nor on a host that has not been given the
    ///   newer one yet, and neither when its chain is dead: then configure another, or
    ///   [`connect`](super::OAuth2::connect).
    /// - What a person consents to through an [`Authorizer`](crate::auth::Authorizer), or
    ///   [`connect`](super::OAuth2::connect) stores, is newer than what is configured at that time.
    RefreshToken {
        /// The token that a person's consent led to.
        initial: Option<Secret>,
    },
    /// The app's own credentials; there is no refresh token.
    ClientCredentials {
        /// What is asked for.
        scopes: Vec<String>,
    },
}

impl OAuth2Config {
    /// A refresh-token flow with a bearer token and no rotation.
    #[must_use]
    pub fn new(
        system: &'static str,
        token_url: Url,
        client_id: impl Into<String>,
        client_secret: Secret,
        grant: Grant,
    ) -> Self {
        Self {
            system,
            token_url,
            client_id: client_id.into(),
            client_secret,
            client_auth: ClientAuth::Body,
            grant,
            form: Vec::new(),
            scheme: "Bearer",
            refresh_after: None,
            lead: Duration::from_secs(300),
            not_before: Duration::ZERO,
            rotation: Rotation::None,
            idle_life: None,
            unending: false,
            // Half of what Zoho allows per refresh token, the tightest limit known.
            max_per_10_minutes: 5,
            max_per_day: None,
            request_time: Limits::TOTAL,
            // Zoho's lock-out ends after 15 to 30 minutes of silence; others say `Retry-After`.
            throttle_pause: Duration::from_secs(15 * 60),
            normalize: TokenResponse::rfc6749,
        }
    }

    pub(in crate::auth) fn validate(&self) -> Result<()> {
        require_secure(&self.token_url)?;
        for (name, empty) in [
            ("system", self.system.is_empty()),
            ("client_id", self.client_id.is_empty()),
            ("client_secret", self.client_secret.is_empty() && self.key_id().is_empty()),
            ("scheme", self.scheme.is_empty()),
            ("max_per_10_minutes", self.max_per_10_minutes == 0),
            ("max_per_day", self.max_per_day == Some(0)),
            ("request_time", self.request_time.is_zero()),
            ("idle_life", self.idle_life.is_some_and(|life| life.is_zero())),
        ] {
            if empty {
                return Err(Error::new(ErrorKind::ConfigInvalid, "expected a value, but the field is empty")
                    .with_context("field", name));
            }
        }
        Ok(())
    }

    pub(in crate::auth) fn rules(&self) -> Rules {
        let (needs_refresh_token, initial) = match &self.grant {
            Grant::RefreshToken { initial } => (true, initial.clone().filter(|initial| !initial.is_empty())),
            Grant::ClientCredentials { .. } => (false, None),
        };
        Rules {
            rotation: if needs_refresh_token { self.rotation } else { Rotation::None },
            refresh_after: self.refresh_after,
            lead: self.lead,
            not_before: self.not_before,
            budget: self.max_per_10_minutes,
            day_budget: self.max_per_day,
            throttle_pause: self.throttle_pause,
            deadline: self.request_time,
            idle_life: self.idle_life,
            needs_refresh_token,
            unending: self.unending,
            seed: initial
                .as_ref()
                .map(|initial| token::digest(&["configured refresh token", initial.expose()])),
            initial,
            config: Configured {
                token_url: self.token_url.as_str().into(),
                client_id: self.client_id.as_str().into(),
                client_secret: self.client_secret.clone(),
                key_id: self.key_id().into(),
            },
        }
    }

    /// The name of the key that signs for the app, if one does.
    fn key_id(&self) -> &str {
        match &self.client_auth {
            ClientAuth::Assertion(assertion) => assertion.key_id(),
            ClientAuth::Body | ClientAuth::Basic => "",
        }
    }
}
