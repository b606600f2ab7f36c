//! Single steps of the machine.

use super::*;

fn rules() -> Rules {
    Rules {
        rotation: Rotation::RetryOnce,
        refresh_after: None,
        lead: Duration::ZERO,
        not_before: Duration::ZERO,
        budget: 5,
        day_budget: None,
        throttle_pause: Duration::ZERO,
        deadline: Duration::from_secs(30),
        idle_life: None,
        needs_refresh_token: true,
        unending: false,
        initial: None,
        seed: None,
        config: Configured::default(),
    }
}

/// The rules of a host that is configured with this refresh token.
fn configured(initial: &str) -> Rules {
    Rules { initial: Some(Secret::from(initial)), seed: Some(format!("digest of {initial}")), ..rules() }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_792_000_000 + secs)
}

/// The chain after this host has claimed it and is about to ask.
fn sent(blob: &Blob, owner: Uuid, now: Timestamp) -> Blob {
    let (claimed, action) = step(blob, &Input::Want { owner }, now, &rules());
    assert!(matches!(action, NextAction::Claimed), "{action:?}");
    let (sent, action) = step(&claimed.unwrap(), &Input::Send { owner }, now, &rules());
    assert!(matches!(action, NextAction::Ask { .. }), "{action:?}");
    sent.unwrap()
}

#[test]
fn a_claim_and_a_request_keep_others_away_for_65_seconds() {
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let blob = Blob::new(Some(Secret::from("r0")));
    let (claimed, _) = step(&blob, &Input::Want { owner: one }, at(0), &rules());
    for blob in [claimed.unwrap(), sent(&blob, one, at(0))] {
        let want = |secs| step(&blob, &Input::Want { owner: other }, at(secs), &rules()).1;
        assert!(matches!(want(64), NextAction::Wait(until) if until == at(65)));
        assert!(matches!(want(65), NextAction::Claimed));
        // Written by a clock that was an hour ahead: it does not stick.
        assert!(matches!(want(-3600), NextAction::Claimed));
    }
}

#[test]
fn what_a_clock_wrote_that_was_ahead_keeps_nobody_away() {
    const DAY: i64 = 24 * 3600;
    let owner = Uuid::from_u128(1);
    let rules = Rules { not_before: Duration::from_secs(60), budget: 1, ..rules() };
    let asks = |blob: &Blob, secs| {
        let claimed = step(blob, &Input::Want { owner }, at(secs), &rules).0;
        let ask = claimed.map(|claimed| step(&claimed, &Input::Send { owner }, at(secs), &rules));
        ask.and_then(|(sent, action)| sent.filter(|_| matches!(action, NextAction::Ask { .. })))
    };
    // A request and its token, whose end has come; a failure; each by a clock that was a day ahead.
    let mut issued = refreshed(&Blob::new(Some(Secret::from("r0"))), &rules, granted("a1", "r1"));
    (issued.access, issued.issued_at, issued.asked) = (None, Some(at(DAY)), Vec::new());
    let mut requested = issued.clone();
    (requested.issued_at, requested.asked) = (None, vec![at(DAY)]);
    let mut failed = Blob::new(Some(Secret::from("r0")));
    failed.fail(Cause::Unavailable, "503".into(), None, at(DAY), &rules);
    for blob in [&issued, &requested, &failed] {
        assert!(asks(blob, DAY + 5).is_none(), "{blob:?} is believed by the same clock");
        assert!(asks(blob, DAY - 4).is_none(), "{blob:?} is believed by a clock that is a little behind");
        let sent = asks(blob, 0).expect("a clock that was put right goes on");
        assert_eq!(sent.asked, [at(0)], "what was ahead is forgotten");
    }
    let unlimited = Rules { not_before: Duration::ZERO, ..rules.clone() };
    assert!(blocked(&issued, at(DAY - 4), &unlimited).is_none(), "there is no floor");
}

