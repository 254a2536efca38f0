//! `dynatrail.toml`: what a site says of itself, parameters of reports, and suppressions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::Deserialize;

use super::catalogue::{Catalogue, Report};
use super::parameter::ParameterValue;
use super::standard::{self, Of};

/// The name of the file that is looked for in the working folder.
pub const FILE_NAME: &str = "dynatrail.toml";

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {problem}")]
    Wrong { path: String, problem: String },
}

/// What a file says, before it is held against the reports there are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    site: BTreeMap<String, toml::Value>,
    #[serde(default)]
    reports: BTreeMap<String, BTreeMap<String, toml::Value>>,
    #[serde(default)]
    suppress: Vec<Suppression>,
    /// Options of the nightly run, which reads them itself.
    #[serde(default, rename = "nightly")]
    _nightly: toml::Table,
    #[serde(default)]
    notify: Vec<toml::Table>,
}

/// Rows of a report that are known and shown as such, for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// The report's name.
    pub report: String,
    /// Columns and what they hold, with `*` for any text. All must match.
    #[serde(rename = "where")]
    pub columns: BTreeMap<String, String>,
    pub reason: String,
    /// The last day on which it holds.
    #[serde(deserialize_with = "date")]
    pub until: Date,
}

fn date<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    use serde::de::Error as _;
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        toml::Value::Datetime(date) => date.to_string(),
        other => return Err(D::Error::custom(format!("{other} is no date"))),
    };
    let wrong = |_| D::Error::custom(format!("{text:?} is no date such as 2025-12-31"));
    text.parse().map_err(wrong)
}

/// A site's settings, checked against the reports.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Values of standard parameters, with patterns as they are written.
    pub site: BTreeMap<String, ParameterValue>,
    /// Values by report and parameter.
    pub reports: BTreeMap<String, BTreeMap<String, ParameterValue>>,
    pub suppressions: Vec<Suppression>,
    /// Who is told of findings, as the sections are written; whoever tells them reads them.
    pub notify: Vec<toml::Table>,
}

impl Config {
    /// Reads a file; every name in it must be one that the reports know.
    pub fn read(path: &Path, catalogue: &Catalogue) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, catalogue).map_err(|problem| ConfigError::Wrong {
            path: path.display().to_string(),
            problem,
        })
    }

    /// Reads a file's text.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, String> {
        let file: ConfigFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut config = Self::default();
        for (name, value) in file.site {
            let standard = standard::find(&name)
                .filter(|standard| matches!(standard.of, Of::Site(_)))
                .ok_or_else(|| unknown_site(&name))?;
            let value = ParameterValue::from_toml(standard.kind, &value)
                .map_err(|problem| format!("site.{name}: {problem}"))?;
            config.site.insert(name, value);
        }
        for (name, values) in file.reports {
            let report = catalogue
                .find(&name)
                .map_err(|error| format!("reports.{name}: {error}"))?;
            let values = values
                .into_iter()
                .map(|(parameter, value)| own_value(&report, parameter, &value))
                .collect::<Result<_, _>>()?;
            config.reports.insert(report.name.clone(), values);
        }
        for suppression in &file.suppress {
            check(suppression, catalogue)?;
        }
        config.suppressions = file.suppress;
        config.notify = file.notify;
        Ok(config)
    }
}

fn unknown_site(name: &str) -> String {
    let known = standard::STANDARD.iter();
    let known = known.filter(|standard| matches!(standard.of, Of::Site(_)));
    let known: Vec<&str> = known.map(|standard| standard.name).collect();
    format!("site.{name} is unknown; there are {}", known.join(", "))
}

fn own_value(
    report: &Report,
    parameter: String,
    value: &toml::Value,
) -> Result<(String, ParameterValue), String> {
    let place = format!("reports.{}.{parameter}", report.name);
    let known = report
        .parameters
        .iter()
        .find(|known| known.name == parameter)
        .ok_or_else(|| format!("{place}: the report has no such parameter"))?;
    let value = ParameterValue::from_toml(known.kind, value)
        .map_err(|problem| format!("{place}: {problem}"))?;
    Ok((parameter, value))
}

fn check(suppression: &Suppression, catalogue: &Catalogue) -> Result<(), String> {
    let report = catalogue
        .find(&suppression.report)
        .map_err(|error| format!("suppress: {error}"))?;
    if suppression.reason.trim().is_empty() {
        return Err(format!("suppress: of {} needs a reason", report.name));
    }
    if suppression.columns.is_empty() {
        return Err(format!("suppress: of {} would hide every row", report.name));
    }
    for column in suppression.columns.keys() {
        if !report
            .header
            .columns
            .0
            .iter()
            .any(|(name, _)| name == column)
        {
            return Err(format!(
                "suppress: {} has no column {column:?}",
                report.name
            ));
        }
    }
    Ok(())
}

/// Whether a text is as a pattern says, in which `*` stands for any text, in linear time.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            (
                "*:role/data-pipeline",
                "arn:aws:iam::1:role/data-pipeline",
                true,
            ),
            (
                "*:role/data-pipeline",
                "arn:aws:iam::1:role/data-pipeline2",
                false,
            ),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
