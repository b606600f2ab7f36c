//! Slack for ml-connector
