//! AuditLog and TokenStore of ml-connector on SQLite
