//! An answer or an error, as the model reads it.

mod hint;
mod placeholders;
pub(crate) mod splices;
mod summary;
mod tool_error;

use rmcp::model::{
    CallToolResponse, CallToolResult, ContentBlock, CreateTaskResult, InputRequiredResult,
    JsonObject, Resource,
};
use runcomfy_core::{
    internals::is_invisible,
    json::{NonFinite, RawJson},
    request::OutputFile,
};
use serde_json::{Map, Value, json};

use self::placeholders::{Placeholders, inline_deferred};
use crate::sanitize::{self, Changes};

pub(crate) use self::placeholders::Part;
pub(crate) use hint::{FILL_IN, failure_hint, hint};
pub(crate) use tool_error::{OWN_KINDS, ToolError};

/// A successful answer.
pub(crate) struct ToolResult {
    sentence: String,
    payload: JsonObject,
    files: Vec<OutputFile>,
    resource: Option<Resource>,
    left_out: Placeholders,
    all_at: Option<String>,
    instead: Option<Instead>,
}

/// What an answer has to be for its reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// The most bytes of JSON in each copy of the data.
    pub(crate) limit: usize,
    /// Whether the client's protocol revision knows links to resources.
    pub(crate) links: bool,
    /// Whether the transport puts in what a long answer leaves out.
    pub(crate) puts_in: bool,
    /// Whether a workflow is whole in the structured content, however long.
    pub(crate) whole_workflows: bool,
}

/// What a client gets in place of an answer.
enum Instead {
    /// A question to the person.
    Question(InputRequiredResult),
    /// A task, by which to ask for the answer.
    Task(CreateTaskResult),
}

