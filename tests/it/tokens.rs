//! Two processes share one chain of tokens in one file, in real time, under Exact Online's rules made a hundred
//! times quicker. One of them is killed at every step of a refresh.

mod host;
mod vendor;

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

use self::{
    host::{Job, Point, Said},
    vendor::Vendor,
};

/// How long a token lives, and how old it has to be before the vendor renews it.
const LIFE: Duration = Duration::from_secs(6);
const FLOOR: Duration = Duration::from_millis(5_700);
/// How long one token request may take. A dead process keeps the other away for twice as long and five seconds.
const REQUEST: Duration = Duration::from_secs(1);
/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The refresh at which a process dies; its own first one was quiet.
const REFRESH: u32 = 2;

/// Where a process dies, and whether an answer dies with it that nobody else has.
const DEATHS: [(Point, bool); 10] = [
    (Point::BeforeSwap(1), false), // the claim
    (Point::AfterSwap(1), false),
    (Point::BeforeSwap(2), false), // about to send
    (Point::AfterSwap(2), false),
    (Point::BeforeRequest, false),
    (Point::AfterRequest, true),
    (Point::BeforeSwap(3), true), // the answer
    (Point::AfterSwap(3), false),
    (Point::BeforeSwap(4), false), // the new tokens
    (Point::AfterSwap(4), false),
];

// Proves: tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_of_a_refresh_loses_no_token_but_one_whose_answer_it_took_along() {
    let worlds = DEATHS.map(|(point, lost)| tokio::spawn(die_and_take_over(point, lost)));
    for ((point, _), world) in DEATHS.iter().zip(worlds) {
        world.await.unwrap_or_else(|error| panic!("{point}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_refresh_once_per_period_and_never_too_early() {
    let world = World::new().await;
    let mut processes = [world.start(None), world.start(None)];
    tokio::time::sleep(LIFE * 10).await;
    for process in &mut processes {
        assert!(process.said().iter().all(|said| matches!(said, Said::Token(_))));
    }
    let granted = world.vendor.granted();
    assert!((10..=11).contains(&granted), "{granted} refreshes in ten periods");
    assert_eq!(world.vendor.refused(), [""; 0]);
}

/// A process dies, another one goes on, and a third one joins it.
async fn die_and_take_over(point: Point, lost: bool) {
    let world = World::new().await;
    let mut first = world.start(Some(point));
    assert_eq!(first.next().await, Some(Said::Token(1)));
    while first.next().await.is_some() {}
    assert!(first.was_killed().await, "it ended by itself");
    let at_death = world.vendor.granted();
    assert_eq!(at_death, if asked_before(point) { REFRESH } else { REFRESH - 1 });

    let mut second = world.start(None);
    if lost {
        while let Some(said) = second.next().await {
            match said {
                Said::Token(token) => assert_eq!(token, REFRESH - 1, "the old one, while it lives"),
                Said::ReconnectRequired => break,
            }
        }
        assert_eq!(world.vendor.refused(), ["invalid_grant"], "the spent token was tried once");
        assert_eq!(world.vendor.granted(), at_death);
        return;
    }
    // The last token is from after the take-over; it was renewed once more, with two processes at it.
    let goal = REFRESH + 1;
    second.wait_for(goal).await;
    let mut third = world.start(None);
    second.wait_for(goal + 1).await;
    third.wait_for(goal + 1).await;
    assert_eq!(world.vendor.refused(), [""; 0]);
    assert_eq!(world.vendor.granted(), goal + 1);
}

fn asked_before(point: Point) -> bool {
    !matches!(point, Point::BeforeSwap(1 | 2) | Point::AfterSwap(1 | 2) | Point::BeforeRequest)
}

/// A vendor, and a file that processes share.
struct World {
    vendor: Arc<Vendor>,
    directory: TempDir,
    token_url: String,
}

impl World {
    async fn new() -> Self {
        let (vendor, address) = Vendor::serve(LIFE, FLOOR).await;
        let token_url = format!("http://{address}/token");
        Self { vendor, directory: TempDir::new().unwrap(), token_url }
    }

    fn start(&self, point: Option<Point>) -> Process {
        let job = Job { database: self.database(), token_url: self.token_url.clone(), point };
        let mut child = Command::from(job.command())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, said) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(said) = Said::parse(&line)
                    && tell.send(said).is_err()
                {
                    return;
                }
            }
        });
        Process { child, said }
    }

    fn database(&self) -> std::path::PathBuf {
        Path::join(self.directory.path(), "tokens.db")
    }
}

/// A process that asks for tokens all the time, and what it says.
struct Process {
    child: Child,
    said: mpsc::UnboundedReceiver<Said>,
}

impl Process {
    /// What it says next; `None` when it is dead.
    async fn next(&mut self) -> Option<Said> {
        tokio::time::timeout(PATIENCE, self.said.recv()).await.expect("it says something, or dies")
    }

    /// Waits until it has this token.
    async fn wait_for(&mut self, token: u32) {
        while let Some(said) = self.next().await {
            assert!(matches!(said, Said::Token(_)), "{said:?}");
            if said == Said::Token(token) {
                return;
            }
        }
        panic!("it died before it had token {token}");
    }

    /// What it has said so far.
    fn said(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.said.try_recv().ok()).collect()
    }

    async fn was_killed(&mut self) -> bool {
        let status = self.child.wait().await.unwrap();
        std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
    }
}
