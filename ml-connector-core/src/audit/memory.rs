//! The log in memory.
/// stub
#[derive(Debug, Default)]
pub struct MemoryLog;