#[test]
fn a_request_that_was_never_sent_is_taken_back_from_the_lost_ones() {
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let first = sent(&Blob::new(Some(Secret::from("r0"))), one, at(0));
    let taken_over = sent(&first, other, at(65));
    assert_eq!(taken_over.lost, 1);
    let (parked, action) = step(&taken_over, &Input::Want { owner: one }, at(130), &rules());
    let parked = parked.unwrap();
    assert!(matches!(action, NextAction::Stop(_)) && parked.is_parked());

    let unsent = Input::Unsent { owner: other, generation: 0, why: None };
    let (resumed, _) = step(&parked, &unsent, at(131), &rules());
    let resumed = resumed.unwrap();
    assert!(!resumed.is_parked() && resumed.lost == 1);
    let another_chain = Input::Unsent { owner: other, generation: 7, why: None };
    assert!(step(&parked, &another_chain, at(131), &rules()).0.is_none());
}

/// The chain after the answer to a consent was stored and classified.
fn consented(blob: &Blob, verdict: TokenOutcome) -> Blob {
    let answer = crate::http::Answer::new(http::Response::new("".into()), at(9));
    let received = ReceivedAnswer::of_consent(Uuid::from_u128(9), &answer);
    let (kept, action) = step(blob, &Input::Answered(received.clone()), at(9), &rules());
    let kept = kept.unwrap();
    assert!(matches!(action, NextAction::Classify(_)) && need(&kept, at(9), &rules()) == Need::Now);
    step(&kept, &Input::Classified(received, verdict), at(9), &rules()).0.unwrap()
}

#[test]
fn a_consent_begins_another_chain_and_a_failed_one_changes_nothing() {
    let one = Uuid::from_u128(1);
    let before = sent(&Blob::new(Some(Secret::from("r0"))), one, at(0));
    let token = |text: &str| Some(Secret::from(text));
    let granted = Granted { access: token("a"), refresh: token("another-account"), ..Granted::default() };
    let after = consented(&before, TokenOutcome::Granted(granted.clone()));
    assert_eq!((after.generation, after.since, after.phase), (1, 1, RefreshPhase::Idle));
    assert_eq!(after.refresh, granted.refresh.clone().map(Kept));
    for verdict in [
        TokenOutcome::Granted(Granted { refresh: None, ..granted }),
        TokenOutcome::Unreadable,
        TokenOutcome::Failed {
            cause: Cause::Refused,
            code: String::new(),
            message: None,
            until: None,
            refresh: None,
        },
    ] {
        assert_eq!(consented(&before, verdict), before);
    }
}

#[test]
fn a_configured_refresh_token_is_tried_after_a_consent_that_failed() {
    let empty = Blob::new(None);
    let rules = configured("r0");
    let (claimed, _) = step(&empty, &Input::Want { owner: Uuid::from_u128(1) }, at(0), &rules);
    assert_eq!(claimed.unwrap().refresh, rules.initial.map(Kept));
}

#[test]
fn answers_of_an_earlier_consent_are_not_mixed_in() {
    let one = Uuid::from_u128(1);
    let first = sent(&Blob::new(Some(Secret::from("r0"))), one, at(0));
    let consent = Granted { refresh: Some(Secret::from("other-account")), ..Granted::default() };
    let (connected, _) = step(&first, &Input::Connect(consent), at(1), &rules());
    let answer = crate::http::Answer::new(http::Response::new("".into()), at(2));
    let received = ReceivedAnswer::new(0, one, &answer);
    let (kept, _) = step(&connected.unwrap(), &Input::Answered(received.clone()), at(2), &rules());
    let late = Granted { refresh: Some(Secret::from("r1")), ..Granted::default() };
    let classified = Input::Classified(received, TokenOutcome::Granted(late));
    let settled = step(&kept.unwrap(), &classified, at(2), &rules()).0.unwrap();
    assert_eq!(settled.refresh.map(|kept| kept.0.expose().to_owned()).as_deref(), Some("other-account"));
    assert!(settled.spare.is_none() && settled.received.is_empty());
}

