//! Exact Online: a source of invoices, orders, journal entries, payments and costs.
