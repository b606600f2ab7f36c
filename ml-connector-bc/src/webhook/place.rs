//! Where subscriptions are: a connection that reads another company ends those of the one before.

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, UpkeepRequest, config::below, model::AccountKey,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Webhook, subscriptions::Registration};
use crate::client::ApiClient;

/// Where subscriptions are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The API's host.
    pub(crate) api: String,
    pub(crate) tenant: String,
    pub(crate) environment: String,
    pub(crate) company: String,
    #[serde(default)]
    pub(crate) callback: String,
}

impl Place {
    /// The same, with the URL that is called.
    fn called(&self, callback: &str) -> Self {
        Self { callback: callback.to_owned(), ..self.clone() }
    }

    /// How the company is named beside all others. The environment's name is compared as people write it: either way.
    pub(crate) fn account(&self) -> AccountKey {
        let environment = self.environment.to_lowercase();
        let host = self.api.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        AccountKey::new(format!("company:{host}/{}/{environment}/{}", self.tenant, self.company))
    }

    fn is_same_company(&self, other: &Self) -> bool {
        self.called("") == other.called("")
    }

    /// The URL above all companies of the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when what was stored is no URL.
    fn base(&self) -> Result<Url> {
        let api = Url::parse(&self.api).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the place of subscriptions cannot be read").with_source(source)
        })?;
        Ok(below(&api, &["v2.0", &self.tenant, &self.environment, "api"]))
    }
}

/// What a look leaves to the next one.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Where the subscriptions are that are looked after.
    here: Option<Place>,
    /// Where some still are, because the connection was there before.
    #[serde(default)]
    left: Vec<Place>,
}

impl Known {
    /// What is known when the connection is at `place`: wherever else it was is to be left.
    pub(crate) fn at(place: &Place, request: &UpkeepRequest<'_>) -> Self {
        let mut known = Self::default();
        for stored in [request.former, request.state].into_iter().flatten() {
            let Self { here, left } = serde_json::from_slice(stored).unwrap_or_default();
            for other in left.into_iter().chain(here) {
                if other.is_same_company(place) {
                    known.here = Some(other);
                } else if !known.left.contains(&other) {
                    known.left.push(other);
                }
            }
        }
        known
    }

    /// Notes where the subscriptions are from now on.
    pub(crate) fn is_here(&mut self, place: &Place, callback: &str) {
        self.here = Some(place.called(callback));
    }

    /// Ends the subscriptions where the connection was before. Those that cannot be ended have three days at most, and are
    /// answered as nobody's.
    ///
    /// # Errors
    /// What passes; then the rest is still to be left.
    pub(crate) async fn leave(
        &mut self,
        ctx: &Context,
        (webhook, client): (&Webhook, &ApiClient),
        own: &Place,
    ) -> Result<()> {
        while let Some(place) = self.left.last() {
            // A token of this directory opens nothing in another, and goes to no other host.
            if (&place.api, &place.tenant) == (&own.api, &own.tenant) {
                let there = client.at(place.base()?, &place.company)?;
                let webhook = webhook.of(&place.company);
                let wanted = webhook.wanted().to_vec();
                let old =
                    Registration { webhook: &webhook, client: &there, callback: &place.callback, wanted };
                match old.remove(ctx).await {
                    Err(error) if error.retry() != Retry::Never => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, company = %place.company, "the old company's notifications cannot be ended: they end within three days");
                    }
                    Ok(()) => {}
                }
            } else {
                tracing::warn!(company = %place.company, "the old company's notifications end within three days");
            }
            self.left.pop();
        }
        Ok(())
    }

    /// # Errors
    /// None that is expected.
    pub(crate) fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the place of subscriptions cannot be written")
                .with_source(source)
        })
    }
}
