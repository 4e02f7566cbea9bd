//! Lists the table of faults as JSON and as text.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{
    fault::Fault,
    table::{Effect, EffectRule, FaultKind, Sort, Target},
};

pub(super) fn catalogue() -> Vec<Value> {
    FaultKind::ALL.iter().map(|kind| entry(*kind)).collect()
}

fn entry(kind: FaultKind) -> Value {
    let row = kind.row();
    let parameters = row.parameters.iter().map(|parameter| {
        let mut entry = json!({"default": parameter.default(), "about": parameter.about});
        match parameter.sort {
            Sort::Number { most, .. } => entry["most"] = json!(most),
            Sort::Text { .. } => {}
            Sort::Word(words) => entry["one_of"] = json!(words),
        }
        (parameter.name.to_owned(), entry)
    });
    let effects: Vec<_> = match row.effect_rule {
        EffectRule::Configurable(_) => Effect::ALL.iter().map(|effect| effect.as_str()).collect(),
        EffectRule::Always | EffectRule::Never => vec![Fault::new(kind).effect().as_str()],
    };
    json!({
        "fault": row.name,
        "does": row.does,
        "meets": row.target.words(),
        "parameters": parameters.collect::<Map<_, _>>(),
        "effect": {"default": Fault::new(kind).effect().as_str(), "one_of": effects},
    })
}

pub(super) fn as_text() -> String {
    let mut text = String::new();
    for kind in FaultKind::ALL {
        let row = kind.row();
        let usual = |parameter: &super::table::Parameter| match parameter.default() {
            Value::Null => parameter.name.to_owned(),
            Value::String(word) => format!("{}={word}", parameter.name),
            other => format!("{}={other}", parameter.name),
        };
        let mut parameters: Vec<_> = row.parameters.iter().map(usual).collect();
        if let EffectRule::Configurable(effect) = row.effect_rule {
            parameters.push(format!("effect={}", effect.as_str()));
        }
        let parameters = if parameters.is_empty() {
            String::new()
        } else {
            format!("({})", parameters.join(","))
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}{parameters}\n    {}", row.name, row.does);
    }
    text
}

impl Target {
    fn words(self) -> &'static str {
        match self {
            Self::Accept => "connections",
            Self::Any => "every call",
            Self::Looks => "status, result and cancellation of a request",
            Self::States => "status and result of a request",
            Self::Submits => "submits",
        }
    }
}
