//! Small real media files, recorded from a ComfyUI, and the media types of names.

/// The bytes of a sample with this name's ending; a text that says so where there is none.
pub(crate) fn sample(filename: &str) -> &'static [u8] {
    match ending(filename) {
        "flac" => include_bytes!("samples/media/silence.flac"),
        "mp3" => include_bytes!("samples/media/silence.mp3"),
        "mp4" => include_bytes!("samples/media/clip.mp4"),
        "webm" => include_bytes!("samples/media/clip.webm"),
        "webp" => include_bytes!("samples/media/anim.webp"),
        _ => b"no sample of this kind",
    }
}

pub(crate) fn content_type(filename: &str) -> &'static str {
    match ending(filename) {
        "flac" => "audio/flac",
        "json" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "png" => "image/png",
        "txt" => "text/plain; charset=utf-8",
        "webm" => "video/webm",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}

fn ending(filename: &str) -> &str {
    filename.rsplit_once('.').map_or("", |(_, ending)| ending)
}
