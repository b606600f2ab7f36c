//! What a source takes in, and what it does not.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};

use super::{Proof, SourceUnderTest, Webhook};
use crate::{
    Error, ErrorKind, ReceiveRequest,
    model::{Intake, Signal, Subject},
};

/// At most so many places of a request are changed, spread evenly.
const PLACES: usize = 64;

/// It is accepted, and says which record of which account to read.
pub async fn a_verified_webhook_names_its_record(source: &SourceUnderTest) {
    let intake = source.receive(&source.webhook.request).expect("a good webhook is accepted");
    assert!(intake.reply.status().is_success(), "a good webhook is answered with {}", intake.reply.status());
    let subjects: Vec<_> = intake.signals.iter().map(|signal| &signal.subject).collect();
    assert!(
        subjects.contains(&&Subject::Entity(source.entity.clone())),
        "expected a signal about {}, got {subjects:?}",
        source.entity
    );
    for signal in &intake.signals {
        assert_eq!(signal.account, source.webhook.account, "the account of the signal");
        let accounts = &(source.connect)().info().accounts.clone();
        assert!(
            signal.account.as_ref().is_none_or(|account| accounts.contains(account)),
            "`info` lists the account that webhooks name, so that the signal finds its connection"
        );
    }
}

/// Receiving is pure: the same request means the same, however often and on whichever host.
pub async fn a_repeated_webhook_gives_the_same_signals(source: &SourceUnderTest) {
    let first = source.receive(&source.webhook.request).expect("a good webhook is accepted");
    for _ in 0..2 {
        let again = source.receive(&source.webhook.request).expect("a repeated webhook is accepted");
        assert_eq!(again.signals, first.signals);
        assert_eq!(again.reply.body(), first.reply.body());
    }
}

/// Missing, empty, repeated, shortened, for somebody else: no difference can be seen from outside.
pub async fn a_webhook_without_one_good_signature_is_refused_without_a_hint(source: &SourceUnderTest) {
    for forged in &source.webhook.forged {
        refused(source, forged, "a forged request");
    }
    let Some(name) = source.webhook.signature else {
        assert!(
            !source.webhook.forged.is_empty(),
            "without a signature header the adapter has to forge requests"
        );
        return;
    };
    let request = &source.webhook.request;
    let good = request.headers().get(name).expect("the webhook carries its signature").clone();
    let with = |change: &dyn Fn(&mut HeaderMap)| {
        let mut request = request.clone();
        change(request.headers_mut());
        request
    };
    refused(source, &with(&|headers| _ = headers.remove(name)), "a missing signature");
    refused(source, &with(&|headers| _ = headers.append(name, good.clone())), "a repeated signature");
    for bad in bad_signatures(good.as_bytes()) {
        let what = format!("the signature {bad:?} instead of {good:?}");
        refused(source, &with(&|headers| _ = headers.insert(name, bad.clone())), &what);
    }
}

/// One changed byte is enough, wherever it is in what the vendor signs.
pub async fn a_webhook_that_was_changed_is_refused(source: &SourceUnderTest) {
    let request = &source.webhook.request;
    let body = request.body();
    let signed = match &source.webhook.proves {
        Proof::Body => 0..body.len(),
        Proof::Part(signed) => {
            assert!(!signed.is_empty() && signed.end <= body.len(), "a part of the body is signed");
            signed.clone()
        }
        Proof::Sender => {
            assert!(!source.webhook.forged.is_empty(), "the adapter has to forge requests of other senders");
            return;
        }
    };
    for at in places(signed.len()) {
        let mut changed = body.to_vec();
        changed[signed.start + at] ^= 1;
        refused(source, &request.clone().map(|_| Bytes::from(changed.clone())), "a changed body");
    }
    if source.webhook.proves != Proof::Body {
        return;
    }
    let longer = Bytes::from([body, &b" "[..]].concat());
    refused(source, &request.clone().map(|_| longer.clone()), "a longer body");
    let shorter = body.slice(..body.len().saturating_sub(1));
    refused(source, &request.clone().map(|_| shorter.clone()), "a shorter body");
}

/// It changes what webhooks are verified with, and what the log keeps of it shows none of its secrets.
pub async fn a_handshake_is_kept_without_its_secrets(source: &SourceUnderTest) {
    let Some(handshake) = &source.handshake else { return };
    let receive = || source.receive_with(&handshake.request, handshake.waiting.as_ref());
    let intake = receive().expect("a handshake that is waited for is accepted");
    assert!(intake.reply.status().is_success(), "a handshake is answered with {}", intake.reply.status());
    assert!(intake.state.is_some() && intake.state != handshake.waiting, "a handshake changes the state");
    let kept = intake.evidence.as_ref().expect("a handshake says what is kept instead of its body");
    let payloads = intake.signals.iter().filter_map(|signal| signal.payload.as_ref());
    let texts = payloads.chain([kept]).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    for text in texts.chain([format!("{intake:?}")]) {
        let shown = handshake.secrets.iter().find(|secret| text.contains(*secret));
        assert!(shown.is_none(), "what is kept of a handshake shows {shown:?}");
    }
    assert_eq!(receive().expect("a repeated handshake is accepted").state, intake.state, "receiving is pure");
}

/// Whoever knows the URL can send one: it never replaces what webhooks are verified with already.
pub async fn a_handshake_that_nobody_waits_for_changes_nothing(source: &SourceUnderTest) {
    let Some(handshake) = &source.handshake else { return };
    for state in [None, source.webhook.state.as_ref()] {
        if state == handshake.waiting.as_ref() {
            continue;
        }
        match source.receive_with(&handshake.request, state) {
            Ok(intake) => {
                assert!(intake.state.is_none(), "a handshake that nobody waits for replaces the state");
                assert!(intake.prompt.is_none() && intake.note.is_some(), "it is noted, and nothing else");
                assert!(intake.evidence.is_some(), "its secrets are not kept either");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::SignatureInvalid, "{error:?}"),
        }
    }
}

