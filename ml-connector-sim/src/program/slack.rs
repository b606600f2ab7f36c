//! Slack on a port.

use std::sync::Arc;

use ml_connector_core::{HttpTransport, SystemClock};
use ml_connector_sim::{SlackSim, slack::SlackConfig};

use crate::{Anything, Options, Round, Running, serve_at, tell};

/// Serves it with an empty workspace.
pub(crate) async fn start(options: &Options) -> std::result::Result<Running, Anything> {
    let mut config = SlackConfig::default();
    config.conditions = options.conditions();
    config.request_url = options.slack_app_url.as_deref().map(str::parse).transpose()?;
    // Everything that is simulated can be tried.
    for scope in ["commands", "im:read", "im:write", "mpim:read", "mpim:write", "reactions:write"] {
        config.scopes.push(scope.to_owned());
    }
    let slack = SlackSim::with_config(Arc::new(SystemClock), config);
    let served = serve_at(slack.router(), options.port("slack")).await?;
    slack.set_hooks_origin(&served.url());
    let guide = guide(&slack, &served.url(), options);
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let slack = slack.clone();
        Box::pin(async move {
            for attempt in slack.deliver(&*transport).await {
                tell("slack", &attempt.about.name, attempt.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

fn guide(slack: &SlackSim, url: &str, options: &Options) -> String {
    let bot_token = slack.bot_token();
    let signing_secret = slack.signing_secret();
    let signing_secret = signing_secret.expose();
    let app = match &options.slack_app_url {
        Some(url) => format!("{url} is sent events and clicks"),
        None => "none; name one with --slack-app-url".to_owned(),
    };
    format!(
        "\
Slack       {url}/   shows the channels
  Web API          {url}/api
  bot token        {bot_token}
  signing secret   {signing_secret}
  app              {app}
Post to Slack:
  curl -H 'Authorization: Bearer {bot_token}' -d 'channel=C07ACCTNG1&text=Hello' {url}/api/chat.postMessage
"
    )
}