impl ToolResult {
    /// An answer that reads as `sentence`, which carries ids and state and no text of RunComfy's.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        let mut payload = Map::new();
        payload.insert("ok".to_owned(), Value::Bool(true));
        Self {
            sentence: sentence.into(),
            payload,
            files: Vec::new(),
            resource: None,
            left_out: Placeholders::default(),
            all_at: None,
            instead: None,
        }
    }

    /// No answer yet: the person is asked.
    pub(crate) fn question(question: InputRequiredResult) -> Self {
        let instead = Some(Instead::Question(question));
        Self { instead, ..Self::new("The user is asked; nothing was done yet.") }
    }

    /// As a task, for a client that asks for its answer by itself.
    pub(crate) fn with_task(self, task: CreateTaskResult) -> Self {
        Self { instead: Some(Instead::Task(task)), ..self }
    }

    /// With this in the structured content.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.payload.insert(key.to_owned(), value.into());
        self
    }

    /// With this in front of its sentence.
    pub(crate) fn prefixed(mut self, words: &str) -> Self {
        self.sentence = format!("{words} {}", self.sentence);
        self
    }

    /// With this said beside whatever else there is to note.
    pub(crate) fn with_note(mut self, note: &str) -> Self {
        add_note(&mut self.payload, note);
        self
    }

    /// With where its data had numbers that JSON does not have, if it had any.
    pub(crate) fn with_non_finite(self, found: Option<&NonFinite>) -> Self {
        match found {
            Some(found) => self.with_note(&format!("{found}.")),
            None => self,
        }
    }

    /// Keeps JSON of RunComfy's as the text it is, however long, and gives what stands for it in the
    /// structured content until that goes out. `at` is the resource that has it, too.
    pub(crate) fn defer(&mut self, json: RawJson, at: String) -> Value {
        self.left_out.defer(json, at)
    }

    /// With the resource that has all of it, for where the answer must be cut.
    pub(crate) fn all_at(self, uri: String) -> Self {
        Self { all_at: Some(uri), ..self }
    }

    /// With links to the files that a run made.
    pub(crate) fn with_files(mut self, files: Vec<OutputFile>) -> Self {
        let mut listed = json!(files);
        for (one, file) in listed.as_array_mut().into_iter().flatten().zip(&files) {
            one["kind"] = file.media_kind().as_str().into();
            if let Some(media_type) = file.media_type() {
                one["mime"] = media_type.into();
            }
            // For programs to look at: no client should open it.
            if !is_web(one["url"].as_str().unwrap_or_default()) {
                one["non_https"] = Value::Bool(true);
            }
        }
        self.payload.insert("output_urls".to_owned(), listed);
        self.files = files;
        self
    }

    /// With a link to what there is more of it, which a client may read in place of asking for it here.
    pub(crate) fn with_resource(self, resource: Resource) -> Self {
        Self { resource: Some(resource), ..self }
    }

    /// What kind of answer it is.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.instead {
            Some(Instead::Question(_)) => "input_required",
            Some(Instead::Task(_)) => "task",
            // Only what was known when a wait was cut short.
            None if self.payload.get("interrupted") == Some(&Value::Bool(true)) => "interrupted",
            None => "ok",
        }
    }

    /// The structured content so far.
    pub(crate) fn payload(&self) -> &JsonObject {
        &self.payload
    }

    /// The structured content.
    pub(crate) fn into_payload(self) -> JsonObject {
        let mut changes = Changes::default();
        let parts = self.left_out.shown(&mut changes);
        let mut payload = shown(self.payload, changes);
        payload.values_mut().for_each(|value| inline_deferred(value, &parts));
        payload
    }

    /// As an MCP result. Text and structured content carry the same data, as many clients show the model
    /// only one of the two.
    pub(crate) fn render(self, format: Format) -> Shaped {
        let (sentence, files, instead) = (self.sentence, self.files, self.instead);
        let mut changes = Changes::default();
        let parts = self.left_out.shown(&mut changes);
        let mut payload = shown(self.payload, changes);
        // A graph may be megabytes: where a client cuts, all else comes before it.
        if !parts.is_empty() {
            for large in [ROWS, "deployment"] {
                if let Some(value) = payload.shift_remove(large) {
                    payload.insert(large.to_owned(), value);
                }
            }
        }
        let all_at = self.all_at.as_deref();
        let mut shaped = Shaped::new(sentence, payload, parts, format, all_at);
        if format.links {
            shaped.result.content.extend(files.iter().take(MAX_LINKS).filter_map(link));
            shaped.result.content.extend(self.resource.map(ContentBlock::resource_link));
        }
        shaped.instead = instead;
        shaped
    }
}

/// A result as it goes out, and what there is to say of it.
pub(crate) struct Shaped {
    pub(crate) result: CallToolResult,
    /// The length of its structured content as JSON.
    pub(crate) bytes: usize,
    /// Whether its text is a summary.
    pub(crate) summarised: bool,
    /// Whether its structured content is not whole.
    pub(crate) truncated: bool,
    /// What it leaves out, in order.
    pub(crate) left_out: Vec<Part>,
    instead: Option<Instead>,
}

impl Shaped {
    /// Both copies of the data, each within the limit. What may be longer, for programs to read, is whole in
    /// the structured content only: the parts, and the rows of a list of deployments.
    fn new(
        sentence: String,
        mut payload: JsonObject,
        mut parts: Vec<Part>,
        Format { limit, puts_in, whole_workflows, .. }: Format,
        all_of_it: Option<&str>,
    ) -> Self {
        let mut data = written(&payload);
        if data.len() > limit
            && sanitize::shrink(&mut payload, limit.saturating_sub(SPARE), &[ROWS])
        {
            payload.insert("truncated".to_owned(), true.into());
            if let Some(uri) = all_of_it {
                add_note(&mut payload, &format!("Cut to fit; the resource {uri} has all of it."));
            }
            data = written(&payload);
        }
        let truncated = payload.contains_key("truncated");
        let apart: usize = parts.iter().map(|part| part.json.len()).sum();
        let marks: usize = parts.iter().map(|part| part.mark.len() + 2).sum();
        let bytes = data.len() + apart - marks;
        let summarised = bytes > limit;
        let text = match (parts.is_empty(), summarised, data.len() > limit) {
            (true, false, _) => data,
            (_, true, true) => summary::summary(&payload, bytes, limit),
            (_, true, false) => with_parts(&payload, &parts, Part::description),
            (false, false, _) => with_parts(&payload, &parts, Part::value),
        };
        let mut json = Value::Object(payload);
        if summarised && !whole_workflows {
            placeholders::replace(&mut json, &std::mem::take(&mut parts), Part::description);
        } else if !puts_in {
            inline_deferred(&mut json, &std::mem::take(&mut parts));
            sanitize::whole_numbers(&mut json);
        }
        let content = vec![ContentBlock::text(visible(sentence)), ContentBlock::text(text)];
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(json);
        Self { result, bytes, summarised, truncated, left_out: parts, instead: None }
    }

