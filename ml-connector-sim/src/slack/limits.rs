//! How Slack answers calls over a limit.

/// How a call over a limit is answered. All three have been seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RateLimitAnswer {
    /// 429 with `{"ok":false,"error":"ratelimited"}`.
    #[default]
    Ratelimited,
    /// 429 with `{"retry_after":n,"ok":false,"error":"rate_limited"}`.
    RateLimited,
    /// 200 with `{"ok":false,"error":"rate_limited"}` and no `Retry-After`.
    WithinOk,
}
