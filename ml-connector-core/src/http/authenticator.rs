//! What proves to a vendor who is calling: a header for each attempt.

use std::fmt::Debug;

use async_trait::async_trait;
use http::HeaderValue;

use crate::{Context, Error, ErrorKind, Result, Secret};

/// Provides the `Authorization` header of each attempt.
///
/// # Contract
/// - [`authorize`](Self::authorize) is called right before every attempt; it never hands out a token that is
///   known to be dead, and refreshes at most once for all concurrent callers.
/// - `Debug` shows no secret.
#[async_trait]
pub trait Authenticator: Debug + Send + Sync + 'static {
    /// The header for one attempt.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] in the scope of the connection when somebody has to connect it anew;
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::RateLimited`] when the token endpoint has to be asked again;
    /// [`ErrorKind::ConfigInvalid`] when it refuses the app itself.
    async fn authorize(&self, ctx: &Context) -> Result<Authorization>;

    /// Tells that the other side refused this header. The token is dropped once; whoever was refused with a token
    /// that is no longer current changes nothing. A token that cannot be replaced yet is kept: other calls may be
    /// accepted with it.
    ///
    /// # Errors
    /// Why the token was kept, as [`authorize`](Self::authorize) would say it; [`ErrorKind::Unauthenticated`]
    /// where nothing can be renewed.
    async fn rejected(&self, ctx: &Context, refused: &Authorization) -> Result<()>;
}

/// The value of an `Authorization` header, and which token it was made from.
#[derive(Debug, Clone)]
pub struct Authorization {
    header: HeaderValue,
    generation: u64,
}

impl Authorization {
    /// `scheme token`, as of a generation of the token.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the token cannot stand in a header.
    pub fn new(scheme: &str, token: &Secret, generation: u64) -> Result<Self> {
        let mut header = HeaderValue::try_from(format!("{scheme} {}", token.expose())).map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "the token has characters that no header can carry")
        })?;
        header.set_sensitive(true);
        Ok(Self { header, generation })
    }

    /// The header's value, marked as sensitive.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Which token it was made from.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}
