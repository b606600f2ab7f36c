//! Callbacks against the simulated business: they are created, proven, kept in repair, and their deliveries understood.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use ml_connector_core::{
    ErrorKind, Source, UpkeepRequest,
    model::{Subject, Upkeep},
};
use ml_connector_sim::{
    Fault, FreshBooksSim,
    freshbooks::{Business, ErrorForm, FreshBooksConfig},
};

use crate::support::{CALLBACK, Lab, below, builder, pass};

const NOUNS: [&str; 4] = ["invoice", "payment", "bill", "expense"];

fn feeds(upkeep: &Upkeep) -> usize {
    upkeep.signals.iter().filter(|signal| matches!(signal.subject, Subject::Feed { .. })).count()
}

fn looks(upkeep: &Upkeep) -> usize {
    upkeep.signals.iter().filter(|signal| matches!(signal.subject, Subject::Subscription(_))).count()
}

fn writes(sim: &FreshBooksSim) -> usize {
    let calls = sim.received();
    calls.iter().filter(|call| call.path.contains("/callbacks") && call.method != http::Method::GET).count()
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_is_made_once_proven_and_left_alone() {
    let lab = Lab::new();
    let source = lab.source();
    // It is written down that handshakes are waited for before anything is asked.
    let first = lab.look(&source, None).await;
    assert_eq!((writes(&lab.sim), looks(&first), feeds(&first)), (0, 4, 0));
    let second = lab.look(&source, Some(&first.state)).await;
    let made: Vec<(String, String)> =
        lab.sim.callbacks().into_iter().map(|one| (one.event, one.uri)).collect();
    assert_eq!(made, NOUNS.map(|noun| (noun.to_owned(), format!("{CALLBACK}/{noun}"))));
    assert_eq!((second.problem.as_deref(), looks(&second)), (None, 0));
    let state = lab.hand_over(&source, second.state);
    let third = lab.look(&source, Some(&state)).await;
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified));
    assert_eq!(feeds(&third), 5, "what happened before a callback worked is read");
    // All is well: nothing is written, nothing is read, and the state stays as it is.
    let before = writes(&lab.sim);
    let fourth = lab.look(&source, Some(&third.state)).await;
    assert_eq!((writes(&lab.sim), fourth.signals.len(), fourth.problem), (before, 0, None));
    assert_eq!(fourth.state, third.state);
    assert_eq!(fourth.next.saturating_since(lab.ctx.now()), Duration::from_secs(900));

    let invoice = lab.invoice(632_800);
    let sent = lab.sim.take_webhooks();
    let delivery = sent.iter().find(|sent| sent.about.name == "invoice.create").unwrap();
    let intake = lab.receive(&source, delivery, &fourth.state).unwrap();
    let Subject::Entity(entity) = &intake.signals[0].subject else { panic!() };
    assert_eq!(entity.to_string(), format!("invoice/{invoice}"));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_may_come_before_the_callback_s_id_is_known_and_twice() {
    let lab = Lab::new();
    let source = lab.source();
    let waiting = lab.look(&source, None).await.state;
    lab.look(&source, Some(&waiting)).await;
    // As if the answers to the calls were still under way: nothing but the waiting is known.
    let handshakes = lab.sim.take_webhooks();
    let mut state = waiting;
    for handshake in handshakes.iter().chain(&handshakes) {
        state = lab.receive(&source, handshake, &state).unwrap().state.unwrap_or(state);
    }
    // The look that made them finds that somebody has written meanwhile, and is repeated with what is known now.
    let proven = lab.look(&source, Some(&state)).await;
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified), "{:?}", proven.problem);
    assert_eq!(lab.sim.callbacks().len(), 4, "none is made twice");
}

