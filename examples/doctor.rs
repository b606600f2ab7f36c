//! Whether everything is there that a connector needs: one line for each step, and what to do where it fails.
//!
//! ```console
//! cargo run --example doctor                              # six simulated systems
//! cargo run --example doctor -- examples/connections.toml # your own, after filling in what the file names
//! cargo run --example doctor -- examples/connections.toml --json
//! ```
//!
//! It ends with 0 when nothing failed, and with 1 otherwise. It sends nothing to anybody and does not run the connector.

use std::{path::Path, process::ExitCode, sync::Arc};

use ml_connector_core::{CheckResult, Connector, Error, ErrorKind, Result, SystemClock};
use ml_connector_examples::{
    connections::Connections,
    host::{exit, log_from},
    stores::Stores,
};
use ml_connector_sim::{
    BusinessCentralSim, Conditions, DatabricksSim, ExactOnlineSim, FreshBooksSim, SimTransport, SlackSim,
    ZohoBooksSim,
};

#[tokio::main]
async fn main() -> ExitCode {
    log_from("off");
    let (flags, files): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let as_json = flags.iter().any(|flag| flag == "--json");
    let connector = match files.first() {
        Some(file) => own(Path::new(file)).await,
        None => simulated(as_json),
    };
    exit(match connector {
        Ok(connector) => examine(&connector, as_json).await,
        Err(error) => Err(error),
    })
}

/// The systems of a file, on its log; encrypted where there is a key.
async fn own(file: &Path) -> Result<Connector> {
    let found = Connections::read(file)?;
    let stores = Stores::open(&found.database).await?;
    found.connect_to(stores)?.build()
}

/// Looks at everything, and says what was found. `Ok(false)` = something has failed.
async fn examine(connector: &Connector, as_json: bool) -> Result<bool> {
    let check = connector.check().await;
    if as_json {
        let json = serde_json::to_string_pretty(&check).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "what was found cannot be written").with_source(source)
        })?;
        println!("{json}");
        return Ok(check.is_good());
    }
    let mut about = ("", "");
    for (of, name, step) in check.steps() {
        if about != (of, name) {
            println!("{of} {name}");
            about = (of, name);
        }
        let mark = match step.result {
            CheckResult::Passed => "ok  ",
            CheckResult::Skipped => "-   ",
            CheckResult::Warning => "look",
            _ => "FAIL",
        };
        let found = step.found.as_ref().map_or_else(String::new, |found| format!(": {found}"));
        println!("  {mark} {}{found}", step.step);
        if let Some(remedy) = &step.remedy {
            println!("       → {remedy}");
        }
    }
    let failed = check.steps().filter(|(.., step)| step.result == CheckResult::Failed).count();
    println!(
        "\n{}",
        if failed == 0 { "Nothing has failed.".to_owned() } else { format!("{failed} failed.") }
    );
    Ok(check.is_good())
}

/// Six systems that answer in this process, connected by a file as anybody writes one.
fn simulated(quietly: bool) -> Result<Connector> {
    let clock = || Arc::new(SystemClock) as _;
    let (zoho, freshbooks) = (ZohoBooksSim::new(clock()), FreshBooksSim::new(clock()));
    let (exact, erp) = (ExactOnlineSim::new(clock()), BusinessCentralSim::new(clock()));
    let (slack, lake) = (SlackSim::new(clock()), DatabricksSim::new(clock()));
    // Nobody waits for a network that is not there.
    zoho.set_conditions(Conditions::kind());
    exact.set_conditions(Conditions::kind());
    lake.set_conditions(Conditions::kind());
    freshbooks.set_conditions(Conditions::kind());
    erp.set_conditions(Conditions::kind());
    slack.set_conditions(Conditions::kind());
    let folder = tempfile::tempdir()
        .map_err(|source| Error::new(ErrorKind::Unavailable, "no temporary folder").with_source(source))?;
    let (z, f, x) = (zoho.credentials(), freshbooks.credentials(), exact.credentials());
    let (b, d) = (erp.credentials(), lake.credentials());
    let file = format!(
        r#"
        [[connection]]
        system = "zoho_books"
        connection = "zoho"
        organization_id = "{}"
        data_center = "us"
        client_id = "{}"
        client_secret = "{}"
        refresh_token = "{}"
        mode = "poll"

        [[connection]]
        system = "freshbooks"
        connection = "freshbooks"
        account_id = "{}"
        client_id = "{}"
        client_secret = "{}"
        redirect_uri = "{}"
        refresh_token = "{}"

        [[connection]]
        system = "exact_online"
        connection = "exact"
        division = {}
        client_id = "{}"
        client_secret = "{}"
        refresh_token = "{}"
        mode = "poll"

        [[connection]]
        system = "business_central"
        connection = "erp"
        tenant = "{}"
        environment = "{}"
        company_id = "{}"
        client_id = "{}"
        client_secret = "{}"
        mode = "poll"

        [[connection]]
        system = "slack"
        connection = "slack"
        token = "{}"

        [[connection]]
        system = "databricks"
        connection = "lake"
        host = "{}"
        warehouse_id = "{}"
        catalog = "main"
        schema = "ml_finance"
        client_id = "{}"
        client_secret = "{}"
        "#,
        z.organization_id,
        z.client_id,
        z.client_secret,
        z.refresh_token,
        f.account_id,
        f.client_id,
        f.client_secret,
        f.redirect_uri,
        f.refresh_token,
        x.division,
        x.client_id,
        x.client_secret,
        x.refresh_token,
        b.tenant,
        b.environment,
        b.company_id,
        b.client_id,
        b.client_secret,
        slack.bot_token(),
        lake.host(),
        d.warehouse_id,
        d.client_id,
        d.client_secret,
    );
    let mut connections = Connections::parse(&file)?;
    connections.database = folder.keep().join("connector.db");
    if !quietly {
        println!(
            "Six simulated systems. Name a file to look at your own: examples/connections.toml is one.\n"
        );
    }
    let network = SimTransport::new()
        .with_zoho_books(&zoho)
        .with_freshbooks(&freshbooks)
        .with_exact_online(&exact)
        .with_slack(&slack)
        .with_databricks(&lake)
        // Databricks may be asked with tokens of Entra's as well; here that host is Business Central's.
        .with_business_central(&erp);
    connections.connect()?.transport(network).build()
}
