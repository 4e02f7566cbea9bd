//! A gzip body of any size once decompressed, which never exists in memory or as a file.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures_util::stream;

const PIECE: usize = 1024 * 1024;

/// So many MiB of zeros, compressed: about a thousandth of that.
pub(super) fn zeros(mib: u64) -> Body {
    let (piece, of_one) = compressed_piece();
    // Deterministic header: no name, no time, an unknown system.
    let head = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    // Where no piece remains, an empty last block of deflate ends the data.
    let pieces = (0..mib).map(move |_| piece.clone());
    let parts = std::iter::once(head).chain(pieces).chain(std::iter::once_with(move || {
        let mut all = Crc::new();
        for _ in 0..mib {
            all.combine(&of_one);
        }
        let mut tail = vec![3, 0];
        tail.extend(all.sum().to_le_bytes());
        tail.extend(all.amount().to_le_bytes());
        tail.into()
    }));
    Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)))
}

/// One MiB of zeros as deflate that can be repeated, since nothing in it refers back, and its checksum.
fn compressed_piece() -> (Bytes, Crc) {
    let zeros = vec![0; PIECE];
    let mut checksum = Crc::new();
    checksum.update(&zeros);
    let mut out = Vec::with_capacity(PIECE / 64);
    let mut deflate = Compress::new(Compression::best(), false);
    // There is room for more than it takes: all goes in with one call.
    let done = deflate.compress_vec(&zeros, &mut out, FlushCompress::Full);
    debug_assert!(done.is_ok() && deflate.total_in() == PIECE as u64);
    (out.into(), checksum)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn it_decompresses_to_what_it_promises() {
        for mib in [0, 1, 5] {
            let body = axum::body::to_bytes(zeros(mib), usize::MAX).await.unwrap();
            assert!(body.len() < 32 + mib as usize * 4096, "{} bytes", body.len());
            let mut all = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), mib as usize * PIECE);
            assert!(all.iter().all(|byte| *byte == 0));
        }
    }
}
