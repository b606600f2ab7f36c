//! Zoho Books for ml-connector
