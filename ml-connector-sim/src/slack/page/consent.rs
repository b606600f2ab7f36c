//! The page on which a person allows the app.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use maud::{DOCTYPE, PreEscaped, html};
use url::Url;

use super::{see_other, style::STYLE};
use crate::slack::{SlackSim, ids::BOT_NAME};

/// What the app asks for.
struct Asked {
    redirect_uri: Option<Url>,
    redirect_text: String,
    scopes: String,
    state: String,
}

/// Asks the person, who sends the same fields to `/page/allow` or `/page/refuse`.
pub(super) fn ask(sim: &SlackSim, query: &[u8]) -> Response<Bytes> {
    let (asked, wrong) = read(sim, query);
    let fields = [
        ("client_id", sim.app_credentials().client_id),
        ("scope", asked.scopes.clone()),
        ("redirect_uri", asked.redirect_text.clone()),
        ("state", asked.state.clone()),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Allow the app" } style { (PreEscaped(STYLE)) } }
            body {
                main {
                    @if let Some(wrong) = wrong {
                        p.banner { (wrong) }
                    } @else {
                        form method="post" action="/page/allow" {
                            @for (name, value) in &fields { input type="hidden" name=(name) value=(value); }
                            h1 { (BOT_NAME) " asks for access to " (sim.workspace(|it| it.config.team_name.clone())) }
                            ul { @for scope in asked.scopes.split(',') { li { (scope) } } }
                            div.actions {
                                button.button formaction="/page/refuse" { "Cancel" }
                                button.button.primary { "Allow" }
                            }
                        }
                    }
                }
            }
        }
    };
    let mut answer = Response::new(Bytes::from(page.into_string()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// Sends the person back to the app, with a code or without.
pub(super) fn decide(sim: &SlackSim, form: &[u8], allowed: bool) -> Response<Bytes> {
    let (asked, wrong) = read(sim, form);
    let (Some(mut back), None) = (asked.redirect_uri, wrong) else { return ask(sim, form) };
    if allowed {
        let scopes: Vec<&str> = asked.scopes.split(',').collect();
        let code = sim.authorization_code_for(Some(&asked.redirect_text), &scopes);
        back.query_pairs_mut().append_pair("code", &code);
    } else {
        back.query_pairs_mut().append_pair("error", "access_denied");
    }
    back.query_pairs_mut().append_pair("state", &asked.state);
    see_other(back.as_str())
}

fn read(sim: &SlackSim, fields: &[u8]) -> (Asked, Option<&'static str>) {
    let mut asked = Asked {
        redirect_uri: None,
        redirect_text: String::new(),
        scopes: String::new(),
        state: String::new(),
    };
    let mut client_id = String::new();
    for (name, value) in url::form_urlencoded::parse(fields) {
        match &*name {
            "client_id" => client_id = value.into_owned(),
            "scope" => asked.scopes = value.into_owned(),
            "state" => asked.state = value.into_owned(),
            "redirect_uri" => {
                asked.redirect_uri = Url::parse(&value).ok().filter(may_be_led_to);
                asked.redirect_text = value.into_owned();
            }
            _ => {}
        }
    }
    let wrong = if client_id != sim.app_credentials().client_id {
        Some("invalid_client_id")
    } else if asked.scopes.is_empty() {
        Some("invalid_scope")
    } else if asked.redirect_uri.is_none() {
        Some("bad_redirect_uri")
    } else {
        None
    };
    (asked, wrong)
}

/// Slack takes https without a fragment; for a simulator, a loopback address is as good.
fn may_be_led_to(url: &Url) -> bool {
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.fragment().is_none() && (url.scheme() == "https" || url.scheme() == "http" && loopback)
}
