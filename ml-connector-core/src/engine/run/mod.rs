//! Run: the loop that holds partitions, finds work, starts it, and takes its results back.

mod ahead;
mod batches;
mod discover;
mod handover;
mod housekeeping;
mod maintenance;
mod partitions;
mod runner;
mod signals;
mod turns;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use self::runner::Runner;
use super::{notices::hear_resumed, retry::LOG_PAUSE, shared::Shared};
use crate::{Connector, model::Partition};

/// How long the log is trusted to tell about commits of other processes.
const HINT: Duration = Duration::from_secs(30);
/// How often what other processes commit is looked for at most: our own commits tell by themselves.
const HINT_GAP: Duration = Duration::from_millis(200);

impl Connector {
    /// Does the work: reads what signals are about, delivers what follows, until `shutdown` completes. Call it once
    /// per host and log, and keep it running; webhooks are taken without it, too, and wait in the log.
    ///
    /// After the shutdown nothing new begins. Work under way may finish within the settings'
    /// [`grace`](crate::engine::Settings::grace); what does not is looked up at the next start. Then the partitions are given
    /// back.
    ///
    /// A log that does not work is tried again until it does, so nothing ends this but the shutdown.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let owner: Arc<str> = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            u64::try_from(self.shared.clock.now().as_secs()).unwrap_or(0),
            0,
        ))
        .to_string()
        .into();
        let _answers = self.shared.mailbox.running();
        let mut shutdown = pin!(shutdown);
        loop {
            let mut runner = Runner::new(Arc::clone(&self.shared), Arc::clone(&owner));
            self.shared.mailbox.wake_all();
            // Whatever it waits for at that moment, be it a log that does not answer, it does not wait any longer.
            let is_over = tokio::select! {
                biased;
                () = &mut shutdown => true,
                () = runner.work_on() => false,
            };
            runner.stop().await;
            if is_over {
                return;
            }
            tracing::warn!("the clock was ahead and was set back: work begins anew");
        }
    }
}

impl Runner {
    /// Works, and ends only when the clock was ahead and is set back: whatever waits for its time would wait until the clock
    /// has caught up.
    async fn work_on(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut hints = pin!(hints(&shared));
        let mut resumed = pin!(hear_resumed(&shared));
        while !self.is_set_back() {
            self.renew().await;
            self.recall().await;
            self.tell_log();
            self.save_counts().await;
            self.discover().await;
            self.start();
            self.answer();
            self.prune();
            self.keep_alive();
            self.go_on_with_acts();
            self.tell_put_off();
            self.obey_forgotten();
            self.write_history();
            #[cfg(feature = "metrics")]
            self.show_gauges();
            let leases = &self.leases;
            self.maintenance.begin(&shared, |partition| leases.contains_key(&partition), &mut self.tellers);
            let pause = self.pause();
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => self.finish(ended),
                Some(_) = self.tellers.join_next() => {}
                () = shared.mailbox.wait() => {}
                () = &mut hints => {}
                () = &mut resumed => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Looks for what other processes commit. Never ends.
async fn hints(shared: &Shared) {
    let all: Vec<Partition> = Partition::all().collect();
    let mut looked_at = shared.clock.now();
    loop {
        match shared.log.wait(&all, HINT).await {
            Ok(news) if !news.is_empty() && shared.clock.now().saturating_since(looked_at) < HINT => {
                shared.mailbox.wake(&news);
            }
            // It is not trusted for longer, also while there is news all the time: one look at everything.
            Ok(_) => {
                shared.mailbox.wake_all();
                looked_at = shared.clock.now();
            }
            Err(error) => {
                tracing::debug!(%error, "the log cannot tell about other processes");
                tokio::time::sleep(LOG_PAUSE).await;
                shared.mailbox.wake_all();
            }
        }
        tokio::time::sleep(HINT_GAP).await;
    }
}