#[tokio::test(start_paused = true)]
async fn a_forged_handshake_costs_one_call_and_the_genuine_one_is_proven() {
    let lab = Lab::new();
    let source = lab.source();
    let state = lab.look(&source, None).await.state;
    let state = lab.look(&source, Some(&state)).await.state;
    let mut state = lab.hand_over(&source, state);
    let id = lab.sim.callbacks()[0].id.to_string();
    let fields =
        [("name", "callback.verify"), ("object_id", &*id), ("account_id", "Zq84Xk"), ("verifier", "forged")];
    let forged = FreshBooksSim::forge(&format!("{CALLBACK}/invoice"), &fields, None).unwrap();
    let request = below(&forged);
    let received = ml_connector_core::ReceiveRequest::new(&request, lab.ctx.now()).state(Some(&state));
    state = source.receive(received).unwrap().state.unwrap();
    let proven = lab.look(&source, Some(&state)).await;
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified), "{:?}", proven.problem);
    assert!(!format!("{proven:?}").contains("forged"));
    // Once it is proven, nobody can replace it.
    let intake = source
        .receive(ml_connector_core::ReceiveRequest::new(&request, lab.ctx.now()).state(Some(&proven.state)))
        .unwrap();
    assert!(intake.state.is_none() && intake.note.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_arrives_is_asked_for_again_and_said_with_its_remedy() {
    let lab = Lab::new();
    let source = lab.source();
    let mut state = lab.look(&source, None).await.state;
    state = lab.look(&source, Some(&state)).await.state;
    drop(lab.sim.take_webhooks());
    pass(Duration::from_secs(330)).await;
    let late = lab.look(&source, Some(&state)).await;
    let problem = late.problem.clone().unwrap();
    assert!(
        problem.contains("invoice") && problem.contains("https://erp.example.com can be reached"),
        "{problem}"
    );
    assert!(!problem.contains("books-3f2a"), "the path is a secret: {problem}");
    assert_eq!(lab.sim.take_webhooks().len(), 0, "it may still be under way");
    pass(Duration::from_secs(600)).await;
    state = lab.look(&source, Some(&late.state)).await.state;
    state = lab.look(&source, Some(&state)).await.state;
    assert_eq!(lab.sim.callbacks().len(), 4);
    state = lab.hand_over(&source, state);
    let proven = lab.look(&source, Some(&state)).await;
    assert_eq!(proven.problem, None);
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified));
}

/// 8: FreshBooks disables what fails for long, and says so nowhere else.
#[tokio::test(start_paused = true)]
async fn a_callback_that_was_disabled_is_proven_again_and_what_it_missed_is_read() {
    let lab = Lab::new();
    let source = lab.source();
    let mut state = lab.register(&source).await;
    let before = lab.sim.callbacks()[0].clone();
    lab.invoice(10_000);
    let under_way = lab.sim.take_webhooks();
    assert!(lab.sim.unverify_callback(before.id));
    let asked = lab.look(&source, Some(&state)).await;
    let resent = lab.look(&source, Some(&asked.state)).await;
    assert_eq!((feeds(&resent), lab.sim.callbacks().len()), (5, 4), "resending is a repair");
    state = lab.hand_over(&source, resent.state);
    let proven = lab.look(&source, Some(&state)).await;
    assert!(lab.sim.callbacks()[0].verified && feeds(&proven) == 5);
    // What was signed with the key from before is no forgery.
    let old = under_way.iter().find(|sent| sent.about.name.starts_with("invoice")).unwrap();
    assert_eq!(lab.receive(&source, old, &proven.state).unwrap().signals.len(), 1);
    pass(Duration::from_secs(90_000)).await;
    assert_eq!(lab.receive(&source, old, &proven.state).unwrap_err().kind(), ErrorKind::SignatureInvalid);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_confirmation_was_not_written_down_is_in_force() {
    let lab = Lab::new();
    let source = lab.source();
    let state = lab.register(&source).await;
    for callback in lab.sim.callbacks() {
        assert!(lab.sim.unverify_callback(callback.id));
    }
    let asked = lab.look(&source, Some(&state)).await;
    let resent = lab.look(&source, Some(&asked.state)).await;
    let state = lab.hand_over(&source, resent.state);
    // FreshBooks takes the new keys, but what the look found is lost.
    drop(lab.look(&source, Some(&state)).await);
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified));
    let proven = lab.look(&source, Some(&state)).await;
    assert_eq!((proven.problem, lab.sim.callbacks().len()), (None, 4));
    lab.invoice(10_000);
    let sent = lab.sim.take_webhooks();
    assert!(!sent.is_empty());
    for delivery in sent {
        assert_eq!(lab.receive(&source, &delivery, &proven.state).unwrap().signals.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_behind_our_back_is_made_again() {
    let lab = Lab::new();
    let source = lab.source();
    let mut state = lab.register(&source).await;
    lab.sim.delete_callback(lab.sim.callbacks()[2].id);
    state = lab.look(&source, Some(&state)).await.state;
    let made = lab.look(&source, Some(&state)).await;
    assert_eq!((lab.sim.callbacks().len(), feeds(&made)), (4, 5));
    state = lab.hand_over(&source, made.state);
    lab.look(&source, Some(&state)).await;
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified));
}

