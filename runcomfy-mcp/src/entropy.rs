//! Numbers that nobody else has.

use std::hash::{BuildHasher, RandomState};

use ring::rand::{SecureRandom, SystemRandom};

/// Bytes for a key that this process has for itself.
pub(crate) fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    if SystemRandom::new().fill(&mut secret).is_err() {
        // Guessable only for who knows this process's addresses and hash seeds.
        tracing::warn!("the system gives no random bytes: callers are told apart by weaker means");
        for chunk in secret.chunks_mut(8) {
            chunk.copy_from_slice(&RandomState::new().hash_one(0).to_ne_bytes());
        }
    }
    secret
}

/// A name that no other has, as far as chance goes: rare, not secret.
pub(crate) fn name() -> String {
    format!("{:016x}", RandomState::new().hash_one(0))
}
