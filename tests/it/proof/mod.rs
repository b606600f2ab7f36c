//! A connector in a process that dies, between a vendor and webhooks that outlive it.

pub(crate) mod host;
pub(crate) mod ledger;
pub(crate) mod pause;
mod vendor;
mod world;

pub(crate) use vendor::{Post, Vendor};
pub(crate) use world::{Death, World, restore};

/// Reproducible dice (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }

    /// A place in a list of this length.
    pub(crate) fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.place(all.len())]
    }

    /// At least `least` cents, and less than `spread` more.
    pub(crate) fn cents(&mut self, least: i64, spread: u64) -> i64 {
        least + i64::try_from(self.below(spread)).unwrap()
    }
}
