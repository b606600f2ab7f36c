//! Chromium and its driver, started and ended by a test.

use std::{io::Write, path::Path, process::Stdio, time::Duration};

use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use url::Url;

const DRIVER: &str = "/usr/bin/chromedriver";
const CHROMIUM: &str = "/usr/bin/chromium";

/// A browser with nothing in it.
pub(super) struct Browser {
    pub(super) client: Client,
    driver: Child,
}

impl Browser {
    /// Starts one; `None` where there is none and none is required.
    pub(super) async fn start() -> Option<Self> {
        if !Path::new(DRIVER).exists() || !Path::new(CHROMIUM).exists() {
            let required = std::env::var_os("ML_CONNECTOR_REQUIRE_BROWSER").is_some();
            assert!(!required, "Debian's packages chromium and chromium-driver are not installed");
            _ = writeln!(std::io::stderr(), "SKIPPED: needs Debian's packages chromium and chromium-driver");
            return None;
        }
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("successfully on port ") {
                    return rest.trim_end_matches('.').parse::<u16>().unwrap();
                }
            }
            panic!("the driver ended");
        };
        let port = tokio::time::timeout(Duration::from_secs(60), port).await.unwrap();
        // The driver goes on to write.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": CHROMIUM,
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"],
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities);
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        Some(Self { client, driver })
    }

    pub(super) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What a script returns, as text.
    pub(super) async fn script(&self, script: &str) -> String {
        match self.client.execute(script, Vec::new()).await.unwrap() {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// What the browser has complained of since it was asked last: errors of scripts, and what the policy refused. That there
    /// is no such page is an answer and no complaint.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", json!({"type": "browser"})).await;
        let lines = log
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned());
        lines.filter(|line| !line.contains("status of 404")).collect()
    }

    /// A window as wide as this, in dark or in light.
    pub(super) async fn looks_like(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// A script that runs before those of every page.
    pub(super) async fn before_pages(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    }

    async fn devtools(&self, command: &str, params: Value) {
        self.command("goog/cdp/execute", json!({"cmd": command, "params": params})).await;
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Own { path, body }).await.unwrap()
    }

    pub(super) async fn end(mut self) {
        self.client.close().await.unwrap();
        self.driver.kill().await.unwrap();
    }
}

/// A command of Chromium's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
