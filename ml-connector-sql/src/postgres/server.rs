//! Calls to the server: each with a deadline, repeated where that is safe, and never in doubt where that can be helped.

use std::{fmt, time::Duration};

use deadpool_postgres::{
    Client, Object, Pool,
    tokio_postgres::{
        self, Row, SimpleQueryMessage,
        error::SqlState,
        types::{ToSql, Type},
    },
};
use futures_util::future::join;
use ml_connector_core::Result;
use tokio::time::{sleep, timeout};

use super::{
    PostgresOptions,
    error::{self, Failure},
};
use crate::chain::Chain;

/// A value of a statement, and its type. With types nothing has to be prepared, so that PgBouncer may give every
/// transaction another session.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// The longest pause before something is tried again.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A database, and the schema in it that is ours.
pub(super) struct Server {
    pool: Pool,
    schema: String,
    deadline: Duration,
    chain: Chain,
}

/// What is written in one transaction. It is run again when others were in the way.
pub(super) trait Work: Send {
    /// What it comes to.
    type Output: Send;

    /// Takes the first locks and looks at what they protect. Sent together with `BEGIN`, whose answer is not there yet: so it
    /// writes nothing.
    fn lock(&mut self, _: &Session<'_>) -> impl Future<Output = std::result::Result<(), Failure>> + Send {
        async { Ok(()) }
    }

    /// Runs the statements.
    fn run(
        &mut self,
        session: &Session<'_>,
    ) -> impl Future<Output = std::result::Result<Self::Output, Failure>> + Send;
}

/// Statements on one connection.
pub(super) struct Session<'a> {
    link: Link<'a>,
    server: &'a Server,
}

enum Link<'a> {
    Ours(&'a Client),
    Hosts(&'a tokio_postgres::Transaction<'a>),
}

impl<'a> Session<'a> {
    /// Statements in a transaction of the host's.
    pub(super) fn of_host(transaction: &'a tokio_postgres::Transaction<'a>, server: &'a Server) -> Self {
        Self { link: Link::Hosts(transaction), server }
    }

    pub(super) fn chain(&self) -> &'a Chain {
        &self.server.chain
    }

    /// The rows of a statement, in which `@name` is a name in our schema.
    pub(super) async fn rows(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> std::result::Result<Vec<Row>, Failure> {
        let sql = in_schema(sql, &self.server.schema);
        let rows = match &self.link {
            Link::Ours(client) => client.query_typed(&sql, params).await,
            Link::Hosts(transaction) => transaction.query_typed(&sql, params).await,
        };
        Ok(rows?)
    }

    /// Runs statements without values.
    pub(super) async fn batch(&self, sql: &str) -> std::result::Result<(), Failure> {
        let sql = in_schema(sql, &self.server.schema);
        match &self.link {
            Link::Ours(client) => client.batch_execute(&sql).await?,
            Link::Hosts(transaction) => transaction.batch_execute(&sql).await?,
        }
        Ok(())
    }
}

