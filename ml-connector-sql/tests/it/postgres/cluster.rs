//! A Postgres server of our own: started from installed binaries in a temporary folder, reached through a socket in
//! it, gone with the process, however that ends.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ml_connector_sql::{
    LeaseClock, PostgresLog, PostgresOptions, tokio_postgres::Config, tokio_postgres::NoTls,
};
use tempfile::TempDir;

/// Set to `1`, tests fail where they would be skipped.
const REQUIRE: &str = "ML_CONNECTOR_REQUIRE_POSTGRES";

/// Whom the server runs as when the tests run as root, as whom it refuses to: `nobody` has this number on every system.
const NOBODY: u32 = 65_534;

/// A server, and the folder with all it has.
pub(crate) struct Cluster {
    binaries: PathBuf,
    folder: TempDir,
    as_nobody: bool,
    /// Ends the server once its input ends, which it does with this process.
    _guard: Child,
}

/// The server that the tests of this process share. `None` = there are no server binaries, and the test is skipped.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[])).as_ref()
}

impl Cluster {
    /// Starts a server of its own, with settings such as `max_connections=20`.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        let Some(binaries) = binaries() else {
            skip("no Postgres server: `initdb` is neither on the path nor in /usr/lib/postgresql");
            return None;
        };
        let cluster = Self::in_a_folder(binaries);
        cluster.run("initdb", &["-A", "trust", "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8"]);
        cluster.configure(settings);
        cluster.start_server();
        Some(cluster)
    }

    /// A standby that follows this server, and takes its place when it is promoted.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::in_a_folder(self.binaries.clone());
        let (server, data) = (self.socket().display().to_string(), standby.data().display().to_string());
        let from = ["-h", &server, "-U", "postgres", "-D", &data];
        standby
            .run("pg_basebackup", &[&from[..], &["-R", "-X", "stream", "-c", "fast", "--no-sync"]].concat());
        // Its own socket, instead of that of the server that it is a copy of.
        standby.configure(&[]);
        standby.start_server();
        standby
    }

    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["promote", "-w", "-s", "-t", "120"]);
    }

    fn in_a_folder(binaries: PathBuf) -> Self {
        let folder = TempDir::with_prefix("ml-connector-pg-").unwrap();
        let as_nobody = fs::metadata(folder.path()).unwrap().uid() == 0;
        if as_nobody {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let guard = guard(&binaries, folder.path(), as_nobody);
        Self { binaries, folder, as_nobody, _guard: guard }
    }

    /// The last line of a setting counts.
    fn configure(&self, settings: &[&str]) {
        let file = self.data().join("postgresql.conf");
        let mut config = fs::read_to_string(&file).unwrap();
        let socket = self.socket().display();
        config.push_str(&format!("unix_socket_directories = '{socket}'\nlisten_addresses = ''\n"));
        settings.iter().for_each(|setting| config.push_str(&format!("{setting}\n")));
        fs::write(file, config).unwrap();
    }

    /// The folder with the server's socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The folder with everything that the server stores.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn start_server(&self) {
        let log = self.folder.path().join("server.log");
        self.run("pg_ctl", &["start", "-w", "-s", "-t", "120", "-l", &log.display().to_string()]);
    }

    /// `fast` or `immediate`: the latter is as good as a crash.
    pub(crate) fn stop_server(&self, mode: &str) {
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", mode]);
    }

    /// How to connect as the superuser, or as a role of this name.
    pub(crate) fn config(&self, role: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket()).user(role).dbname("postgres");
        config
    }

    /// Runs statements as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        let (client, connection) = self.config("postgres").connect(NoTls).await.unwrap();
        let (done, _) = tokio::join!(
            async {
                let done = client.batch_execute(sql).await;
                drop(client);
                done
            },
            connection
        );
        done.unwrap();
    }

    /// A log in a schema that nobody else uses.
    pub(crate) async fn log(&self) -> PostgresLog {
        self.open(&fresh()).await
    }

    pub(crate) async fn open(&self, options: &PostgresOptions) -> PostgresLog {
        PostgresLog::connect(&self.config("postgres"), NoTls, options).await.unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = command(&self.binaries, program, self.folder.path(), self.as_nobody);
        let output =
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // What the server inherits of our output would hold it open.
        let done =
            output.stderr(fs::File::create(self.folder.path().join("errors")).unwrap()).status().unwrap();
        let errors = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
        let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        assert!(done.success(), "{program} failed: {errors}\n{log}");
    }
}

/// Options for a schema that nobody else uses, with time made up by the tests, and more patience than a busy machine needs.
pub(crate) fn fresh() -> PostgresOptions {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(0);
    PostgresOptions::default()
        .with_schema(format!("Test \"{}\"", SCHEMAS.fetch_add(1, Ordering::SeqCst)))
        .with_lease_clock(LeaseClock::Caller)
        .with_deadline(Duration::from_secs(120))
        .with_connections(6)
}

/// Says that a test is skipped, or fails where none may be.
pub(crate) fn skip(why: &str) {
    assert!(env::var_os(REQUIRE).is_none_or(|value| value != "1"), "{REQUIRE} is 1, but there is {why}");
    // Not by `eprintln!`: what that says in a test that passes, nobody sees.
    _ = writeln!(io::stderr(), "SKIPPED: there is {why}");
}

/// A program for a folder of ours, as a user that servers accept: the folder is theirs then.
pub(crate) fn for_nobody(program: &Path, folder: &Path) -> Command {
    let as_nobody = fs::metadata(folder).unwrap().uid() == 0;
    if as_nobody {
        for path in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).chain([folder.to_owned()])
        {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    command(program.parent().unwrap(), &program.file_name().unwrap().to_string_lossy(), folder, as_nobody)
}

/// Where the server's programs are: on the path, or where Debian has them.
fn binaries() -> Option<PathBuf> {
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    let mut folders = on_path.into_iter().chain(debian.into_iter().rev());
    // Where the program itself is, so are the others: on the path may be a link to one of them.
    let initdb = folders.find_map(|folder| folder.join("initdb").canonicalize().ok())?;
    initdb.parent().map(Path::to_owned)
}

fn command(binaries: &Path, program: &str, folder: &Path, as_nobody: bool) -> Command {
    let program = binaries.join(program);
    let mut command = if as_nobody {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).env("PGDATA", folder.join("data")).env("LC_ALL", "C");
    command
}

fn guard(binaries: &Path, folder: &Path, as_nobody: bool) -> Child {
    let stop = r#"cat >/dev/null; "$0/pg_ctl" stop -s -m immediate; cd /; rm -rf "$1""#;
    let mut shell = command(Path::new("/bin"), "sh", folder, as_nobody);
    shell.args(["-c", stop]).arg(binaries).arg(folder);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
