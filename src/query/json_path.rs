//! A path such as `$.a.b[0]` into a JSON text, and the scalar that stands there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A path of member names and places in arrays. No wildcards: it leads to one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

impl JsonPath {
    /// Reads `$.name.other[0]`; names are of letters, digits, `_` and `-`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while let Some(first) = rest.chars().next() {
            let behind = &rest[1..];
            rest = match first {
                '.' => {
                    let end = behind
                        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                        .unwrap_or(behind.len());
                    if end == 0 {
                        return None;
                    }
                    steps.push(Step::Member(behind[..end].to_owned()));
                    &behind[end..]
                }
                '[' => {
                    let (place, behind) = behind.split_once(']')?;
                    steps.push(Step::Element(place.parse().ok()?));
                    behind
                }
                _ => return None,
            };
        }
        Some(Self(steps))
    }

    /// The text, number or truth value at the path, as text. None where there is nothing, null,
    /// an object or an array, and where the text is no JSON.
    ///
    /// Of several members of one name the last counts, as for most readers.
    pub fn scalar(&self, json: &str) -> Option<String> {
        // Most texts lack most names; a name with escapes in it is not written by AWS.
        let is_absent = self.0.iter().any(|step| match step {
            Step::Member(name) => !json.contains(name.as_str()) && !json.contains('\\'),
            Step::Element(_) => false,
        });
        if is_absent {
            return None;
        }
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let value = Walk(&self.0).deserialize(&mut deserializer).ok()??;
        scalar_text(value.get())
    }
}

fn scalar_text(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'{' | b'[' | b'n' => None,
        b'"' => serde_json::from_str(raw).ok(),
        _ => Some(raw.to_owned()),
    }
}

/// Walks along the steps, skipping everything beside them.
struct Walk<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return serde::Deserialize::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let wanted = match &self.0[0] {
            Step::Member(name) => Some(name.as_str()),
            Step::Element(_) => None,
        };
        let mut found = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if wanted == Some(name.as_ref()) {
                found = map.next_value_seed(Walk(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let wanted = match self.0[0] {
            Step::Element(place) => Some(place),
            Step::Member(_) => None,
        };
        let mut found = None;
        let mut place = 0;
        loop {
            if wanted == Some(place) {
                match seq.next_element_seed(Walk(&self.0[1..]))? {
                    Some(value) => found = value,
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            place += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, json: &str) -> Option<String> {
        JsonPath::parse(path).expect("a path").scalar(json)
    }

    #[test]
    fn scalars_are_found_as_text() {
        let json = r#"{"a":{"b":[{"c":"x\n"},2.50,true,null,{}]},"a-b":18446744073709551616}"#;
        assert_eq!(at("$.a.b[0].c", json).as_deref(), Some("x\n"));
        assert_eq!(at("$.a.b[1]", json).as_deref(), Some("2.50"));
        assert_eq!(at("$.a.b[2]", json).as_deref(), Some("true"));
        assert_eq!(at("$.a.b[3]", json), None);
        assert_eq!(at("$.a.b[4]", json), None);
        assert_eq!(at("$.a.b[9]", json), None);
        assert_eq!(at("$.a", json), None);
        assert_eq!(at("$.a.c.d", json), None);
        assert_eq!(at("$.a-b", json).as_deref(), Some("18446744073709551616"));
        assert_eq!(at("$.a", r#"{"a":1,"a":2}"#).as_deref(), Some("2"));
        assert_eq!(at("$.A", r#"{"a":1}"#), None);
        assert_eq!(at("$.a", r#"{"\u0061":1}"#).as_deref(), Some("1"));
        assert_eq!(at("$.a", "no JSON with a"), None);
        assert_eq!(at("$", "7").as_deref(), Some("7"));
    }

    #[test]
    fn paths_are_checked() {
        for wrong in ["", "a", "$.", "$..a", "$.a[", "$.a[x]", "$[*]", "$.a b"] {
            assert_eq!(JsonPath::parse(wrong), None, "{wrong}");
        }
    }
}