impl Server {
    pub(super) fn new(pool: Pool, options: &PostgresOptions) -> Self {
        Self { pool, schema: options.schema.clone(), deadline: options.deadline, chain: Chain::default() }
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Writes once in a transaction that leaves no mark: there may be no tables yet.
    pub(super) async fn write_unmarked<W: Work>(
        &self,
        work: &mut W,
    ) -> std::result::Result<W::Output, Failure> {
        let open = Open::idle(self.pool.get().await?);
        let session = open.session(self);
        session.batch("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        work.lock(&session).await?;
        let output = work.run(&session).await?;
        session.batch("COMMIT").await?;
        open.give_back();
        Ok(output)
    }

    /// The rows of one statement that reads, from one state of the database.
    pub(super) async fn read(
        &self,
        operation: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>> {
        let mut last = None;
        let rows = async {
            let mut pauses = Pauses::default();
            loop {
                match self.try_read(sql, params).await {
                    Err(failure) if failure.is_passing() => last = Some(failure),
                    answer => return answer,
                }
                pauses.pause().await;
            }
        };
        let rows = timeout(self.deadline, rows).await;
        rows.unwrap_or_else(|_| Err(last.unwrap_or(Failure::Late)))
            .map_err(|failure| failure.during(operation))
    }

    async fn try_read(&self, sql: &str, params: &[Param<'_>]) -> std::result::Result<Vec<Row>, Failure> {
        let open = Open::idle(self.pool.get().await?);
        let rows = open.session(self).rows(sql, params).await;
        if !rows.as_ref().is_err_and(Failure::has_lost_connection) {
            open.give_back();
        }
        rows
    }

    /// Writes in one transaction. Half of the deadline is for everything before `COMMIT`, the rest for the answer to
    /// that.
    pub(super) async fn write<W: Work>(&self, operation: &'static str, work: &mut W) -> Result<W::Output> {
        let mut last = None;
        let prepared = async {
            let mut pauses = Pauses::default();
            loop {
                match self.try_prepare(work).await {
                    Err(failure) if failure.is_passing() => last = Some(failure),
                    // Once more on a new connection, which finds the new primary if there is one.
                    Err(failure) if failure.is_read_only() && last.is_none() => last = Some(failure),
                    answer => return answer,
                }
                pauses.pause().await;
            }
        };
        let prepared = timeout(self.deadline / 2, prepared).await;
        let prepared = prepared.unwrap_or_else(|_| Err(last.unwrap_or(Failure::Late)));
        let (open, mark, output) = prepared.map_err(|failure| failure.during(operation))?;
        self.commit(operation, open, mark).await.map(|()| output)
    }

    async fn try_prepare<W: Work>(
        &self,
        work: &mut W,
    ) -> std::result::Result<(Open, Mark, W::Output), Failure> {
        let open = Open::idle(self.pool.get().await?);
        let done = async {
            let session = open.session(self);
            // In this order on the way to the server. What came of `BEGIN` counts first: without it the rest fails as well.
            let (mark, locked) = join(self.begin(&open), work.lock(&session)).await;
            let mark = mark?;
            locked?;
            let output = work.run(&session).await?;
            Ok((mark, output))
        };
        match done.await {
            Ok((mark, output)) => Ok((open, mark, output)),
            Err(failure) => {
                let failure: Failure = failure;
                if failure.is_read_only() {
                    // The others lead to the same server.
                    self.pool.retain(|_, _| false);
                }
                if !failure.has_lost_connection() && open.session(self).batch("ROLLBACK").await.is_ok() {
                    open.give_back();
                }
                Err(failure)
            }
        }
    }

    /// Begins a transaction that the server ends by itself when we stand still, and that leaves a mark.
    async fn begin(&self, open: &Open) -> std::result::Result<Mark, Failure> {
        let patience = (self.deadline / 2).as_millis();
        let sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
             SET LOCAL lock_timeout = {patience};
             SET LOCAL idle_in_transaction_session_timeout = {patience};
             INSERT INTO @batch DEFAULT VALUES RETURNING at, id, pg_current_xact_id()"
        );
        let answer = open.client().simple_query(&in_schema(&sql, &self.schema)).await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let text = |column| row.and_then(|row| row.get(column)).map(str::to_owned);
        let mark = (text(0), text(1), text(2));
        let (Some(at), Some(id), Some(transaction)) = mark else {
            return Err(Failure::Unreadable("the mark of a transaction"));
        };
        Ok(Mark { at, id, transaction })
    }

    async fn commit(&self, operation: &'static str, open: Open, mark: Mark) -> Result<()> {
        let answer = timeout(self.deadline / 4, open.client().batch_execute("COMMIT")).await;
        let failure = match answer {
            Ok(Ok(())) => {
                open.give_back();
                return Ok(());
            }
            Ok(Err(cause)) => Failure::Server(cause),
            Err(_) => Failure::Late,
        };
        // The server has said that it did not commit.
        if !failure.has_lost_connection() {
            return Err(failure.during(operation));
        }
        drop(open);
        tracing::warn!(operation, "the answer to COMMIT was lost: its transaction is looked up");
        match timeout(self.deadline / 4, self.look_up(&mark)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(error::not_applied(operation)),
            Err(_) => Err(error::unknown(operation)),
        }
    }

    /// Whether a transaction whose answer was lost was committed. Waits until that is known.
    async fn look_up(&self, mark: &Mark) -> bool {
        let mut pauses = Pauses::default();
        loop {
            if let Ok(answer) = self.try_look_up(mark).await
                && let Some(committed) = answer
            {
                return committed;
            }
            pauses.pause().await;
        }
    }

    /// `None` = the transaction goes on. Its number tells when it is over, and its mark what became of it: a server that
    /// crashed gives the numbers of what it lost to others.
    async fn try_look_up(
        &self,
        Mark { at, id, transaction }: &Mark,
    ) -> std::result::Result<Option<bool>, Failure> {
        let status = "SELECT coalesce(pg_xact_status($1::text::xid8), '')";
        match self.try_read(status, &[(transaction, Type::TEXT)]).await {
            Ok(rows) => {
                if rows
                    .first()
                    .is_some_and(|row| row.try_get(0).is_ok_and(|status: &str| status == "in progress"))
                {
                    return Ok(None);
                }
            }
            // A number that was not given yet: the server has lost it.
            Err(Failure::Server(cause)) if cause.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {}
            Err(failure) => return Err(failure),
        }
        let found = "SELECT 1 FROM @batch WHERE at = $1::text::timestamptz AND id = $2::text::uuid";
        self.try_read(found, &[(at, Type::TEXT), (id, Type::TEXT)]).await.map(|rows| Some(!rows.is_empty()))
    }
}

/// What a transaction can be found by after its connection was lost.
#[derive(Debug)]
struct Mark {
    at: String,
    id: String,
    transaction: String,
}

/// A connection in use. One that is dropped is closed, which undoes its transaction.
struct Open {
    connection: Option<Object>,
}

impl Open {
    fn idle(connection: Object) -> Self {
        Self { connection: Some(connection) }
    }

    fn client(&self) -> &Client {
        self.connection.as_ref().expect("it is taken only by what consumes it")
    }

    fn session<'a>(&'a self, server: &'a Server) -> Session<'a> {
        Session { link: Link::Ours(self.client()), server }
    }

    /// Nothing is under way on it: others may use it.
    fn give_back(mut self) {
        self.connection = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

/// Longer and longer, so that those who are in each other's way get out of it.
#[derive(Debug, Default)]
struct Pauses(u32);

impl Pauses {
    async fn pause(&mut self) {
        sleep((Duration::from_millis(2) * 2_u32.pow(self.0.min(10))).min(LONGEST_PAUSE)).await;
        self.0 += 1;
    }
}

/// Fills in the schema.
fn in_schema(sql: &str, schema: &str) -> String {
    sql.replace('@', &format!("{}.", quoted(schema)))
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("schema", &self.schema).finish_non_exhaustive()
    }
}
