//! A token endpoint: requests made by the `oauth2` crate, sent by our transport.

use std::{cell::RefCell, fmt};

use async_trait::async_trait;
use bytes::Bytes;
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken, Scope, TokenUrl,
    basic::BasicClient,
};

use super::{
    answer,
    config::{ClientAuth, Grant, OAuth2Config},
};
use crate::{
    Context, Secret,
    http::{Answer, Limits, Phase, TransportError},
    token::{Endpoint, Verdict},
};

/// Token answers are a few kilobytes; whatever is larger is a proxy's page.
const MAX_BODY_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct TokenEndpoint {
    pub(super) config: OAuth2Config,
}

#[async_trait]
impl Endpoint for TokenEndpoint {
    async fn ask(
        &self,
        ctx: &Context,
        refresh: Option<&Secret>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = self
            .request(refresh)
            .ok_or_else(|| TransportError::new(Phase::NotWritten, "the token request could not be built"))?;
        ctx.transport().send(request, Limits { max_body_bytes: MAX_BODY_BYTES, ..Limits::default() }).await
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        answer::judge(answer, self.config.millis_above, self.config.parse_error)
    }
}

impl TokenEndpoint {
    /// The request as the `oauth2` crate makes it. That crate would also send it and decode the answer in one go;
    /// ours has to be stored in between, so its client only takes the request down.
    fn request(&self, refresh: Option<&Secret>) -> Option<http::Request<Bytes>> {
        let OAuth2Config { token_url, client_id, client_secret, client_auth, grant, form, .. } = &self.config;
        let taken = RefCell::new(None);
        let take_down = |request: HttpRequest| -> Result<HttpResponse, TakenDown> {
            *taken.borrow_mut() = Some(request.map(Bytes::from));
            Err(TakenDown)
        };
        let client = BasicClient::new(ClientId::new(client_id.clone()))
            .set_client_secret(ClientSecret::new(client_secret.expose().into()))
            .set_auth_type(match client_auth {
                ClientAuth::Body => AuthType::RequestBody,
                ClientAuth::Basic => AuthType::BasicAuth,
            })
            .set_token_uri(TokenUrl::from_url(token_url.clone()));
        // Both end in `TakenDown`.
        let _ = match (grant, refresh) {
            (Grant::RefreshToken { .. }, Some(refresh)) => {
                let refresh = RefreshToken::new(refresh.expose().into());
                let mut request = client.exchange_refresh_token(&refresh);
                for (name, value) in form {
                    request = request.add_extra_param(*name, value);
                }
                request.request(&take_down)
            }
            (Grant::RefreshToken { .. }, None) => return None,
            (Grant::ClientCredentials { scopes }, _) => {
                let mut request =
                    client.exchange_client_credentials().add_scopes(scopes.iter().cloned().map(Scope::new));
                for (name, value) in form {
                    request = request.add_extra_param(*name, value);
                }
                request.request(&take_down)
            }
        };
        taken.into_inner()
    }
}

#[derive(Debug)]
struct TakenDown;

impl fmt::Display for TakenDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was taken down, not sent")
    }
}

impl std::error::Error for TakenDown {}
