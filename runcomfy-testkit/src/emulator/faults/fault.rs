//! `Fault`: a fault with its parameters, as a value, as text and as JSON.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde_json::{Map, Value, json};

use super::table::{Effect, EffectRule, FaultKind, Parameter, Sort};

/// A fault with its parameters.
///
/// Its text form is the name and the parameters that differ from the defaults. The header `X-Emulator-Fault`
/// takes the same form:
///
/// ```
/// use runcomfy_testkit::{Fault, FaultKind};
///
/// let cut: Fault = "cut_response(at=20,of=response)".parse()?;
/// assert_eq!(cut, Fault::new(FaultKind::CutResponse).with("at", 20)?.with("of", "response")?);
/// assert_eq!(cut.to_string(), "cut_response(at=20,of=response)");
/// # Ok::<(), runcomfy_testkit::InvalidFault>(())
/// ```
///
/// `runcomfy-emulator --list-faults` and `GET /_emulator/faults` list all faults with their parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    kind: FaultKind,
    /// The parameters that differ from the defaults.
    given: BTreeMap<&'static str, Value>,
    effect: Effect,
}

/// An invalid fault, rule or scenario, with the invalid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFault {
    field: String,
    message: String,
}

impl Fault {
    /// The fault with default parameters.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        let effect = match kind.row().effect_rule {
            EffectRule::Always => Effect::Applied,
            EffectRule::Never => Effect::Withheld,
            EffectRule::Configurable(usual) => usual,
        };
        Self { kind, given: BTreeMap::new(), effect }
    }

    /// Sets a parameter, or `effect` to `applied` or `none`.
    ///
    /// # Errors
    /// If the fault has no such parameter, or the value is invalid.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Result<Self, InvalidFault> {
        let (row, value) = (self.kind.row(), value.into());
        if name == "effect" {
            self.effect = self.chosen_effect(&value)?;
            return Ok(self);
        }
        let parameter = row.parameters.iter().find(|parameter| parameter.name == name);
        let parameter = parameter.ok_or_else(|| {
            InvalidFault::new(name, format!("{} has no such parameter", self.kind.as_str()))
        })?;
        let value = parameter.read(value)?;
        if value == parameter.default() {
            self.given.remove(parameter.name);
        } else {
            self.given.insert(parameter.name, value);
        }
        Ok(self)
    }

    /// The kind of fault.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether the call takes effect.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    fn chosen_effect(&self, value: &Value) -> Result<Effect, InvalidFault> {
        let effect = Effect::ALL.into_iter().find(|effect| *value == effect.as_str());
        let effect =
            effect.ok_or_else(|| InvalidFault::new("effect", "must be \"applied\" or \"none\""))?;
        match self.kind.row().effect_rule {
            EffectRule::Configurable(_) => Ok(effect),
            EffectRule::Always | EffectRule::Never if effect == self.effect => Ok(effect),
            EffectRule::Always | EffectRule::Never => Err(InvalidFault::new(
                "effect",
                format!("{} is always {}", self.kind.as_str(), self.effect.as_str()),
            )),
        }
    }

    /// A numeric parameter. `None` if it has no value and no default.
    pub(in crate::emulator) fn number(&self, name: &str) -> Option<u64> {
        self.value(name).as_u64()
    }

    /// A text or word parameter.
    pub(super) fn text(&self, name: &str) -> String {
        self.value(name).as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn is(&self, name: &str, word: &str) -> bool {
        *self.value(name) == word
    }

    fn value(&self, name: &str) -> Cow<'_, Value> {
        let parameter = self.kind.row().parameters.iter().find(|parameter| parameter.name == name);
        match self.given.get(name) {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(parameter.map_or(Value::Null, Parameter::default)),
        }
    }

    /// The parameters that differ from the defaults, in the table's order.
    fn non_defaults(&self) -> impl Iterator<Item = (&'static str, Value)> + '_ {
        let parameters = self.kind.row().parameters.iter();
        let given = parameters.filter_map(|parameter| {
            self.given.get(parameter.name).map(|value| (parameter.name, value.clone()))
        });
        let usual = Self::new(self.kind).effect;
        let effect = (self.effect != usual).then(|| ("effect", json!(self.effect.as_str())));
        given.chain(effect)
    }

    /// The JSON form: `{"fault": "cut_response", "at": 100}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("fault".to_owned(), json!(self.kind.as_str()));
        object.extend(self.non_defaults().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object)
    }

    /// Reads the JSON form or the text form.
    ///
    /// # Errors
    /// If it is neither. The error has the invalid field.
    pub fn from_json(value: &Value) -> Result<Self, InvalidFault> {
        let object = match value {
            Value::String(text) => return text.parse(),
            Value::Object(object) => object,
            _ => return Err(InvalidFault::new("fault", "must be a name or an object")),
        };
        let name = object.get("fault").and_then(Value::as_str);
        let name =
            name.ok_or_else(|| InvalidFault::new("fault", "is required and must be a name"))?;
        let mut fault = Self::named(name)?;
        for (key, value) in object.iter().filter(|(key, _)| *key != "fault") {
            fault = fault.with(key, value.clone())?;
        }
        Ok(fault)
    }

    fn named(name: &str) -> Result<Self, InvalidFault> {
        let kind = FaultKind::named(name);
        kind.map(Self::new).ok_or_else(|| {
            let names: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.as_str()).collect();
            InvalidFault::new("fault", format!("no fault {name:?}; there are {}", names.join(", ")))
        })
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        let mut before = "(";
        for (name, value) in self.non_defaults() {
            write!(f, "{before}{name}=")?;
            match &value {
                // Text with delimiters or special characters is quoted.
                Value::String(text) if is_plain(text) => f.write_str(text)?,
                value => write!(f, "{value}")?,
            }
            before = ",";
        }
        f.write_str(if before == "," { ")" } else { "" })
    }
}

