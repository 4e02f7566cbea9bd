//! What a tool is: its definition, its entry in the list, and how it is run.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use rmcp::model::{InputRequiredResult, JsonObject, MetaObject, Tool as Listed, ToolAnnotations};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    pipeline::{
        confirmation::{self, Confirmation, Question},
        context::ToolContext,
    },
    result::{ToolError, ToolResult},
    schema::{self, published},
    validation::{self, ArgumentFaults},
};

/// What each of the ten files declares.
pub(crate) trait ToolDefinition {
    /// For people, in a list of tools.
    const TITLE: &'static str;
    /// For the model: what it does, when to use it, what to call before or after.
    const DESCRIPTION: &'static str;
    /// What a client may do without asking.
    const HINTS: Hints;
    /// How clients find it that show their model the names of tools only.
    const SEARCH: Search;
    /// The arguments. Doc comments, ranges and defaults become the published schema, and the published
    /// schema is what arguments are checked against.
    type Args: DeserializeOwned + JsonSchema + Send;

    /// The properties of a successful result besides `ok`, as JSON Schema.
    fn output() -> Value;

    /// What no schema says of the arguments, before anybody is asked or anything is sent.
    fn check(_args: &Self::Args) -> Result<(), ArgumentFaults> {
        Ok(())
    }

    /// What to ask the person before it is done, where it hurts if it was not meant.
    fn question(_args: &Self::Args) -> Option<Question> {
        None
    }

    /// Makes the one call and shapes its answer.
    fn run(
        args: Self::Args,
        context: Box<ToolContext>,
    ) -> impl Future<Output = Result<ToolResult, ToolError>> + Send;
}

/// MCP's four hints. None has a default: each tool says all four.
pub(crate) struct Hints {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
}

/// How a tool is found by clients that defer tools, such as Claude Code.
pub(crate) enum Search {
    /// It is offered from the start: nothing can be made without it.
    AlwaysLoaded,
    /// It is found by these words, beside those of its name and description.
    Hint(&'static str),
}

impl Search {
    fn meta(&self) -> MetaObject {
        let (key, value) = match self {
            Self::AlwaysLoaded => ("anthropic/alwaysLoad", Value::Bool(true)),
            Self::Hint(words) => ("anthropic/searchHint", Value::from(*words)),
        };
        MetaObject([(key.to_owned(), value)].into_iter().collect())
    }
}

/// A question that changes nothing and stays within the account.
pub(crate) const READS: Hints =
    Hints { read_only: true, destructive: false, idempotent: true, open_world: false };

type RunTool = fn(
    JsonObject,
    Box<ToolContext>,
    Confirmation,
) -> Pin<Box<dyn Future<Output = Result<ToolResult, ToolError>> + Send>>;

/// A tool as the server holds it: what is run, and the schema it is called by.
pub(crate) struct ToolEntry {
    name: &'static str,
    description: &'static str,
    hints: Hints,
    /// As published, once somebody has called it.
    input: OnceLock<Arc<JsonObject>>,
    run: RunTool,
}

impl ToolEntry {
    pub(crate) const fn of<T: ToolDefinition + 'static>(name: &'static str) -> Self {
        Self {
            name,
            description: T::DESCRIPTION,
            hints: T::HINTS,
            input: OnceLock::new(),
            run: |arguments, context, consent| Box::pin(run::<T>(arguments, context, consent)),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it changes nothing.
    pub(crate) fn only_reads(&self) -> bool {
        self.hints.read_only
    }

    /// Whether doing it twice can cost twice.
    pub(crate) fn may_cost(&self) -> bool {
        !self.hints.idempotent
    }

    /// The published schema of its arguments.
    fn input(&self) -> &Arc<JsonObject> {
        self.input.get_or_init(|| Arc::new(published::input(self.name)))
    }

    /// How it is called, without all else that is published of it.
    pub(crate) fn in_short(&self) -> Listed {
        Listed::new(self.name, self.description, Arc::clone(self.input()))
    }

    /// Checks the arguments against the published schema, then runs the tool.
    pub(crate) async fn call(
        &self,
        arguments: JsonObject,
        context: Box<ToolContext>,
        consent: Confirmation,
    ) -> Result<ToolResult, ToolError> {
        let checked = validation::check(self.input(), arguments)?;
        let note = checked.note();
        let outcome = (self.run)(checked.arguments, context, consent).await;
        match note {
            Some(note) => outcome.map(|reply| reply.with_note(&note)),
            None => outcome,
        }
    }
}

/// All that is published of a tool.
pub(crate) fn listed<T: ToolDefinition>(name: &'static str) -> Listed {
    let hints = T::HINTS;
    let annotations = ToolAnnotations::new()
        .read_only(hints.read_only)
        .destructive(hints.destructive)
        .idempotent(hints.idempotent)
        .open_world(hints.open_world);
    let mut listed = Listed::new(name, T::DESCRIPTION, Arc::new(schema::input::<T::Args>()))
        .with_title(T::TITLE)
        .with_raw_output_schema(Arc::new(schema::output(T::output())))
        .with_annotations(annotations);
    listed.meta = Some(T::SEARCH.meta());
    listed
}

async fn run<T: ToolDefinition>(
    arguments: JsonObject,
    mut context: Box<ToolContext>,
    consent: Confirmation,
) -> Result<ToolResult, ToolError> {
    let args: T::Args = parse(arguments)?;
    T::check(&args)?;
    if let Some(question) = T::question(&args)
        // Boxed, as all that is rare: those who wait would keep the room for it.
        && let Some(asked) = Box::pin(ask(&mut context, consent, question)).await?
    {
        return Ok(ToolResult::question(asked));
    }
    T::run(args, context).await
}

async fn ask(
    context: &mut ToolContext,
    consent: Confirmation,
    question: Question,
) -> Result<Option<InputRequiredResult>, ToolError> {
    confirmation::confirm(&mut context.scope, &context.ledger, consent, question).await
}

fn parse<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, ArgumentFaults> {
    // Types and ranges are checked already: what can still fail is an id's grammar, whose message names
    // the argument and the rule.
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| ArgumentFaults::general(&error.to_string()))
}
