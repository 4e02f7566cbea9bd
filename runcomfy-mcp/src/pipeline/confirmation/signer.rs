//! What a client brings back with an answer: signed, so that no answer stands for another question.

use std::time::Duration;

use rmcp::model::{RequestStateCodec, RequestStateError, SealOptions};
use serde_json::Value;

use crate::{entropy, pipeline::idempotency::Fingerprint};

/// Signs and checks. All servers behind one name must have the same keys.
pub(crate) struct RequestStateSigner {
    codec: RequestStateCodec,
}

/// What is known of a call that may be the second round of one.
pub(crate) struct PendingConfirmation {
    pub(crate) signer: std::sync::Arc<RequestStateSigner>,
    pub(crate) bound: Fingerprint,
    pub(crate) state: VerifiedState,
    pub(crate) answer: Option<Value>,
}

/// What a state was found to be.
pub(crate) enum VerifiedState {
    /// There was none, or it has grown old.
    Nothing,
    /// Given for this very call, not long ago. The nonce tells whether it has served before.
    Fresh { nonce: String },
}

/// Why keys are no use.
#[derive(Debug, thiserror::Error)]
#[error("sealing keys must be of 32 characters or more each, and all different")]
pub struct InvalidSealingKeys;

impl RequestStateSigner {
    /// With a key that only this process has.
    pub(crate) fn own() -> Self {
        Self { codec: RequestStateCodec::new_unchecked(entropy::secret()) }
    }

    /// With shared keys: the first signs, each is good for checking.
    pub(crate) fn shared(keys: &[&str]) -> Result<Self, InvalidSealingKeys> {
        // A key is called by a hash of it, the same on every server and in whatever order.
        let ring: Vec<_> = keys.iter().map(|key| (name(key), key.as_bytes())).collect();
        let first = ring.first().map(|(name, _)| name.clone()).ok_or(InvalidSealingKeys)?;
        let codec =
            RequestStateCodec::new_with_keyring(first, ring).map_err(|_| InvalidSealingKeys)?;
        Ok(Self { codec })
    }

    pub(crate) fn sign(&self, bound: &Fingerprint, good_for: Duration) -> String {
        let options = SealOptions::new().associated_data(bound.as_str().as_bytes()).ttl(good_for);
        self.codec.seal_with(entropy::name().as_bytes(), &options)
    }

    /// `None` where it was not given by a server with these keys, or for another call.
    pub(crate) fn verify(&self, state: &str, bound: &Fingerprint) -> Option<VerifiedState> {
        match self.codec.open_with(state, bound.as_str().as_bytes()) {
            Ok(nonce) => String::from_utf8(nonce).ok().map(|nonce| VerifiedState::Fresh { nonce }),
            Err(RequestStateError::Expired) => Some(VerifiedState::Nothing),
            Err(_) => None,
        }
    }
}

impl std::fmt::Debug for RequestStateSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing")
    }
}

fn name(key: &str) -> String {
    Fingerprint::of().text("sealing key").text(key).done().short().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old key of more than 32 characters";
    const NEW: &str = "a new key of more than 32 characters!";

    fn of(text: &str) -> Fingerprint {
        Fingerprint::of().text(text).done()
    }

    fn opens(by: &RequestStateSigner, state: &str, bound: &str) -> bool {
        matches!(by.verify(state, &of(bound)), Some(VerifiedState::Fresh { .. }))
    }

    #[test]
    fn a_state_is_good_for_what_it_was_given_for_wherever_the_key_is() {
        let (one, two) = (
            RequestStateSigner::shared(&[NEW]).unwrap(),
            RequestStateSigner::shared(&[NEW]).unwrap(),
        );
        let state = one.sign(&of("this"), Duration::from_secs(60));
        assert!(opens(&two, &state, "this"));
        assert!(!opens(&two, &state, "that"));
        assert!(!opens(&RequestStateSigner::shared(&[OLD]).unwrap(), &state, "this"));
        assert!(!opens(&RequestStateSigner::own(), &state, "this"));
        for cut in 0..state.len() {
            assert!(!opens(&two, &state[..cut], "this"), "{cut}");
        }
    }

    #[test]
    fn keys_can_be_changed_without_a_gap() {
        let state =
            RequestStateSigner::shared(&[OLD]).unwrap().sign(&of("this"), Duration::from_secs(60));
        assert!(opens(&RequestStateSigner::shared(&[NEW, OLD]).unwrap(), &state, "this"));
        let state = RequestStateSigner::shared(&[NEW, OLD])
            .unwrap()
            .sign(&of("this"), Duration::from_secs(60));
        assert!(opens(&RequestStateSigner::shared(&[OLD, NEW]).unwrap(), &state, "this"));
    }

    #[test]
    fn keys_that_could_be_guessed_are_refused() {
        for keys in [&[][..], &["short"], &[NEW, "short"], &[NEW, NEW]] {
            assert!(RequestStateSigner::shared(keys).is_err(), "{keys:?}");
        }
    }

    #[test]
    fn a_state_that_has_grown_old_is_no_answer() {
        let signer = RequestStateSigner::own();
        let state = signer.sign(&of("this"), Duration::from_millis(1));
        // The library reads the wall clock: it is over within a moment.
        let mut verified = signer.verify(&state, &of("this"));
        while matches!(verified, Some(VerifiedState::Fresh { .. })) {
            verified = signer.verify(&state, &of("this"));
        }
        assert!(matches!(verified, Some(VerifiedState::Nothing)));
    }
}
