//! The app at the other end: what it is sent, and what becomes of its answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Error, ErrorKind, HttpTransport, Result, Secret, Timestamp,
    http::{Limits, TransportError},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    SlackSim,
    args::Args,
    chat::{self, Content},
    events::VERIFICATION_TOKEN,
    ids::BOT_USER,
    message::Message,
    outbox::{AppCall, Attempt, Delivery, PATIENCE, ReplyTo},
    workspace::Workspace,
};
use crate::toolkit::outbox::{self, DeliveryTuning, Reception, redirect};

/// Events API page: so many redirects are followed.
const REDIRECTS: usize = 2;
/// What a person reads when the app did not answer.
pub(super) const NO_ANSWER: &str = "We had some trouble connecting. Try again?";

impl SlackSim {
    /// Saves the app's request URL: the app has to answer a challenge, which is signed like everything else. From
    /// then on events, clicks and commands are in line for it.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when the challenge did not come back within three seconds; the URL is not saved.
    pub async fn connect_app(&self, url: Url, transport: &dyn HttpTransport) -> Result<()> {
        let (mut delivery, challenge, before) = self.workspace(|workspace| {
            let challenge = workspace.seed.hex();
            let body = json!({
                "token": VERIFICATION_TOKEN, "challenge": challenge, "type": "url_verification",
            });
            let before = workspace.outbox.url.replace(url);
            let call = AppCall::event("url_verification", "");
            let delivery = Delivery::now(call, Request::new(body.to_string().into()), self.now());
            (delivery, challenge, before)
        });
        self.workspace(|workspace| workspace.outbox.prepare(&mut delivery, self.now()));
        let answer = transport.send(delivery.request.clone(), Limits::within(PATIENCE)).await;
        let echoed = answer.as_ref().is_ok_and(|answer| answer.status() == 200 && echoes(answer, &challenge));
        self.workspace(|workspace| {
            let failure = (!echoed).then_some("challenge_failed");
            let attempt = delivery.attempted(failure, answer.as_ref().ok(), self.now());
            workspace.outbox.outbox.attempts.push(attempt);
            workspace.outbox.cut_off &= !echoed;
            if !echoed {
                workspace.outbox.url = before;
            }
        });
        if echoed {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ConfigInvalid, "expected the challenge back with status 200"))
    }

    /// What requests to the app are signed with.
    #[must_use]
    pub fn signing_secret(&self) -> Secret {
        self.workspace(|workspace| workspace.outbox.secret.clone())
    }

    /// Replaces the signing secret at once, as Slack does. Returns the new one.
    pub fn renew_signing_secret(&self) -> Secret {
        self.workspace(|workspace| {
            workspace.outbox.renew_secret();
            workspace.outbox.secret.clone()
        })
    }

    /// Makes deliveries go wrong, or right again: `slack.tune_deliveries(|tuning| tuning.duplicates = 1)`. What is
    /// in line already keeps its copies and its delay.
    pub fn tune_deliveries(&self, change: impl FnOnce(&mut DeliveryTuning)) {
        self.workspace(|workspace| change(&mut workspace.outbox.outbox.tuning));
    }

    /// The app setting "Delayed Events": after the third retry one each hour for a day.
    pub fn set_delayed_events(&self, on: bool) {
        self.workspace(|workspace| workspace.outbox.set_delayed_events(on));
    }

    /// Makes `response_url`s begin with this origin instead of `https://hooks.slack.com`: where the router is served.
    pub fn set_hooks_origin(&self, origin: &str) {
        self.workspace(|workspace| origin.trim_end_matches('/').clone_into(&mut workspace.hooks));
    }

    /// Sends what is due, all at once, and handles the answers as Slack does. The app has three seconds for each.
    /// Events that fail are due again at once, after a minute and after five.
    pub async fn deliver(&self, transport: &dyn HttpTransport) -> Vec<Attempt> {
        let settle = |delivery, answer| self.settle(delivery, answer);
        outbox::send_all(self.take_deliveries(), transport, (PATIENCE, REDIRECTS), settle).await
    }

    /// Takes what is due, signed now, to be sent, repeated, reordered or dropped by the caller, who tells what came
    /// of it with [`settle`](Self::settle).
    #[must_use]
    pub fn take_deliveries(&self) -> Vec<Delivery> {
        let now = self.now();
        self.workspace(|workspace| workspace.outbox.take(now))
    }

    /// When the next delivery is due, if one waits.
    #[must_use]
    pub fn next_delivery(&self) -> Option<Timestamp> {
        self.workspace(|workspace| workspace.outbox.outbox.next_due())
    }

    /// Handles the app's answer to a delivery, or that there was none.
    pub fn settle(
        &self,
        delivery: Delivery,
        answer: std::result::Result<Response<Bytes>, TransportError>,
    ) -> Attempt {
        let now = self.now();
        let has_no_retry = |answer: &Response<Bytes>| {
            answer.headers().get("x-slack-no-retry").is_some_and(|value| value == "1")
        };
        let verdict = match (Reception::of(answer.as_ref()), &answer) {
            (Reception::Again(reason), Ok(answer)) if has_no_retry(answer) => Reception::GiveUp(reason),
            (Reception::Again(_), Ok(answer)) if redirect(answer).is_some() => {
                Reception::Again("too_many_redirects")
            }
            (verdict, _) => verdict,
        };
        let answer = answer.ok();
        self.workspace(|workspace| {
            let heard = answer.as_ref().filter(|_| verdict == Reception::Received);
            workspace.hear(&delivery.about.reply_to, heard, now);
            workspace.outbox.settle(delivery, verdict, answer.as_ref(), now)
        })
    }

    /// What came of every attempt so far, oldest first, with the app's latency and answer.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.workspace(|workspace| workspace.outbox.outbox.attempts.clone())
    }

    /// Whether Slack has stopped sending events because more than 95 % of an hour's attempts failed.
    #[must_use]
    pub fn events_cut_off(&self) -> bool {
        self.workspace(|workspace| workspace.outbox.cut_off)
    }

    /// Tells the app `app_rate_limited`, as after more than 30,000 events in an hour.
    pub fn tell_rate_limited(&self) {
        let now = self.now();
        self.workspace(|workspace| workspace.tell_rate_limited(now));
    }
}

