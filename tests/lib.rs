//! What benchmarks share.
