//! A report's header: the TOML in the leading comment of its file.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// How grave a finding of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// An inventory or a statistic: its rows are no suspicion.
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Level {
    /// From the least grave to the gravest.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What must have been recorded for a report's silence to mean anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Control-plane events of DynamoDB.
    Control,
    /// Reads of items by other calls than PartiQL, whose `readOnly` is false.
    DataRead,
    /// Writes and deletes of items.
    DataWrite,
    Streams,
    Dax,
    /// NetworkActivity events.
    Network,
    /// Any event of DynamoDB.
    Any,
    /// What was read, which every lake knows.
    Receipts,
    /// Events of another service, by its `eventSource`.
    Source(String),
}

impl Need {
    /// In words, as in "control-plane events were not recorded".
    pub fn in_words(&self) -> String {
        match self {
            Self::Control => "control-plane events".to_owned(),
            Self::DataRead => "data-plane reads".to_owned(),
            Self::DataWrite => "data-plane writes".to_owned(),
            Self::Streams => "DynamoDB Streams events".to_owned(),
            Self::Dax => "DAX events".to_owned(),
            Self::Network => "network activity events".to_owned(),
            Self::Any => "DynamoDB events".to_owned(),
            Self::Receipts => "receipts".to_owned(),
            Self::Source(source) => format!("events of {source}"),
        }
    }
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "control" => Self::Control,
            "data.read" => Self::DataRead,
            "data.write" => Self::DataWrite,
            "streams" => Self::Streams,
            "dax" => Self::Dax,
            "network" => Self::Network,
            "any" => Self::Any,
            "receipts" => Self::Receipts,
            source if source.ends_with(".amazonaws.com") => Self::Source(source.to_owned()),
            _ => {
                return Err(format!(
                    "unknown need {text:?}: control, data.read, data.write, streams, dax, network, \
                     any, receipts or an eventSource such as kms.amazonaws.com"
                ));
            }
        })
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::DataRead => "data.read",
            Self::DataWrite => "data.write",
            Self::Streams => "streams",
            Self::Dax => "dax",
            Self::Network => "network",
            Self::Any => "any",
            Self::Receipts => "receipts",
            Self::Source(source) => source,
        })
    }
}

impl<'de> Deserialize<'de> for Need {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The type of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    Integer,
    Number,
    Text,
    /// YYYY-MM-DD, compared as text.
    Date,
    /// YYYY-MM-DD HH:MM:SS in UTC.
    Timestamp,
    Boolean,
    TextList,
}

impl ParameterType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Boolean => "boolean",
            Self::TextList => "text_list",
        }
    }
}

/// A parameter as its report declares it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredParameter {
    #[serde(rename = "type")]
    pub kind: ParameterType,
    pub default: toml::Value,
    pub about: String,
}

/// How a report's rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// x is a timestamp, y the series, value what is summed.
    TimeSeries,
    /// x is a label, value its length.
    Bar,
    /// x is an hour of the day, y an ISO weekday.
    HeatMap,
    /// x is an hour of the day, y a day as text.
    HoursByDay,
    /// x and y are labels.
    Matrix,
}

/// A report's chart: which columns go where. Without `value` rows are counted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    pub kind: ChartKind,
    pub x: String,
    #[serde(default)]
    pub y: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
}

/// Names and what stands behind them, in the order of the file.
#[derive(Debug, Clone)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// Of what a report counts the days that were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryOf {
    /// Of each table: where it was seen on items or streams, the days on which these were recorded.
    Table,
    /// The same of an account's tables of a name, in all its regions together.
    TableName,
    /// Of what the report needs, in each region of an account.
    Region,
    /// Of what the report needs, in each account.
    Account,
}

/// The fewest days that must have been recorded before the window: with fewer, the report keeps
/// silent, or sees less.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedDays {
    /// The parameter that says how many.
    pub parameter: String,
    pub of: HistoryOf,
}

/// What the leading comment of a report's file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub title: String,
    /// Paragraphs of plain text.
    pub description: String,
    pub level: Level,
    /// Technique ids of MITRE ATT&CK.
    pub attack: Vec<String>,
    pub references: Vec<String>,
    pub false_positives: Vec<String>,
    /// All of these must have been recorded.
    pub needs: Vec<Need>,
    /// The columns that say which finding a row is: the same from night to night, while the window
    /// moves on and counts grow. Empty for inventories.
    #[serde(default)]
    pub identity: Vec<String>,
    /// Read where it was recorded.
    #[serde(default)]
    pub optional: Vec<Need>,
    /// Parameters of which one must be given for there to be anything to look for.
    #[serde(default)]
    pub asks: Vec<String>,
    /// The parameter that says how many days of history the report compares with.
    #[serde(default)]
    pub baseline_days: Option<String>,
    /// How many of them must be recorded ones.
    #[serde(default)]
    pub recorded_days: Option<RecordedDays>,
    #[serde(default)]
    pub parameters: Ordered<DeclaredParameter>,
    /// The output columns in order, with their meanings.
    pub columns: Ordered<String>,
    #[serde(default)]
    pub chart: Option<Chart>,
}
