//! Arguments against the published schema: every fault at once, by name and rule, never by value.

mod coerce;

use rmcp::model::JsonObject;
use runcomfy_core::internals::is_invisible;
use serde_json::{Map, Value};

/// One argument and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArgumentFault {
    pub(crate) argument: String,
    pub(crate) rule: String,
}

/// Everything that is wrong with a call's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArgumentFaults(pub(crate) Vec<ArgumentFault>);

impl ArgumentFaults {
    /// One argument's fault.
    pub(crate) fn one(argument: &str, rule: impl Into<String>) -> Self {
        Self(vec![ArgumentFault { argument: argument.to_owned(), rule: rule.into() }])
    }

    /// A fault whose rule starts with the argument's name, as those of ids do.
    pub(crate) fn general(message: &str) -> Self {
        let message = clip(message, 200);
        match message.split_once(' ') {
            Some((argument, rule)) => Self::one(argument, rule),
            None => Self::one("arguments", message),
        }
    }

    /// All faults in a sentence.
    pub(crate) fn message(&self) -> String {
        let faults: Vec<_> =
            self.0.iter().map(|fault| format!("`{}` {}", fault.argument, fault.rule)).collect();
        faults.join("; ")
    }
}

/// Arguments in the form that the tools read.
#[derive(Debug, PartialEq)]
pub(crate) struct Checked {
    pub(crate) arguments: JsonObject,
    /// The names of those that came as text and were read as what the text says.
    pub(crate) read_from_text: Vec<String>,
}

impl Checked {
    /// What the caller should know of how its arguments were read.
    pub(crate) fn note(&self) -> Option<String> {
        (!self.read_from_text.is_empty())
            .then(|| format!("Sent as text, read as JSON: {}.", self.read_from_text.join(", ")))
    }
}

/// Checks `arguments` against `schema` and brings them into the form that the tools read: null and an
/// empty optional value count as left out, 300.0 as 300, and a text as the value that it spells where
/// the schema wants no text. Names that clients add by themselves are dropped.
pub(crate) fn check(schema: &JsonObject, arguments: JsonObject) -> Result<Checked, ArgumentFaults> {
    let empty = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut faults = Vec::new();
    let mut checked = Map::new();
    let mut read_from_text = Vec::new();
    let mut strangers = 0_usize;
    let mut listed = false;
    for (name, value) in arguments {
        let Some(rules) = known.get(&name) else {
            if ADDED_BY_CLIENTS.contains(&name.as_str()) {
                continue;
            }
            strangers += 1;
            if strangers <= MOST_UNKNOWN {
                faults.push(unknown(&name, known, &mut listed));
            }
            continue;
        };
        let optional = !required.contains(&name.as_str());
        if value.is_null() || (optional && coerce::is_empty(&value)) {
            continue;
        }
        if optional && let Some(rule) = coerce::placeholder_rule(rules, &value) {
            faults.push(ArgumentFault { argument: name, rule });
            continue;
        }
        let (value, was_text) = coerce::from_text(rules, value);
        if was_text {
            read_from_text.push(name.clone());
        }
        if value.is_null() || (optional && coerce::is_empty(&value)) {
            continue;
        }
        match fit(rules, value) {
            Ok(value) => {
                checked.insert(name, value);
            }
            Err(rule) => faults.push(ArgumentFault { argument: name, rule }),
        }
    }
    if strangers > MOST_UNKNOWN {
        let rule = format!("include {} more that are not known", strangers - MOST_UNKNOWN);
        faults.push(ArgumentFault { argument: "arguments".to_owned(), rule });
    }
    let named = |name: &str| faults.iter().any(|fault| fault.argument == name);
    let missing: Vec<_> = required
        .into_iter()
        .filter(|name| !checked.contains_key(*name) && !named(name))
        .map(|name| ArgumentFault { argument: name.to_owned(), rule: "is required".to_owned() })
        .collect();
    faults.extend(missing);
    if faults.is_empty() {
        Ok(Checked { arguments: checked, read_from_text })
    } else {
        Err(ArgumentFaults(faults))
    }
}

/// Names that clients add to every call, whatever the tool's schema says. Models don't choose them, so an
/// error about one is no help. None is, or resembles, an argument of a tool.
const ADDED_BY_CLIENTS: [&str; 10] = [
    "action",               // n8n
    "chatInput",            // n8n
    "random_string",        // Cursor, for tools without required arguments
    "sessionId",            // n8n
    "tool",                 // n8n
    "toolAction",           // Antigravity, Windsurf
    "toolCallId",           // n8n
    "toolSummary",          // Antigravity, Windsurf
    "waitForPreviousTools", // Antigravity, Windsurf
    "wait_for_previous",    // Gemini CLI
];

