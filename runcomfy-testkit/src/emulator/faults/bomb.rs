//! A small gzip body that decompresses to any size, generated as a stream.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures_util::stream;

const PIECE: usize = 1024 * 1024;

/// `mib` MiB of zeros, compressed to about a thousandth.
pub(super) fn zeros(mib: u64) -> Body {
    let (piece, of_one) = compressed_piece();
    // A deterministic gzip header without name and time.
    let head = Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    // An empty last block ends the deflate data.
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

/// One MiB of zeros as a repeatable deflate piece without back-references, and its checksum.
fn compressed_piece() -> (Bytes, Crc) {
    let zeros = vec![0; PIECE];
    let mut checksum = Crc::new();
    checksum.update(&zeros);
    let mut out = Vec::with_capacity(PIECE / 64);
    let mut deflate = Compress::new(Compression::best(), false);
    // The output buffer is large enough for one call.
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