/// The chain after a host with these rules has refreshed it.
fn refreshed(blob: &Blob, rules: &Rules, granted: Granted) -> Blob {
    let owner = Uuid::from_u128(1);
    let (claimed, action) = step(blob, &Input::Want { owner }, at(0), rules);
    assert!(matches!(action, NextAction::Claimed), "{action:?}");
    let sent = step(&claimed.unwrap(), &Input::Send { owner }, at(0), rules).0.unwrap();
    let answer = crate::http::Answer::new(http::Response::new("".into()), at(0));
    let received = ReceivedAnswer::new(sent.generation, owner, &answer);
    let kept = step(&sent, &Input::Answered(received.clone()), at(0), rules).0.unwrap();
    step(&kept, &Input::Classified(received, TokenOutcome::Granted(granted)), at(0), rules).0.unwrap()
}

fn granted(access: &str, refresh: &str) -> Granted {
    Granted {
        access: Some(Secret::from(access)),
        expires_in: Some(Duration::from_secs(3600)),
        refresh: Some(Secret::from(refresh)).filter(|refresh| !refresh.is_empty()),
        refresh_expires_in: None,
        scopes: Vec::new(),
    }
}

fn refresh_of(blob: &Blob) -> Option<&str> {
    blob.refresh.as_ref().map(|kept| kept.0.expose())
}

#[test]
fn hosts_that_are_configured_with_an_older_token_do_not_bring_it_back() {
    let chain = refreshed(&Blob::new(Some(Secret::from("r0"))), &configured("r0"), granted("a1", "r1"));
    for same in ["r0", ""] {
        let rules = if same.is_empty() { rules() } else { configured(same) };
        assert_eq!(need(&chain, at(0), &rules), Need::Nothing);
    }
    assert_eq!(need(&chain, at(0), &configured("n0")), Need::Now);
    let anew = refreshed(&chain, &configured("n0"), granted("b1", "n1"));
    assert_eq!((refresh_of(&anew), &anew.spare), (Some("n1"), &None));
    for known in ["r0", "n0"] {
        assert_eq!(need(&anew, at(0), &configured(known)), Need::Nothing, "{known}");
    }
    let mut parked = anew;
    parked.fail(Cause::Refused, String::new(), None, at(0), &rules());
    for known in ["r0", "n0"] {
        let (next, action) = step(&parked, &Input::Want { owner: Uuid::nil() }, at(3600), &configured(known));
        assert!(
            next.is_none() && matches!(action, NextAction::Stop(Blocked::Failed(_))),
            "{known}: {action:?}"
        );
    }
}

#[test]
fn a_token_that_is_new_waits_for_the_request_that_is_under_way() {
    let other = Uuid::from_u128(2);
    let mut chain = sent(&Blob::new(Some(Secret::from("r0"))), other, at(0));
    chain.learn_seed(&configured("r0"));
    let want = |secs| step(&chain, &Input::Want { owner: Uuid::from_u128(1) }, at(secs), &configured("n0"));
    assert!(matches!(want(64).1, NextAction::Wait(until) if until == at(65)));
    let (next, action) = want(65);
    let next = next.unwrap();
    assert!(matches!(action, NextAction::Claimed) && refresh_of(&next) == Some("n0"));
    // It may have been spent by the request that was never answered.
    assert_eq!(next.spare, None);
}

