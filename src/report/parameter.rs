//! Values of parameters: read from text or TOML by their type, bound, or written as SQL literals.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::header::ParameterType;
use crate::query::Value;

/// Whose SQL is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Athena,
    DuckDb,
    DataFusion,
    Spark,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValue {
    Integer(i64),
    Number(f64),
    Text(String),
    Date(Date),
    /// In UTC.
    Timestamp(DateTime),
    Boolean(bool),
    TextList(Vec<String>),
}

impl ParameterValue {
    /// Reads a value of a type from what a person writes; a list from one text a value.
    pub fn parse(kind: ParameterType, texts: &[String]) -> Result<Self, String> {
        if kind == ParameterType::TextList {
            return Ok(Self::TextList(texts.to_vec()));
        }
        let [text] = texts else {
            return Err("takes one value".to_owned());
        };
        let wrong = |what: &str| format!("{text:?} is no {what}");
        Ok(match kind {
            ParameterType::Integer => {
                Self::Integer(text.parse().map_err(|_| wrong("whole number"))?)
            }
            ParameterType::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Self::Number(number),
                _ => return Err(wrong("number")),
            },
            ParameterType::Text => Self::Text(text.clone()),
            ParameterType::Date => {
                Self::Date(text.parse().map_err(|_| wrong("date such as 2025-03-12"))?)
            }
            ParameterType::Timestamp => Self::Timestamp(
                parse_timestamp(text)
                    .ok_or_else(|| wrong("time such as 2025-03-12T04:21:00, in UTC"))?,
            ),
            ParameterType::Boolean => Self::Boolean(match text.as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(wrong("truth value: true or false")),
            }),
            ParameterType::TextList => unreachable!("lists are read above"),
        })
    }

    /// Reads a value of a type from TOML, where numbers and truth values are written bare.
    pub fn from_toml(kind: ParameterType, value: &toml::Value) -> Result<Self, String> {
        let wrong = || format!("{value} is no {}", kind.as_str());
        match (kind, value) {
            (ParameterType::TextList, toml::Value::Array(values)) => values
                .iter()
                .map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect::<Result<_, _>>()
                .map(Self::TextList),
            (ParameterType::TextList, _) => Err(wrong()),
            (ParameterType::Integer, toml::Value::Integer(number)) => Ok(Self::Integer(*number)),
            (ParameterType::Number, toml::Value::Float(number)) => Ok(Self::Number(*number)),
            (ParameterType::Number, toml::Value::Integer(number)) => {
                Ok(Self::Number(*number as f64))
            }
            (ParameterType::Boolean, toml::Value::Boolean(truth)) => Ok(Self::Boolean(*truth)),
            (
                ParameterType::Text | ParameterType::Date | ParameterType::Timestamp,
                toml::Value::String(text),
            ) => Self::parse(kind, std::slice::from_ref(text)),
            (ParameterType::Date | ParameterType::Timestamp, toml::Value::Datetime(time)) => {
                Self::parse(kind, &[time.to_string()])
            }
            _ => Err(wrong()),
        }
    }

    /// The value as a person reads it.
    pub fn in_words(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Date(date) => date.to_string(),
            Self::Timestamp(time) => format!("{time}Z"),
            Self::Boolean(truth) => truth.to_string(),
            Self::TextList(texts) => texts.join(", "),
        }
    }

    /// What stands for the value in a statement whose values are bound, and the bound values.
    pub fn bind(&self, name: &str) -> (String, Vec<(String, Value)>) {
        let value = match self {
            Self::Integer(number) => Value::Integer(*number),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Date(date) => Value::Text(date.to_string()),
            Self::Timestamp(time) => Value::Timestamp(milliseconds(*time)),
            Self::Boolean(truth) => Value::Boolean(*truth),
            Self::TextList(texts) => {
                let texts = list_or_nothing(texts);
                let named = (1..)
                    .zip(texts)
                    .map(|(number, text)| (format!("{name}_{number}"), Value::Text(text.clone())));
                let named: Vec<(String, Value)> = named.collect();
                let places: Vec<String> =
                    named.iter().map(|(name, _)| format!("${name}")).collect();
                return (places.join(", "), named);
            }
        };
        (format!("${name}"), vec![(name.to_owned(), value)])
    }

    /// The value as a literal of an engine's SQL.
    pub fn literal(&self, engine: Engine) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => format!("{number:?}"),
            Self::Text(text) => text_literal(engine, text),
            Self::Date(date) => text_literal(engine, &date.to_string()),
            Self::Timestamp(time) => {
                let text = time.to_string().replace('T', " ");
                let kind = match engine {
                    // Spark's plain timestamp is in the session's zone.
                    Engine::Spark => "timestamp_ntz",
                    Engine::Athena | Engine::DuckDb | Engine::DataFusion => "timestamp",
                };
                format!("{kind} '{text}'")
            }
            Self::Boolean(truth) => truth.to_string(),
            Self::TextList(texts) => {
                let texts = list_or_nothing(texts).iter();
                let texts: Vec<String> = texts.map(|text| text_literal(engine, text)).collect();
                texts.join(", ")
            }
        }
    }
}

