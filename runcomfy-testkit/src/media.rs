//! Small sample files, most of them recorded from ComfyUI, and the media types of file names.

/// The sample file for this name's extension, or a text that there is none.
pub(crate) fn sample(filename: &str) -> &'static [u8] {
    match ending(filename) {
        "flac" => include_bytes!("samples/media/silence.flac"),
        "gif" => include_bytes!("samples/media/dot.gif"),
        "glb" => include_bytes!("samples/media/triangle.glb"),
        "latent" => include_bytes!("samples/media/zeros.latent"),
        "mp3" => include_bytes!("samples/media/silence.mp3"),
        "mp4" => include_bytes!("samples/media/clip.mp4"),
        "svg" => br#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#,
        "webm" => include_bytes!("samples/media/clip.webm"),
        "webp" => include_bytes!("samples/media/anim.webp"),
        _ => b"no sample of this kind",
    }
}

pub(crate) fn content_type(filename: &str) -> &'static str {
    match ending(filename).to_ascii_lowercase().as_str() {
        "avif" => "image/avif",
        "bmp" => "image/bmp",
        "csv" => "text/csv; charset=utf-8",
        "flac" => "audio/flac",
        "gif" => "image/gif",
        "glb" => "model/gltf-binary",
        "html" | "htm" => "text/html; charset=utf-8",
        "jpg" | "jpeg" => "image/jpeg",
        "json" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        "mkv" => "video/x-matroska",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "ogg" | "opus" => "audio/ogg",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "tif" | "tiff" => "image/tiff",
        "txt" => "text/plain; charset=utf-8",
        "wav" => "audio/wav",
        "webm" => "video/webm",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}

fn ending(filename: &str) -> &str {
    filename.rsplit_once('.').map_or("", |(_, ending)| ending)
}
