use bytes::Bytes;
use http::{Request, header};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn at(secs: u64) -> Timestamp {
    start() + Duration::from_secs(secs)
}

fn rules(refresh: RefreshTokens) -> Rules {
    Rules {
        mint: |mint, hex| format!("{mint:?}-{}", &hex[..16]),
        code_life: Duration::from_secs(120),
        access_life: Some(HOUR),
        refresh,
        idle_life: None,
        earliest: None,
        live_tokens: None,
        grants_per_owner: None,
        quotas: Vec::new(),
        checks_redirect: false,
        client_credentials: false,
    }
}

struct Lab {
    server: OAuthServer,
    first: Issued,
}

fn lab(rules: Rules) -> Lab {
    let mut server = OAuthServer::new(rules, Seed::new(1));
    server.register("app", "s+cret/=");
    let first = server.install(consent("anna"), start());
    Lab { server, first }
}

fn consent(owner: &str) -> Consent {
    Consent {
        client_id: "app".to_owned(),
        realm: "eu".to_owned(),
        owner: owner.to_owned(),
        ..Consent::default()
    }
}

fn form(pairs: &[(&str, &str)]) -> TokenRequest {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", "app"), ("client_secret", "s+cret/=")])
        .extend_pairs(pairs)
        .finish();
    TokenRequest::read(&Request::new(Bytes::from(body)))
}

impl Lab {
    fn ask(&mut self, pairs: &[(&str, &str)], secs: u64) -> Result<Issued, Refused> {
        self.server.token(&form(pairs), "eu", at(secs))
    }

    fn refresh(&mut self, token: &str, secs: u64) -> Result<Issued, Refused> {
        self.ask(&[("grant_type", "refresh_token"), ("refresh_token", token)], secs)
    }

    fn opens(&mut self, issued: &Issued, secs: u64) -> Result<(), Rejected> {
        self.server.check(&issued.access_token, at(secs)).map(drop)
    }

    fn token(&self) -> String {
        self.first.refresh_token.clone().unwrap()
    }
}

fn next(issued: &Issued) -> &str {
    issued.refresh_token.as_deref().unwrap()
}

#[test]
fn a_client_that_is_unknown_or_wrong_gets_nothing() {
    let mut lab = lab(rules(RefreshTokens::OneUse));
    let token = lab.token();
    let ask = |id: &str, secret: &str| {
        let body =
            format!("grant_type=refresh_token&refresh_token={token}&client_id={id}&client_secret={secret}");
        TokenRequest::read(&Request::new(Bytes::from(body)))
    };
    assert_eq!(lab.server.token(&ask("other", "x"), "eu", start()).unwrap_err(), Refused::UnknownClient);
    assert_eq!(lab.server.token(&ask("app", "x"), "eu", start()).unwrap_err(), Refused::WrongSecret);
    for grant_type in ["password", "client_credentials", ""] {
        assert_eq!(lab.ask(&[("grant_type", grant_type)], 0).unwrap_err(), Refused::UnsupportedGrant);
    }
    assert_eq!(lab.server.issued(), 1);
}

