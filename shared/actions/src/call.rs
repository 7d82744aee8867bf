//! Steps that call other systems.

pub mod finding;
pub mod http;
pub mod lambda;
pub mod oauth;
pub mod ssm;
pub mod step_functions;
mod watch;
pub mod webhook;

use crate::Attempt;
use base16ct::lower::encode_string as hex;
use sha2::{Digest, Sha256};

/// Names what is started for a step: 32 hexadecimal digits, the same for every attempt of a round.
fn derived(attempt: &Attempt) -> String {
    let mut hash = Sha256::new();
    hash.update(&attempt.key);
    hash.update(attempt.round.to_be_bytes());
    hex(&hash.finalize()[..16])
}
