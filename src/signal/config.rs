//! `[[notify]]` of dynatrail.toml: who is told of what, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::short_hash;
use super::secret::SecretPlace;
use crate::report::header::Level;

/// Sections of a file.
pub const MAX_SINKS: usize = 16;

/// Seconds that one try to send may take.
const DEFAULT_TIME_LIMIT_SECONDS: u64 = 30;
const MAX_TIME_LIMIT_SECONDS: u64 = 600;

/// Headers of a webhook.
const MAX_HEADERS: usize = 16;

/// What a sink can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// New findings.
    Findings,
    /// Something is not covered any more.
    Coverage,
    /// The run failed.
    Failure,
}

/// What a sink is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants {
    pub on: Vec<Occasion>,
    /// The least level of findings.
    pub level: Level,
}

impl Wants {
    pub(super) fn admit(&self, occasion: Occasion, level: Level) -> bool {
        self.on.contains(&occasion) && (occasion != Occasion::Findings || level >= self.level)
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Sns {
        topic_arn: String,
        /// Of the topic's ARN.
        region: String,
        /// Another server than AWS, such as a VPC endpoint's address.
        endpoint_url: Option<String>,
    },
    Webhook {
        url: SecretPlace,
        /// By name.
        headers: BTreeMap<String, SecretPlace>,
    },
    /// The program and its arguments; no shell reads them.
    Command { argv: Vec<String> },
}

/// A section, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// What a person calls it; shows no secret.
    pub name: String,
    /// By what the book knows it: the name if it was given one, else the target.
    pub key: String,
    pub wants: Wants,
    pub target: Target,
    /// For one try.
    pub time_limit: Duration,
}

/// A section as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    kind: Kind,
    name: Option<String>,
    on: Option<Vec<Occasion>>,
    level: Option<Level>,
    time_limit_seconds: Option<u64>,
    topic_arn: Option<String>,
    endpoint_url: Option<String>,
    /// Refused: it is a secret.
    url: Option<toml::Value>,
    url_env: Option<String>,
    url_file: Option<PathBuf>,
    #[serde(default)]
    headers: BTreeMap<String, toml::Value>,
    command: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Sns,
    Webhook,
    Command,
}

/// Reads the sections; the error says which one is wrong and what to write.
pub fn parse(sections: &[toml::Table]) -> Result<Vec<Notify>, String> {
    if sections.len() > MAX_SINKS {
        return Err(format!("notify: more than {MAX_SINKS} sections"));
    }
    let mut parsed: Vec<Notify> = Vec::new();
    for (place, table) in sections.iter().enumerate() {
        let number = place + 1;
        let notify = read(table).map_err(|problem| format!("notify {number}: {problem}"))?;
        if parsed.iter().any(|other| other.key == notify.key) {
            return Err(format!(
                "notify {number}: there is another {}: give each a name of its own",
                notify.name
            ));
        }
        parsed.push(notify);
    }
    Ok(parsed)
}

fn read(table: &toml::Table) -> Result<Notify, String> {
    let section: Section = table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let target = section.target()?;
    let seconds = section
        .time_limit_seconds
        .unwrap_or(DEFAULT_TIME_LIMIT_SECONDS);
    if seconds == 0 || seconds > MAX_TIME_LIMIT_SECONDS {
        return Err(format!(
            "time_limit_seconds is 1 to {MAX_TIME_LIMIT_SECONDS}, not {seconds}"
        ));
    }
    let on = section
        .on
        .unwrap_or_else(|| vec![Occasion::Findings, Occasion::Coverage, Occasion::Failure]);
    if on.is_empty() {
        return Err("on names nothing: findings, coverage or failure".to_owned());
    }
    let (name, key) = match section.name {
        Some(name) if name.trim().is_empty() => return Err("name is empty".to_owned()),
        Some(name) => (name.clone(), format!("name:{name}")),
        None => named_by(&target),
    };
    Ok(Notify {
        name,
        key,
        wants: Wants {
            on,
            level: section.level.unwrap_or(Level::High),
        },
        target,
        time_limit: Duration::from_secs(seconds),
    })
}

