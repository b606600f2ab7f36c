//! Inputs that others have met, from `tests/cases`: each is given to the connection as it is written there.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    Effect, ErrorKind, PollRequest, ReceiveRequest, Scope, Sink, Source, Timestamp, UpkeepRequest,
    model::{Decimal, EntityRef, Lookup, Observed, PollMode, Signal, Subject},
};
use ml_connector_sim::{
    Fault,
    bc::{NewDocument, Set},
};
use serde_json::{Value, json};

use crate::support::{Api, HOOKS, Hooks, World, attempt, command, read, record, settle};

const INVOICES: Set = Set::PurchaseInvoices;
const FEED: &str = "purchaseInvoices";

fn case(name: &str) -> Value {
    let path = format!("{}/tests/cases/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
}

/// An answer as the case has it. Without a status it is a success.
fn answered(answer: &Value) -> Fault {
    let status = answer["status"].as_u64().unwrap_or(200);
    let status = StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
    Fault::status(status).with_body("application/json", answer["body"].to_string())
}

fn draft(world: &World) -> (String, EntityRef) {
    let new = NewDocument::new("Tamber Paper BV", Decimal::new(121_050, 2)).vendor_invoice_number("TB-2207");
    let id = world.erp.create(INVOICES, &new);
    let entity = EntityRef::new("bill", id.as_str());
    (id, entity)
}

fn posts(world: &World) -> usize {
    world.erp.received().into_iter().filter(|call| call.path.contains("Microsoft.NAV.")).count()
}

#[tokio::test(start_paused = true)]
async fn case_01_a_list_s_404_names_another_table() {
    let case = case("01-list-404-names-another-table");
    let answer = &case["input"][0]["answer"];
    let world = World::new();
    let erp = world.connect();
    let mut orders = Vec::new();
    for n in 0..12 {
        let new = NewDocument::new("Tamber Paper BV", Decimal::new(n, 0));
        orders.push(world.erp.create(Set::PurchaseOrders, &new));
        world.sleep(1).await;
    }
    let (_, mut at) = run(&world, &erp, "purchaseOrders", PollMode::Baseline, None).await;
    world.erp.upgrade(Set::PurchaseOrders);
    // Whole pages fail as long as the record is among them, and so does the record.
    let broken = &orders[5];
    world.erp.plant(answered(answer).on("/purchaseOrders").method(Method::GET).times(5));
    world.erp.plant(answered(answer).on("/purchaseOrders").target(broken).times(20));
    world.sleep(600).await;
    let calls = world.erp.received().len();
    let mut told = BTreeSet::new();
    let mut asked = Vec::new();
    loop {
        let request = PollRequest::new("purchaseOrders", PollMode::Live).checkpoint(Some(&at));
        let page = erp.poll(&world.ctx(), request).await.unwrap();
        for seen in &page.observations {
            assert!(matches!(seen.state, Observed::Present { .. }), "nothing is gone");
            told.insert(seen.entity.id.to_string());
        }
        asked.extend(page.signals.into_iter().map(|signal| signal.subject));
        at = page.checkpoint;
        if !page.more {
            break;
        }
    }
    assert_eq!((told.len(), asked.len()), (11, 1), "the rest is delivered, and one is asked for again");
    assert!(world.erp.received().len() - calls < 40, "the number of calls is bounded");
    let Subject::Entity(entity) = &asked[0] else { panic!("a record") };
    assert_eq!(*entity.id, **broken);
    let error = erp.resolve(&world.ctx(), &[Signal::entity(entity.clone())], None).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unavailable, &Scope::Entry));
    assert_eq!(error.context("id"), Some(broken.as_str()), "it is named");
    assert!(!error.to_string().contains("V00233"), "and the vendor's text is not kept");
}

/// Reads a run to its end.
async fn run(
    world: &World,
    erp: &BusinessCentral,
    feed: &str,
    mode: PollMode,
    mut at: Option<Bytes>,
) -> (Vec<String>, Bytes) {
    let mut ids = Vec::new();
    loop {
        let request = PollRequest::new(feed, mode).checkpoint(at.as_ref());
        let page = erp.poll(&world.ctx(), request).await.unwrap();
        ids.extend(page.observations.iter().map(|seen| seen.entity.id.to_string()));
        if !page.more {
            return (ids, page.checkpoint);
        }
        at = Some(page.checkpoint);
    }
}

