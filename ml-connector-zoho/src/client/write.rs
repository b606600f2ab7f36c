//! The calls that change the books, and the one that tells whether they did.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp, error_context,
    http::{Answer, Call},
};
use serde::Serialize;

use super::{BooksClient, list_of};

/// Where a fresh token did not help a write, it is the scope that is missing, and another one helps as little. Zoho issues
/// ten in ten minutes; a token lives as long as this.
const RENEW_EVERY: Duration = Duration::from_secs(3600);

/// A comment on a document.
pub(crate) struct Comment {
    pub(crate) comment_id: String,
    pub(crate) description: String,
}

impl BooksClient {
    /// `GET /{path}/{id}/comments`: everything that was noted beside a document.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn comments(&self, ctx: &Context, path: &str, id: &str) -> Result<Vec<Comment>> {
        const LIST: &str = "zoho_books.list_comments";
        let answer = self.read(ctx, LIST, self.http.url(&[path, id, "comments"])).await?;
        list_of(&answer, "comments", "comment_id", |comment| {
            Ok(Comment { comment_id: comment.text("comment_id"), description: comment.text("description") })
        })
    }

    /// `POST /{path}/{id}/comments`. Never shown to the customer: the vendor's default is not documented.
    ///
    /// # Errors
    /// As [`error::check`](crate::error::check) says; the effect is honest.
    pub(crate) async fn add_comment(&self, ctx: &Context, path: &str, id: &str, text: &str) -> Result<()> {
        #[derive(Serialize)]
        struct NewComment<'a> {
            description: &'a str,
            show_comment_to_clients: bool,
        }
        let comment = NewComment { description: text, show_comment_to_clients: false };
        let segments = [path, id, "comments"];
        self.write(ctx, "zoho_books.add_comment", Method::POST, &segments, json(&comment)?).await.map(drop)
    }

    /// `DELETE /{path}/{id}/comments/{comment_id}`.
    ///
    /// # Errors
    /// As [`add_comment`](Self::add_comment).
    pub(crate) async fn delete_comment(
        &self,
        ctx: &Context,
        path: &str,
        id: &str,
        comment: &str,
    ) -> Result<()> {
        let segments = [path, id, "comments", comment];
        self.write(ctx, "zoho_books.delete_comment", Method::DELETE, &segments, Bytes::new()).await.map(drop)
    }

    /// `PUT /{kind}/{id}/customfields`: the singular of the path, and an array without an envelope.
    ///
    /// # Errors
    /// As [`add_comment`](Self::add_comment).
    pub(crate) async fn set_custom_field(
        &self,
        ctx: &Context,
        kind: &str,
        id: &str,
        field: &str,
        value: &str,
    ) -> Result<()> {
        // Invoices spell the key one way, bills the other; each ignores the other's.
        #[derive(Serialize)]
        struct CustomField<'a> {
            customfield_id: &'a str,
            custom_field_id: &'a str,
            value: &'a str,
        }
        let field = [CustomField { customfield_id: field, custom_field_id: field, value }];
        let segments = [kind, id, "customfields"];
        self.write(ctx, "zoho_books.set_custom_field", Method::PUT, &segments, json(&field)?).await.map(drop)
    }

    /// `POST /{path}/{id}/{action}`: `approve` or `submit`.
    ///
    /// # Errors
    /// As [`add_comment`](Self::add_comment).
    pub(crate) async fn act(
        &self,
        ctx: &Context,
        operation: &'static str,
        path: &str,
        id: &str,
        action: &str,
    ) -> Result<()> {
        self.write(ctx, operation, Method::POST, &[path, id, action], Bytes::new()).await.map(drop)
    }

    pub(super) async fn write(
        &self,
        ctx: &Context,
        operation: &'static str,
        method: Method,
        segments: &[&str],
        body: Bytes,
    ) -> Result<Answer> {
        let mut url = self.http.url(segments);
        url.query_pairs_mut().append_pair("organization_id", &self.organization_id);
        let mut request =
            Request::builder().method(method).uri(url.as_str()).header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body)
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request cannot be built"))?;
        let mut call = Call::write(operation, request).with_costs(self.costs(&url));
        let in_vain = Timestamp::from_millis(self.renewed_in_vain.load(Ordering::Relaxed));
        let renews = ctx.now().saturating_since(in_vain) >= RENEW_EVERY;
        if !renews {
            call = call.with_proven_token();
        }
        let sent = self.http.send(ctx, call).await;
        if renews && sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unauthenticated) {
            self.renewed_in_vain.store(ctx.now().as_millis(), Ordering::Relaxed);
        }
        let answer = sent.map_err(|error| self.in_scope(may_not_write(error)))?;
        self.report_day(ctx, &answer).await;
        Ok(answer)
    }
}

/// Zoho says the same of a missing scope as of a dead token. Every command has just read with the same token: so it is
/// the scope, and only what needs it has to wait.
fn may_not_write(error: Error) -> Error {
    if error.kind() != ErrorKind::Unauthenticated {
        return error;
    }
    Error::new(
        ErrorKind::PermissionDenied,
        "the connection may read, but not write: connect it with the scope to write",
    )
    .with_scope(Scope::Lane)
    .with_effect(error.effect())
    .with_operation(error.operation())
    .with_context(error_context::CODE, error.context(error_context::CODE).unwrap_or("none"))
}

pub(super) fn json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "a request cannot be written as JSON").with_source(source)
    })
}
