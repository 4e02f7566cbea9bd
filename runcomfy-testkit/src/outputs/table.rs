//! Which node classes make outputs, and in which channel each puts them.

use runcomfy_core::{Input, Node};

use crate::graph::Graph;

/// How a node makes output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Saver {
    Image { temp: bool, animated: Option<bool> },
    Media { channel: &'static str, temp: bool, ending: &'static str, animated: Option<bool> },
    Text { input: &'static str, file: bool },
}

/// How this node makes output, if it does. A class that is not known counts as one that saves images
/// where pictures lead to it and nothing leads on.
pub(super) fn saver<'a>(graph: &Graph<'a>, node: Node<'a>) -> Option<Saver> {
    let image = |temp, animated| Saver::Image { temp, animated };
    // From version 0.33 on, ComfyUI ends audio names without an underscore.
    let audio = |ending, temp| Saver::Media { channel: "audio", temp, ending, animated: None };
    // Videos and animations are files under `images`, with a flag beside them.
    let video =
        |ending| Saver::Media { channel: "images", temp: false, ending, animated: Some(true) };
    Some(match node.class_type() {
        "MaskPreview" => image(true, Some(false)),
        "PreviewAny" => Saver::Text { input: "source", file: false },
        "PreviewAudio" => audio(".flac", true),
        "PreviewImage" => image(true, None),
        "SaveAnimatedWEBP" => video("_.webp"),
        "SaveAudio" => audio(".flac", false),
        "SaveAudioMP3" => audio(".mp3", false),
        "SaveImage" => image(false, None),
        "SaveText" => Saver::Text { input: "text", file: true },
        "SaveVideo" => video("_.mp4"),
        "SaveWEBM" => video("_.webm"),
        "VHS_VideoCombine" => {
            Saver::Media { channel: "gifs", temp: false, ending: ".mp4", animated: None }
        }
        // Sends its pictures over the WebSocket and keeps none.
        "SaveImageWebsocket" => return None,
        _ => {
            let shows = |name| matches!(node.input(name), Some(Input::Link { .. }));
            let ends = (shows("images") || shows("image")) && !graph.is_used(node);
            return ends.then(|| image(false, None));
        }
    })
}

impl Saver {
    /// The channel that its files are in.
    pub(super) fn channel(self) -> Option<&'static str> {
        match self {
            Self::Image { .. } => Some("images"),
            Self::Media { channel, .. } => Some(channel),
            Self::Text { file, .. } => file.then_some("files"),
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Image { temp: true, .. } | Self::Media { temp: true, .. } => "temp",
            Self::Image { .. } | Self::Media { .. } | Self::Text { .. } => "output",
        }
    }

    /// What follows the counter in a name.
    pub(super) fn ending<'a>(self, graph: &Graph<'a>, node: Node<'a>) -> &'static str {
        match self {
            Self::Image { .. } => "_.png",
            Self::Media { ending, .. } => ending,
            Self::Text { .. } => match graph.text(node, "format").as_deref() {
                Some("md") => ".md",
                Some("json") => ".json",
                _ => ".txt",
            },
        }
    }

    pub(super) fn animated(self) -> Option<bool> {
        match self {
            Self::Image { animated, .. } | Self::Media { animated, .. } => animated,
            Self::Text { .. } => None,
        }
    }
}
