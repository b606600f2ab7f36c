//! What a refresh does to the refresh token.

/// What happens to the refresh token at a refresh, and therefore what a lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// It stays: a lost answer costs nothing.
    None,
    /// It is replaced; the vendor answers a repeated refresh once more, if it comes soon.
    RetryOnce,
    /// It is replaced and works once: a lost answer leaves doubt until one try settles it.
    SingleUse,
}
