//! What the tests share.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_bc::{Builder, BusinessCentral, post};
use ml_connector_core::{
    AttemptNotes, Clock, Context, Effect, HttpTransport, ReceiveRequest, Result, Retry, Sink, Source,
    Timestamp, TokioClock,
    http::{Limits, TransportError},
    model::{
        Change, Delivery, DeliveryId, EntityRef, Event, Lookup, Observation, Receipt, Record, Resolution,
        Seq, Signal,
    },
    rate::MemoryRateLimiter,
    sleep_until,
    token::MemoryTokenStore,
};
use ml_connector_sim::{BusinessCentralSim, SimTransport, bc::BusinessCentralConfig};

/// 12 March 2026, 14:05 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_773_324_300);
pub(crate) const SECRET: &str = "planted webhook secret of the host";
pub(crate) const HOOKS: &str = "https://hooks.example.net/hooks/erp";

pub(crate) fn fixture(name: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

/// A simulated company, and what the engine would lend. Call it under tokio's paused clock.
pub(crate) struct World {
    pub(crate) erp: BusinessCentralSim,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ctx: Context,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(BusinessCentralConfig::default())
    }

    pub(crate) fn with(config: BusinessCentralConfig) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
        let erp = BusinessCentralSim::with_config(Arc::clone(&clock), config);
        let ctx = Context::new(
            Arc::new(SimTransport::new().with_business_central(&erp)),
            Arc::new(MemoryTokenStore::new()),
            Arc::new(MemoryRateLimiter::new()),
            Arc::clone(&clock),
        );
        Self { erp, clock, ctx }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the engine lends for one call that begins now.
    pub(crate) fn ctx(&self) -> Context {
        self.ctx.within(Duration::from_secs(60))
    }

    pub(crate) fn builder(&self) -> Builder {
        builder(&self.erp, "erp")
    }

    pub(crate) fn connect(&self) -> BusinessCentral {
        self.builder().build().unwrap()
    }

    pub(crate) async fn sleep(&self, secs: u64) {
        sleep_until(&*self.clock, self.now() + Duration::from_secs(secs)).await;
    }
}

pub(crate) fn builder(erp: &BusinessCentralSim, connection: &str) -> Builder {
    let known = erp.credentials();
    BusinessCentral::builder(connection)
        .tenant(&known.tenant)
        .environment(&known.environment)
        .company(&known.company_id, "HARBOR SUPPLY")
        .client(&known.client_id, known.client_secret.as_str())
        .webhook_secret(SECRET)
}

/// Reads a record as its source does.
pub(crate) async fn read(world: &World, erp: &BusinessCentral, entity: &EntityRef) -> Observation {
    let signals = [Signal::entity(entity.clone())];
    match erp.resolve(&world.ctx(), &signals, None).await.unwrap() {
        Resolution::Observed(mut seen) => seen.remove(0),
        other => panic!("expected an observation: {other:?}"),
    }
}

pub(crate) fn record(seen: &Observation) -> &Record {
    seen.state.record().expect("a record")
}

/// Asks for the posting of what was shown.
pub(crate) fn command(world: &World, seen: &Observation) -> Delivery {
    let now = world.now();
    let changes = BTreeSet::from([Change::Created]);
    let shown = Some(record(seen).clone().into());
    let event = Event::new("erp".into(), seen.entity.clone(), 1, changes, now, shown);
    let mut delivery =
        Delivery::new(Seq(1), DeliveryId::generate(now), post(), "approvals", Arc::new(event), now);
    delivery.attempt = 1;
    delivery
}

/// Remembers the last note, as the log does.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Option<Bytes>>);

#[async_trait]
impl AttemptNotes for Notes {
    async fn keep(&self, _: &[Seq], note: Bytes) -> Result<()> {
        *self.0.lock().unwrap() = Some(note);
        Ok(())
    }
}

/// Makes one attempt.
pub(crate) async fn attempt(world: &World, erp: &BusinessCentral, delivery: &Delivery) -> Result<Receipt> {
    erp.deliver(&world.ctx(), std::slice::from_ref(delivery), &Notes::default()).await.remove(0)
}

