//! Tenants that come and go at run time.

use bytes::Bytes;
use vendor::{Fault, webhook};

use super::{super::Act, *};
use crate::{
    Connection, Effect, ErrorKind, Retry, Scope, SourceMode, TokenStore,
    audit::EntryState,
    model::{ConnectionId, Status},
    token::{MemoryTokenStore, TokenKey},
};

/// A connector without connections, on the world's log and these tokens.
fn bare(world: &World, tokens: &Arc<MemoryTokenStore>) -> Connector {
    Connector::builder()
        .audit_log(Arc::clone(&world.log))
        .token_store(Arc::clone(tokens))
        .rate_limiter(Arc::clone(&world.limiter))
        .clock(Arc::clone(&world.clock))
        .transport(NoNetwork)
        .public_url("https://erp.example/hooks")
        .settings(Settings { grace: secs(5), ..Settings::default() })
        .sink(BoardSink::new(&world.board, world.repeat, world.on_unknown))
        .build()
        .unwrap()
}

/// A tenant: its books, with the route that it needs.
fn tenant(world: &World, id: &str) -> Connection {
    let books = LedgerSource::new(id, &world.ledger).polled(SourceMode::Both);
    let route = Route::new(id).from(id).to("board", Destination::from(id));
    Connection::new().source(books).routes([route])
}

async fn tell(world: &World, connector: &Connector, tenant: &str, id: u32) -> http::StatusCode {
    world.ledger.put(&id.to_string(), Status::Open, "2026-04-01");
    connector.receive(webhook(&format!("account:{tenant} {id}"), "good")).await.status()
}

/// What the log still knows by the name of a connection, apart from what was done.
fn known(world: &World, of: &str) -> Vec<String> {
    let keys = world.log.document_keys();
    let keys = keys.iter().map(ToString::to_string);
    keys.filter(|key| key.split('/').nth(1) == Some(of)).collect()
}

