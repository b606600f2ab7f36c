//! FreshBooks: a source of invoices, payments, bills and expenses.