/// `IN ()` is no SQL: an empty list is one text that no column holds.
fn list_or_nothing(texts: &[String]) -> &[String] {
    static NOTHING: [String; 1] = [String::new()];
    match texts.is_empty() {
        true => &NOTHING,
        false => texts,
    }
}

/// In Spark the backslash escapes, and `'a''b'` is `'ab'`.
fn text_literal(engine: Engine, text: &str) -> String {
    match engine {
        Engine::Spark => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Engine::Athena | Engine::DuckDb | Engine::DataFusion => {
            format!("'{}'", text.replace('\'', "''"))
        }
    }
}

/// `2025-03-12T04:21:00`, with a space for the T, with or without Z, seconds or the whole time.
fn parse_timestamp(text: &str) -> Option<DateTime> {
    let text = text.strip_suffix('Z').unwrap_or(text).replace(' ', "T");
    let time: DateTime = text.parse().ok()?;
    // Milliseconds are as fine as the lake is.
    time.with()
        .subsec_nanosecond(time.subsec_nanosecond() / 1_000_000 * 1_000_000)
        .build()
        .ok()
}

fn milliseconds(time: DateTime) -> i64 {
    time.to_zoned(TimeZone::UTC)
        .map_or(0, |zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: ParameterType, text: &str) -> Result<ParameterValue, String> {
        ParameterValue::parse(kind, &[text.to_owned()])
    }

    #[test]
    fn values_are_typed() {
        use ParameterType::*;
        assert_eq!(parse(Integer, "50"), Ok(ParameterValue::Integer(50)));
        for (kind, wrong) in [
            (Integer, "5x"),
            (Integer, "1.5"),
            (Number, "NaN"),
            (Number, "inf"),
            (Boolean, "yes"),
            (Date, "2025-13-01"),
            (Timestamp, "yesterday"),
        ] {
            assert!(parse(kind, wrong).is_err(), "{wrong}");
        }
        let time = parse(Timestamp, "2025-03-12 04:21:00Z").expect("a time");
        assert_eq!(
            time.bind("at").1,
            [("at".to_owned(), Value::Timestamp(1_741_753_260_000))]
        );
        assert_eq!(
            time.literal(Engine::Spark),
            "timestamp_ntz '2025-03-12 04:21:00'"
        );
    }

    #[test]
    fn literals_cannot_be_left() {
        let text = ParameterValue::Text(r"a' OR 1=1 --\' ".to_owned());
        assert_eq!(text.literal(Engine::Athena), r"'a'' OR 1=1 --\'' '");
        assert_eq!(text.literal(Engine::Spark), r"'a\' OR 1=1 --\\\' '");
        let list = ParameterValue::TextList(Vec::new());
        assert_eq!(list.literal(Engine::DuckDb), "''");
        assert_eq!(list.bind("x").0, "$x_1");
    }
}
