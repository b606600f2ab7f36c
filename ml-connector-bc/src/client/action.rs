//! The one call that cannot be undone.

use bytes::Bytes;
use http::{Request, header};
use ml_connector_core::{Context, Result, http::Call};

use super::{ApiClient, cannot_build, common};
use crate::models::Set;

impl ApiClient {
    /// `POST {set}({id})/Microsoft.NAV.post`: every other call refuses a URL below `Microsoft.NAV.`, because the name
    /// works in any casing.
    ///
    /// # Errors
    /// As [`check`](crate::error::check) says; the effect is honest.
    pub(crate) async fn post(&self, ctx: &Context, set: Set, id: &str, etag: &str) -> Result<()> {
        let url = self.below(&[&format!("{}({id})", set.name()), "Microsoft.NAV.post"]);
        let request = common(Request::post(url.as_str()))
            .header(header::IF_MATCH, etag)
            .header(header::CONTENT_LENGTH, 0)
            .body(Bytes::new())
            .map_err(|_| cannot_build())?;
        let call = Call::write("business_central.post", request).with_costs(self.costs());
        self.http.send(ctx, call).await.map(drop).map_err(|error| self.in_scope(error))
    }
}
