//! Conditions: what a client meets without anybody planting a fault.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{Clock, Timestamp, TokioClock, http::Phase, model::Decimal};
use ml_connector_sim::{
    Conditions, Fault, SimTransport, ZohoBooksSim,
    zoho::{NewDocument, ZohoBooksConfig},
};

use crate::{Answered, NOW, get, post, send};

struct Lab {
    sim: ZohoBooksSim,
    transport: SimTransport,
    clock: Arc<TokioClock>,
    token: String,
}

/// Books that are reached kindly until the conditions are set.
async fn lab() -> Lab {
    let clock = Arc::new(TokioClock::starting_at(Timestamp::from_secs(NOW)));
    let sim = ZohoBooksSim::with_config(Arc::clone(&clock) as Arc<dyn Clock>, ZohoBooksConfig::default());
    sim.set_conditions(Conditions::kind());
    let transport = SimTransport::new().with_zoho_books(&sim);
    let credentials = sim.credentials();
    let form = format!(
        "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
        credentials.client_id, credentials.client_secret, credentials.refresh_token
    );
    let url = "https://accounts.zoho.com/oauth/v2/token";
    let answer = send(&transport, post(url, "", "application/x-www-form-urlencoded", form)).await.unwrap();
    let token = format!("Bearer {}", answer.body["access_token"].as_str().unwrap());
    Lab { sim, transport, clock, token }
}

impl Lab {
    fn create(&self) -> String {
        self.sim.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::ONE)).unwrap()
    }

    async fn read(&self, path: &str) -> Answered {
        let url = format!("https://www.zohoapis.com/books/v3/{path}organization_id=778812345");
        send(&self.transport, get(&url, &self.token)).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn jitter_moves_the_instant_at_which_a_call_counts() {
    let lab = lab().await;
    let mut conditions = Conditions::kind();
    conditions.jitter = Duration::from_millis(200);
    lab.sim.set_conditions(conditions);
    let before = lab.sim.received().len();
    let mut ways = BTreeSet::new();
    for _ in 0..20 {
        let sent = lab.clock.now();
        lab.read("invoices?").await;
        let (arrived, back) = (lab.sim.received().pop().unwrap().at, lab.clock.now());
        let there = arrived.saturating_since(sent);
        assert!(
            there <= Duration::from_millis(200)
                && back.saturating_since(arrived) <= Duration::from_millis(200)
        );
        ways.insert(there);
    }
    assert_eq!(lab.sim.received().len() - before, 20);
    assert!(ways.len() > 10, "the way took the same time again and again: {ways:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_its_effect() {
    let lab = lab().await;
    let mut conditions = Conditions::kind();
    conditions.lost_answer_every = 1;
    lab.sim.set_conditions(conditions);
    let id = lab.create();
    let url = format!("https://www.zohoapis.com/books/v3/invoices/{id}/comments?organization_id=778812345");
    let body = r#"{"description":"seen"}"#;
    let lost = send(&lab.transport, post(&url, &lab.token, "application/json", body)).await.unwrap_err();
    assert_eq!(lost.phase(), Phase::Written);
    assert_eq!(lab.sim.comments(ml_connector_sim::zoho::Entity::Invoice, &id), ["seen"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_lags_behind_what_a_detail_shows() {
    let lab = lab().await;
    let mut conditions = Conditions::kind();
    conditions.list_lag = Duration::from_secs(2);
    lab.sim.set_conditions(conditions);
    let id = lab.create();
    let rows = async || lab.read("invoices?").await.body["invoices"].as_array().unwrap().len();
    assert_eq!(rows().await, 0);
    assert_eq!(lab.read(&format!("invoices/{id}?")).await.status, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(rows().await, 1);
}

#[tokio::test(start_paused = true)]
async fn short_pages_fit_together() {
    let lab = lab().await;
    let mut conditions = Conditions::kind();
    conditions.short_pages = true;
    lab.sim.set_conditions(conditions);
    let made: BTreeSet<String> = (0..7).map(|_| lab.create()).collect();
    let mut read = BTreeSet::new();
    for page in 1.. {
        let list = lab.read(&format!("invoices?per_page=4&page={page}&")).await.body;
        let rows = list["invoices"].as_array().unwrap();
        assert!(rows.len() <= 2, "{rows:?}");
        read.extend(rows.iter().map(|row| row["invoice_id"].as_str().unwrap().to_owned()));
        if list["page_context"]["has_more_page"] == false {
            break;
        }
    }
    assert_eq!(read, made);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_answers_a_planted_429_in_its_own_words() {
    let lab = lab().await;
    lab.sim.plant(Fault::throttled());
    lab.sim.plant(Fault::too_many_requests(9));
    let (without, with) = (lab.read("invoices?").await, lab.read("invoices?").await);
    assert_eq!((without.status.as_u16(), &without.body["code"]), (429, &44.into()));
    assert_eq!(without.header("retry-after"), None);
    assert_eq!((&with.body["code"], with.header("retry-after")), (&43.into(), Some("9")));
    assert_eq!(lab.sim.limit_violations(), 0);
}

#[tokio::test(start_paused = true)]
async fn spoiled_answers_keep_their_status() {
    let lab = lab().await;
    lab.sim.plant(Fault::garbage().target("778812345"));
    lab.sim.plant(Fault::wrong_content_type());
    let garbage = lab.read("invoices?").await;
    assert_eq!((garbage.status, garbage.body.is_null()), (StatusCode::OK, true));
    let wrong = lab.read("invoices?").await;
    assert_eq!((wrong.header("content-type"), &wrong.body["code"]), (Some("text/html"), &0.into()));
    lab.sim.plant(Fault::garbage().target("1"));
    assert_eq!(lab.read("invoices?").await.body["code"], 0);
    assert_eq!(lab.sim.faults_waiting(), 1, "another organization's fault hit this one");
}
