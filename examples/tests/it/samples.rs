//! The files that people copy, as they are and with everything in them switched on.

use std::path::Path;

use ml_connector_core::Connector;
use ml_connector_examples::connections::Connections;

/// The connector of `connections.toml` and the `routes.toml` that it names, with something in place of each variable.
fn connector(all: bool) -> (tempfile::TempDir, Connector) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for line in std::fs::read_to_string(samples.join("connections.toml")).unwrap().lines() {
        // Settings that are switched off are TOML behind a mark; words for people are not.
        let setting = line.strip_prefix("# ").filter(|line| line.contains(" = ") || line.starts_with("[["));
        let line = setting.filter(|_| all).unwrap_or(line);
        let (before, variable) = line.split_once("\"env:").unwrap_or((line, ""));
        let name = variable.trim_end_matches('"');
        let value = match name {
            "" => "",
            "ZOHO_ORGANIZATION_ID" => "778812345",
            "FRESHBOOKS_REDIRECT_URI" => "https://erp.example.com/connected",
            "BC_TENANT" | "BC_COMPANY_ID" => "3f9d6a1e-58c4-ef11-8a77-6045bd2f5510",
            "DATABRICKS_HOST" => "https://adb-1.azuredatabricks.net",
            _ => "planted",
        };
        text += &if name.is_empty() { format!("{line}\n") } else { format!("{before}\"{value}\"\n") };
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(samples.join("routes.toml"), folder.path().join("routes.toml")).unwrap();
    let text = text.replace("connector.db", folder.path().join("connector.db").to_str().unwrap());
    let file = folder.path().join("connections.toml");
    std::fs::write(&file, &text).unwrap();
    let built = Connections::read(&file).and_then(Connections::connect).and_then(|builder| builder.build());
    let built = built.unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    (folder, built)
}

#[tokio::test]
async fn the_sample_connections_and_routes_make_a_connector_as_they_are() {
    let (_folder, sample) = connector(false);
    let health = sample.health().await.unwrap();
    assert_eq!(health.connections.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["books", "slack"]);
    let (_folder, sample) = connector(true);
    let health = sample.health().await.unwrap();
    let all = ["books", "erp", "exact", "freshbooks", "lake", "slack"];
    assert_eq!(health.connections.keys().map(|id| id.as_str()).collect::<Vec<_>>(), all);
}
