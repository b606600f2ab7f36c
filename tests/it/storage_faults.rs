//! Storage that does not work, seen from the webhook: what cannot be stored is refused with 503, what was
//! acknowledged is delivered once storage works again.

use std::{
    fs::Permissions,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::{StatusCode, header};
use ml_connector_core::{
    Clock, Connector, ErrorKind, ManualClock, Repeat, SystemClock, Timestamp, engine::Stats,
};
use ml_connector_sql::{SqliteLog, SqliteOptions};
use tempfile::TempDir;

use crate::proof::{
    Vendor,
    host::Job,
    ledger::{BoardSink, LedgerSource, Remote, connector, webhook},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A vendor, a directory with a database, and the changes whose webhooks were acknowledged.
struct Scene {
    vendor: Arc<Vendor>,
    remote: Remote,
    directory: TempDir,
    acknowledged: Vec<(u64, u64)>,
}

impl Scene {
    async fn new() -> Self {
        let (vendor, address) = Vendor::serve().await;
        let remote = Remote { address, generation: vendor.next_generation() };
        Self { vendor, remote, directory: TempDir::new().unwrap(), acknowledged: Vec::new() }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("connector.db")
    }

    fn open(&self, options: &SqliteOptions) -> Connector {
        self.open_at(options, SystemClock)
    }

    fn open_at(&self, options: &SqliteOptions, clock: impl Clock) -> Connector {
        let log = SqliteLog::open_with(self.database(), options).unwrap();
        let sink = BoardSink::new(self.remote.clone(), Repeat::AfterLookup);
        connector(log, clock, LedgerSource::new(self.remote.clone()), sink)
    }

    /// A record changes, and its webhook comes in.
    async fn change(&mut self, connector: &Connector, record: u64) -> StatusCode {
        let version = self.vendor.change(record);
        let answer = connector.receive(webhook("", record)).await;
        match answer.status() {
            StatusCode::OK => self.acknowledged.push((record, version)),
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert!(answer.headers().contains_key(header::RETRY_AFTER), "the vendor shall come back");
                assert!(answer.body().is_empty(), "the answer says nothing about us");
            }
        }
        answer.status()
    }

    /// Runs the connector until every acknowledged change is posted.
    async fn deliver(&self, connector: &Connector) {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn({
            let connector = connector.clone();
            async move { connector.run(async { drop(stopped.await) }).await }
        });
        let missing = self.vendor.missing_after(&self.acknowledged, PATIENCE).await;
        drop(stop);
        running.await.unwrap();
        assert_eq!(missing, [], "every acknowledged change was posted");
        assert_eq!(self.vendor.repeated(), [], "and only once");
    }
}

// Proves: refused.
#[tokio::test]
async fn a_full_disk_refuses_webhooks_until_there_is_room() {
    let mut scene = Scene::new().await;
    let connector = scene.open(&SqliteOptions::default().with_max_size_bytes(256 << 10));
    let mut record = 0;
    while scene.change(&connector, record).await.is_success() {
        record += 1;
        assert!(record < 5_000, "the disk is never full");
    }
    assert!(record > 100, "{record}");
    assert_eq!(scene.change(&connector, record + 1).await, StatusCode::SERVICE_UNAVAILABLE);
    let Stats { received, refused, .. } = connector.stats();
    assert_eq!((received, refused), (record, 2));
    drop(connector);

    let connector = scene.open(&SqliteOptions::default());
    assert_eq!(scene.change(&connector, record).await, StatusCode::OK);
    scene.deliver(&connector).await;
}

#[tokio::test]
async fn a_database_that_somebody_locks_refuses_webhooks_until_it_is_free() {
    let mut scene = Scene::new().await;
    let connector = scene.open(&SqliteOptions::default().with_busy_timeout(Duration::from_millis(50)));
    assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
    let other = rusqlite::Connection::open(scene.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(scene.change(&connector, 2).await, StatusCode::SERVICE_UNAVAILABLE);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(scene.change(&connector, 3).await, StatusCode::OK, "without being opened again");
    scene.deliver(&connector).await;
}

#[tokio::test]
async fn a_database_that_is_locked_under_a_running_connector_only_delays_it() {
    let mut scene = Scene::new().await;
    let connector = scene.open(&SqliteOptions::default().with_busy_timeout(Duration::from_millis(50)));
    for record in 0..20 {
        assert_eq!(scene.change(&connector, record).await, StatusCode::OK);
    }
    let database = scene.database();
    let locker = tokio::task::spawn_blocking(move || {
        let other = rusqlite::Connection::open(database).unwrap();
        for _ in 0..5 {
            let _ = other.execute_batch("BEGIN IMMEDIATE");
            std::thread::sleep(Duration::from_millis(100));
            let _ = other.execute_batch("ROLLBACK");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    scene.deliver(&connector).await;
    locker.await.unwrap();
}

/// Nobody may be told that a webhook is stored which is in no file any more.
#[tokio::test]
async fn a_database_that_is_deleted_or_replaced_while_it_is_open_refuses_webhooks_until_it_is_back() {
    for replaced in [false, true] {
        let mut scene = Scene::new().await;
        let connector = scene.open(&SqliteOptions::default());
        assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
        let away = scene.directory.path().join("away");
        std::fs::rename(scene.database(), &away).unwrap();
        if replaced {
            std::fs::copy(&away, scene.database()).unwrap();
        }
        for record in 2..20 {
            assert_eq!(scene.change(&connector, record).await, StatusCode::SERVICE_UNAVAILABLE, "{replaced}");
        }
        let Stats { received, refused, .. } = connector.stats();
        assert_eq!((received, refused), (1, 18));
        std::fs::rename(&away, scene.database()).unwrap();
        assert_eq!(scene.change(&connector, 20).await, StatusCode::OK);
        scene.deliver(&connector).await;

        // Deleted for good.
        std::fs::remove_file(scene.database()).unwrap();
        for record in 21..30 {
            assert_eq!(scene.change(&connector, record).await, StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}

#[tokio::test]
async fn a_damaged_database_refuses_webhooks_until_a_backup_is_in_place() {
    let mut scene = Scene::new().await;
    let connector = scene.open(&SqliteOptions::default());
    for record in 0..200 {
        assert_eq!(scene.change(&connector, record).await, StatusCode::OK);
    }
    drop(connector);
    let intact = std::fs::read(scene.database()).unwrap();
    let root: usize = rusqlite::Connection::open(scene.database())
        .and_then(|other| {
            other.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'", [], |row| row.get(0))
        })
        .unwrap();

    // All but the first page.
    let mut damaged = intact.clone();
    damaged[4096..].fill(0xA5);
    std::fs::write(scene.database(), &damaged).unwrap();
    let error = SqliteLog::open(scene.database()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("restore it from a backup"), "{error}");

    // Only one page: the file can be opened, but not be worked with.
    let mut damaged = intact.clone();
    damaged[(root - 1) * 4096..root * 4096].fill(0xA5);
    std::fs::write(scene.database(), &damaged).unwrap();
    let connector = scene.open(&SqliteOptions::default());
    assert_eq!(scene.change(&connector, 1).await, StatusCode::SERVICE_UNAVAILABLE);
    drop(connector);

    std::fs::write(scene.database(), &intact).unwrap();
    let connector = scene.open(&SqliteOptions::default());
    assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
    scene.deliver(&connector).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone_until_the_program_is_updated() {
    let mut scene = Scene::new().await;
    let connector = scene.open(&SqliteOptions::default());
    assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
    drop(connector);
    let set_version = |version: u32| {
        let other = rusqlite::Connection::open(scene.database()).unwrap();
        let old: u32 = other.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        other.pragma_update(None, "user_version", version).unwrap();
        old
    };
    let known = set_version(99);
    let error = SqliteLog::open(scene.database()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("newer version"), "{error}");
    assert_eq!(set_version(known), 99, "the file was not touched");
    scene.deliver(&scene.open(&SqliteOptions::default())).await;
}

#[tokio::test]
async fn a_read_only_database_is_refused_at_the_start_and_says_what_to_do() {
    let mut scene = Scene::new().await;
    let connector = scene.open(&SqliteOptions::default());
    assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
    drop(connector);
    let modes = |directory, file| {
        std::fs::set_permissions(scene.directory.path(), Permissions::from_mode(directory)).unwrap();
        std::fs::set_permissions(scene.database(), Permissions::from_mode(file)).unwrap();
    };
    modes(0o555, 0o444);
    let job = Job {
        database: scene.database(),
        vendor: scene.remote.address,
        generation: 1,
        fail_point: None,
        repeat: Repeat::AfterLookup,
        answers_early: false,
    };
    let mut command = job.command();
    command.stdin(std::process::Stdio::null()).current_dir("/");
    if rustix::process::getuid().is_root() {
        // Permissions do not bind the superuser, but everybody else: nobody in particular.
        command.uid(65_534).gid(65_534);
    }
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("cannot open: ") && said.contains("writable for this user"), "{said}");
        }
        Err(error) => println!("not tried: the test binary is out of reach for another user ({error})"),
    }
    modes(0o755, 0o600);
    scene.deliver(&scene.open(&SqliteOptions::default())).await;
}

#[tokio::test]
async fn a_clock_that_goes_back_loses_nothing() {
    let mut scene = Scene::new().await;
    let noon = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    let clock = Arc::new(ManualClock::at(noon));
    let connector = scene.open_at(&SqliteOptions::default(), Arc::clone(&clock));
    assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    scene.deliver(&connector).await;

    assert_eq!(scene.change(&connector, 2).await, StatusCode::OK);
    let before = std::mem::take(&mut scene.acknowledged);
    clock.set(noon + Duration::from_secs(3));
    clock.set(Timestamp::parse("2026-03-01T11:00:00Z").unwrap());
    assert_eq!(scene.change(&connector, 1).await, StatusCode::OK);
    assert_eq!(scene.change(&connector, 3).await, StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    scene.deliver(&connector).await;

    scene.acknowledged.extend(before);
    clock.set(noon + Duration::from_secs(3600));
    scene.deliver(&connector).await;
}