impl Workspace {
    /// What a person sees of the app's answer; `None` when it failed.
    fn hear(&mut self, reply_to: &ReplyTo, answer: Option<&Response<Bytes>>, now: Timestamp) {
        match reply_to {
            ReplyTo::Nobody => {}
            ReplyTo::Click { user, channel, ts } => {
                let place = (user.clone(), channel.clone(), ts.clone());
                match answer {
                    Some(_) => self.troubles.remove(&place),
                    None => self.troubles.insert(place),
                };
            }
            ReplyTo::Submission { view } => self.submitted(view, answer, now),
            ReplyTo::Command { user, channel } => self.commanded(user, channel, answer, now),
        }
    }

    fn submitted(&mut self, id: &str, answer: Option<&Response<Bytes>>, now: Timestamp) {
        let outcome = answer.ok_or(()).and_then(|answer| self.respond_to_submission(id, answer.body(), now));
        if let Some(view) = self.views.get_mut(id) {
            view.trouble = outcome.is_err().then(|| NO_ANSWER.to_owned());
        }
    }

    fn respond_to_submission(
        &mut self,
        id: &str,
        body: &Bytes,
        now: Timestamp,
    ) -> std::result::Result<(), ()> {
        let Some(open) = self.views.get(id).filter(|view| view.is_open).cloned() else { return Ok(()) };
        if body.iter().all(u8::is_ascii_whitespace) {
            self.views.get_mut(id).into_iter().for_each(|view| view.is_open = false);
            return Ok(());
        }
        let response: Value = serde_json::from_slice(body).map_err(drop)?;
        match response["response_action"].as_str() {
            Some("errors") => {
                let errors: BTreeMap<String, String> =
                    serde_json::from_value(response["errors"].clone()).map_err(drop)?;
                let known = |id: &String| {
                    super::inputs::inputs(&open.view["blocks"]).any(|block| block["block_id"] == **id)
                };
                if errors.is_empty() || !errors.keys().all(known) {
                    return Err(());
                }
                self.views.get_mut(id).ok_or(())?.errors = errors;
            }
            Some("update") => {
                self.check_view(&response["view"], Some(id)).map_err(drop)?;
                self.exchange_view(id, &response["view"], now).ok_or(())?;
            }
            Some("push") => {
                self.check_view(&response["view"], None).map_err(drop)?;
                if !self.can_push_on(id) {
                    return Err(());
                }
                self.show(&open.user, Some(id.to_owned()), &response["view"], now);
            }
            Some("clear") => self.views.clear(&open.user),
            _ => return Err(()),
        }
        Ok(())
    }

    fn commanded(&mut self, user: &str, channel: &str, answer: Option<&Response<Bytes>>, now: Timestamp) {
        let content = match answer {
            None => Ok(Content::plain("The command failed: the app did not respond.")),
            Some(answer) if answer.body().iter().all(u8::is_ascii_whitespace) => return,
            Some(answer) => match serde_json::from_slice::<Value>(answer.body()) {
                Ok(Value::Object(fields)) => {
                    let in_channel = fields.get("response_type").is_some_and(|kind| kind == "in_channel");
                    let content = Content::read(self, &Args::from(fields));
                    if let (true, Ok(content)) = (in_channel, &content) {
                        let mut message = Message::new(BOT_USER, content.text.clone(), now);
                        message.blocks.clone_from(&content.blocks);
                        self.store(channel, message);
                        return;
                    }
                    content
                }
                _ => Ok(Content::plain(&String::from_utf8_lossy(answer.body()))),
            },
        };
        if let Ok(content) = content {
            self.whisper(chat::whispered(channel, user, None, content, now));
        }
    }
}

/// Whether an answer holds the challenge in one of the three ways.
fn echoes(answer: &Response<Bytes>, challenge: &str) -> bool {
    let body = answer.body();
    let json = serde_json::from_slice::<Value>(body).is_ok_and(|body| body["challenge"] == challenge);
    let mut form = url::form_urlencoded::parse(body);
    json || body.trim_ascii() == challenge.as_bytes()
        || form.any(|(name, value)| name == "challenge" && value == challenge)
}