    /// What the client gets.
    pub(crate) fn into_response(self) -> CallToolResponse {
        match self.instead {
            Some(Instead::Question(question)) => question.into(),
            Some(Instead::Task(task)) => task.into(),
            None => self.result.into(),
        }
    }
}

/// Whether an address leads to the web, and holds nothing that hides where. An emulator on this machine
/// has no https.
fn is_web(url: &str) -> bool {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let local = local
        .iter()
        .any(|start| url.strip_prefix(start).is_some_and(|rest| rest.starts_with([':', '/'])));
    plain && (url.starts_with("https://") || local)
}

/// A result shows at most this many files as links; all are in the data.
const MAX_LINKS: usize = 20;

fn link(file: &OutputFile) -> Option<ContentBlock> {
    // A client may open it.
    if !is_web(&file.url) {
        return None;
    }
    let name = file.filename.clone().unwrap_or_else(|| format!("output of node {}", file.node_id));
    let mut resource = Resource::new(file.url.clone(), visible(name));
    resource.mime_type = file.media_type().map(str::to_owned);
    Some(ContentBlock::resource_link(resource))
}

/// The field whose rows stay whole, for programs.
const ROWS: &str = "deployments";
/// Room for what is said of a cut.
const SPARE: usize = 256;

/// The data as a text's JSON, with something readable in the place of each part.
fn with_parts(payload: &JsonObject, parts: &[Part], shown: fn(&Part) -> Value) -> String {
    let mut json = Value::Object(payload.clone());
    placeholders::replace(&mut json, parts, shown);
    written(&json)
}

/// Adds a sentence to the note.
fn add_note(payload: &mut JsonObject, sentence: &str) {
    let note = match payload.get("note").and_then(Value::as_str) {
        Some(before) => format!("{before} {sentence}"),
        None => sentence.to_owned(),
    };
    payload.insert("note".to_owned(), note.into());
}

/// As JSON. A value's own `Display` goes by way of text formatting.
fn written(json: &impl serde::Serialize) -> String {
    // Keys are text: nothing can fail.
    serde_json::to_string(json).unwrap_or_default()
}

/// Structured content as it is fit to be shown, with what was done to it.
fn shown(mut payload: JsonObject, before: Changes) -> JsonObject {
    let untrusted = sanitize::untrusted(&payload);
    let changes = sanitize::prepare(&mut payload).and(before);
    if !untrusted.is_empty() {
        payload.insert("untrusted_fields".to_owned(), untrusted.into());
    }
    if changes.removed > 0 {
        payload.insert("removed_characters".to_owned(), changes.removed.into());
    }
    if changes.truncated {
        payload.insert("truncated".to_owned(), true.into());
    }
    payload
}

/// Text as it looks: without characters that hide or reorder it.
fn visible(mut text: String) -> String {
    if !text.is_ascii() {
        text.retain(|c| !is_invisible(c));
    }
    text
}

#[cfg(test)]
mod tests;
