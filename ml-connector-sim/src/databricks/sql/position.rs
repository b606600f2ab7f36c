//! Places in the text of a statement.

/// Where a token begins. Two places are always equal: trees are compared by what they say.
#[derive(Debug, Clone, Copy, Default, Eq)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: u32,
    /// From 0, in characters.
    pub(crate) column: u32,
}

impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