fn is_plain(text: &str) -> bool {
    let plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | '(' | ')' | '"');
    !text.is_empty() && text.chars().all(plain)
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let unfit = |message: &str| InvalidFault::new("fault", message);
        let text = text.trim();
        let (name, mut rest) = match text.split_once('(') {
            None => (text, ""),
            Some((name, rest)) => {
                let rest = rest.strip_suffix(')').ok_or_else(|| unfit("has no `)` at its end"))?;
                (name, rest)
            }
        };
        let mut fault = Self::named(name.trim())?;
        while !rest.trim().is_empty() {
            let (key, after) =
                rest.split_once('=').ok_or_else(|| unfit("a parameter is written name=value"))?;
            let (value, after) = value_and_rest(after.trim_start())?;
            fault = fault.with(key.trim(), value)?;
            rest = after;
        }
        Ok(fault)
    }
}

/// Splits off the first value. Returns it and what follows the comma.
fn value_and_rest(text: &str) -> Result<(Value, &str), InvalidFault> {
    let unfit = || InvalidFault::new("fault", "a value in quotes must be a JSON string");
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let value = values.next().and_then(Result::ok).ok_or_else(unfit)?;
        let rest = text[values.byte_offset()..].trim_start();
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(',').ok_or_else(unfit)? };
        return Ok((Value::String(value), rest));
    }
    let (value, rest) = text.split_once(',').unwrap_or((text, ""));
    Ok((Value::String(value.trim().to_owned()), rest))
}

impl Parameter {
    pub(super) fn default(&self) -> Value {
        match self.sort {
            Sort::Number { default, .. } => json!(default),
            Sort::Text { default } => json!(default),
            Sort::Word(words) => json!(words.first()),
        }
    }

    /// Checks a value. A number may be given as text.
    fn read(&self, value: Value) -> Result<Value, InvalidFault> {
        let unfit = |message: String| InvalidFault::new(self.name, message);
        match self.sort {
            Sort::Number { default: None, .. } if value.is_null() => Ok(value),
            Sort::Number { most, .. } => {
                let number = match &value {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                };
                let number = number.filter(|number| *number <= most).map(|number| json!(number));
                number.ok_or_else(|| unfit(format!("must be a number from 0 to {most}")))
            }
            Sort::Text { .. } => match value {
                // Control characters are rejected because some texts are sent in headers.
                Value::String(text) if !text.chars().any(char::is_control) => Ok(json!(text)),
                _ => Err(unfit("must be a single line of text".to_owned())),
            },
            Sort::Word(words) if words.iter().any(|word| value == **word) => Ok(value),
            Sort::Word(words) => Err(unfit(format!("must be one of {}", words.join(", ")))),
        }
    }
}

impl InvalidFault {
    pub(in crate::emulator) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The invalid field: a key, or `fault` for the name.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for InvalidFault {}