#[test]
fn a_code_is_good_once_for_its_time_and_its_place() {
    let mut rules = rules(RefreshTokens::OneUse);
    rules.checks_redirect = true;
    let mut lab = lab(rules);
    let mut consent = consent("anna");
    consent.redirect_uri = Some("https://erp.example/back".to_owned());
    let code = lab.server.code(consent.clone(), start());
    let pairs = |code: &str, uri: &str| {
        form(&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", uri)])
    };
    let here = "https://erp.example/back";
    let ask = |lab: &mut Lab, code: &str, uri: &str, realm: &str, secs| {
        lab.server.token(&pairs(code, uri), realm, at(secs)).map(|issued| issued.is_first)
    };
    assert_eq!(ask(&mut lab, "x", here, "eu", 0), Err(Refused::InvalidCode));
    assert_eq!(ask(&mut lab, &code, here, "us", 0), Err(Refused::InvalidCode));
    assert_eq!(ask(&mut lab, &code, "https://erp.example/", "eu", 0), Err(Refused::WrongRedirect));
    assert_eq!(ask(&mut lab, &code, here, "eu", 119), Ok(true));
    assert_eq!(ask(&mut lab, &code, here, "eu", 119), Err(Refused::InvalidCode));
    let late = lab.server.code(consent, start());
    assert_eq!(ask(&mut lab, &late, here, "eu", 120), Err(Refused::InvalidCode));
}

#[test]
fn a_lasting_token_stays_and_comes_with_the_first_answer_alone() {
    let mut lab = lab(rules(RefreshTokens::Lasting));
    let token = lab.token();
    for secs in [0, 1, 2] {
        assert_eq!(lab.refresh(&token, secs).unwrap().refresh_token, None);
    }
    assert_eq!(lab.server.issued(), 4);
}

#[test]
fn a_rotated_token_is_refused_at_once_and_its_successor_is_not() {
    let mut lab = lab(rules(RefreshTokens::OneUse));
    let token = lab.token();
    let second = lab.refresh(&token, 0).unwrap();
    assert_eq!(lab.refresh(&token, 0).unwrap_err(), Refused::UsedRefreshToken);
    assert_eq!(lab.refresh("never", 0).unwrap_err(), Refused::UnknownRefreshToken);
    lab.refresh(next(&second), 0).unwrap();
}

#[test]
fn within_its_grace_a_used_token_gives_another_pair_and_no_longer() {
    let mut lab = lab(rules(RefreshTokens::Grace(Duration::from_secs(30))));
    let token = lab.token();
    let second = lab.refresh(&token, 0).unwrap();
    let again = lab.refresh(&token, 29).unwrap();
    assert_ne!(second.refresh_token, again.refresh_token);
    assert_eq!(
        lab.refresh(&token, 30).unwrap_err(),
        Refused::UsedRefreshToken,
        "grace runs from the first use"
    );
    lab.refresh(next(&second), 31).unwrap();
}

#[test]
fn a_lost_answer_is_asked_for_again_until_its_tokens_are_used() {
    for by_access in [true, false] {
        let mut rules = rules(RefreshTokens::UntilSuccessorIsUsed);
        rules.earliest = Some(Duration::from_secs(570));
        let mut lab = lab(rules);
        let token = lab.token();
        let lost = lab.refresh(&token, 570).unwrap();
        let second = lab.refresh(&token, 571).unwrap();
        assert_eq!(lab.refresh(next(&lost), 1200).unwrap_err(), Refused::UsedRefreshToken);
        assert_eq!(lab.opens(&lost, 571), Err(Rejected::Revoked));
        if by_access {
            lab.opens(&second, 572).unwrap();
        } else {
            lab.refresh(next(&second), 1141).unwrap();
        }
        assert_eq!(lab.refresh(&token, 1200).unwrap_err(), Refused::UsedRefreshToken);
    }
}

#[test]
fn asking_too_early_rotates_nothing() {
    let mut rules = rules(RefreshTokens::OneUse);
    rules.earliest = Some(Duration::from_secs(570));
    let mut lab = lab(rules);
    let token = lab.token();
    let left = Duration::from_secs(1);
    assert_eq!(lab.refresh(&token, 569).unwrap_err(), Refused::TooEarly { left });
    lab.refresh(&token, 570).unwrap();
}

#[test]
fn a_token_that_nobody_uses_dies_and_one_that_rotates_lives_on() {
    let mut rules = rules(RefreshTokens::OneUse);
    rules.idle_life = Some(Duration::from_secs(1000));
    let mut lab = lab(rules);
    let token = lab.token();
    let second = lab.refresh(&token, 999).unwrap();
    let third = lab.refresh(next(&second), 1998).unwrap();
    assert_eq!(lab.refresh(next(&third), 2998).unwrap_err(), Refused::IdleRefreshToken);
}

#[test]
fn quotas_count_what_is_handed_out() {
    let mut rules = rules(RefreshTokens::Lasting);
    rules.quotas = vec![(3, Period::Rolling(Duration::from_secs(600)))];
    let mut lab = lab(rules);
    let token = lab.token();
    lab.refresh(&token, 1).unwrap();
    lab.refresh(&token, 2).unwrap();
    for secs in [3, 599] {
        assert_eq!(lab.refresh(&token, secs).unwrap_err(), Refused::Throttled { until: at(600) });
    }
    lab.refresh(&token, 600).unwrap();
}

#[test]
fn one_grant_more_or_one_token_more_ends_the_oldest() {
    let mut rules = rules(RefreshTokens::OneUse);
    rules.grants_per_owner = Some(1);
    rules.live_tokens = Some(2);
    let mut lab = lab(rules);
    let (first, token) = (lab.first.clone(), lab.token());
    let second = lab.refresh(&token, 0).unwrap();
    lab.opens(&first, 0).unwrap();
    let third = lab.refresh(next(&second), 0).unwrap();
    assert_eq!(lab.opens(&first, 0), Err(Rejected::Revoked));
    let other = lab.server.install(consent("tom"), start());
    lab.opens(&third, 0).unwrap();
    lab.server.install(consent("anna"), start());
    assert_eq!(lab.opens(&third, 0), Err(Rejected::Revoked));
    assert_eq!(lab.refresh(next(&third), 0).unwrap_err(), Refused::UnknownRefreshToken);
    lab.opens(&other, 0).unwrap();
}

#[test]
fn an_access_token_ends_with_its_time_or_is_withdrawn() {
    let mut lab = lab(rules(RefreshTokens::OneUse));
    let first = lab.first.clone();
    assert_eq!(first.expires_in, Some(3600));
    lab.opens(&first, 3599).unwrap();
    assert_eq!(lab.opens(&first, 3600), Err(Rejected::Expired));
    lab.server.revoke_all();
    assert_eq!(lab.opens(&first, 0), Err(Rejected::Revoked));
    assert_eq!(lab.server.check("never", start()).map(drop), Err(Rejected::Unknown));
    let token = lab.token();
    assert_eq!(lab.refresh(&token, 0).unwrap_err(), Refused::UnknownRefreshToken);
}

#[test]
fn a_client_gets_tokens_for_itself_by_form_json_or_http_basic() {
    let mut rules = rules(RefreshTokens::None);
    rules.client_credentials = true;
    let mut lab = lab(rules);
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "app:s%2Bcret%2F%3D");
    let asked = "grant_type=client_credentials&scope=a%20b";
    let by_basic = Request::builder().header(header::AUTHORIZATION, format!("Basic {basic}"));
    let json =
        r#"{"grant_type":"client_credentials","scope":"a b","client_id":"app","client_secret":"s+cret/="}"#;
    let by_json = Request::builder().header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    for request in [
        form(&[("grant_type", "client_credentials"), ("scope", "a b")]),
        TokenRequest::read(&by_basic.body(Bytes::from(asked)).unwrap()),
        TokenRequest::read(&by_json.body(Bytes::from(json)).unwrap()),
    ] {
        let issued = lab.server.token(&request, "tenant", start()).unwrap();
        assert_eq!((issued.refresh_token.clone(), issued.scopes.len()), (None, 2), "{request:?}");
        let access = lab.server.check(&issued.access_token, start()).unwrap();
        assert_eq!((&*access.realm, &*access.owner), ("tenant", "app"));
    }
}
