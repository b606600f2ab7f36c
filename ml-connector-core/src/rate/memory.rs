//! The limiter in memory.
/// stub
#[derive(Debug, Default)]
pub struct MemoryRateLimiter;
