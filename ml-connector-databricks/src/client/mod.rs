//! Every call to Databricks, one method each.

mod catalog;
mod files;
mod statements;
mod warehouses;

use std::sync::{Arc, atomic::AtomicBool};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result,
    auth::Authenticator,
    http::{Answer, Call, Client as HttpClient},
    rate::{Cost, Quota, QuotaKey},
};
use serde::Serialize;
pub(crate) use statements::Sql;
use url::Url;

use crate::{SYSTEM, error::check};

/// What the older drivers call the header that names a workspace on a host that serves several …
const ORG_HEADER: &str = "x-databricks-org-id";
/// … and what newer SDKs call it.
const WORKSPACE_HEADER: &str = "x-databricks-workspace-id";
/// The CLI's authors met 10 under way and use 5; two connections may share a workspace.
const FILES_UNDER_WAY: u32 = 3;

/// The APIs of one workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: HttpClient,
    warehouse_id: Arc<str>,
    workspace_id: Option<HeaderValue>,
    /// Off once a workspace has refused them.
    query_tags: Arc<AtomicBool>,
    files: Cost,
}

impl Client {
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] unless `host` is https, or http to a loopback address.
    pub(crate) fn new(
        host: Url,
        auth: Arc<dyn Authenticator>,
        warehouse_id: &str,
        workspace_id: Option<&str>,
        query_tags: bool,
    ) -> Result<Self> {
        let workspace_id = workspace_id.map(HeaderValue::from_str).transpose().map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "expected digits").with_context("setting", "workspace_id")
        })?;
        let files = Cost::one(
            QuotaKey::new(format!("databricks/{}/files", host.authority())),
            Arc::new([Quota::Concurrent { limit: FILES_UNDER_WAY }]),
        );
        let http = HttpClient::new(SYSTEM, host, auth, check)?;
        let query_tags = Arc::new(AtomicBool::new(query_tags));
        Ok(Self { http, warehouse_id: warehouse_id.into(), workspace_id, query_tags, files })
    }

    pub(crate) fn host(&self) -> &Url {
        self.http.base()
    }

    pub(crate) fn warehouse_id(&self) -> &str {
        &self.warehouse_id
    }

    async fn get(&self, ctx: &Context, operation: &'static str, url: &Url) -> Result<Answer> {
        let request = self.request(Method::GET, url, "application/json", Bytes::new())?;
        self.http.send(ctx, Call::read(operation, request)).await
    }

    /// A call that may be repeated, because doing it twice is doing it once.
    fn repeatable(&self, operation: &'static str, method: Method, url: &Url, body: Bytes) -> Result<Call> {
        let request = self.request(method, url, "application/octet-stream", body)?;
        Ok(Call::read(operation, request).with_costs(vec![self.files.clone()]))
    }

    async fn post(
        &self,
        ctx: &Context,
        operation: &'static str,
        url: &Url,
        body: &impl Serialize,
    ) -> Result<Answer> {
        let body = serde_json::to_vec(body).map_err(|source| {
            Error::new(ErrorKind::InvalidRequest, "the call cannot be written as JSON").with_source(source)
        })?;
        let request = self.request(Method::POST, url, "application/json", body.into())?;
        self.http.send(ctx, Call::write(operation, request)).await
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Request<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(body)
            .map_err(|source| {
                Error::new(ErrorKind::InvalidRequest, "the request cannot be built").with_source(source)
            })?;
        if let Some(id) = &self.workspace_id {
            request.headers_mut().insert(ORG_HEADER, id.clone());
            request.headers_mut().insert(WORKSPACE_HEADER, id.clone());
        }
        Ok(request)
    }
}
