//! Which node classes produce outputs, and in which channels.

use std::{collections::HashSet, sync::LazyLock};

use runcomfy_core::workflow::{Node, NodeInput};
use serde_json::{Value, json};

use crate::{graph::Graph, samples};

/// How a node produces outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Saver {
    /// Two images to compare.
    Compare,
    Image {
        temp: bool,
        animated: Option<bool>,
        ending: &'static str,
    },
    Media {
        channel: &'static str,
        temp: bool,
        ending: &'static str,
        animated: Option<bool>,
    },
    /// Runs without an entry in the history.
    Nothing,
    /// The name of a 3D model that is shown.
    Shown,
    Text {
        input: &'static str,
        file: bool,
    },
}

static STOCK: LazyLock<HashSet<&str>> = LazyLock::new(|| samples::STOCK_CLASSES.lines().collect());

/// How this node produces outputs, if it does. For a stock ComfyUI these are the classes that it marks as
/// output nodes. A node of an unknown class counts as an output node if it has linked inputs and its outputs
/// are not used.
pub(super) fn saver<'a>(graph: &Graph<'a>, node: Node<'a>) -> Option<Saver> {
    let image = |temp, animated| Saver::Image { temp, animated, ending: "_.png" };
    // Since version 0.33, ComfyUI's audio names do not end in an underscore.
    let audio = |ending, temp| Saver::Media { channel: "audio", temp, ending, animated: None };
    // Videos and animations are listed under `images`, with a flag.
    let video =
        |ending, temp| Saver::Media { channel: "images", temp, ending, animated: Some(true) };
    let file = |channel, ending| Saver::Media { channel, temp: false, ending, animated: None };
    let format = || graph.text(node, "format").unwrap_or_default();
    Some(match node.class_type() {
        "ADE_AnimateDiffCombine" => file("gifs", ".gif"),
        "CLIPSave"
        | "CheckpointSave"
        | "ImageOnlyCheckpointSave"
        | "LoraSave"
        | "ModelSave"
        | "SaveImageDataSetToFolder"
        | "SaveImageTextDataSetToFolder"
        | "SaveLoRA"
        | "SaveTrainingDataset"
        | "VAESave" => Saver::Nothing,
        "ImageCompare" => Saver::Compare,
        "LossGraphNode" | "PreviewImage" => image(true, None),
        "MaskPreview" => image(true, Some(false)),
        "Preview3D" | "Preview3DAdvanced" | "PreviewGaussianSplat" | "PreviewPointCloud" => {
            Saver::Shown
        }
        "PreviewAny" => Saver::Text { input: "source", file: false },
        "PreviewAudio" => audio(".flac", true),
        "SAM3_TrackPreview" => video("_.mp4", true),
        "SaveAnimatedPNG" => image(false, Some(true)),
        "SaveAnimatedWEBP" => video("_.webp", false),
        "SaveAudio" => audio(".flac", false),
        "SaveAudioAdvanced" => audio(
            match format().as_str() {
                "mp3" => ".mp3",
                "opus" => ".opus",
                _ => ".flac",
            },
            false,
        ),
        "SaveAudioMP3" => audio(".mp3", false),
        "SaveAudioOpus" => audio(".opus", false),
        "SaveGLB" => file("3d", "_.glb"),
        "SaveImage" | "SaveImageAdvanced" => image(false, None),
        // Sends its images over the WebSocket and stores none.
        "SaveImageWebsocket" => Saver::Nothing,
        "SaveLatent" => file("latents", "_.latent"),
        "SaveSVGNode" => file("images", "_.svg"),
        "SaveText" => Saver::Text { input: "text", file: true },
        "SaveVideo" => video("_.mp4", false),
        "SaveWEBM" => video("_.webm", false),
        "VHS_VideoCombine" => file("gifs", ".mp4"),
        class if STOCK.contains(class) => return None,
        class => {
            let linked = |name: &&String| matches!(node.input(name), Some(NodeInput::Link { .. }));
            let mut links = node.inputs().keys().filter(linked).map(String::as_str).peekable();
            if links.peek().is_none() || graph.is_used(node) {
                return None;
            }
            unknown(class, links)
        }
    })
}

/// What an unknown class probably produces, by its name and its links.
fn unknown<'a>(class: &str, links: impl Iterator<Item = &'a str>) -> Saver {
    let class = class.to_ascii_lowercase();
    let named = |words: &[&str]| words.iter().any(|word| class.contains(word));
    let audio = Saver::Media { channel: "audio", temp: false, ending: ".flac", animated: None };
    let video =
        Saver::Media { channel: "images", temp: false, ending: "_.mp4", animated: Some(true) };
    let model = Saver::Media { channel: "3d", temp: false, ending: "_.glb", animated: None };
    let latent =
        Saver::Media { channel: "latents", temp: false, ending: "_.latent", animated: None };
    if named(&["text", "string", "caption", "anything", "showany", "show any", "display any"]) {
        return Saver::Text { input: "", file: false };
    }
    let by_link = links.into_iter().find_map(|name| {
        Some(match name {
            "audio" => audio,
            "mesh" | "model_3d" | "trimesh" | "glb" => model,
            "video" => video,
            "latent" | "latents" | "samples" => latent,
            "text" | "string" | "strings" | "prompt" | "anything" | "any" | "value" | "source" => {
                Saver::Text { input: "", file: false }
            }
            "image" | "images" => Saver::Image { temp: false, animated: None, ending: "_.png" },
            _ => return None,
        })
    });
    by_link.unwrap_or(Saver::Image { temp: false, animated: None, ending: "_.png" })
}

impl Saver {
    /// The channel of its files.
    pub(super) fn channel(self) -> Option<&'static str> {
        match self {
            Self::Image { .. } => Some("images"),
            Self::Media { channel, .. } => Some(channel),
            Self::Text { file, .. } => file.then_some("files"),
            Self::Compare | Self::Nothing | Self::Shown => None,
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Compare | Self::Image { temp: true, .. } | Self::Media { temp: true, .. } => {
                "temp"
            }
            _ => "output",
        }
    }

    /// What follows the counter in a file name.
    pub(super) fn ending<'a>(self, graph: &Graph<'a>, node: Node<'a>) -> &'static str {
        match self {
            Self::Image { ending, .. } | Self::Media { ending, .. } => ending,
            Self::Text { .. } => match graph.text(node, "format").as_deref() {
                Some("md") => ".md",
                Some("json") => ".json",
                _ => ".txt",
            },
            Self::Compare | Self::Nothing | Self::Shown => "_.png",
        }
    }

    /// The items of its channels that are not files.
    pub(super) fn flags(self) -> Option<(&'static str, Value)> {
        match self {
            Self::Image { animated, .. } | Self::Media { animated, .. } => {
                Some(("animated", json!([animated?])))
            }
            // The model, camera and background for the editor.
            Self::Shown => Some(("result", json!(["model.glb", null, null]))),
            Self::Compare | Self::Nothing | Self::Text { .. } => None,
        }
    }
}
