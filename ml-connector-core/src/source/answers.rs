//! What vendors are answered when a webhook cannot be taken in as it is.

use http::StatusCode;

/// What a vendor is answered when a webhook cannot be taken in as it is.
///
/// Set a success where a refusal would cost the subscription. The vendor then does not send the webhook again. So the
/// connector writes a note, reads every feed of the source and starts its sweeps, at most once in 15 minutes.
///
/// ```
/// use http::StatusCode;
/// use ml_connector_core::WebhookAnswers;
///
/// let answers = WebhookAnswers::never_refusing();
/// assert_eq!((answers.unavailable, answers.oversize), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookAnswers {
    /// The log cannot store it in time, or connections are still being loaded. The vendor has to send it again: 408, 425, 429
    /// or a server error. Default: 503.
    pub unavailable: StatusCode,
    /// It is larger than [`Settings::max_webhook_bytes`](crate::engine::Settings::max_webhook_bytes). Default: 413.
    pub oversize: StatusCode,
    /// It is proven, but not understood. Default: 400.
    pub unreadable: StatusCode,
    /// It is for an account that no connection of the endpoint has. `None` = the source's own reply, which the vendor takes
    /// for a success. It is noted in each case. Default: `None`.
    pub misaddressed: Option<StatusCode>,
}

impl Default for WebhookAnswers {
    fn default() -> Self {
        Self {
            unavailable: StatusCode::SERVICE_UNAVAILABLE,
            oversize: StatusCode::PAYLOAD_TOO_LARGE,
            unreadable: StatusCode::BAD_REQUEST,
            misaddressed: None,
        }
    }
}

impl WebhookAnswers {
    /// For vendors that delete a subscription when a webhook is refused: what cannot be used is answered with 200.
    #[must_use]
    pub fn never_refusing() -> Self {
        let ok = StatusCode::OK;
        Self { oversize: ok, unreadable: ok, misaddressed: Some(ok), ..Self::default() }
    }

    /// Whether the vendor sends a webhook again that was answered as unavailable.
    pub(crate) fn is_repeated(self) -> bool {
        let again = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        self.unavailable.is_server_error() || again.contains(&self.unavailable)
    }
}
