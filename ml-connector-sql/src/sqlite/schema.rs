//! Opening a file: permissions, pragmas, migrations.

use std::{
    fs::OpenOptions,
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use ml_connector_core::{CheckStep, Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{SqliteOptions, error};

/// The version of what a file holds: its tables, and what the engine writes into their blobs. `PRAGMA user_version` says
/// which a file has. Version 1 was never released.
const VERSION: i64 = 2;

/// The tables of an empty file.
const SCHEMA: &str = include_str!("schema_2.sql");

/// Marks files of ours (`mlcn`), so that the database of another application is not migrated by mistake.
const APPLICATION_ID: i64 = 0x6d6c_636e;

type JournalMode = String;

/// How long to wait before a file that another process holds is tried again.
const LOCKED_PAUSE: Duration = Duration::from_millis(20);

/// Opens the file for writing and brings its schema up to date. While another process opens or closes the same file,
/// SQLite says "locked" at once, whatever the busy timeout is; so that is waited out here.
#[allow(clippy::disallowed_methods)] // a lock of another process is waited for in real time
pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let patience = Instant::now() + options.busy_timeout;
    loop {
        match open_once(path, options) {
            Err(error) if error::is_locked(&error) && Instant::now() < patience => {
                thread::sleep(LOCKED_PAUSE);
            }
            opened => return opened,
        }
    }
}

fn open_once(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    create(path).map_err(|cause| {
        invalid("the database cannot be opened: its directory has to exist and be writable for this user")
            .with_source(cause)
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags, options).map_err(|cause| error::opening(&cause))?;
    check_version(&connection)?;
    let mode = prepare(&connection, options).map_err(|cause| error::opening(&cause))?;
    if mode != "wal" {
        return Err(invalid("the file system cannot hold a write-ahead log: give a path on a local disk"));
    }
    migrate(&mut connection).map_err(|cause| error::opening(&cause))?;
    // Looked at again: another process may have migrated the file in between.
    check_version(&connection)?;
    Ok(connection)
}

/// Opens a file that [`open`] has prepared, for reading.
pub(super) fn open_for_reading(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    connect(path, flags, options).map_err(|cause| error::opening(&cause))
}

/// What a file is kept like.
pub(super) struct Kept {
    mode: JournalMode,
    synchronous: i64,
    pages: u64,
    max_pages: u64,
    page_size: u64,
}

/// Looks how the file is kept.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Kept> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok(Kept {
        mode: connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
        synchronous: connection.pragma_query_value(None, "synchronous", |row| row.get(0))?,
        pages: number("page_count")?,
        max_pages: number("max_page_count")?,
        page_size: number("page_size")?,
    })
}

/// What that means.
pub(super) fn steps(Kept { mode, synchronous, pages, max_pages, page_size }: Kept) -> Vec<CheckStep> {
    const FULL: i64 = 2;
    let found = format!("journal_mode={mode}, synchronous={synchronous}");
    let durable = if mode == "wal" && synchronous >= FULL {
        CheckStep::passed("durability")
    } else {
        CheckStep::failed(
            "durability",
            "open the file again: what is written may not survive a power failure",
        )
    };
    let size = format!("{} of {} bytes", pages * page_size, max_pages.saturating_mul(page_size));
    let room = if pages < max_pages - max_pages / 10 {
        CheckStep::passed("room")
    } else {
        CheckStep::warning("room", "raise max_size_bytes, or keep settled entries for a shorter time")
    };
    vec![durable.with_found(found), room.with_found(size)]
}

/// The last number given to an entry.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT last FROM head")?.query_row([], |row| row.get(0))
}

/// Creates the file before SQLite does, so that nobody else can ever read it. SQLite gives its companions
/// (`-wal`, `-shm`) the same mode.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => sync_directory(path),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// Without this a power failure could lose the file's name, and all of it with it.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) { std::fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}

fn connect(path: &Path, flags: OpenFlags, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise a statement is prepared again whenever another value is given to it. Nothing here is planned by values: what an
    // index needs to know stands in the text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -16_384)?; // KiB
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

fn prepare(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<JournalMode> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // macOS only: there a plain fsync does not reach the disk.
    connection.pragma_update(None, "fullfsync", true)?;
    if let Some(max) = options.max_size_bytes {
        let page_size: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = (max / page_size).clamp(1, u64::from(u32::MAX - 1));
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(mode)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

fn check_version(connection: &Connection) -> Result<()> {
    let (id, version, pages) = marks(connection).map_err(|cause| error::opening(&cause))?;
    if pages > 0 && id != APPLICATION_ID && (id, version) != (0, 0) {
        return Err(invalid("the file is the database of another application: give another path"));
    }
    let refusal = match version {
        0 | VERSION => return Ok(()),
        1..VERSION => {
            "the database was written by an older version of ml-connector-sql, whose form this one cannot read: let \
             the program that wrote it finish what waits, then begin with a new file"
        }
        _ => "the database was written by a newer version of ml-connector-sql: update this program",
    };
    let error = invalid(refusal).with_context("schema_version", version);
    Err(error.with_context("known_version", VERSION))
}

/// Whose file it is, the version of its schema, and its size. Read together: another process that migrates the file in
/// between would show half of its marks.
fn marks(connection: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let snapshot = connection.unchecked_transaction()?;
    let read = |pragma| snapshot.pragma_query_value(None, pragma, |row| row.get(0));
    Ok((read("application_id")?, read("user_version")?, read("page_count")?))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_operation("sqlite_log.open")
}
