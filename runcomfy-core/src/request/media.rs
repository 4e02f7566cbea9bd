//! What sort of file an output is, as far as its name tells.

use std::fmt;

use url::Url;

use super::output::OutputFile;

impl OutputFile {
    /// The media type that its name promises, or its address where it has no name. `None` for an ending
    /// that is not known. The channel tells less: ComfyUI puts videos into `images` and `gifs`.
    #[must_use]
    pub fn media_type(&self) -> Option<&'static str> {
        match &self.filename {
            Some(name) => media_type(name),
            None => media_type(Url::parse(&self.url).ok()?.path_segments()?.next_back()?),
        }
    }

    /// What a person would call it, by the same ending.
    #[must_use]
    pub fn media_kind(&self) -> MediaKind {
        let media_type = self.media_type().unwrap_or_default();
        match media_type.split('/').next().unwrap_or_default() {
            "image" => MediaKind::Image,
            "video" => MediaKind::Video,
            "audio" => MediaKind::Audio,
            "model" => MediaKind::Model3d,
            "text" => MediaKind::Text,
            _ => MediaKind::Other,
        }
    }
}

/// What sort of thing a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaKind {
    /// A picture, animated ones among them.
    Image,
    /// A film, with or without sound.
    Video,
    /// Sound.
    Audio,
    /// A body in three dimensions.
    Model3d,
    /// Text.
    Text,
    /// Anything else.
    Other,
}

impl MediaKind {
    /// In a word: `image`, `video`, `audio`, `3d`, `text` or `other`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Model3d => "3d",
            Self::Text => "text",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The media type of a file by its name's ending.
fn media_type(filename: &str) -> Option<&'static str> {
    Some(match filename.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "aac" => "audio/aac",
        "apng" => "image/apng",
        "avi" => "video/x-msvideo",
        "avif" => "image/avif",
        "bmp" => "image/bmp",
        "csv" => "text/csv",
        "exr" => "image/x-exr",
        "flac" => "audio/flac",
        "gif" => "image/gif",
        "glb" => "model/gltf-binary",
        "gltf" => "model/gltf+json",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "m4a" => "audio/mp4",
        "m4v" | "mp4" => "video/mp4",
        "md" => "text/markdown",
        "mkv" => "video/x-matroska",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "obj" => "model/obj",
        "ogg" | "opus" => "audio/ogg",
        "png" => "image/png",
        "stl" => "model/stl",
        "svg" => "image/svg+xml",
        "tif" | "tiff" => "image/tiff",
        "txt" => "text/plain",
        "usdz" => "model/vnd.usdz+zip",
        "wav" => "audio/wav",
        "webm" => "video/webm",
        "webp" => "image/webp",
        "zip" => "application/zip",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use crate::request::RequestResult;

    #[track_caller]
    fn check(file: serde_json::Value, media_type: Option<&str>, kind: &str) {
        let outputs = json!({"status": "succeeded", "outputs": {"9": {"images": [file]}}});
        let result: RequestResult = from_value(outputs).unwrap();
        let file = &result.output_files()[0];
        assert_eq!((file.media_type(), file.media_kind().as_str()), (media_type, kind), "{file:?}");
    }

    #[test]
    fn a_file_is_what_its_name_says_whatever_channel_it_came_in() {
        check(json!({"url": "https://x/1", "filename": "a.PNG"}), Some("image/png"), "image");
        check(json!({"url": "https://x/1", "filename": "a.mp4"}), Some("video/mp4"), "video");
        check(json!({"url": "https://x/1", "filename": "a.flac"}), Some("audio/flac"), "audio");
        check(json!({"url": "https://x/1", "filename": "a.glb"}), Some("model/gltf-binary"), "3d");
        check(json!({"url": "https://x/1", "filename": "a.txt"}), Some("text/plain"), "text");
        check(json!({"url": "https://x/1", "filename": "a.latent"}), None, "other");
        check(json!({"url": "https://x/1", "filename": "png"}), None, "other");
    }

    #[test]
    fn a_file_without_a_name_is_what_its_address_says() {
        check(json!({"url": "https://x.png/y/a.webm?sig=1.png"}), Some("video/webm"), "video");
        check(json!({"url": "https://x.png"}), None, "other");
    }
}
