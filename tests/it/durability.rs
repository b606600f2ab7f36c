//! The power fails: everything that was written after the last sync is gone, and nothing that was acknowledged.
//!
//! A killed process proves nothing about that, because the page cache outlives it. So a small library in the process
//! keeps what is durable apart (`tests/shim/durable.c`), and after every death the files are replaced by that.

use std::{path::PathBuf, process::Command, time::Duration};

use tempfile::TempDir;

use crate::proof::{
    Death, Dice, World,
    host::FailPoint::{AfterCommit, AfterPost},
    restore,
};

const PATIENCE: Duration = Duration::from_secs(20);

// Proves: stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_failure_loses_nothing_acknowledged_and_repeats_nothing_posted() {
    let disk = Disk::new();
    let mut world = disk.world(11, None).await;
    let failures = disk.fail_often(&mut world).await;
    let missing = world.drain(PATIENCE).await;
    let (posts, found) = (world.vendor.posts().len(), world.vendor.found());
    println!(
        "power_failures={failures} acknowledged={} posts={posts} found_by_lookup={found} missing={} repeated={}",
        world.acknowledged(),
        missing.len(),
        world.vendor.repeated().len(),
    );
    assert_eq!(missing, [], "every acknowledged change was posted");
    assert_eq!(world.vendor.repeated(), [], "nothing was posted twice");
    world.check_log().await;
    assert!(world.acknowledged() > 200 && found > 0, "there was something to lose");
}

/// What SQLite's `synchronous=NORMAL` would do: the write-ahead log is not synced with every commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_sync_the_write_ahead_log_loses_webhooks() {
    let disk = Disk::new();
    let mut world = disk.world(12, Some("-wal")).await;
    disk.fail_often(&mut world).await;
    let missing = world.drain(Duration::from_secs(2)).await;
    let repeated = world.vendor.repeated();
    println!("without syncs: missing={} repeated={}", missing.len(), repeated.len());
    assert!(!missing.is_empty() && !repeated.is_empty(), "the test above can fail");
}

/// The compiled library and what is durable.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { directory: TempDir::new().unwrap() };
        std::fs::create_dir(disk.durable()).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/shim/durable.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread", source, "-ldl", "-o"])
            .arg(disk.library())
            .status();
        assert!(compiled.expect("a C compiler, which SQLite needs anyway").success());
        disk
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("durable.so")
    }

    fn durable(&self) -> PathBuf {
        self.directory.path().join("durable")
    }

    async fn world(&self, seed: u64, deaf: Option<&str>) -> World {
        let mut world = World::new(seed).await;
        let from = world.directory.path().canonicalize().unwrap();
        world.environment = vec![
            ("LD_PRELOAD".to_owned(), self.library().display().to_string()),
            ("MLC_SHIM_FROM".to_owned(), from.display().to_string()),
            ("MLC_SHIM_TO".to_owned(), self.durable().display().to_string()),
        ];
        world.environment.extend(deaf.map(|end| ("MLC_SHIM_DEAF".to_owned(), end.to_owned())));
        world
    }

    /// Lets the power fail at moments of chance, and right after commits and posts. Returns how often.
    async fn fail_often(&self, world: &mut World) -> usize {
        let mut dice = Dice::new(3);
        let random = (0..20).map(|_| Death::After(Duration::from_millis(20 + dice.below(250))));
        let points = (1..=10).flat_map(|nth| [AfterCommit(4 * nth), AfterPost(nth)]).map(Death::At);
        let deaths: Vec<Death> = random.chain(points).collect();
        let failures = deaths.len();
        for death in deaths {
            world.live_and_die(death).await;
            restore(world.directory.path(), &self.durable());
        }
        failures
    }
}