/// How many unknown names an error lists: an answer must not be many times its question.
const MOST_UNKNOWN: usize = 8;

/// Those that are known are `listed` once.
fn unknown(name: &str, known: &JsonObject, listed: &mut bool) -> ArgumentFault {
    let nearest = known
        .keys()
        .map(|candidate| (strsim::jaro_winkler(&clip(name, 64), candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > 0.75);
    let rule = match nearest {
        Some((_, candidate)) => format!("is not known; did you mean `{candidate}`?"),
        None if *listed => "is not known".to_owned(),
        None => {
            *listed = true;
            let all: Vec<_> = known.keys().map(|key| format!("`{key}`")).collect();
            format!("is not known; this tool takes {}", all.join(", "))
        }
    };
    // With the quotes around it no more than may be repeated.
    ArgumentFault { argument: clip(name, 60), rule }
}

/// The value in the form that the tools read, or the rule that it breaks.
fn fit(rules: &Value, value: Value) -> Result<Value, String> {
    let value = match rules.get("type").and_then(Value::as_str) {
        Some("integer") => integer(rules, value)?,
        Some("string") => text(rules, value)?,
        Some("boolean") if !value.is_boolean() => return Err("must be true or false".to_owned()),
        Some("object") if !value.is_object() => {
            return Err(format!("must be an object, not {}", sort(&value)));
        }
        Some("array") => list(rules, value)?,
        _ => value,
    };
    if let Some(Value::Array(allowed)) = rules.get("enum")
        && !allowed.contains(&value)
    {
        let all: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        return Err(format!("must be one of {}", all.join(", ")));
    }
    exact(&value)?;
    Ok(value)
}

fn integer(rules: &Value, value: Value) -> Result<Value, String> {
    let least = rules.get("minimum").and_then(Value::as_i64);
    let most = rules.get("maximum").and_then(Value::as_i64);
    let rule = || match (least, most) {
        (Some(least), Some(most)) => format!("must be a whole number from {least} to {most}"),
        (Some(least), None) => format!("must be a whole number of at least {least}"),
        _ => "must be a whole number".to_owned(),
    };
    // 300.0 is how some clients write 300.
    let whole = value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and well below 2^63")]
        Some(float as i64)
    });
    match whole {
        Some(n) if least.is_none_or(|least| n >= least) && most.is_none_or(|most| n <= most) => {
            Ok(Value::from(n))
        }
        _ => Err(rule()),
    }
}

fn text(rules: &Value, value: Value) -> Result<Value, String> {
    let Value::String(text) = value else {
        return Err(format!("must be text, not {}", sort(&value)));
    };
    let length = text.chars().count() as u64;
    let limit = |key: &str| rules.get(key).and_then(Value::as_u64);
    if limit("minLength").is_some_and(|least| length < least) {
        return Err("must not be empty".to_owned());
    }
    if let Some(most) = limit("maxLength").filter(|most| length > *most) {
        return Err(format!("must be at most {most} characters"));
    }
    Ok(Value::String(text))
}

fn list(rules: &Value, value: Value) -> Result<Value, String> {
    let Value::Array(items) = value else {
        return Err(format!("must be a list, not {}", sort(&value)));
    };
    if let Some(most) =
        rules.get("maxItems").and_then(Value::as_u64).filter(|most| items.len() as u64 > *most)
    {
        return Err(format!("must have at most {most} entries"));
    }
    let Some(of) = rules.get("items") else { return Ok(Value::Array(items)) };
    let fitted = items
        .into_iter()
        .enumerate()
        .map(|(at, item)| fit(of, item).map_err(|rule| format!("entry {at} {rule}")))
        .collect::<Result<_, _>>()?;
    Ok(Value::Array(fitted))
}

/// Numbers that were whole on the wire but too large to be kept digit by digit must not be passed on
/// changed: a seed that differs in its last digits makes another picture.
fn exact(value: &Value) -> Result<(), String> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    const TWO_TO_64: f64 = 2.0 * TWO_TO_63;
    match value {
        Value::Number(number)
            if number.as_f64().is_some_and(|n| n >= TWO_TO_64 || n <= -TWO_TO_63)
                && number.is_f64() =>
        {
            Err("has a number beyond 64 bits, which can't be passed on digit by digit".to_owned())
        }
        Value::Array(items) => items.iter().try_for_each(exact),
        Value::Object(map) => map.values().try_for_each(exact),
        _ => Ok(()),
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Text of a caller's, at most `most` bytes of it, with what can't be seen made visible.
fn clip(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let hidden = c.is_control() || is_invisible(c);
        let c = if hidden { c.escape_unicode().to_string() } else { c.to_string() };
        if shown.len() + c.len() > most {
            break;
        }
        shown.push_str(&c);
    }
    shown
}

#[cfg(test)]
mod tests;