async fn store(tokens: &MemoryTokenStore, key: &TokenKey) {
    tokens.swap(key, None, Some(Bytes::from_static(b"planted"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tenant_comes_at_once_and_is_forgotten_for_good() {
    let (world, tokens) = (World::new(), Arc::new(MemoryTokenStore::new()));
    let connector = bare(&world, &tokens);
    let (stop, running) = start(&connector);
    connector.connect_all([tenant(&world, "one"), tenant(&world, "two")]).unwrap();
    let keys = ["one", "two"].map(|id| TokenKey::new(&id.into()));
    for key in &keys {
        store(&tokens, key).await;
    }
    store(&tokens, &TokenKey::consents(&"one".into())).await;
    tokio::time::sleep(secs(60)).await;
    for id in 1..=2 {
        assert_eq!(tell(&world, &connector, "one", id).await, 200);
        assert_eq!(tell(&world, &connector, "two", 10 + id).await, 200);
    }
    tokio::time::sleep(secs(90)).await;
    assert_eq!(world.board.corner("one").len(), 2);
    // Something of it waits, and its digest of trouble is known.
    world.ledger.fail(crate::Error::new(ErrorKind::Unavailable, "later"));
    assert_eq!(tell(&world, &connector, "one", 3).await, 200);
    assert!(!known(&world, "one").is_empty());

    let forgotten = connector.act("jane", Act::Forget { connections: vec!["one".into()] }).await.unwrap();
    assert!(forgotten.changed >= 1 && forgotten.left.is_empty(), "{forgotten:?}");
    assert_eq!(known(&world, "one"), [""; 0]);
    assert_eq!(tokens.load(&keys[0]).await.unwrap(), None);
    assert_eq!(tokens.load(&TokenKey::consents(&"one".into())).await.unwrap(), None);
    assert_eq!(
        world.ledger.subscription.lock().unwrap().ended,
        [Some("https://erp.example/hooks/ledger".to_owned())]
    );
    assert!(connector.routes().iter().all(|route| &*route.name != "one"));
    // Its webhooks are nobody's now, and nothing comes back by itself.
    tell(&world, &connector, "one", 4).await;
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(known(&world, "one"), [""; 0]);
    assert_eq!(world.board.corner("one").len(), 2);
    let waiting = Query::default().with_connection("one".into()).with_state(EntryState::Pending);
    assert_eq!(connector.count(&waiting, 100).await.unwrap(), 0);

    // The other tenant has lost nothing, and the same name begins anew.
    assert!(!known(&world, "two").is_empty() && tokens.load(&keys[1]).await.unwrap().is_some());
    tell(&world, &connector, "two", 13).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(world.board.corner("two").len(), 3);
    connector.connect(tenant(&world, "one")).unwrap();
    tokio::time::sleep(secs(60)).await;
    tell(&world, &connector, "one", 5).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(world.board.corner("one").last().unwrap(), "invoice.sent 5");
    // It can be forgotten once more.
    connector.forget(["one".into()]).await.unwrap();
    assert_eq!(known(&world, "one"), [""; 0]);
    assert!(!connector.connections().iter().any(|one| one.id == "one".into()));
    stop.send(()).unwrap();
    running.await.unwrap();
    let acts = world.entries(EntryKind::Act).await;
    assert_eq!(acts[0].index.name.as_deref(), Some("forget"));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_comes_whole_or_not_at_all() {
    let (world, tokens) = (World::new(), Arc::new(MemoryTokenStore::new()));
    let connector = bare(&world, &tokens);
    let to_nowhere = Route::new("wrong").to("nobody", Destination::from("x"));
    let wrong = Connection::new().source(LedgerSource::new("two", &world.ledger)).routes([to_nowhere]);
    let refused = connector.connect_all([tenant(&world, "one"), wrong]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConfigInvalid);
    let ids: Vec<ConnectionId> = connector.connections().into_iter().map(|one| one.id).collect();
    assert_eq!((ids, connector.routes().len()), (vec!["board".into()], 0));
}

/// A vendor that does not answer keeps nobody from forgetting: what is left is said.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_at_the_vendor_is_left_to_somebody() {
    let (world, tokens) = (World::new(), Arc::new(MemoryTokenStore::new()));
    let connector = bare(&world, &tokens);
    connector.connect(tenant(&world, "one")).unwrap();
    world.run(&connector, secs(60)).await;
    world.ledger.subscription.lock().unwrap().cannot_end = true;
    let forgotten = connector.forget(["one".into()]).await.unwrap();
    assert!(forgotten.left[0].contains("webhooks of one"), "{forgotten:?}");
    assert_eq!(known(&world, "one"), [""; 0]);
}

/// A route of the host's own that names the tenant's connection delivers to nobody any more.
#[tokio::test(start_paused = true)]
async fn deliveries_to_a_forgotten_sink_are_neither_made_nor_kept() {
    let world = World::new();
    let connector = world.connector();
    let (stop, running) = start(&connector);
    world.board.fault(Fault::Before(
        ErrorKind::Unauthenticated,
        Effect::None,
        Scope::Connection,
        Retry::Never,
    ));
    tell(&world, &connector, "books", 1).await;
    tokio::time::sleep(secs(10)).await;
    connector.forget(["board".into()]).await.unwrap();
    tell(&world, &connector, "books", 2).await;
    tokio::time::sleep(secs(3600)).await;
    let states: Vec<_> = world.entries(EntryKind::Delivery).await.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [EntryState::Cancelled]);
    assert_eq!(known(&world, "board"), [""; 0]);
    stop.send(()).unwrap();
    running.await.unwrap();
    // A host that starts with the rest finds nothing to say.
    assert!(connector.backlog().await.unwrap().iter().all(|row| row.connection != "board".into()));
}

/// The other host has it in memory, with its token.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_one_host_forgets_is_forgotten_by_all() {
    let (world, tokens) = (World { lease: secs(15), ..World::new() }, Arc::new(MemoryTokenStore::new()));
    let (worker, other) = (bare(&world, &tokens), bare(&world, &tokens));
    for connector in [&worker, &other] {
        connector.connect(tenant(&world, "one")).unwrap();
        connector.connect(tenant(&world, "two")).unwrap();
    }
    let (stop, running) = start(&worker);
    tokio::time::sleep(secs(60)).await;
    assert_eq!(tell(&world, &other, "one", 1).await, 200);
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("one").len(), 1);

    other.forget(["one".into()]).await.unwrap();
    // It is told at once, and looks within a minute.
    tokio::time::sleep(secs(60)).await;
    assert_eq!(worker.connections().iter().filter(|one| one.id == "one".into()).count(), 0);
    tell(&world, &worker, "one", 2).await;
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(world.board.corner("one").len(), 1);
    assert_eq!(known(&world, "one"), [""; 0]);
    tell(&world, &worker, "two", 3).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("two").len(), 1, "the other tenant has lost nothing");

    // A name that is given anew is not forgotten, on either host.
    for connector in [&worker, &other] {
        connector.connect(tenant(&world, "one")).unwrap();
    }
    tokio::time::sleep(secs(600)).await;
    tell(&world, &other, "one", 4).await;
    tokio::time::sleep(secs(60)).await;
    assert_eq!(world.board.corner("one").len(), 2);
    stop.send(()).unwrap();
    running.await.unwrap();
}