#[tokio::test(start_paused = true)]
async fn a_callback_whose_key_was_lost_is_made_anew() {
    let lab = Lab::new();
    let source = lab.source();
    lab.register(&source).await;
    let before: Vec<u64> = lab.sim.callbacks().iter().map(|callback| callback.id).collect();
    let mut state = Bytes::new();
    for _ in 0..2 {
        state = lab.look(&source, Some(&state)).await.state;
    }
    state = lab.hand_over(&source, state);
    let proven = lab.look(&source, Some(&state)).await;
    let after = lab.sim.callbacks();
    assert!(after.len() == 4 && after.iter().all(|one| one.verified && !before.contains(&one.id)));
    let again = lab.look(&source, Some(&proven.state)).await;
    assert_eq!((again.signals.len(), again.problem), (0, None));
}

#[tokio::test(start_paused = true)]
async fn callbacks_that_lead_elsewhere_and_doubles_are_deleted_and_those_of_others_are_not() {
    let lab = Lab::new();
    let source = lab.source();
    let mut state = lab.register(&source).await;
    // Another host's of the same app, whose connection has the same name.
    let foreign = lab.source();
    let request = UpkeepRequest::new().callback(Some("https://other.example.com/books-3f2a"));
    let waiting = foreign.upkeep(&lab.ctx, request).await.unwrap().state;
    foreign.upkeep(&lab.ctx, request.state(Some(&waiting))).await.unwrap();
    assert_eq!(lab.sim.callbacks().len(), 8);
    drop(lab.sim.take_webhooks());

    // The host has moved.
    for _ in 0..2 {
        let request = UpkeepRequest::new()
            .callback(Some("https://new.example.com/hooks/books-3f2a"))
            .state(Some(&state));
        state = source.upkeep(&lab.ctx, request).await.unwrap().state;
    }
    let uris: Vec<String> = lab.sim.callbacks().into_iter().map(|callback| callback.uri).collect();
    assert_eq!(
        uris.iter().filter(|uri| uri.starts_with("https://new.example.com/hooks/books-3f2a/")).count(),
        4
    );
    assert_eq!(uris.iter().filter(|uri| uri.starts_with("https://other.example.com/")).count(), 4);
    assert_eq!(uris.len(), 8, "those at the old host are gone");
}

