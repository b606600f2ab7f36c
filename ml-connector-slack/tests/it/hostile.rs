//! Whatever Slack, or something in front of it, answers: nothing panics, nothing goes round in circles, and no message
//! is taken for posted that was not.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, HttpTransport, Result, Sink, TokioClock,
    http::{Limits, TransportError},
    model::{Actor, Interaction, Lookup, PrivateAnswer, Receipt, Reply},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_slack::{MessageRef, Slack, channel, clicker, email, message, thread};
use proptest::{collection::vec, prelude::*};

use crate::support::{NOW, NoNotes, TOKEN, delivery, fixture};

const ROOT: &str = "C07ACCTNG1/1767225605.000219";
const MIB: usize = 1 << 20;
/// A look-up reads ten pages, a name twenty-odd; more calls than this are a circle.
const MAX_CALLS: u32 = 300;

/// Answers every call with the same bytes.
#[derive(Debug)]
struct Same(Bytes, AtomicU32);

#[async_trait]
impl HttpTransport for Same {
    async fn send(&self, _: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        assert!(self.1.fetch_add(1, Ordering::Relaxed) < MAX_CALLS, "it goes round in circles");
        Ok(Response::new(self.0.clone()))
    }
}

/// Delivers in every form, and looks every delivery up.
fn ask(body: impl Into<Bytes>) -> Vec<(Result<Receipt>, Result<Lookup>)> {
    let body = body.into();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut answers = Vec::new();
        let first: MessageRef = ROOT.parse().unwrap();
        for to in [
            channel("C07ACCTNG1"),
            channel("accounting"),
            email("anna@x.example"),
            thread(&first),
            message(&first),
            clicker(),
        ] {
            let slack = Slack::builder("slack").token(TOKEN).build().unwrap();
            let ctx = Context::new(
                Arc::new(Same(body.clone(), AtomicU32::default())),
                Arc::new(MemoryTokenStore::new()),
                Arc::new(MemoryRateLimiter::new()),
                Arc::new(TokioClock::starting_at(NOW)),
            );
            let mut delivery = delivery(to);
            let mut actor = Actor::new("slack", "U07APPROV1");
            actor.place = Some(ROOT.into());
            let answer = Interaction::Answer(PrivateAnswer::new(actor, Reply::Unknown, "not known"));
            Arc::make_mut(&mut delivery.event).content = Some(answer.into());
            let posted = slack.deliver(&ctx, std::slice::from_ref(&delivery), &NoNotes).await.remove(0);
            answers.push((posted, slack.look_up(&ctx, &delivery).await));
        }
        answers
    })
}

#[derive(serde::Deserialize)]
struct Success {
    ok: bool,
}

#[derive(serde::Deserialize)]
struct Said {
    ok: bool,
    ts: Option<String>,
    channel: Option<String>,
}

/// A receipt is Slack's word for it: a success, and a handle that can be found again. What is not looked at may be no
/// UTF-8.
fn honest(body: impl Into<Bytes>) {
    let body = body.into();
    let text = String::from_utf8_lossy(&body);
    for (posted, looked) in ask(body.clone()) {
        if let Ok(posted) = posted {
            // Nothing is read of the answer to a change, and next to nothing of words that one person saw.
            if &*posted.reference == ROOT || posted.reference.starts_with("ephemeral:") {
                let said: Success = serde_json::from_str(&text).unwrap();
                assert!(said.ok, "{posted:?}");
                continue;
            }
            let said: Said = serde_json::from_str(&text).unwrap();
            assert!(said.ok && said.ts.is_some() && said.channel.is_some(), "{posted:?}");
        }
        if let Ok(Lookup::Happened(receipt)) = looked {
            assert!(!receipt.reference.is_empty());
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,9})?",
        "\\PC{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key =
            "messages|metadata|event_type|event_payload|delivery_id|ts|next_cursor|warnings|id|name|bot_id";
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((key, inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(key, it)| format!("\"{key}\":{it}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Members that the decoders look at.
const MEMBERS: &str = "error|needed|provided|warning|response_metadata|channel|ts|messages|channels|bot_id|user_id|is_duplicate";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_answer_of_any_shape_is_understood_or_refused(
        ok in "true|false|null|\"true\"|1", members in vec((MEMBERS, value()), 0..6),
    ) {
        let members: String = members.iter().map(|(name, it)| format!(",\"{name}\":{it}")).collect();
        honest(format!("{{\"ok\":{ok}{members}}}"));
    }

    #[test]
    fn no_bytes_are_taken_for_an_answer(bytes in vec(any::<u8>(), 0..200)) {
        for (posted, _) in ask(bytes) {
            prop_assert!(posted.is_err(), "{posted:?}");
        }
    }

    #[test]
    fn an_answer_with_a_fault_anywhere_is_understood_or_refused(
        name in "chat\\.postMessage\\.ok|conversations\\.history\\.readback|conversations\\.list\\.page1", at in any::<prop::sample::Index>(), gone in 0..12_usize,
        piece in prop_oneof![vec(any::<u8>(), 0..6), value().prop_map(String::into_bytes)],
    ) {
        let body = fixture(&format!("{name}.json")).into_bytes();
        let at = at.index(body.len());
        let rest = &body[(at + gone).min(body.len())..];
        honest([&body[..at], &piece, rest].concat());
    }

    #[test]
    fn no_text_makes_a_message_reference_panic(text in "\\PC{0,40}|[A-Z0-9]{0,12}/[0-9]{0,12}\\.[0-9]{0,8}") {
        if let Ok(message) = text.parse::<MessageRef>() {
            prop_assert_eq!(message.to_string(), text);
        }
    }
}

#[test]
fn a_mebibyte_of_anything_is_understood_or_refused() {
    for body in [
        "[".repeat(MIB),
        format!(r#"{{"ok":true,"messages":{}{}}}"#, "[".repeat(MIB / 2), "]".repeat(MIB / 2)),
        format!(r#"{{"ok":true,"messages":[{}{{}}]}}"#, "{},".repeat(MIB / 3)),
        format!(r#"{{"ok":true,"channels":[{}{{"id":"C1"}}]}}"#, r#"{"id":"C1"},"#.repeat(MIB / 12)),
        format!(r#"{{"ok":false,"error":"{}"}}"#, "a".repeat(MIB)),
        format!(r#"{{"ok":true,"response_metadata":{{"next_cursor":"{}"}}}}"#, "c".repeat(MIB)),
    ] {
        honest(body);
    }
}