#[test]
fn a_chain_of_an_earlier_release_is_left_alone_while_it_works() {
    let mut old = refreshed(&Blob::new(Some(Secret::from("r0"))), &configured("r0"), granted("a1", "r1"));
    let mut json: serde_json::Value = serde_json::from_slice(&old.encode().unwrap()).unwrap();
    assert!(json.as_object_mut().unwrap().remove("seeds").is_some());
    old = Blob::decode(json.to_string().as_bytes()).unwrap();
    assert_eq!((&old.seeds, need(&old, at(0), &configured("r0"))), (&None, Need::Nothing));
    // What is configured when it is renewed first is what it began with, as far as anybody knows.
    let (claimed, _) = step(&old, &Input::Want { owner: Uuid::nil() }, at(3600), &configured("r0"));
    let claimed = claimed.unwrap();
    assert_eq!(refresh_of(&claimed), Some("r1"));
    assert!(!claimed.is_superseded(&configured("r0")) && claimed.is_superseded(&configured("n0")));

    old.fail(Cause::Refused, String::new(), None, at(0), &configured("r0"));
    let (tried, action) = step(&old, &Input::Want { owner: Uuid::nil() }, at(0), &configured("n0"));
    assert!(matches!(action, NextAction::Claimed) && refresh_of(&tried.unwrap()) == Some("n0"));
}

#[test]
fn what_was_consented_to_is_newer_than_what_is_configured() {
    let rules = configured("r0");
    let empty = Blob::new(None);
    let connected = step(&empty, &Input::Connect(granted("a1", "c1")), at(0), &rules).0.unwrap();
    assert_eq!(need(&connected, at(0), &rules), Need::Nothing);
    let (claimed, _) = step(&connected, &Input::Want { owner: Uuid::nil() }, at(3600), &rules);
    assert_eq!(refresh_of(&claimed.unwrap()), Some("c1"));
    assert_eq!(need(&connected, at(0), &configured("n0")), Need::Now);
}

#[test]
fn no_more_digests_are_kept_than_anybody_needs() {
    let mut blob = Blob::new(None);
    for n in 0..100 {
        blob.learn_seed(&configured(&n.to_string()));
    }
    assert_eq!(blob.seeds.as_ref().map(Vec::len), Some(SEEDS_MAX));
    assert!(!blob.is_superseded(&configured("99")));
}

#[test]
fn a_token_without_an_end_is_used_until_it_is_refused_and_then_somebody_has_to_connect() {
    let rules = Rules {
        unending: true,
        refresh_after: Some(Duration::from_secs(60)),
        idle_life: Some(Duration::from_secs(60)),
        ..rules()
    };
    let unending = |access| Granted { expires_in: None, ..granted(access, "") };
    assert!(rules.connects_with(&unending("a1")) && !rules.connects_with(&granted("a1", "")));
    assert!(!Rules { unending: false, ..rules.clone() }.connects_with(&unending("a1")));

    let connect = |blob: &Blob| step(blob, &Input::Connect(unending("a1")), at(0), &rules).0.unwrap();
    let chain = connect(&Blob::new(None));
    let years = at(10 * 365 * 24 * 3600);
    assert_eq!((need(&chain, years, &rules), is_idle(&chain, years, &rules)), (Need::Nothing, false));
    let refused = Input::Rejected { generation: chain.generation };
    let (parked, action) = step(&chain, &refused, years, &rules);
    let parked = parked.unwrap();
    assert!(matches!(action, NextAction::Stop(Blocked::Failed(TokenFailure { cause: Cause::Refused, .. }))));
    assert!(parked.is_parked() && parked.access.is_none() && need(&parked, years, &rules) == Need::Now);
    let (next, action) = step(&parked, &Input::Want { owner: Uuid::nil() }, years, &rules);
    assert!(next.is_none() && matches!(action, NextAction::Stop(Blocked::Failed(_))), "{action:?}");

    let again = connect(&parked);
    assert!(!again.is_parked() && need(&again, years, &rules) == Need::Nothing);
    // The refusal of the token before says nothing about this one.
    assert!(step(&again, &refused, years, &rules).0.is_none());
}

