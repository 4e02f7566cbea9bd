//! The ten tools: a list of words, and what a tool is.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use rmcp::model::{JsonObject, MetaObject, Tool as Listed, ToolAnnotations};
use runcomfy_core::{DeploymentId, RequestId, is_invisible};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    pipeline::{
        confirmation::{self, Question},
        context::Call,
    },
    result::{Fault, Reply},
    schema,
    schema::published,
    validation::{self, ArgumentFaults},
};

/// Declares each tool's module and joins them into the list.
macro_rules! tools {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+

        /// The tools, by name.
        pub(crate) static TOOLS: [Entry; [$(stringify!($name)),+].len()] =
            [$(Entry::of::<$name::Tool>(stringify!($name))),+];

        /// The tools as the code has them, from which `published` is written.
        pub(crate) fn as_written() -> Vec<Listed> {
            vec![$(listed::<$name::Tool>(stringify!($name))),+]
        }
    };
}

tools! { // braces: rustfmt leaves one word per line
    call_instance_proxy,
    cancel_request,
    create_deployment,
    delete_deployment,
    get_deployment,
    get_request_result,
    get_request_status,
    list_deployments,
    submit_request,
    update_deployment,
}

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
    fn run(args: Self::Args, call: Box<Call>) -> impl Future<Output = Result<Reply, Fault>> + Send;
}

/// The arguments of every question about one run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestArgs {
    /// Where it runs.
    #[schemars(with = "String")]
    pub(crate) deployment_id: DeploymentId,
    /// From submit_request.
    #[schemars(with = "String")]
    pub(crate) request_id: RequestId,
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

type Run = fn(JsonObject, Box<Call>) -> Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// A tool as the server holds it: what is run, and the schema it is called by.
pub(crate) struct Entry {
    name: &'static str,
    description: &'static str,
    hints: Hints,
    /// As published, once somebody has called it.
    input: OnceLock<Arc<JsonObject>>,
    run: Run,
}

impl Entry {
    const fn of<T: ToolDefinition + 'static>(name: &'static str) -> Self {
        Self {
            name,
            description: T::DESCRIPTION,
            hints: T::HINTS,
            input: OnceLock::new(),
            run: |arguments, call| Box::pin(run::<T>(arguments, call)),
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
        call: Box<Call>,
    ) -> Result<Reply, Fault> {
        let checked = validation::check(self.input(), arguments)?;
        let note = checked.note();
        let outcome = (self.run)(checked.arguments, call).await;
        match note {
            Some(note) => outcome.map(|reply| reply.with_note(&note)),
            None => outcome,
        }
    }
}

/// All that is published of a tool.
fn listed<T: ToolDefinition>(name: &'static str) -> Listed {
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
    mut call: Box<Call>,
) -> Result<Reply, Fault> {
    let args: T::Args = parse(arguments)?;
    T::check(&args)?;
    if let Some(question) = T::question(&args)
        // Boxed, as all that is rare: those who wait would keep the room for it.
        && let Some(asked) = Box::pin(confirmation::consent(&mut call, question)).await?
    {
        return Ok(Reply::question(asked));
    }
    T::run(args, call).await
}

/// One tool, by name.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    TOOLS.iter().find(|entry| entry.name() == name)
}

fn parse<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, ArgumentFaults> {
    // Types and ranges are checked already: what can still fail is an id's grammar, whose message names
    // the argument and the rule.
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| ArgumentFaults::general(&error.to_string()))
}

/// Said first of an answer that is about the run of an earlier call.
pub(crate) const REPLAYED_RUN: &str = "Earlier run, nothing new was started.";

/// Said where a keyed call took effect and that could not be written down.
pub(crate) const FORGOTTEN: &str = "What came of it could not be written down: repeating it with this idempotency_key is not safe.";

/// A key under which a call is made at most once.
pub(crate) fn replay_key(key: Option<&str>) -> Result<(), ArgumentFaults> {
    match key {
        Some(key) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            let rule = "must be of visible ASCII characters, without spaces";
            Err(ArgumentFaults::one("idempotency_key", rule))
        }
        _ => Ok(()),
    }
}

/// A deployment's name must be one that people can read.
pub(crate) fn visible_name(name: &str) -> Result<(), ArgumentFaults> {
    if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        let rule = "must have no control characters, line breaks or characters that are not seen";
        return Err(ArgumentFaults::one("name", rule));
    }
    Ok(())
}