/// Delivers as the engine does: looks up what is in doubt, waits, tries again, and ends with what is final.
pub(crate) async fn settle(world: &World, erp: &BusinessCentral, mut delivery: Delivery) -> Result<Receipt> {
    for _ in 0..20 {
        let notes = Notes::default();
        let begun = world.now();
        let error = match erp.deliver(&world.ctx(), std::slice::from_ref(&delivery), &notes).await.remove(0) {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        delivery.note = notes.0.lock().unwrap().clone();
        delivery.since = begun;
        if error.effect() == Effect::None {
            match error.retry() {
                Retry::Never => return Err(error),
                Retry::At(at) => sleep_until(&*world.clock, at).await,
                _ => world.sleep(30).await,
            }
            continue;
        }
        loop {
            match erp.look_up(&world.ctx(), &delivery).await {
                Ok(Lookup::Happened(receipt)) => return Ok(receipt),
                Ok(Lookup::DidNotHappen) => break,
                Ok(Lookup::AskAgain { at }) => sleep_until(&*world.clock, at).await,
                Ok(other) => panic!("an invoice always tells: {other:?}"),
                Err(_) => world.sleep(30).await,
            }
        }
    }
    panic!("the posting never comes to an end")
}

/// The host's endpoint: what is called is received by the source.
#[derive(Debug)]
pub(crate) struct Hooks {
    pub(crate) source: BusinessCentral,
    pub(crate) clock: Arc<dyn Clock>,
    /// What came, in order.
    pub(crate) signals: Mutex<Vec<Signal>>,
    /// Answers with this instead.
    pub(crate) answers: Mutex<Option<u16>>,
    /// Where it is.
    pub(crate) at: Mutex<String>,
}

impl Hooks {
    pub(crate) fn of(world: &World, source: &BusinessCentral) -> Arc<Self> {
        let (source, clock) = (source.clone(), Arc::clone(&world.clock));
        Arc::new(Self {
            source,
            clock,
            signals: Mutex::default(),
            answers: Mutex::default(),
            at: Mutex::new(HOOKS.to_owned()),
        })
    }
}

#[async_trait]
impl HttpTransport for Hooks {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        if let Some(status) = *self.answers.lock().unwrap() {
            return Ok(Response::builder().status(status).body(Bytes::new()).unwrap());
        }
        let text = request.uri().to_string();
        let at = self.at.lock().unwrap().clone();
        let below = text.strip_prefix(&at).unwrap_or("/elsewhere").to_owned();
        let (mut parts, body) = request.into_parts();
        parts.uri = below.parse().unwrap();
        let request = Request::from_parts(parts, body);
        let received = self.source.receive(ReceiveRequest::new(&request, self.clock.now()));
        let Ok(intake) = received else {
            return Ok(Response::builder().status(404).body(Bytes::new()).unwrap());
        };
        self.signals.lock().unwrap().extend(intake.signals);
        Ok(intake.reply)
    }
}

/// The API as anybody with a token may call it, whatever a client would send.
pub(crate) struct Api<'w> {
    world: &'w World,
    bearer: String,
}

impl<'w> Api<'w> {
    pub(crate) async fn open(world: &'w World) -> Self {
        let known = world.erp.credentials();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}\
             &scope=https%3A%2F%2Fapi.businesscentral.dynamics.com%2F.default",
            known.client_id, known.client_secret
        );
        let mut api = Self { world, bearer: String::new() };
        let url = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", known.tenant);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer: serde_json::Value =
            serde_json::from_slice(api.send("POST", &url, &kind, &form).await.body()).unwrap();
        api.bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
        api
    }

    /// A URL below the environment's API.
    pub(crate) fn url(&self, below: &str) -> String {
        let known = self.world.erp.credentials();
        let (tenant, environment) = (known.tenant, known.environment);
        format!("https://api.businesscentral.dynamics.com/v2.0/{tenant}/{environment}/api/v2.0/{below}")
    }

    /// A URL below the company.
    pub(crate) fn own(&self, below: &str) -> String {
        self.url(&format!("companies({})/{below}", self.world.erp.credentials().company_id))
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(url);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", &self.bearer);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let ctx = self.world.ctx();
        ctx.transport().send(request, Limits::within(Duration::from_secs(30))).await.unwrap()
    }
}
