//! Through PgBouncer, which gives every transaction another session.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use ml_connector_core::{AuditLog, conformance};
use ml_connector_sql::{
    PostgresLog,
    tokio_postgres::{Config, NoTls},
};
use tempfile::TempDir;

use super::cluster::{Cluster, cluster, for_nobody, fresh, skip};

const PORT: u16 = 6432;

/// PgBouncer in transaction mode. It ends with this process.
struct Pooler {
    folder: TempDir,
    _guard: Child,
}

impl Pooler {
    async fn start(cluster: &Cluster) -> Option<Self> {
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).is_file());
        let Some(program) = program else {
            skip("no PgBouncer in /usr/sbin");
            return None;
        };
        let folder = TempDir::with_prefix("ml-connector-pg-").unwrap();
        let path = folder.path().display().to_string();
        let config = format!(
            "[databases]\npostgres = host={} dbname=postgres\n[pgbouncer]\nlisten_port = {PORT}\nlisten_addr =\n\
             unix_socket_dir = {path}\nauth_type = trust\nauth_file = {path}/users\npool_mode = transaction\n\
             default_pool_size = 3\nlogfile = {path}/log\n",
            cluster.socket().display()
        );
        fs::write(folder.path().join("config"), config).unwrap();
        fs::write(folder.path().join("users"), "\"postgres\" \"\"\n").unwrap();
        let run = r#""$0" "$1" & cat >/dev/null; kill $!; wait"#;
        let mut shell = for_nobody(Path::new("/bin/sh"), folder.path());
        shell.args(["-c", run, program]).arg(folder.path().join("config"));
        let guard = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { folder, _guard: guard };
        let socket = pooler.folder.path().join(format!(".s.PGSQL.{PORT}"));
        let ready = async {
            // The socket is there before anybody listens.
            while std::os::unix::net::UnixStream::connect(&socket).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready).await.expect("PgBouncer starts");
        Some(pooler)
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).port(PORT).user("postgres").dbname("postgres");
        config
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_every_behavior_through_a_pooler() {
    let Some(cluster) = cluster() else { return };
    let Some(pooler) = Pooler::start(cluster).await else { return };
    conformance::log::all(async || {
        let log = PostgresLog::connect(&pooler.config(), NoTls, &fresh()).await;
        Arc::new(log.unwrap()) as Arc<dyn AuditLog>
    })
    .await;
}