/// Another host goes on removing what it may still have written of the one that was forgotten.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_comes_back_at_once_keeps_what_it_has_read_although_another_host_still_cleans_up() {
    let (world, tokens) = (World { lease: secs(15), ..World::new() }, Arc::new(MemoryTokenStore::new()));
    let (worker, other) = (bare(&world, &tokens), bare(&world, &tokens));
    for connector in [&worker, &other] {
        connector.connect(tenant(&world, "one")).unwrap();
    }
    let hosts = [start(&worker), start(&other)];
    tokio::time::sleep(secs(60)).await;
    tell(&world, &worker, "one", 1).await;
    tokio::time::sleep(secs(30)).await;
    other.forget(["one".into()]).await.unwrap();
    tokio::time::sleep(secs(31)).await;
    assert_eq!(worker.connections().iter().filter(|one| one.id == "one".into()).count(), 0);

    // The one that works for it has it again, and the other does not yet.
    let mut read = Vec::new();
    for host in [&worker, &other] {
        host.connect(tenant(&world, "one")).unwrap();
        tokio::time::sleep(secs(5)).await;
        tell(&world, host, "one", 2).await;
        tokio::time::sleep(secs(10)).await;
        read = known(&world, "one");
        if read.iter().any(|key| key.starts_with("snapshot/")) {
            break;
        }
        host.remove(&"one".into());
    }
    assert!(read.iter().any(|key| key.starts_with("snapshot/")), "{read:?}");
    tokio::time::sleep(secs(200)).await;
    let left = known(&world, "one");
    let lost: Vec<_> = read.iter().filter(|key| !left.contains(key)).collect();
    assert!(lost.is_empty(), "{lost:?}");

    // Forgotten again, it is gone for good.
    worker.forget(["one".into()]).await.unwrap();
    tokio::time::sleep(secs(300)).await;
    assert_eq!(known(&world, "one"), [""; 0]);
    for (stop, running) in hosts {
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}

/// Whoever goes on with the act does not have the connection any more, and so does not know where its token is.
#[tokio::test(start_paused = true)]
async fn a_shared_token_is_deleted_by_whichever_host_goes_on_and_only_when_nobody_uses_it() {
    let world = World { lease: secs(15), ..World::new() };
    for is_used in [false, true] {
        let (tokens, name) = (Arc::new(MemoryTokenStore::new()), TokenKey::shared("app/person"));
        store(&tokens, &name).await;
        let of_person = |id: &str| {
            let token_url = "https://accounts.example.com/token".parse().unwrap();
            let grant = crate::auth::Grant::RefreshToken { initial: None };
            let secret = crate::Secret::from("secret");
            let config = crate::auth::OAuth2Config::new("ledger", token_url, "app", secret, grant);
            let tokens = crate::auth::OAuth2::new(name.clone(), config).unwrap();
            let mut books = LedgerSource::new(id, &world.ledger).idle(tokens);
            books = books.of_person("person");
            Connection::new().source(books)
        };
        let (first, second) = (bare(&world, &tokens), bare(&world, &tokens));
        for connector in [&first, &second] {
            connector.connect(of_person("one")).unwrap();
            if is_used {
                connector.connect(of_person("two")).unwrap();
            }
        }
        // It says that it is forgotten, and ends before it has done more.
        world.log.delay_commits(secs(1));
        let forgetting = tokio::spawn({
            let first = first.clone();
            async move { first.forget(["one".into()]).await }
        });
        tokio::time::sleep(secs(2) + Duration::from_millis(500)).await;
        forgetting.abort();
        world.log.delay_commits(Duration::ZERO);
        assert!(tokens.load(&name).await.unwrap().is_some());
        world.run(&second, secs(200)).await;
        assert_eq!(tokens.load(&name).await.unwrap().is_some(), is_used);
        assert_eq!(known(&world, "one"), [""; 0]);
    }
}

/// A host that was stopped in the middle of forgetting wakes when another has ended the act, and the tenant is back.
#[tokio::test(start_paused = true)]
async fn a_host_that_wakes_after_another_has_ended_its_act_leaves_the_new_tenant_alone() {
    let world = World::new();
    let tokens = Arc::new(MemoryTokenStore::new());
    let (first, second) = (bare(&world, &tokens), bare(&world, &tokens));
    let connect =
        |on: &Connector| on.connect(Connection::new().source(LedgerSource::new("one", &world.ledger)));
    for host in [&first, &second] {
        connect(host).unwrap();
    }
    let name = TokenKey::new(&"one".into());
    world.log.delay_commits(secs(1));
    let mut forgetting = Box::pin(first.forget(["one".into()]));
    let stopped = tokio::time::timeout(secs(2) + Duration::from_millis(500), &mut forgetting).await;
    assert!(stopped.is_err(), "it is paused from here on");
    world.log.delay_commits(Duration::ZERO);
    world.run(&second, secs(200)).await;
    connect(&second).unwrap();
    store(&tokens, &name).await;
    tell(&world, &second, "one", 7).await;
    world.run(&second, secs(60)).await;
    let kept = known(&world, "one");
    assert!(kept.iter().any(|document| document.contains("snapshot")), "{kept:?}");
    forgetting.await.unwrap();
    assert!(tokens.load(&name).await.unwrap().is_some());
    assert_eq!(known(&world, "one"), kept);
}
