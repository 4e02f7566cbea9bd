//! Which node classes make outputs, and in which channel each puts them.

use std::{collections::HashSet, sync::LazyLock};

use runcomfy_core::{Input, Node};
use serde_json::{Value, json};

use crate::{graph::Graph, samples};

/// How a node makes output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Saver {
    /// Two pictures to be laid over each other.
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
    /// It runs, and the history has nothing of it.
    Nothing,
    /// The name of a model that is shown.
    Shown,
    Text {
        input: &'static str,
        file: bool,
    },
}

static STOCK: LazyLock<HashSet<&str>> = LazyLock::new(|| samples::STOCK_CLASSES.lines().collect());

/// How this node makes output, if it does. Of a stock ComfyUI, those do that it marks as output nodes. A
/// class that it does not have counts as one where something leads to the node and nothing leads on.
pub(super) fn saver<'a>(graph: &Graph<'a>, node: Node<'a>) -> Option<Saver> {
    let image = |temp, animated| Saver::Image { temp, animated, ending: "_.png" };
    // From version 0.33 on, ComfyUI ends audio names without an underscore.
    let audio = |ending, temp| Saver::Media { channel: "audio", temp, ending, animated: None };
    // Videos and animations are files under `images`, with a flag beside them.
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
        // Sends its pictures over the WebSocket and keeps none.
        "SaveImageWebsocket" => Saver::Nothing,
        "SaveLatent" => file("latents", "_.latent"),
        "SaveSVGNode" => file("images", "_.svg"),
        "SaveText" => Saver::Text { input: "text", file: true },
        "SaveVideo" => video("_.mp4", false),
        "SaveWEBM" => video("_.webm", false),
        "VHS_VideoCombine" => file("gifs", ".mp4"),
        class if STOCK.contains(class) => return None,
        class => {
            let linked = |name: &&String| matches!(node.input(name), Some(Input::Link { .. }));
            let mut links = node.inputs().keys().filter(linked).map(String::as_str).peekable();
            if links.peek().is_none() || graph.is_used(node) {
                return None;
            }
            unknown(class, links)
        }
    })
}

/// What a class that nobody knows probably makes, by its name and by what leads to it.
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
    /// The channel that its files are in.
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

    /// What follows the counter in a name.
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

    /// What is in its channels besides files.
    pub(super) fn flags(self) -> Option<(&'static str, Value)> {
        match self {
            Self::Image { animated, .. } | Self::Media { animated, .. } => {
                Some(("animated", json!([animated?])))
            }
            // As the node tells the editor which model to show, from where, and before what.
            Self::Shown => Some(("result", json!(["model.glb", null, null]))),
            Self::Compare | Self::Nothing | Self::Text { .. } => None,
        }
    }
}
