//! Reads the text of a selectors document as JSON and tells which kind of selectors it holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{SelectorError, did_you_mean, quote};

/// Longest document: the 500 values of 2048 characters that a trail takes, each character
/// escaped as six bytes, and as much again around them.
pub const MAX_DOCUMENT_BYTES: usize = 12 << 20;

/// Place of an error that concerns the document as a whole.
const WHOLE: &str = "document";
const ADVANCED: &str = "AdvancedEventSelectors";
const BASIC: &str = "EventSelectors";

/// The two languages of event selectors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Advanced,
    Basic,
}

impl Kind {
    /// The members of one selector.
    pub fn members(self) -> &'static [&'static str] {
        match self {
            Kind::Advanced => &["Name", "FieldSelectors"],
            Kind::Basic => &[
                "ReadWriteType",
                "IncludeManagementEvents",
                "DataResources",
                "ExcludeManagementEventSources",
            ],
        }
    }
}

/// What a document holds.
pub(super) enum Parsed {
    /// Selectors that are not validated yet, and the place of their list (empty for a bare list).
    Listed(Kind, Vec<Value>, String),
    /// No selectors: all management events.
    DefaultTrail,
}

/// Reads a document up to its list of selectors.
pub(super) fn read(text: &str) -> Result<Parsed, SelectorError> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(SelectorError::TooLong { bytes: text.len() });
    }
    let Strict(value) = serde_json::from_str(text).map_err(|source| SelectorError::Text {
        line: source.line(),
        column: source.column(),
        source,
    })?;
    match value {
        Value::Array(list) => bare_list(list),
        Value::Object(members) => named_list(members),
        other => Err(SelectorError::at(
            WHOLE,
            format!(
                "event selectors are a list, or an object with the member {ADVANCED} or {BASIC}, \
                 not {}",
                kind_of(&other)
            ),
        )),
    }
}

fn bare_list(list: Vec<Value>) -> Result<Parsed, SelectorError> {
    if list.is_empty() {
        return Err(SelectorError::at(
            WHOLE,
            "an empty list selects nothing; a trail has at least one event selector",
        ));
    }
    let has = |kind: Kind| {
        list.iter()
            .position(|item| has_member(item, kind.members()))
    };
    let kind = match (has(Kind::Advanced), has(Kind::Basic)) {
        (Some(advanced), Some(basic)) => {
            return Err(SelectorError::at(
                &format!("[{}]", advanced.max(basic)),
                "a trail has either advanced or basic event selectors, never both",
            ));
        }
        (Some(_), None) => Kind::Advanced,
        (None, Some(_)) => Kind::Basic,
        (None, None) => guessed_kind(&list)?,
    };
    Ok(Parsed::Listed(kind, list, String::new()))
}

/// The kind of selectors none of whose members is known: `{}` is the basic selector with all
/// defaults, anything else is misspelt.
fn guessed_kind(list: &[Value]) -> Result<Kind, SelectorError> {
    let both = [Kind::Advanced.members(), Kind::Basic.members()].concat();
    for (index, item) in list.iter().enumerate() {
        let place = format!("[{index}]");
        only_members(object(item, &place)?, &both, &place)?;
    }
    Ok(Kind::Basic)
}

fn named_list(mut members: Map<String, Value>) -> Result<Parsed, SelectorError> {
    const MEMBERS: [&str; 4] = [ADVANCED, BASIC, "TrailARN", "TrailName"];
    if has_any(&members, Kind::Advanced.members()) || has_any(&members, Kind::Basic.members()) {
        return Err(SelectorError::at(
            WHOLE,
            "this is one event selector; selectors stand in a list: put it between [ and ]",
        ));
    }
    only_members(&members, &MEMBERS, "")?;
    for name in ["TrailARN", "TrailName"] {
        if let Some(value) = members.get(name) {
            text(value, name)?;
        }
    }
    let advanced = selectors_member(&mut members, ADVANCED)?;
    let basic = selectors_member(&mut members, BASIC)?;
    match (advanced, basic) {
        (Some(_), Some(_)) => Err(SelectorError::at(
            WHOLE,
            format!("a trail has either {ADVANCED} or {BASIC}, never both"),
        )),
        (Some(list), None) => Ok(Parsed::Listed(Kind::Advanced, list, ADVANCED.to_owned())),
        (None, Some(list)) => Ok(Parsed::Listed(Kind::Basic, list, BASIC.to_owned())),
        (None, None) => Ok(Parsed::DefaultTrail),
    }
}

/// The list under `name`; null and an empty list are as good as absent.
fn selectors_member(
    members: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<Vec<Value>>, SelectorError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) if list.is_empty() => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(other) => Err(wrong_kind(name, "a list", &other)),
    }
}

fn has_member(item: &Value, names: &[&str]) -> bool {
    item.as_object()
        .is_some_and(|members| has_any(members, names))
}

fn has_any(members: &Map<String, Value>, names: &[&str]) -> bool {
    names.iter().any(|name| members.contains_key(*name))
}

/// Refuses a member that is not in `known`.
pub(super) fn only_members(
    members: &Map<String, Value>,
    known: &[&str],
    place: &str,
) -> Result<(), SelectorError> {
    for name in members.keys() {
        if !known.contains(&name.as_str()) {
            let rule = format!(
                "unknown member {}{}; known are {}",
                quote(name),
                did_you_mean(name, known),
                known.join(", ")
            );
            let place = if place.is_empty() { WHOLE } else { place };
            return Err(SelectorError::at(place, rule));
        }
    }
    Ok(())
}

/// The value as an object.
pub(super) fn object<'v>(
    value: &'v Value,
    place: &str,
) -> Result<&'v Map<String, Value>, SelectorError> {
    value
        .as_object()
        .ok_or_else(|| wrong_kind(place, "an object", value))
}

/// The value as a list.
pub(super) fn list<'v>(value: &'v Value, place: &str) -> Result<&'v [Value], SelectorError> {
    value
        .as_array()
        .map(Vec::as_slice)
        .ok_or_else(|| wrong_kind(place, "a list", value))
}

/// The value as a text.
pub(super) fn text<'v>(value: &'v Value, place: &str) -> Result<&'v str, SelectorError> {
    value.as_str().ok_or_else(|| match value {
        Value::Bool(_) | Value::Number(_) => SelectorError::at(
            place,
            format!("values are JSON strings: write \"{value}\", not {value}"),
        ),
        _ => wrong_kind(place, "a string", value),
    })
}

/// The value as a boolean.
pub(super) fn boolean(value: &Value, place: &str) -> Result<bool, SelectorError> {
    value
        .as_bool()
        .ok_or_else(|| wrong_kind(place, "true or false", value))
}

fn wrong_kind(place: &str, wanted: &str, found: &Value) -> SelectorError {
    SelectorError::at(place, format!("must be {wanted}, not {}", kind_of(found)))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A JSON value whose objects have no member twice; serde_json's own keeps the last in silence.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if members.contains_key(&name) {
                let name = quote(&name);
                return Err(A::Error::custom(format!("the member {name} stands twice")));
            }
            let Strict(value) = entries.next_value()?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}
