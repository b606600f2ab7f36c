//! The calls that register webhooks: `/events/account/{account_id}/events/callbacks`.

use bytes::Bytes;
use http::{Method, Request, header};
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Secret,
    decode::{self, Object, Row},
    http::{Answer, Call, Envelope, Pages},
    model::LostRow,
};
use serde::Serialize;

use super::{FreshBooksClient, PER_PAGE, USER_AGENT};

const LIST: &str = "freshbooks.list_callbacks";

/// What FreshBooks calls, and whether it does.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) uri: String,
    pub(crate) verified: bool,
}

impl Callback {
    /// The id has several names, depending on who documents it.
    fn read(callback: &Object<'_>) -> Result<Self> {
        let names = ["callbackid", "id", "callback_id"];
        let id = names.iter().find_map(|name| callback.some_text(name));
        Ok(Self {
            id: id.map_or_else(|| callback.id("callbackid"), Ok)?,
            event: callback.text("event"),
            uri: callback.text("uri"),
            verified: callback.flag("verified"),
        })
    }
}

/// What is written, wrapped as FreshBooks wants it.
#[derive(Serialize)]
struct Wrapped<T> {
    callback: T,
}

#[derive(Serialize)]
struct NewCallback<'a> {
    event: &'a str,
    uri: &'a str,
}

#[derive(Serialize)]
struct Verifier<'a> {
    verifier: &'a str,
}

#[derive(Serialize)]
struct Resend {
    resend: bool,
}

impl FreshBooksClient {
    /// `GET …/callbacks`: all of them.
    ///
    /// # Errors
    /// As [`error::check`](crate::error::check) says.
    pub(crate) async fn callbacks(&self, ctx: &Context) -> Result<Vec<Callback>> {
        let (mut pages, mut all) = (Pages::numbered(1), Vec::new());
        loop {
            let mut url = self.callback_url(None);
            url.query_pairs_mut().append_pair("per_page", &PER_PAGE.to_string());
            let answer = self.read(ctx, LIST, &pages.url(&url, "page")).await?;
            let read = page(&answer).map_err(|error| error.with_operation(LIST))?;
            let ids: Vec<&str> = read.callbacks.iter().map(|callback| callback.id.as_str()).collect();
            let more = pages.number().is_some_and(|number| u64::from(number) < read.pages);
            let more = pages.advance_number(more, ids)?;
            all.extend(read.callbacks);
            if !more {
                return Ok(all);
            }
        }
    }

    /// `POST …/callbacks`. FreshBooks then sends a verifier to the URI, maybe before it answers. Returns the id, where the
    /// answer says it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for an event or a URI that it does not take; as [`callbacks`](Self::callbacks).
    pub(crate) async fn create_callback(
        &self,
        ctx: &Context,
        event: &str,
        uri: &str,
    ) -> Result<Option<String>> {
        let body = json(&Wrapped { callback: NewCallback { event, uri } })?;
        let answer = self.write(ctx, "freshbooks.create_callback", (Method::POST, None), body).await?;
        let result = Envelope::of(&answer).and_then(|envelope| envelope.within("response")?.within("result"));
        // It was created, whatever the answer looks like: the list tells.
        let Ok(mut result) = result else { return Ok(None) };
        let Some(callback) = result.take("callback") else { return Ok(None) };
        Ok(decode::object(&callback, Callback::read).ok().map(|read| read.value.id))
    }

    /// `PUT …/callbacks/{id}` with the verifier that was sent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], or another refusal, when it is not the one; as [`callbacks`](Self::callbacks).
    pub(crate) async fn verify_callback(&self, ctx: &Context, id: &str, verifier: &Secret) -> Result<()> {
        let body = json(&Wrapped { callback: Verifier { verifier: verifier.expose() } })?;
        self.write(ctx, "freshbooks.verify_callback", (Method::PUT, Some(id)), body).await.map(drop)
    }

    /// `PUT …/callbacks/{id}`: has the verifier sent once more.
    ///
    /// # Errors
    /// As [`callbacks`](Self::callbacks).
    pub(crate) async fn resend_verifier(&self, ctx: &Context, id: &str) -> Result<()> {
        let body = json(&Wrapped { callback: Resend { resend: true } })?;
        self.write(ctx, "freshbooks.resend_verifier", (Method::PUT, Some(id)), body).await.map(drop)
    }

    /// `DELETE …/callbacks/{id}`. One that is gone already is no error.
    ///
    /// # Errors
    /// As [`callbacks`](Self::callbacks).
    pub(crate) async fn delete_callback(&self, ctx: &Context, id: &str) -> Result<()> {
        match self.write(ctx, "freshbooks.delete_callback", (Method::DELETE, Some(id)), Bytes::new()).await {
            Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    fn callback_url(&self, id: Option<&str>) -> url::Url {
        let begin = ["events", "account", &self.account_id, "events", "callbacks"];
        let segments: Vec<&str> = begin.into_iter().chain(id).collect();
        self.http.url(&segments)
    }

    async fn write(
        &self,
        ctx: &Context,
        operation: &'static str,
        (method, id): (Method, Option<&str>),
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.callback_url(id).as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, USER_AGENT);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body)
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "the request cannot be built"))?;
        let call = Call::write(operation, request).with_costs(self.budget.costs());
        self.http.send(ctx, call).await.map_err(|error| self.in_scope(error))
    }
}

struct Page {
    callbacks: Vec<Callback>,
    pages: u64,
}

fn page(answer: &Answer) -> Result<Page> {
    let (mut result, list) = Envelope::with_list(answer, &["response", "result"], "callbacks")?;
    let pages = result.take("pages").and_then(|raw| decode::plain_text(&raw)?.parse().ok());
    let read = list.rows("callbackid", Callback::read).into_iter().filter_map(|row| match row {
        Row::Read { decoded, .. } => Some(decoded.value),
        Row::Unreadable { row: LostRow { number, .. }, error } => {
            tracing::warn!(%error, operation = LIST, number, "a callback cannot be read");
            None
        }
    });
    Ok(Page { callbacks: read.collect(), pages: pages.unwrap_or(1) })
}

fn json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|source| {
        Error::new(ErrorKind::InvalidRequest, "the request cannot be written").with_source(source)
    })
}
