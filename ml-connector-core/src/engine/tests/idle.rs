//! Connections without any traffic, at a vendor that forgets refresh tokens which are not used.

use std::sync::Mutex;

use bytes::Bytes;

use super::{vendor::LedgerSource, *};
use crate::{
    Secret,
    auth::{Grant, OAuth2, OAuth2Config, Rotation},
    token::{MemoryTokenStore, TokenKey},
};

const DAY: u64 = 24 * 3600;
/// How long the vendor keeps a refresh token that is not used: a month in life, days here, to be quicker.
const IDLE_LIFE: Duration = Duration::from_secs(6 * DAY);

/// Exchanges `r0` for `r1` and so on, each once and within its idle life. Nothing else is asked.
#[derive(Debug, Default)]
struct Vendor(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    granted: Vec<tokio::time::Instant>,
    refused: usize,
}

impl Vendor {
    /// How often it was asked, and how often in vain.
    fn asked(&self) -> (usize, usize) {
        let asked = self.0.lock().unwrap();
        (asked.granted.len() + asked.refused, asked.refused)
    }
}

#[async_trait::async_trait]
impl HttpTransport for Vendor {
    #[allow(clippy::disallowed_methods)] // the vendor lives in the test's own time
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = tokio::time::Instant::now();
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let mut asked = self.0.lock().unwrap();
        let is_current = body.contains(&format!("refresh_token=r{}&", asked.granted.len()))
            || body.ends_with(&format!("refresh_token=r{}", asked.granted.len()));
        let is_known = asked.granted.last().is_none_or(|last| now.duration_since(*last) <= IDLE_LIFE);
        if !(is_current && is_known) {
            asked.refused += 1;
            let refusal = http::Response::builder().status(400);
            return Ok(refusal.body(Bytes::from_static(br#"{"error":"invalid_grant"}"#)).unwrap());
        }
        asked.granted.push(now);
        let n = asked.granted.len();
        let answer = format!(r#"{{"access_token":"a{n}","expires_in":"600","refresh_token":"r{n}"}}"#);
        Ok(http::Response::new(answer.into()))
    }
}

fn tokens(initial: &str) -> OAuth2 {
    let token_url = "https://accounts.example.com/token".parse().unwrap();
    let grant = Grant::RefreshToken { initial: Some(Secret::from(initial)) };
    let mut config = OAuth2Config::new("ledger", token_url, "app", Secret::from("secret"), grant);
    config.rotation = Rotation::RetryOnce;
    config.not_before = Duration::from_secs(570);
    config.idle_life = Some(IDLE_LIFE);
    OAuth2::new(TokenKey::new(&"books".into()), config).unwrap()
}

/// A connector whose source and sink both live on these tokens.
fn connector(world: &World, vendor: &Arc<Vendor>, store: &Arc<MemoryTokenStore>, initial: &str) -> Connector {
    let settings = Settings { lease: secs(600), grace: secs(5), ..Settings::default() };
    Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .token_store(Arc::clone(store))
        .clock(Arc::clone(&world.clock))
        .transport(Arc::clone(vendor))
        .settings(settings)
        .source(LedgerSource::new("books", &world.ledger).idle(tokens(initial)).of_person("anna"))
        .sink(
            BoardSink::new(&world.board, world.repeat, world.on_unknown)
                .idle(tokens(initial))
                .of_person("anna"),
        )
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_traffic_outlives_what_the_vendor_allows_on_two_hosts_and_across_restarts() {
    let (world, vendor, store) = (World::new(), Arc::<Vendor>::default(), Arc::default());
    for days in [4, 8] {
        let hosts = [0, 1].map(|_| connector(&world, &vendor, &store, "r0"));
        let time = Duration::from_secs(days * DAY);
        tokio::join!(world.run(&hosts[0], time), world.run(&hosts[1], time));
    }
    // On days 0, 3, 6 and 9.
    assert_eq!(vendor.asked(), (4, 0));
    let host = connector(&world, &vendor, &store, "r0");
    let token = host.health().await.unwrap().connections.remove(&"books".into()).unwrap().token.unwrap();
    let issued = token.issued_at.unwrap();
    assert_eq!(
        (token.kept_alive_at, token.dies_at),
        (Some(issued + IDLE_LIFE / 2), Some(issued + IDLE_LIFE))
    );
    let context = host.context();
    let header = crate::auth::Authenticator::authorize(&tokens("r0"), &context).await.unwrap();
    assert_eq!(header.header(), "Bearer a5");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_is_asked_about_once() {
    let (world, vendor, store) = (World::new(), Arc::<Vendor>::default(), Arc::default());
    for _ in 0..3 {
        world.run(&connector(&world, &vendor, &store, "dead"), Duration::from_secs(DAY)).await;
    }
    assert_eq!(vendor.asked(), (1, 1));
    let check = connector(&world, &vendor, &store, "dead").check().await;
    let steps = &check.connections[&"books".into()];
    let of = |name: &str| steps.iter().find(|step| step.step == name).unwrap();
    assert_eq!(of("token").result, crate::CheckResult::Failed, "{check}");
    assert_eq!(of("reach").result, crate::CheckResult::Skipped, "a dead token is not tried");
    assert!(!check.is_good() && vendor.asked() == (1, 1));
}
