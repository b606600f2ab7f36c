//! Opening: whether the server keeps what it commits, and migrations.

use std::time::Duration;

use deadpool_postgres::tokio_postgres::{Row, types::Type};
use ml_connector_core::{CheckStep, Error, ErrorKind, Result};

use super::{
    chain,
    error::Failure,
    server::{Server, Session, Work, quoted},
};

/// The version of what a schema holds: its tables, and what the engine writes into their blobs. `meta` says which a
/// database has.
const VERSION: i32 = 1;

/// The tables of an empty schema.
const SCHEMA: &str = include_str!("schema_1.sql");

/// The oldest server that can say what became of a transaction by a number that is never used again.
const OLDEST_SERVER: i32 = 130_000;

/// How long another host may take to create the schema.
const PATIENCE: Duration = Duration::from_secs(60);

/// Refuses servers that may lose what they have committed, and creates the schema where there is none.
pub(super) async fn open(server: &Server, chain: bool) -> Result<()> {
    let mut schema = Schema { name: server.schema(), chain };
    let opened = tokio::time::timeout(PATIENCE, server.write_unmarked(&mut schema)).await;
    if opened.unwrap_or(Err(Failure::Late)).map_err(Failure::opening)? {
        server.chain().begin();
    }
    Ok(())
}

/// A schema by its name, and whether it is to keep a chain.
struct Schema<'a> {
    name: &'a str,
    chain: bool,
}

impl Work for Schema<'_> {
    /// Whether it keeps a chain.
    type Output = bool;

    async fn run(&mut self, session: &Session<'_>) -> std::result::Result<bool, Failure> {
        prepare(session, self.name).await?;
        if self.chain {
            chain::begin(session, self.name).await?;
        }
        chain::is_kept(session, self.name).await
    }
}

/// Checks the server, and makes the tables where there are none.
async fn prepare(session: &Session<'_>, schema: &str) -> std::result::Result<(), Failure> {
    check_server(session).await?;
    // One host at a time, whoever starts together: the lock is gone with the transaction.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('ml-connector/' || $1, 0))";
    session.rows(lock, &[(&schema, Type::TEXT)]).await?;
    let found = session
        .rows(
            "SELECT n.oid IS NOT NULL, m.oid IS NOT NULL,
                    (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r')
             FROM (VALUES ($1::text)) AS wanted (name)
             LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.name
             LEFT JOIN pg_catalog.pg_class m ON m.relnamespace = n.oid AND m.relname = 'meta'",
            &[(&schema, Type::TEXT)],
        )
        .await?;
    let row = found.first().ok_or(Failure::Unreadable("the names of schemas"))?;
    let (exists, is_ours, tables): (bool, bool, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !exists {
        session.batch(&format!("CREATE SCHEMA {}", quoted(schema))).await?;
    }
    if !is_ours {
        if tables > 0 {
            return Err(invalid("the schema holds tables of another application: give another name"));
        }
        return session.batch(SCHEMA).await;
    }
    let version = session.rows("SELECT version FROM @meta", &[]).await?;
    match version.first().map(|row| row.try_get::<_, i32>(0)).transpose()? {
        Some(VERSION) => Ok(()),
        other => Err(refused_version(other.unwrap_or_default())),
    }
}

/// What decides whether a commit lasts, and whether the server can be used at all.
const SETTINGS: &str = "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
                               current_setting('server_encoding') = 'UTF8', current_setting('fsync'),
                               current_setting('synchronous_commit'), current_setting('full_page_writes')";

async fn check_server(session: &Session<'_>) -> std::result::Result<(), Failure> {
    let settings = session.rows(SETTINGS, &[]).await?;
    let row = settings.first().ok_or(Failure::Unreadable("the settings of the server"))?;
    if row.try_get::<_, i32>(0)? < OLDEST_SERVER {
        return Err(invalid("the database is too old: Postgres 13 is the first that this works with"));
    }
    if row.try_get::<_, bool>(1)? {
        let standby = "the database is read-only: it is a standby; connect to the primary (target_session_attrs=read-write)";
        return Err(Failure::Refused(Box::new(super::error::unavailable(standby))));
    }
    if !row.try_get::<_, bool>(2)? {
        return Err(invalid("the database cannot hold any text: create it with the encoding UTF8"));
    }
    lossy(row)?.map_or(Ok(()), |remedy| Err(invalid(remedy)))
}

/// What to change where a crash would lose what was committed.
fn lossy(settings: &Row) -> std::result::Result<Option<&'static str>, Failure> {
    let [fsync, commit, pages] = [settings.try_get(3)?, settings.try_get(4)?, settings.try_get(5)?];
    Ok(match (fsync, commit, pages) {
        ("off", _, _) => Some("a crash would lose what was committed: set fsync = on"),
        (_, "off", _) => {
            Some("a crash would lose what was committed: set synchronous_commit = on for this role")
        }
        (_, _, "off") => Some("a crash could damage what was committed: set full_page_writes = on"),
        _ => None,
    })
}

/// Whether what is committed lasts, as the server says now.
pub(super) async fn check(server: &Server) -> CheckStep {
    const STEP: &str = "durability";
    let settings = match server.read("postgres_log.check", SETTINGS, &[]).await {
        Ok(settings) => settings,
        Err(error) => return CheckStep::of(STEP, Err::<(), _>(&error)),
    };
    let found = |row: &Row| -> std::result::Result<CheckStep, Failure> {
        let step =
            lossy(row)?.map_or_else(|| CheckStep::passed(STEP), |remedy| CheckStep::failed(STEP, remedy));
        let [fsync, commit, pages]: [&str; 3] = [row.try_get(3)?, row.try_get(4)?, row.try_get(5)?];
        Ok(step.with_found(format!("fsync={fsync}, synchronous_commit={commit}, full_page_writes={pages}")))
    };
    let step = settings.first().ok_or(Failure::Unreadable("the settings of the server")).and_then(found);
    step.unwrap_or_else(|failure| CheckStep::of(STEP, Err::<(), _>(&failure.during("postgres_log.check"))))
}

fn refused_version(version: i32) -> Failure {
    let refusal = if version > VERSION {
        "the schema was written by a newer version of ml-connector-sql: update this program"
    } else {
        "the schema was written by an older version of ml-connector-sql, whose form this one cannot read"
    };
    let error = Error::new(ErrorKind::ConfigInvalid, refusal).with_context("schema_version", version);
    Failure::Refused(Box::new(error.with_context("known_version", VERSION)))
}

fn invalid(message: &'static str) -> Failure {
    Failure::Refused(Box::new(Error::new(ErrorKind::ConfigInvalid, message)))
}
