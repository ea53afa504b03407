//! How much text transformers may add to the resources of a build: small files must not become gigabytes.

use crate::error::Error;

/// All that may be added in one build.
const LIMIT: u64 = 512 << 20;

/// What is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance(u64);

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance(LIMIT)
    }
}

impl Allowance {
    /// Takes note of bytes that are added, before they are.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.0 = self
            .0
            .checked_sub(bytes as u64)
            .ok_or(Error::Limit { what: "the text that transformers add to the resources", limit: LIMIT })?;
        Ok(())
    }

    /// [`Allowance::spend`] for the same addition to many.
    pub(crate) fn spend_each(&mut self, count: usize, bytes: usize) -> Result<(), Error> {
        self.spend(count.saturating_mul(bytes))
    }

    /// What is left when another part of the build has spent from its own.
    pub(crate) fn after(&mut self, other: Allowance) -> Result<(), Error> {
        self.spend((LIMIT - other.0) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_build_share_it() {
        let (mut one, mut other) = (Allowance::default(), Allowance::default());
        one.spend_each(300, 1 << 20).unwrap();
        other.spend(300 << 20).unwrap();
        assert!(one.after(other).is_err());
    }
}
