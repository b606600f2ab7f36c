//! Where the connector records everything and keeps its tokens: a SQLite file, encrypted when there is a key.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ml_connector_core::{
    AuditLog, Error, ErrorKind, Result, TokenStore,
    audit::ChainedLog,
    encryption::{EncryptLog, EncryptTokens, EncryptedLog, Key, KeyRing},
};
use ml_connector_sql::{SqliteLog, SqliteOptions};
use tempfile::TempDir;

/// The variable with the keys. `examples/.env.example` says how to make one.
const KEY: &str = "ML_CONNECTOR_KEY";
/// The variable that has a log keep a chain, as evidence of tampering, from then on.
const CHAIN: &str = "ML_CONNECTOR_CHAIN";
/// The variable with the file that a story on simulators is kept in.
const KEPT_IN: &str = "ML_CONNECTOR_LOG";
/// How much is encrypted anew at once.
const PAGE: usize = 500;

/// The file of a story on simulators: gone with it, or kept where `ML_CONNECTOR_LOG` says, for the example `operator`.
#[derive(Debug)]
pub struct StoryFile {
    database: PathBuf,
    folder: Option<TempDir>,
}

impl StoryFile {
    /// Chooses the file.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no folder for temporary files.
    pub fn new() -> Result<Self> {
        if let Some(database) = std::env::var_os(KEPT_IN) {
            return Ok(Self { database: database.into(), folder: None });
        }
        let folder = tempfile::tempdir().map_err(|source| {
            Error::new(ErrorKind::Unavailable, "no temporary folder").with_source(source)
        })?;
        Ok(Self { database: folder.path().join("connector.db"), folder: Some(folder) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.database
    }

    /// What becomes of it, as a sentence.
    #[must_use]
    pub fn fate(&self) -> String {
        match self.folder {
            Some(_) => format!("The log goes with the story: {KEPT_IN}=story.db keeps it."),
            None => format!(
                "Look into the log: cargo run --example operator -- --log {} search",
                self.database.display()
            ),
        }
    }
}

/// A log and a token store in one file.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The log.
    pub log: Arc<dyn AuditLog>,
    /// The tokens.
    pub tokens: Arc<dyn TokenStore>,
    /// What checks the log, where it keeps a chain.
    pub chain: Arc<dyn ChainedLog>,
    /// The log once more, where it is encrypted: what encrypts anew what it holds.
    pub encrypted: Option<Arc<EncryptedLog>>,
}

impl Stores {
    /// Opens the file, encrypted with the keys of `ML_CONNECTOR_KEY`. What it holds in clear, or under an older key, is
    /// encrypted first. Without the variable everything is stored in clear, and the program says so.
    ///
    /// # Errors
    /// As [`SqliteLog::open`], [`KeyRing::from_env`] and [`EncryptLog::encrypted`].
    pub async fn open(database: &Path) -> Result<Self> {
        let stores = Self::as_they_are(database).await?;
        stores.encrypt_all().await?;
        Ok(stores)
    }

    /// The same, without encrypting what is there already: it stays readable.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn as_they_are(database: &Path) -> Result<Self> {
        match KeyRing::from_env(KEY)? {
            Some(ring) => Self::with_keys(database, ring).await,
            None => {
                eprintln!(
                    "{KEY} is not set: tokens, payloads and messages are stored in clear in {}.",
                    database.display()
                );
                Ok(Self::unencrypted(file(database)?))
            }
        }
    }

    /// A log and its tokens, as the file holds them.
    #[must_use]
    pub fn unencrypted(file: SqliteLog) -> Self {
        Self {
            tokens: Arc::new(file.token_store()),
            log: Arc::new(file.clone()),
            chain: Arc::new(file),
            encrypted: None,
        }
    }

    /// Opens a file of a simulation, encrypted with a key that nobody else ever has unless there is one in the
    /// environment. A file that is kept needs one of the environment: nobody could read it otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] for a file that is kept, without a key; as [`open`](Self::open).
    pub async fn for_simulation(database: &Path) -> Result<Self> {
        let ring = match KeyRing::from_env(KEY)? {
            Some(ring) => ring,
            None if std::env::var_os(KEPT_IN).is_some() => {
                let message = "this story encrypts its log: to keep it, set a key as well";
                return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("variable", KEY));
            }
            None => KeyRing::new(Key::generate("simulation")?),
        };
        let stores = Self::with_keys(database, ring).await?;
        stores.encrypt_all().await?;
        Ok(stores)
    }

    async fn with_keys(database: &Path, ring: KeyRing) -> Result<Self> {
        eprintln!("What is written to {} is encrypted with the key {}.", database.display(), ring.active());
        let file = file(database)?;
        // Tokens in clear are taken: one from before is encrypted when it is refreshed.
        let tokens = file.token_store().encrypted(ring.clone()).accepting_clear();
        let log = Arc::new(file.clone().encrypting(ring).await?);
        Ok(Self {
            log: Arc::clone(&log) as Arc<dyn AuditLog>,
            tokens: Arc::new(tokens),
            chain: Arc::new(file),
            encrypted: Some(log),
        })
    }

    /// Encrypts what is in clear or under an older key, if there are keys.
    async fn encrypt_all(&self) -> Result<()> {
        let Some(log) = &self.encrypted else { return Ok(()) };
        loop {
            let so_far = log.reencrypt(PAGE).await?;
            if so_far.is_done {
                return Ok(());
            }
            if so_far.entries + so_far.documents > 1 {
                eprintln!("Encrypting: {} entries, {} documents.", so_far.entries, so_far.documents);
            }
        }
    }
}

fn file(database: &Path) -> Result<SqliteLog> {
    let options = SqliteOptions::default();
    let options = if std::env::var_os(CHAIN).is_some() { options.with_chain() } else { options };
    SqliteLog::open_with(database, &options)
}

/// Which of these texts stand in the database or its write-ahead log, byte by byte.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when a file cannot be read.
pub fn in_clear<'a>(database: &Path, texts: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut found = Vec::new();
    let wal = database.with_extension("db-wal");
    for file in [database, &wal].into_iter().filter(|file| file.exists()) {
        let bytes = std::fs::read(file).map_err(|source| {
            Error::new(ErrorKind::Unavailable, "the database cannot be read").with_source(source)
        })?;
        let stands = |text: &&&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        found.extend(texts.iter().filter(stands));
    }
    Ok(found)
}