/// Name and key of a target that was given no name. Arguments of a command may be secrets.
fn named_by(target: &Target) -> (String, String) {
    match target {
        Target::Sns { topic_arn, .. } => (topic_arn.clone(), format!("sns:{topic_arn}")),
        Target::Webhook { url, .. } => (format!("webhook of {url}"), format!("webhook:{url}")),
        Target::Command { argv } => (
            format!("command {}", argv[0]),
            format!("command:{}", short_hash(&argv.join("\0"))),
        ),
    }
}

impl Section {
    fn target(&self) -> Result<Target, String> {
        self.refuse_foreign()?;
        match self.kind {
            Kind::Sns => self.sns(),
            Kind::Webhook => self.webhook(),
            Kind::Command => match self.command.as_deref() {
                Some([program, ..]) if !program.is_empty() => Ok(Target::Command {
                    argv: self.command.clone().unwrap_or_default(),
                }),
                _ => Err("a command needs command = [\"/path/of/program\", …]".to_owned()),
            },
        }
    }

    /// A member of another kind is a mistake.
    fn refuse_foreign(&self) -> Result<(), String> {
        if self.url.is_some() {
            return Err(
                "url is a secret and does not belong into this file: put it into an environment \
                 variable and name that with url_env, or into a file and name it with url_file"
                    .to_owned(),
            );
        }
        for (is_given, name, kind) in [
            (self.topic_arn.is_some(), "topic_arn", Kind::Sns),
            (self.endpoint_url.is_some(), "endpoint_url", Kind::Sns),
            (self.url_env.is_some(), "url_env", Kind::Webhook),
            (self.url_file.is_some(), "url_file", Kind::Webhook),
            (!self.headers.is_empty(), "headers", Kind::Webhook),
            (self.command.is_some(), "command", Kind::Command),
        ] {
            if is_given && self.kind != kind {
                return Err(format!("{name} is not for this kind"));
            }
        }
        Ok(())
    }

    fn sns(&self) -> Result<Target, String> {
        let Some(topic_arn) = self.topic_arn.clone() else {
            return Err("sns needs topic_arn".to_owned());
        };
        let parts: Vec<&str> = topic_arn.split(':').collect();
        match parts[..] {
            ["arn", partition, "sns", region, account, name]
                if partition.starts_with("aws")
                    && !region.is_empty()
                    && crate::archive::is_account(account)
                    && !name.is_empty() =>
            {
                Ok(Target::Sns {
                    region: region.to_owned(),
                    topic_arn,
                    endpoint_url: self.endpoint_url.clone(),
                })
            }
            _ => Err(format!(
                "topic_arn {topic_arn:?} is not like arn:aws:sns:eu-central-1:111122223333:alarms"
            )),
        }
    }

    fn webhook(&self) -> Result<Target, String> {
        let url = place(self.url_env.as_deref(), self.url_file.clone())
            .ok_or("a webhook needs url_env or url_file, one of them")?;
        if self.headers.len() > MAX_HEADERS {
            return Err(format!("more than {MAX_HEADERS} headers"));
        }
        let mut headers = BTreeMap::new();
        for (name, value) in &self.headers {
            let text = |member: &str| value.get(member).and_then(toml::Value::as_str);
            let members = value.as_table().map_or(0, toml::Table::len);
            let place = place(text("env"), text("file").map(PathBuf::from));
            match place {
                Some(place) if members == 1 => headers.insert(name.clone(), place),
                _ => {
                    return Err(format!(
                        "header {name:?} may be a secret: write {name} = {{ env = \"VARIABLE\" }} or \
                         {{ file = \"path\" }}"
                    ));
                }
            };
        }
        Ok(Target::Webhook { url, headers })
    }
}

/// The place that is given, if it is one.
fn place(environment: Option<&str>, file: Option<PathBuf>) -> Option<SecretPlace> {
    match (environment, file) {
        (Some(name), None) if !name.is_empty() => Some(SecretPlace::Environment(name.to_owned())),
        (None, Some(path)) => Some(SecretPlace::File(path)),
        _ => None,
    }
}
