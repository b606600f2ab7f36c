//! A token endpoint: requests made by the `oauth2` crate, sent by our transport.

use std::{borrow::Cow, cell::RefCell};

use async_trait::async_trait;
use bytes::Bytes;
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, TokenUrl, basic::BasicClient,
};
use url::Url;

use super::{
    answer,
    config::{ClientAuth, Grant, OAuth2Config},
};
use crate::{
    Context, Secret,
    http::{Answer, Limits, Phase, TransportError},
    token::{Endpoint, TokenOutcome},
};

/// Token answers are a few kilobytes; whatever is larger is a proxy's page.
const MAX_BODY_BYTES: usize = 64 << 10;
/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Debug)]
pub(in crate::auth) struct TokenEndpoint {
    pub(in crate::auth) config: OAuth2Config,
}

/// What is exchanged for tokens.
pub(in crate::auth) enum Exchange<'a> {
    Refresh(&'a Secret),
    Credentials(&'a [String]),
    Code { code: &'a Secret, redirect_uri: &'a Url, verifier: Option<&'a Secret> },
}

#[async_trait]
impl Endpoint for TokenEndpoint {
    async fn ask(
        &self,
        ctx: &Context,
        refresh: Option<&Secret>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let exchange = match (&self.config.grant, refresh) {
            (Grant::RefreshToken { .. }, Some(refresh)) => Exchange::Refresh(refresh),
            (Grant::RefreshToken { .. }, None) => {
                return Err(TransportError::new(Phase::NotWritten, "there is no refresh token to send"));
            }
            (Grant::ClientCredentials { scopes }, _) => Exchange::Credentials(scopes),
        };
        self.send(ctx, &exchange).await
    }

    fn classify(&self, answer: &Answer) -> TokenOutcome {
        answer::classify(answer, (self.config.normalize)(answer))
    }
}

impl TokenEndpoint {
    /// Sends one request.
    pub(in crate::auth) async fn send(
        &self,
        ctx: &Context,
        exchange: &Exchange<'_>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let OAuth2Config { client_id, client_auth, token_url, request_time, .. } = &self.config;
        let assertion = match client_auth {
            ClientAuth::Assertion(assertion) => {
                let signed = assertion.sign(client_id, token_url, ctx.now()).await;
                Some(signed.map_err(|source| {
                    TransportError::new(Phase::NotWritten, "the client assertion could not be signed")
                        .with_source(source)
                })?)
            }
            ClientAuth::Body | ClientAuth::Basic => None,
        };
        let request = self
            .request(exchange, assertion.as_ref())
            .ok_or_else(|| TransportError::new(Phase::NotWritten, "the token request could not be built"))?;
        let limits = Limits { total: *request_time, max_body_bytes: MAX_BODY_BYTES };
        ctx.transport().send(request, limits).await
    }

    /// The request as the `oauth2` crate makes it. That crate would also send it and decode the answer in one go;
    /// ours has to be stored in between, so its client only takes the request down.
    fn request(&self, exchange: &Exchange<'_>, assertion: Option<&Secret>) -> Option<http::Request<Bytes>> {
        let taken = RefCell::new(None);
        let take_down = |request: HttpRequest| -> Result<HttpResponse, TakenDown> {
            *taken.borrow_mut() = Some(request.map(Bytes::from));
            Err(TakenDown)
        };
        let client = self.client();
        let form = self.form(assertion);
        // All end in `TakenDown`.
        let _ = match exchange {
            Exchange::Refresh(refresh) => {
                let refresh = RefreshToken::new(refresh.expose().into());
                let request = client.exchange_refresh_token(&refresh);
                form.into_iter()
                    .fold(request, |request, (name, value)| request.add_extra_param(name, value))
                    .request(&take_down)
            }
            Exchange::Credentials(scopes) => {
                let request =
                    client.exchange_client_credentials().add_scopes(scopes.iter().cloned().map(Scope::new));
                form.into_iter()
                    .fold(request, |request, (name, value)| request.add_extra_param(name, value))
                    .request(&take_down)
            }
            Exchange::Code { code, redirect_uri, verifier } => {
                let mut request = client
                    .exchange_code(AuthorizationCode::new(code.expose().into()))
                    .set_redirect_uri(Cow::Owned(RedirectUrl::from_url((*redirect_uri).clone())));
                if let Some(verifier) = verifier {
                    request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().into()));
                }
                form.into_iter()
                    .filter(|(name, _)| *name != "redirect_uri") // some want it at each refresh; here it is already
                    .fold(request, |request, (name, value)| request.add_extra_param(name, value))
                    .request(&take_down)
            }
        };
        taken.into_inner()
    }

    fn client(
        &self,
    ) -> BasicClient<EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet> {
        let OAuth2Config { token_url, client_id, client_secret, client_auth, .. } = &self.config;
        let client = BasicClient::new(ClientId::new(client_id.clone()))
            .set_token_uri(TokenUrl::from_url(token_url.clone()));
        let secret = || ClientSecret::new(client_secret.expose().into());
        match client_auth {
            ClientAuth::Body => client.set_client_secret(secret()).set_auth_type(AuthType::RequestBody),
            ClientAuth::Basic => client.set_client_secret(secret()).set_auth_type(AuthType::BasicAuth),
            ClientAuth::Assertion(_) => client.set_auth_type(AuthType::RequestBody),
        }
    }

    fn form<'a>(&'a self, assertion: Option<&'a Secret>) -> Vec<(&'static str, &'a str)> {
        let own = self.config.form.iter().map(|(name, value)| (*name, value.as_str()));
        let assertion = assertion.into_iter().flat_map(|assertion| {
            [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.expose())]
        });
        own.chain(assertion).collect()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request was taken down, not sent")]
struct TakenDown;