#[tokio::test(start_paused = true)]
async fn case_03_a_403_with_a_server_error_s_code_is_a_missing_right() {
    let case = case("03-403-with-code-internal-server-error");
    let world = World::new();
    let erp = world.connect();
    for n in 1..=2 {
        let (_, entity) = draft(&world);
        let seen = read(&world, &erp, &entity).await;
        world.erp.plant(answered(&case["input"][0]["answer"]).on("Microsoft.NAV.post"));
        let error = settle(&world, &erp, command(&world, &seen)).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::PermissionDenied, Effect::None));
        // Of the entry alone: no connection is stopped, and no alarm is raised for the second.
        assert_eq!((error.scope(), posts(&world)), (&Scope::Entry, 2 * n - 1));
        for part in ["71442000 Contoso Freight Setup", "Read", "Contoso Freight"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(error.message().contains("Entra application card"), "{error}");
        // The right is granted, and the same can be tried again.
        settle(&world, &erp, command(&world, &seen)).await.unwrap();
        assert_eq!(world.erp.postings().len(), n);
    }
}

#[tokio::test(start_paused = true)]
async fn case_05_a_refused_post_touches_the_draft() {
    let case = case("05-refused-post-touches-the-draft");
    let refused = &case["input"][1]["answer"];
    assert!(case["input"][6]["variant"].as_str().unwrap().contains("1186.29"));
    for recalculated in [false, true] {
        let world = World::new();
        let erp = world.connect();
        let (id, entity) = draft(&world);
        let seen = read(&world, &erp, &entity).await;
        let slow = Duration::from_secs(2);
        world.erp.plant(answered(refused).on("Microsoft.NAV.post"));
        let etag = world.erp.field(INVOICES, &id, "lastModifiedDateTime");
        world.sleep(1).await;
        // The refusal has written to the draft.
        world.erp.plant(Fault::delay(slow).on("/purchaseInvoices").target(&id).method(Method::GET).after(1));
        let touch = async {
            tokio::time::sleep(slow / 2).await;
            match recalculated {
                true => world.erp.set_total(INVOICES, &id, Decimal::new(118_629, 2)).unwrap(),
                false => world.erp.upgrade(INVOICES),
            }
        };
        let delivery = command(&world, &seen);
        let (result, ()) = tokio::join!(attempt(&world, &erp, &delivery), touch);
        let error = result.unwrap_err();
        assert!(etag.is_some() && world.erp.postings().is_empty());
        assert_eq!(error.effect(), Effect::None);
        if recalculated {
            assert!(error.message().contains("calculated it anew"), "{error}");
            let error = settle(&world, &erp, command(&world, &seen)).await.unwrap_err();
            assert!(error.message().contains("changed since it was shown"), "{error}");
            assert!(world.erp.postings().is_empty(), "a new decision is asked for");
        } else {
            assert_eq!(error.context("reason"), Some("blocked"), "{error}");
            let after = read(&world, &erp, &entity).await;
            assert_eq!(seen.state.revision(), after.state.revision(), "a new etag and stamp are no edit");
            settle(&world, &erp, command(&world, &seen)).await.unwrap();
            assert_eq!(world.erp.postings().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn case_07_the_number_stays_on_posting() {
    let case = case("07-number-does-not-change-on-posting");
    let (before, after) = (&case["input"][1]["answer"], &case["input"][3]["answer"]);
    let id = before["body"]["id"].as_str().unwrap();
    let entity = EntityRef::new("bill", id);
    let world = World::new();
    let erp = world.connect();
    let gets = |answer: &Value| answered(answer).target(id).method(Method::GET);
    world.erp.plant(gets(before));
    let seen = read(&world, &erp, &entity).await;
    assert!(record(&seen).url.as_ref().unwrap().contains("page=9308"), "{:?}", record(&seen).url);
    let mut delivery = command(&world, &seen);
    world.erp.plant(gets(before));
    world.erp.plant(Fault::reset().having_acted().on("Microsoft.NAV.post"));
    let error = attempt(&world, &erp, &delivery).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    delivery.note = Some(world.now().as_millis().to_string().into());
    world.sleep(2).await;
    world.erp.plant(gets(after));
    let Lookup::Happened(receipt) = erp.look_up(&world.ctx(), &delivery).await.unwrap() else {
        panic!("it is posted")
    };
    assert_eq!(&*receipt.reference, format!("{entity}#posted:PI-1041"));
    let result = receipt.result.unwrap();
    assert!(!result.elsewhere);
    assert!(result.url.unwrap().contains("page=146"), "the posted page");
}

#[tokio::test(start_paused = true)]
async fn case_10_stamps_are_instants_and_ties_survive_a_page_s_end() {
    let case = case("10-time-order-and-ties");
    let world = World::new();
    let company = world.erp.credentials().company_id;
    let rows = |page: &Value| -> Vec<Value> {
        let row = |row: &Value| {
            let n = row["id"].as_str().unwrap().trim_start_matches('…');
            json!({
                "id": format!("a1b2c3d4-3f1e-f011-9a12-0000000000{n}"), "number": format!("PI-{n}"), "status": "Draft",
                "postingDate": "2026-03-10", "totalAmountIncludingTax": 1, "currencyCode": "EUR",
                "lastModifiedDateTime": row["lastModifiedDateTime"],
            })
        };
        page.as_array().unwrap().iter().map(row).collect()
    };
    let (first, second) =
        (rows(&case["input"][0]["page 1"]), rows(&case["input"][1]["page 2 after restart"]));
    let link = format!(
        "https://api.businesscentral.dynamics.com/v2.0/x/y/api/v2.0/companies({company})/purchaseInvoices?aid=FIN&$skiptoken=04"
    );
    let list = |body: Value| answered(&json!({ "body": body })).on("/purchaseInvoices");
    world.erp.plant(list(json!({ "value": first, "@odata.nextLink": link })));
    let page = world.connect().poll(&world.ctx(), PollRequest::new(FEED, PollMode::Baseline)).await.unwrap();
    let mut ids: Vec<String> = page.observations.iter().map(|seen| seen.entity.id.to_string()).collect();
    let at: Value = serde_json::from_slice(&page.checkpoint).unwrap();
    let watermark = Timestamp::parse(at["newest"].as_str().unwrap()).unwrap();
    assert_eq!(watermark, Timestamp::parse("2026-02-04T03:43:04.127Z").unwrap(), "no text is compared");
    // The connection breaks, and another process goes on.
    world.erp.plant(Fault::reset().on("/purchaseInvoices"));
    world.erp.plant(list(json!({ "value": second })));
    let (more, checkpoint) =
        run(&world, &world.connect(), FEED, PollMode::Baseline, Some(page.checkpoint)).await;
    ids.extend(more);
    assert_eq!(ids.len(), 6);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 6, "none is lost and none told twice");
    let at: Value = serde_json::from_slice(&checkpoint).unwrap();
    assert_eq!(Timestamp::parse(at["newest"].as_str().unwrap()).unwrap(), watermark, "year 1 moves nothing");
}

#[tokio::test(start_paused = true)]
async fn case_12_a_data_upgrade_floods_nobody() {
    let case = case("12-api-data-upgrade-restamps-everything");
    let notification = &case["input"][2]["notification"];
    let world = World::new();
    let erp = world.connect();
    let known: Vec<String> = (0..3).map(|_| draft(&world).0).collect();
    let (_, checkpoint) = run(&world, &erp, FEED, PollMode::Baseline, None).await;
    let last = record(&read(&world, &erp, &EntityRef::new("bill", known[0].as_str())).await).clone();
    // Sunday: forty drafts and many posted ones of years ago are there at once, and the known ones have a new stamp.
    for n in 0..240 {
        let (id, _) = draft(&world);
        let year = 2019 + n % 7;
        for date in ["invoiceDate", "postingDate"] {
            world.erp.set(INVOICES, &id, date, format!("{year}-05-04")).unwrap();
        }
        if n >= 40 {
            world.erp.post(INVOICES, &id).unwrap();
        }
    }
    world.erp.upgrade(INVOICES);
    world.sleep(60).await;
    // The notice stands for all of them.
    let hooks = Hooks::of(&world, &erp);
    world.erp.set_hooks(hooks);
    erp.upkeep(&world.ctx(), UpkeepRequest::new().callback(Some(HOOKS))).await.unwrap();
    let company = world.erp.credentials().company_id;
    let subscription =
        world.erp.subscriptions().into_iter().find(|one| one.resource.ends_with(FEED)).unwrap();
    let mut body = notification.clone();
    body["value"][0]["clientState"] = subscription.client_state.into();
    let body = body.to_string().replace("6f1c2d3e-1a2b-ef11-9345-6045bd0a1b2c", &company);
    let path = subscription.notification_url.strip_prefix(HOOKS).unwrap().to_owned();
    let request = Request::post(path).body(Bytes::from(body)).unwrap();
    let intake = erp.receive(ReceiveRequest::new(&request, world.now())).unwrap();
    let [Signal { subject: Subject::Feed { name, since: Some(since) }, .. }] = &intake.signals[..] else {
        panic!("the feed is read: {:?}", intake.signals)
    };
    assert_eq!((&**name, *since), (FEED, Timestamp::parse("2026-05-03T02:00:00.1Z").unwrap()));
    let calls = world.erp.received().len();
    let (told, _) = run(&world, &erp, FEED, PollMode::Live, Some(checkpoint)).await;
    let told: BTreeSet<_> = told.into_iter().collect();
    assert_eq!(told, known.iter().cloned().collect(), "only what is known is compared");
    assert!(world.erp.received().len() - calls < 12, "pages, and no single reads");
    let again = read(&world, &erp, &EntityRef::new("bill", known[0].as_str())).await;
    assert_eq!((&record(&again).total, &record(&again).status), (&last.total, &last.status));
}

#[tokio::test(start_paused = true)]
async fn case_13_a_lost_answer_makes_no_second_subscription() {
    let case = case("13-subscription-create-answer-lost");
    let listed = case["input"][1]["answer"]["value"].as_array().unwrap();
    for own_ids in [false, true] {
        let world = World::new();
        let erp = world.connect();
        world.erp.set_hooks(Hooks::of(&world, &erp));
        world.erp.tune(|tuning| tuning.own_subscription_ids = own_ids);
        // Others' subscriptions are in the list, whatever they look like.
        world.erp.plant(
            answered(&json!({ "body": { "value": listed[1..] } })).on("/subscriptions").method(Method::GET),
        );
        world.erp.plant(Fault::reset().having_acted().on("/subscriptions").method(Method::POST));
        let look = async || {
            for _ in 0..3 {
                let request = UpkeepRequest::new().callback(Some(HOOKS));
                let _ = erp.upkeep(&world.ctx(), request).await;
            }
            world.erp.subscriptions()
        };
        assert_eq!(look().await.len(), 3, "own ids: {own_ids}");
        assert!(!world.erp.received().iter().any(|call| call.method == Method::DELETE), "nobody else's");
        // The same of a renewal, after half of the three days.
        world.sleep(37 * 3600).await;
        let ends: Vec<Timestamp> = world.erp.subscriptions().iter().map(|one| one.expires).collect();
        world.erp.plant(Fault::reset().having_acted().on("/subscriptions(").method(Method::PATCH));
        let renewed = look().await;
        assert_eq!(renewed.len(), 3, "own ids: {own_ids}");
        assert!(
            renewed.iter().all(|one| ends.iter().all(|end| one.expires > *end)),
            "all have three days more"
        );
    }
}

/// Case 09 in the simulator: every spelling posts, unless it is told to be strict.
#[tokio::test(start_paused = true)]
async fn case_09_every_spelling_of_the_action_posts() {
    let case = case("09-action-name-in-any-case-posts");
    let text = case["input"][0]["simulator"].as_str().unwrap();
    let spellings: Vec<&str> = text
        .split([' ', ','])
        .filter_map(|part| part.rsplit('/').next().filter(|name| name.contains('.')))
        .collect();
    assert_eq!(spellings.len(), 3, "{spellings:?}");
    let world = World::new();
    let api = Api::open(&world).await;
    for (n, strict) in [(0, false), (1, false), (2, false), (1, true)] {
        world.erp.tune(|tuning| tuning.strict_action_names = strict);
        let (id, _) = draft(&world);
        let spelling = spellings[n];
        let before = world.erp.postings().len();
        let answer = api.send("POST", &api.own(&format!("purchaseInvoices({id})/{spelling}")), &[], "").await;
        assert_eq!(answer.status().as_u16(), if strict { 404 } else { 204 }, "{spelling}");
        assert_eq!(world.erp.postings().len() - before, usize::from(!strict), "{spelling}");
    }
}
