//! How bytes are shown that may hold anything.

use std::fmt;

use bytes::Bytes;

/// Shows how many bytes there are, and none of them.
pub(crate) struct Size<'a>(pub(crate) &'a [u8]);

impl<'a> Size<'a> {
    /// Of bytes that need not be there.
    pub(crate) fn of(bytes: &'a Option<Bytes>) -> Option<Self> {
        bytes.as_deref().map(Self)
    }
}

impl fmt::Debug for Size<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
