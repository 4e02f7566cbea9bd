//! Beginnings of conversations that people pick from a menu.

use rmcp::model::{JsonObject, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::Value;

use crate::validation::ArgumentFaults;

/// One of them.
struct PromptEntry {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    arguments: &'static [(&'static str, &'static str, bool)],
    text: &'static str,
}

const DEPLOYMENT: (&str, &str, bool) =
    ("deployment_id", "Which deployment: its id, or part of its name to be completed.", true);

/// Those there are. `{argument}` stands for what was given.
const PROMPTS: [PromptEntry; 4] = [
    PromptEntry {
        name: "generate",
        title: "Make something",
        about: "Run a deployment with a wish of your own and show what it made.",
        arguments: &[
            DEPLOYMENT,
            ("wish", "What you want to see or hear.", true),
            ("node_id", "The node to set, where you know it.", false),
            ("input", "Which input of that node.", false),
        ],
        text: "Make this with the RunComfy deployment {deployment_id}: {wish}\n\
            Look first: get_deployment with include_payload, for the nodes whose inputs can be set (I would set: node \
            {node_id}, input {input}; where that says nothing, find the text of the prompt and the seed yourself). Then \
            call submit_request once, with overrides and a new seed, wait_for_completion and timeout_seconds 45; if it \
            is not finished, call get_request_result with wait_seconds 45 until it is. Show me every link in \
            output_urls. Do not submit a second time without asking me: each run is billed.",
    },
    PromptEntry {
        name: "why_is_it_stuck",
        title: "Why is it stuck?",
        about: "Find out why a run does not begin or does not end.",
        arguments: &[DEPLOYMENT, ("request_id", "The run, as submit_request returned it.", true)],
        text: "My run {request_id} on the RunComfy deployment {deployment_id} seems stuck. Find out why and tell me in a \
            few sentences. Call get_request_status and get_deployment. In queue: is the deployment enabled, how many are \
            before it, does max_instances leave no room, or is a machine just starting (3 to 5 minutes)? In progress: on \
            which instance, and for how long? Over: call get_request_result and say what failed, at which node. Change \
            nothing and submit nothing without asking me.",
    },
    PromptEntry {
        name: "put_to_sleep",
        title: "Put to sleep",
        about: "Stop a deployment from costing anything while nobody uses it.",
        arguments: &[DEPLOYMENT],
        text: "Make sure that the RunComfy deployment {deployment_id} costs nothing while nobody uses it. Look at it with \
            get_deployment. If min_instances is above 0, set it to 0 with update_deployment; ask me before you also pause \
            it with is_enabled false, as its queue stops then. Tell me what it was and what it is now.",
    },
    PromptEntry {
        name: "change_hardware",
        title: "Change the hardware",
        about: "Move a deployment to another GPU.",
        arguments: &[DEPLOYMENT, ("hardware", "The GPU, such as AMPERE_48.", true)],
        text: "Move the RunComfy deployment {deployment_id} to {hardware}. Tell me first what it runs on now and that the \
            price per hour changes; when I agree, call update_deployment with hardware [\"{hardware}\"] and nothing else, \
            and show me the deployment after.",
    },
];

/// The menu.
pub(crate) fn list() -> Vec<Prompt> {
    let prompt = |entry: &PromptEntry| {
        let arguments = entry.arguments.iter().map(|(name, about, required)| {
            PromptArgument::new(*name).with_description(*about).with_required(*required)
        });
        Prompt::new(entry.name, Some(entry.about), Some(arguments.collect()))
            .with_title(entry.title)
    };
    PROMPTS.iter().map(prompt).collect()
}

/// Whether a prompt has this argument; `None` where there is no such prompt.
pub(crate) fn has_argument(prompt: &str, argument: &str) -> Option<bool> {
    let entry = PROMPTS.iter().find(|entry| entry.name == prompt)?;
    Some(entry.arguments.iter().any(|(name, ..)| *name == argument))
}

/// What is said for it; `None` where there is no such prompt.
pub(crate) fn get(
    name: &str,
    given: &JsonObject,
) -> Option<Result<(&'static str, Vec<PromptMessage>), ArgumentFaults>> {
    let entry = PROMPTS.iter().find(|entry| entry.name == name)?;
    Some(
        fill(entry, given)
            .map(|text| (entry.about, vec![PromptMessage::new_text(Role::User, text)])),
    )
}

/// What a person types into a field at most.
const LONGEST: usize = 4096;

fn fill(entry: &PromptEntry, given: &JsonObject) -> Result<String, ArgumentFaults> {
    for name in given.keys() {
        if !entry.arguments.iter().any(|(known, ..)| known == name) {
            let all: Vec<_> = entry.arguments.iter().map(|(name, ..)| *name).collect();
            let rule = format!("takes {} only", all.join(", "));
            return Err(ArgumentFaults::one(entry.name, rule));
        }
    }
    let mut text = String::new();
    let mut rest = entry.text;
    // In one go: what is given may have braces of its own.
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let required =
            entry.arguments.iter().any(|(known, _, required)| *known == name && *required);
        match given.get(name).map(Value::as_str) {
            Some(Some(value)) if value.len() <= LONGEST => text.push_str(value),
            Some(_) => {
                return Err(ArgumentFaults::one(name, "must be a text of at most 4096 bytes"));
            }
            None if required => return Err(ArgumentFaults::one(name, "is required")),
            None => text.push_str("not said"),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(name: &str, given: Value) -> Result<String, String> {
        let given = given.as_object().cloned().unwrap();
        match get(name, &given).unwrap() {
            Ok((_, messages)) => Ok(messages[0].content.as_text().unwrap().text.clone()),
            Err(faults) => Err(faults.message()),
        }
    }

    #[test]
    fn a_prompt_says_what_was_given_as_it_is() {
        let text =
            said("generate", json!({"deployment_id": "d1", "wish": "a {node_id} cat"})).unwrap();
        assert!(text.contains("deployment d1: a {node_id} cat"), "{text}");
        assert!(text.contains("node not said"), "{text}");
    }

    #[test]
    fn what_is_missing_too_long_or_unknown_is_refused() {
        for (given, argument) in [
            (json!({"deployment_id": "d1"}), "wish"),
            (json!({"deployment_id": "d1", "wish": "x".repeat(5000)}), "wish"),
            (json!({"deployment_id": "d1", "wish": 7}), "wish"),
            (json!({"deployment_id": "d1", "wish": "x", "seed": "7"}), "generate"),
        ] {
            let refused = said("generate", given).unwrap_err();
            assert!(refused.contains(argument) && refused.len() < 300, "{refused}");
        }
        assert!(get("no_such", &JsonObject::new()).is_none());
    }

    #[test]
    fn every_place_in_a_text_is_an_argument_and_the_other_way_round() {
        for entry in &PROMPTS {
            for (name, ..) in entry.arguments {
                assert!(entry.text.contains(&format!("{{{name}}}")), "{}: {name}", entry.name);
            }
            let given = entry.arguments.iter().map(|(name, ..)| ((*name).to_owned(), json!("x")));
            assert!(!fill(entry, &given.collect()).unwrap().contains('{'), "{}", entry.name);
        }
    }
}