#[test]
fn a_refresh_token_is_used_when_half_of_its_idle_life_is_over() {
    let rules = Rules { idle_life: Some(Duration::from_secs(200)), ..rules() };
    let chain = refreshed(&Blob::new(Some(Secret::from("r0"))), &rules, granted("a1", "r1"));
    assert_eq!((is_idle(&chain, at(99), &rules), need(&chain, at(99), &rules)), (false, Need::Nothing));
    assert_eq!((is_idle(&chain, at(100), &rules), need(&chain, at(100), &rules)), (true, Need::Soon));
    // Nobody knows how old it is.
    assert!(is_idle(&Blob::new(Some(Secret::from("r0"))), at(0), &rules));
    assert!(is_idle(&Blob::new(None), at(0), &Rules { idle_life: rules.idle_life, ..configured("r0") }));
    // There is nothing to be kept alive.
    assert!(!is_idle(&Blob::new(None), at(0), &rules));
    assert!(!is_idle(&chain, at(i64::from(u32::MAX)), &Rules { idle_life: None, ..rules }));
}

#[test]
fn a_day_has_its_budget_beside_that_of_ten_minutes() {
    let rules = Rules { day_budget: Some(3), ..rules() };
    let mut blob = Blob::new(Some(crate::Secret::from("refresh")));
    let hour = 3600;
    blob.asked = (0..3).map(|n| at(n * hour)).collect();
    let wait = |now: i64| match blocked(&blob, at(now), &rules) {
        Some(Blocked::Until(until)) => Some(until),
        other => panic!("{other:?}"),
    };
    assert_eq!(wait(5 * hour), Some(at(24 * hour)));
    assert!(blocked(&blob, at(24 * hour), &rules).is_none());
    let without = Rules { day_budget: None, ..rules };
    assert!(blocked(&blob, at(5 * hour), &without).is_none());
}

#[test]
fn the_scopes_that_a_vendor_named_last_are_kept_and_silence_changes_nothing() {
    let scopes = |names: &[&str]| names.iter().map(|name| String::from(*name)).collect::<Vec<_>>();
    // Each is due for the next renewal at once.
    let with = |names: &[&str]| Granted {
        scopes: scopes(names),
        expires_in: Some(Duration::ZERO),
        ..granted("a", "r")
    };
    let first = refreshed(&Blob::new(Some(Secret::from("r0"))), &rules(), with(&["read", "write"]));
    assert_eq!(first.scopes, scopes(&["read", "write"]));
    let silent = refreshed(&first, &rules(), with(&[]));
    assert_eq!(silent.scopes, first.scopes);
    let fewer = refreshed(&silent, &rules(), with(&["read"]));
    assert_eq!(Blob::decode(&fewer.encode().unwrap()).unwrap().scopes, scopes(&["read"]));
    // What an earlier release stored says nothing of scopes.
    let mut old: serde_json::Value = serde_json::from_slice(&fewer.encode().unwrap()).unwrap();
    old.as_object_mut().unwrap().remove("scopes");
    assert!(Blob::decode(old.to_string().as_bytes()).unwrap().scopes.is_empty());
}

#[test]
fn the_end_of_a_refresh_token_is_the_vendor_s_word_and_belongs_to_that_token() {
    let day = Duration::from_secs(86_400);
    let ends_in = |refresh: &str, life| Granted {
        refresh_expires_in: life,
        expires_in: Some(Duration::ZERO),
        ..granted("a", refresh)
    };
    let first = refreshed(&Blob::new(Some(Secret::from("r0"))), &rules(), ends_in("r1", Some(day)));
    assert_eq!(first.refresh_expires_at, Some(at(0) + day));
    assert_eq!(Blob::decode(&first.encode().unwrap()).unwrap(), first);
    // The same token goes on, and silence says nothing else.
    let same = refreshed(&first, &rules(), ends_in("", None));
    assert_eq!(same.refresh_expires_at, Some(at(0) + day));
    let next = refreshed(&same, &rules(), ends_in("r2", None));
    assert_eq!(next.refresh_expires_at, None, "of another token nothing is known");
}
