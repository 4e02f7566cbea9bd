//! Deterministic ids in the service's format, random seeds, and a portable hash.

use uuid::Uuid;

/// Generates UUIDs of version 4 from a seed. The same seed gives the same ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    seed: u64,
}

/// The kind of object that an id names. Different kinds never share an id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    Deployment,
    /// An instance of the deployment with this number.
    Instance(u64),
    Prompt,
    Request,
    Workflow,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The id with this number among its kind.
    pub(crate) fn uuid(self, named: Named, number: u64) -> String {
        let kind = match named {
            Named::Deployment => 1,
            Named::Prompt => 2,
            Named::Request => 3,
            Named::Workflow => 4,
            Named::Instance(deployment) => mix(deployment.wrapping_add(5)),
        };
        let high = mix(self.seed ^ mix(kind) ^ mix(number.wrapping_add(1)).rotate_left(17));
        let low = mix(high ^ number);
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }
}

/// A random seed.
pub(crate) fn random_seed() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    // Mixed, because six bits are the same in every UUID.
    mix(high ^ mix(low))
}

/// A hash that is the same on every machine and in every version (FNV-1a with a final mix).
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// Spreads every bit over all others (the finalizer of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_repeatable_and_shaped_like_uuids() {
        let kinds = [
            Named::Deployment,
            Named::Instance(0),
            Named::Instance(1),
            Named::Prompt,
            Named::Request,
            Named::Workflow,
        ];
        let mut seen = HashSet::new();
        for seed in 0..4 {
            for named in kinds {
                for number in 0..500 {
                    let id = Ids::new(seed).uuid(named, number);
                    assert_eq!(id.len(), 36, "{id}");
                    assert_eq!(id.as_bytes()[14], b'4', "{id}");
                    assert!(matches!(id.as_bytes()[19], b'8'..=b'b'), "{id}");
                    assert_eq!(id, Ids::new(seed).uuid(named, number));
                    assert!(seen.insert(id));
                }
            }
        }
    }
}
