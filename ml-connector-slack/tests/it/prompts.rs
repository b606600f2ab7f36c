//! A dialog that does not open: whoever clicked is told, whyever.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, HttpTransport, ManualClock, ReceiveRequest, Source, Timestamp,
    approval::Choice,
    http::{Limits, Phase, ReqwestTransport, TransportError},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use serde_json::Value;
use wiremock::ResponseTemplate;

use crate::{
    receive::{SECRET, SIGNED, click, interaction, source_with},
    support::{NOW, World, error, ok, secs},
};

/// What becomes of the call that opens the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The button's trigger has expired.
    Expired,
    TooOften,
    ServerError,
    Reset,
    /// No answer in the seconds that a trigger lives.
    Slow,
    /// The click came without a trigger that can be read.
    NoTrigger,
}

/// The way to Slack, on which one method meets its fate.
#[derive(Debug)]
struct Way {
    real: ReqwestTransport,
    clock: Arc<ManualClock>,
    fate: Fate,
}

#[async_trait]
impl HttpTransport for Way {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let opens = request.uri().path().ends_with("views.open");
        match self.fate {
            Fate::Reset if opens => Err(TransportError::new(Phase::Written, "connection reset")),
            Fate::Slow if opens => {
                self.clock.advance(limits.total);
                Err(TransportError::new(Phase::Written, "no answer came in time"))
            }
            _ => self.real.send(request, limits).await,
        }
    }
}

#[tokio::test]
async fn whoever_clicked_is_told_that_no_dialog_opened() {
    for fate in [Fate::Expired, Fate::TooOften, Fate::ServerError, Fate::Reset, Fate::Slow, Fate::NoTrigger] {
        let world = World::new().await;
        let answer = match fate {
            Fate::TooOften => ResponseTemplate::new(429).insert_header("retry-after", "30"),
            Fate::ServerError => ResponseTemplate::new(503),
            _ => error("expired_trigger_id"),
        };
        world.answer("views.open", answer).await;
        world.answer("chat.postEphemeral", ok("chat.postEphemeral.ok.json")).await;
        let clock = Arc::new(ManualClock::at(NOW));
        let way = Way { real: ReqwestTransport::new(), clock: Arc::clone(&clock), fate };
        let (tokens, limiter) = (Arc::new(MemoryTokenStore::default()), Arc::new(MemoryRateLimiter::new()));
        let ctx = Context::new(Arc::new(way), tokens, limiter, Arc::clone(&clock) as _);
        let source =
            world.builder().signing_secret(SECRET).team("T07LEDGER1").build().unwrap().source().unwrap();
        let mut click = click(Choice::REJECT, "approval:abc:1", None);
        if fate == Fate::NoTrigger {
            click["trigger_id"] = Value::Null;
        }
        let request = interaction(&click);
        let signed_at = Timestamp::from_secs(SIGNED);
        let received = source_with(SECRET).receive(ReceiveRequest::new(&request, signed_at));
        let mut prompt = received.unwrap().prompt.unwrap();
        prompt.deadline = prompt.deadline + NOW.saturating_since(signed_at);

        assert!(source.prompt(&ctx, prompt).await.is_err(), "{fate:?}");
        assert!(ctx.now() <= NOW + secs(3), "{fate:?}: the trigger was not waited for");
        let told = world.requests("chat.postEphemeral").await;
        assert_eq!(told.len(), 1, "{fate:?}");
        let told: Value = serde_json::from_slice(&told[0].body).unwrap();
        let to = (told["channel"].as_str(), told["user"].as_str());
        assert_eq!(to, (Some("C07APPROV1"), Some("U07APPROV1")), "{fate:?}");
        assert!(told["text"].as_str().unwrap().contains("nothing was decided"), "{fate:?}: {told}");
    }
}
