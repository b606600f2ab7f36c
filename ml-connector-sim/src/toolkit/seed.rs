//! Ids and tokens: different from each other, the same in every run.

use ml_connector_core::{
    Result, Secret,
    webhook::{Encoding, HmacSha256},
};

/// Where ids and tokens come from.
#[derive(Debug)]
pub(crate) struct Seed {
    keyed: Result<HmacSha256>,
    drawn: u64,
}

impl Seed {
    pub(crate) fn new(seed: u64) -> Self {
        Self { keyed: HmacSha256::new([&Secret::from(format!("seed {seed}"))]), drawn: 0 }
    }

    /// The next 64 hexadecimal digits.
    pub(crate) fn hex(&mut self) -> String {
        self.drawn += 1;
        match &self.keyed {
            Ok(keyed) => keyed.sign(&[&self.drawn.to_be_bytes()], Encoding::Hex),
            Err(_) => format!("{:064x}", self.drawn),
        }
    }
}