/// On both sides of the tolerance; where the vendor signs no time, the time makes no difference.
pub async fn a_webhook_signed_long_ago_or_ahead_is_refused(source: &SourceUnderTest) {
    let now = source.clock.now();
    let Webhook { request, state, .. } = &source.webhook;
    let at = |now| (source.connect)().receive(ReceiveRequest::new(request, now).state(state.as_ref()));
    let Some(tolerance) = source.webhook.tolerance else {
        let day = std::time::Duration::from_secs(86_400);
        for then in [now - day, now + day] {
            at(then).expect("a webhook without a time of signing is accepted at any time");
        }
        return;
    };
    let second = std::time::Duration::from_secs(1);
    for near in [now + (tolerance - second), now - (tolerance - second)] {
        at(near).expect("a webhook is accepted within the tolerance");
    }
    for far in [now + (tolerance + second), now - (tolerance + second)] {
        let error = at(far).expect_err("a webhook outside the tolerance is refused");
        assert_eq!(error.kind(), ErrorKind::SignatureInvalid, "{error:?}");
    }
}

/// It comes from the vendor, so it is kept as a rejected entry; or it is answered so that the vendor goes on.
pub async fn garbage_behind_a_good_signature_is_an_invalid_request(source: &SourceUnderTest) {
    for request in &source.webhook.misunderstood {
        match source.receive(request) {
            Ok(intake) => {
                assert!(believes_nothing(source, &intake), "garbage gives no signal: {:?}", intake.signals);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error:?}"),
        }
    }
}

/// Where nothing is signed, the path or a text in the request is all that proves the sender. The log keeps neither, also of
/// what is not understood: whoever reads it could send webhooks of his own.
pub async fn what_proves_the_sender_is_not_kept(source: &SourceUnderTest) {
    if source.webhook.proves != Proof::Sender {
        return;
    }
    for request in [&source.webhook.request].into_iter().chain(&source.webhook.misunderstood) {
        let intake = match source.receive(request) {
            // Nothing is kept of a path that was never issued.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            taken => taken.expect("a note and evidence take the place of a rejected body"),
        };
        let kept = intake.evidence.expect("a request that proves its sender says what is kept instead of it");
        let kept = String::from_utf8_lossy(&kept).into_owned();
        let path = request.uri().path().trim_matches('/');
        assert!(path.is_empty() || !kept.contains(path), "the path is kept: {kept}");
        let shown = source.secrets.iter().find(|secret| kept.contains(*secret));
        assert!(shown.is_none(), "what is kept of a webhook shows {shown:?}");
    }
}

/// Whether nothing of a request is believed. Where only the sender is proven, a feed may be read in place of what cannot be:
/// that believes nothing, while a record that anybody may name would be read for whoever wants its quota spent.
fn believes_nothing(source: &SourceUnderTest, intake: &Intake) -> bool {
    let reads_a_feed = |signal: &Signal| matches!(signal.subject, Subject::Feed { .. } | Subject::Sweep(_));
    match source.webhook.proves {
        Proof::Sender => intake.signals.iter().all(reads_a_feed),
        Proof::Body | Proof::Part(_) => intake.signals.is_empty(),
    }
}

fn refused(source: &SourceUnderTest, request: &Request<Bytes>, what: &str) {
    let only_sender = source.webhook.proves == Proof::Sender;
    let error: Error = match source.receive(request) {
        // A refusal would cost the subscription: nothing is done, and that is noted.
        Ok(intake) if only_sender && believes_nothing(source, &intake) && intake.note.is_some() => {
            assert!(intake.state.is_none() && intake.prompt.is_none(), "{what} is acted upon: {intake:?}");
            assert!(intake.evidence.is_some(), "{what} is kept with its body");
            return;
        }
        Ok(intake) => panic!("{what} is accepted: {intake:?}"),
        Err(error) => error,
    };
    let unknown_path = only_sender && error.kind() == ErrorKind::NotFound;
    assert!(unknown_path || error.kind() == ErrorKind::SignatureInvalid, "{what}: {error:?}");
    let good =
        source.webhook.signature.and_then(|name| source.webhook.request.headers().get(name)?.to_str().ok());
    let shown = format!("{error:?} {error}");
    assert!(
        good.is_none_or(|good| !shown.contains(good)),
        "the error on {what} shows the right signature: {shown}"
    );
}

/// Signatures that differ from a good one.
fn bad_signatures(good: &[u8]) -> Vec<HeaderValue> {
    let mut bad: Vec<Vec<u8>> = vec![Vec::new(), b"0".to_vec(), "é".as_bytes().to_vec(), good[1..].to_vec()];
    bad.push(good[..good.len() - 1].to_vec());
    bad.push([good, good].concat());
    bad.push([good, &b","[..], good].concat());
    // Another digit or letter; the last sign of base64 may carry bits that mean nothing.
    bad.extend(places(good.len().saturating_sub(4)).filter(|at| good[*at].is_ascii_alphanumeric()).map(
        |at| {
            let mut other = good.to_vec();
            other[at] = if matches!(good[at], b'1') { b'2' } else { b'1' };
            other
        },
    ));
    bad.into_iter().filter_map(|bytes| HeaderValue::from_bytes(&bytes).ok()).collect()
}

fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(PLACES).max(1))
}
