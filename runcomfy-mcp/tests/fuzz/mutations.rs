//! Bytes like a sample's, but not quite.

use fastrand::Rng;

/// What has meant something to some reader.
const WORDS: [&[u8]; 36] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"{",
    b"}",
    b"[[[[[[[[[[[[[[[[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"{}",
    b"..",
    b"%2e%2e",
    b"//",
    b"/../",
    b"@",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"\"id\":1,",
    b"\"deployment_id\":\"d1\",",
    b"rc_CANARY_0123456789",
];

/// Longer than any sample: what grows on and on tells nothing new.
const LONGEST: usize = 16 * 1024;

/// One of the samples, changed in some places.
pub(crate) fn mutate(samples: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = random.choice(samples).cloned().unwrap_or_default();
    for _ in 0..=random.usize(..4) {
        change(&mut bytes, samples, random);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, samples: &[Vec<u8>], random: &mut Rng) {
    let from = random.usize(..=bytes.len());
    let to = from + random.usize(..=(bytes.len() - from).min(32));
    match random.u8(..8) {
        0 => bytes.truncate(from),
        1 => drop(bytes.drain(from..to)),
        2 => {
            let part = bytes[from..to].to_vec();
            let times = 1 << random.u32(..8);
            drop(bytes.splice(from..from, part.repeat(times)));
        }
        3 => {
            let other = random.choice(samples).cloned().unwrap_or_default();
            let start = random.usize(..=other.len());
            drop(bytes.splice(from.., other[start..].iter().copied()));
        }
        4 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << random.u32(..8);
            }
        }
        5 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte = random.u8(..);
            }
        }
        6 => {
            let word = random.choice(WORDS).unwrap_or_default();
            drop(bytes.splice(from..to, word.iter().copied()));
        }
        _ => {
            let word = random.choice(WORDS).unwrap_or_default();
            drop(bytes.splice(from..from, word.iter().copied()));
        }
    }
}
