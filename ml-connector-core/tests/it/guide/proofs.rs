//! Vendors that sign a part of the body, or nothing: Ledgerly with other webhooks, and with mistakes in how they are proven.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    CheckStep, Context, Error, ErrorKind, PollRequest, ReceiveRequest, Result, Secret, Source, SourceInfo,
    UpkeepRequest,
    conformance::source::{self, Proof, SourceUnderTest, Webhook},
    model::{AccountKey, EntityRef, Intake, Page, Prompt, Resolution, Signal, Upkeep},
    snapshot::Snapshot,
    webhook::{Encoding, HmacSha256},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{SECRET, ledgerly, ledgerly::Ledgerly, source_under_test};

/// What webhooks prove, and what is wrong with how that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The content is signed, what is around it is not.
    Part { believes_any_content: bool },
    /// The path is the one that was given away, and a text comes back.
    Sender(Option<Mistake>),
    /// So it is, and feeds are read in place of what is dropped.
    SenderReadingInstead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    TakesAnyPath,
    TakesAnyText,
    KeepsTheBodyOfOthers,
    KeepsItsPath,
    KeepsItsText,
    KeepsWhatItDoesNotUnderstand,
    DropsOthersSilently,
    ReadsWhatOthersName,
    LetsOthersChangeTheState,
}

const PATH: &str = "/planted-path";
const TEXT: &str = "planted-text";

#[derive(Debug)]
struct Proven {
    ledgerly: Ledgerly,
    way: Way,
}

#[derive(Deserialize)]
struct Envelope {
    content: Box<RawValue>,
    hash: String,
}

#[derive(Deserialize)]
struct Told {
    text: String,
    invoice: Option<String>,
}

impl Proven {
    /// Nothing of the content is parsed before it is verified.
    fn signed(body: &[u8], believes_any_content: bool) -> Result<Intake> {
        let unproven = |_| Error::new(ErrorKind::SignatureInvalid, "expected a content and its hash");
        let envelope: Envelope = serde_json::from_slice(body).map_err(unproven)?;
        let signatures = HmacSha256::new([&Secret::from(SECRET)])?;
        let content = envelope.content.get();
        let proven = signatures.verify(&[content.as_bytes()], &envelope.hash, &[Encoding::Hex]);
        if !believes_any_content {
            proven?;
        }
        changed(serde_json::from_str::<String>(content).ok())
    }

    fn sent(request: &Request<Bytes>, mistake: Option<Mistake>) -> Result<Intake> {
        let makes = |other| mistake == Some(other);
        if request.uri().path() != PATH && !makes(Mistake::TakesAnyPath) {
            return Err(Error::new(ErrorKind::NotFound, "no such path was given away"));
        }
        let told = serde_json::from_slice::<Told>(request.body());
        let told = told.map_err(|_| Error::new(ErrorKind::InvalidRequest, "expected a text"))?;
        if told.text == TEXT || makes(Mistake::TakesAnyText) {
            let kept = format!("a change of {:?}", told.invoice);
            let kept = match mistake {
                Some(Mistake::KeepsItsPath) => format!("{kept} at {}", request.uri().path()),
                Some(Mistake::KeepsItsText) => format!("{kept}, {}", told.text),
                _ => kept,
            };
            return match changed(told.invoice) {
                Err(_) if !makes(Mistake::KeepsWhatItDoesNotUnderstand) => {
                    Ok(Intake::accepted(Vec::new()).note("it names no invoice").evidence(kept.into()))
                }
                intake => Ok(intake?.evidence(kept.into())),
            };
        }
        let mut dropped =
            Intake::accepted(Vec::new()).note("dropped: the text is another one").evidence(Bytes::new());
        match mistake {
            Some(Mistake::ReadsWhatOthersName) => dropped.signals = changed(told.invoice)?.signals,
            Some(Mistake::KeepsTheBodyOfOthers) => dropped.evidence = None,
            Some(Mistake::DropsOthersSilently) => dropped.note = None,
            Some(Mistake::LetsOthersChangeTheState) => dropped.state = Some(request.body().clone()),
            _ => {}
        }
        Ok(dropped)
    }
}

fn changed(invoice: Option<String>) -> Result<Intake> {
    let invoice = invoice.ok_or_else(|| Error::new(ErrorKind::InvalidRequest, "expected an invoice's id"))?;
    let account = Some(AccountKey::from("account:acme"));
    Ok(Intake::accepted(vec![Signal { account, ..Signal::entity(EntityRef::new("invoice", invoice)) }]))
}

#[async_trait]
impl Source for Proven {
    fn info(&self) -> &SourceInfo {
        Source::info(&self.ledgerly)
    }