#[tokio::test(start_paused = true)]
async fn a_noun_that_the_scopes_do_not_allow_is_named_and_the_others_work() {
    let mut config = FreshBooksConfig::default();
    config.scopes.retain(|scope| !scope.contains("bill"));
    let lab = Lab::with(config);
    let source = lab.source();
    let state = lab.look(&source, None).await.state;
    let made = lab.look(&source, Some(&state)).await;
    let problem = made.problem.unwrap();
    assert!(problem.contains("bill") && !problem.contains("invoice"), "{problem}");
    let state = lab.hand_over(&source, made.state);
    lab.look(&source, Some(&state)).await;
    let verified: Vec<String> = lab.sim.callbacks().into_iter().map(|one| one.event).collect();
    assert_eq!(verified, ["invoice", "payment", "expense"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_certain_makes_no_difference() {
    for (key, form, status) in [
        ("callbackid", ErrorForm::Today, StatusCode::UNPROCESSABLE_ENTITY),
        ("id", ErrorForm::Rpc, StatusCode::BAD_REQUEST),
        ("callback_id", ErrorForm::Single, StatusCode::BAD_REQUEST),
    ] {
        let lab = Lab::new();
        lab.sim.tune(|quirks| {
            quirks.callback_id_key = key;
            quirks.error_form = form;
            quirks.verifier_status = status;
            quirks.callback_times_with_space = true;
            quirks.old_deliveries = true;
            quirks.bare_nouns = true;
        });
        let source = lab.source();
        let state = lab.register(&source).await;
        lab.invoice(10_000);
        for sent in lab.sim.take_webhooks() {
            assert_eq!(lab.receive(&source, &sent, &state).unwrap().signals.len(), 1, "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_breaks_off_loses_nothing() {
    let lab = Lab::new();
    let source = lab.source();
    let waiting = lab.look(&source, None).await.state;
    // The second of four is made, but its answer gets lost.
    lab.sim.plant(Fault::reset().having_acted().on("callbacks").method(http::Method::POST).after(1).times(1));
    let broken = lab.look(&source, Some(&waiting)).await;
    assert!(broken.problem.is_some() && feeds(&broken) == 5);
    assert!(broken.next.saturating_since(lab.ctx.now()) <= Duration::from_secs(60));
    let state = lab.look(&source, Some(&broken.state)).await.state;
    let state = lab.look(&source, Some(&state)).await.state;
    assert_eq!(lab.sim.callbacks().len(), 4, "{:?}", lab.sim.callbacks());
    let state = lab.hand_over(&source, state);
    lab.look(&source, Some(&state)).await;
    assert!(lab.sim.callbacks().iter().all(|callback| callback.verified));
}

#[tokio::test(start_paused = true)]
async fn without_a_public_url_nothing_is_asked() {
    let lab = Lab::new();
    let source = lab.source();
    let state = lab.register(&source).await;
    let before = lab.sim.received().len();
    let upkeep = source.upkeep(&lab.ctx, UpkeepRequest::new().state(Some(&state))).await.unwrap();
    assert_eq!((upkeep.state, lab.sim.received().len()), (state, before));
}

const OTHER: &str = "Hn7Tq2";

/// A login with two businesses.
fn two_businesses() -> Lab {
    let mut config = FreshBooksConfig::default();
    config.businesses.push(Business::new(880_214, OTHER, "Brackwater Boats"));
    Lab::with(config)
}

/// What the engine hands over when the connection reads another account than before.
fn elsewhere(former: &Bytes) -> UpkeepRequest<'_> {
    UpkeepRequest::new().callback(Some(CALLBACK)).former(Some(former))
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_deleted_where_the_connection_was_before_any_is_made_where_it_is() {
    let lab = two_businesses();
    let former = lab.register(&lab.source()).await;
    let begun = lab.sim.received().len();
    let moved = builder(&lab.sim).account_id(OTHER).build().unwrap();
    let mut state = moved.upkeep(&lab.ctx, elsewhere(&former)).await.unwrap().state;
    assert!(lab.sim.callbacks().is_empty(), "{:?}", lab.sim.callbacks());
    let writes: Vec<_> = lab.sim.received().into_iter().skip(begun).map(|call| call.method).collect();
    assert_eq!(writes.iter().filter(|one| *one == http::Method::DELETE).count(), 4);
    assert!(!writes.contains(&http::Method::POST), "{writes:?}");
    state = lab.look(&moved, Some(&state)).await.state;
    state = lab.hand_over(&moved, state);
    let looked = lab.look(&moved, Some(&state)).await;
    let made = lab.sim.callbacks();
    assert!(looked.problem.is_none() && made.len() == 4, "{looked:?}");
    assert!(made.iter().all(|callback| callback.account_id == OTHER && callback.verified), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_left_is_said_and_tried_again_until_freshbooks_has_disabled_its_callbacks()
{
    let lab = two_businesses();
    let former = lab.register(&lab.source()).await;
    // The person has left the first business.
    let denied = || {
        let denied = Fault::status(StatusCode::FORBIDDEN).on("/events/account/Zq84Xk/");
        denied.with_body("application/json", r#"{"errno":1003,"message":"denied"}"#)
    };
    lab.sim.plant(denied().times(2));
    let moved = builder(&lab.sim).account_id(OTHER).build().unwrap();
    let looked = moved.upkeep(&lab.ctx, elsewhere(&former)).await.unwrap();
    let problem = looked.problem.clone().unwrap();
    assert!(problem.contains("Zq84Xk"), "{problem}");
    // It is tried at every look, without the engine's telling.
    let looked = lab.look(&moved, Some(&looked.state)).await;
    assert!(looked.problem.as_ref().unwrap().contains("Zq84Xk"), "{looked:?}");
    assert_eq!(lab.sim.callbacks().len(), 8, "the new ones are made all the same");
    let state = lab.hand_over(&moved, looked.state.clone());
    let left = lab.look(&moved, Some(&state)).await;
    assert_eq!((left.problem, lab.sim.callbacks().len()), (None, 4));

    lab.sim.plant(denied().times(9));
    pass(Duration::from_secs(31 * 86_400)).await;
    let looked = lab.look(&moved, Some(&looked.state)).await;
    assert!(!looked.problem.unwrap_or_default().contains("Zq84Xk"));
}