    fn receive(&self, received: ReceiveRequest<'_>) -> Result<Intake> {
        match self.way {
            Way::Part { believes_any_content } => Self::signed(received.request.body(), believes_any_content),
            Way::Sender(mistake) => Self::sent(received.request, mistake),
            Way::SenderReadingInstead => {
                let mut intake = Self::sent(received.request, None)?;
                if intake.note.is_some() {
                    intake.signals = vec![Signal::feed("invoices", None), Signal::sweep("invoices")];
                }
                Ok(intake)
            }
        }
    }

    async fn prompt(&self, ctx: &Context, prompt: Prompt) -> Result<()> {
        self.ledgerly.prompt(ctx, prompt).await
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        self.ledgerly.resolve(ctx, signals, last).await
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        self.ledgerly.poll(ctx, request).await
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        self.ledgerly.upkeep(ctx, request).await
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        Source::check(&self.ledgerly, ctx).await
    }
}

fn post(path: &str, body: &str) -> Request<Bytes> {
    Request::post(path).body(Bytes::from(body.to_owned())).unwrap()
}

/// A body with a content and the hash of it, and where the content is.
fn enveloped(content: &str, secret: &str) -> (String, Range<usize>) {
    let signatures = HmacSha256::new([&Secret::from(secret)]).unwrap();
    let hash = signatures.sign(&[content.as_bytes()], Encoding::Hex);
    let before = r#"{"content":"#;
    (format!(r#"{before}{content},"hash":"{hash}"}}"#), before.len()..before.len() + content.len())
}

/// A webhook that proves itself in this way, with others that do not.
fn webhook(way: Way) -> Webhook {
    let (request, proves, forged, misunderstood) = match way {
        Way::Part { .. } => {
            let (good, signed) = enveloped(r#""inv_2""#, SECRET);
            let forged = [
                r#"{"content":"inv_2"}"#.to_owned(),
                r#"{"content":"inv_2","hash":""}"#.to_owned(),
                enveloped(r#""inv_2""#, "another-secret").0,
                String::new(),
            ];
            let garbage = enveloped("7", SECRET).0;
            (
                post("/", &good),
                Proof::Part(signed),
                forged.map(|body| post("/", &body)).to_vec(),
                post("/", &garbage),
            )
        }
        Way::Sender(_) | Way::SenderReadingInstead => {
            let told = |text| format!(r#"{{"text":"{text}","invoice":"inv_2"}}"#);
            let forged = vec![post("/guessed", &told(TEXT)), post(PATH, &told("guessed"))];
            let garbage = post(PATH, &format!(r#"{{"text":"{TEXT}"}}"#));
            (post(PATH, &told(TEXT)), Proof::Sender, forged, garbage)
        }
    };
    Webhook {
        request,
        account: Some(AccountKey::from("account:acme")),
        proves,
        state: None,
        signature: None,
        tolerance: None,
        forged,
        misunderstood: vec![misunderstood],
    }
}

/// The behaviors that a source with such webhooks does not have.
async fn missed(way: Way) -> Vec<&'static str> {
    let mut missed = Vec::new();
    for (name, check) in source::BEHAVIORS {
        let ledgerly_with_others = SourceUnderTest {
            connect: Box::new(move || Arc::new(Proven { ledgerly: ledgerly(), way })),
            webhook: webhook(way),
            handshake: None,
            secrets: vec![TEXT.to_owned()],
            ..source_under_test().await
        };
        // A task of its own, so that its panic is a result.
        if tokio::spawn(async move { check(&ledgerly_with_others).await }).await.is_err() {
            missed.push(*name);
        }
    }
    missed
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_signs_a_part_of_the_body_is_believed_that_part() {
    assert_eq!(missed(Way::Part { believes_any_content: false }).await, [""; 0]);
    let missed = missed(Way::Part { believes_any_content: true }).await;
    assert!(missed.contains(&"a_webhook_that_was_changed_is_refused"), "{missed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_signs_nothing_is_known_by_its_path_and_its_text() {
    assert_eq!(missed(Way::Sender(None)).await, [""; 0]);
    assert_eq!(missed(Way::SenderReadingInstead).await, [""; 0]);
    for mistake in [
        Mistake::TakesAnyPath,
        Mistake::TakesAnyText,
        Mistake::KeepsTheBodyOfOthers,
        Mistake::KeepsItsPath,
        Mistake::KeepsItsText,
        Mistake::KeepsWhatItDoesNotUnderstand,
        Mistake::DropsOthersSilently,
        Mistake::ReadsWhatOthersName,
        Mistake::LetsOthersChangeTheState,
    ] {
        assert!(!missed(Way::Sender(Some(mistake))).await.is_empty(), "no behavior notices {mistake:?}");
    }
}
