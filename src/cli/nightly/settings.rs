//! Lets `[nightly]` of dynatrail.toml say what the command line does not: its members are the
//! options' names, and the command line goes before.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// The member of the file.
const TABLE: &str = "nightly";

/// Arguments for what the file's table says and the command line does not; none without a table.
pub fn arguments_of_file(
    path: &Path,
    command: &Command,
    given: &ArgMatches,
) -> anyhow::Result<Vec<OsString>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: toml::Table =
        toml::from_str(&text).with_context(|| format!("{} is no TOML", path.display()))?;
    let table = match file.get(TABLE) {
        None => return Ok(Vec::new()),
        Some(toml::Value::Table(table)) => table,
        Some(_) => bail!("{}: {TABLE} is no table", path.display()),
    };
    let mut arguments = Vec::new();
    for (name, value) in table {
        let place = || format!("{}: {TABLE}.{name}", path.display());
        let id = name.replace('-', "_");
        let known = command.get_arguments().find(|known| known.get_id() == &id);
        let Some(known) = known.filter(|known| known.get_id() != "config") else {
            bail!("{} is unknown; there are {}", place(), known_names(command));
        };
        if given.value_source(&id) == Some(ValueSource::CommandLine) {
            continue;
        }
        for text in texts(value).with_context(place)? {
            match (known.get_long(), known.get_action().takes_values()) {
                (Some(long), true) => arguments.push(format!("--{long}={text}").into()),
                (Some(long), false) if text == "true" => arguments.push(format!("--{long}").into()),
                (Some(_), false) if text == "false" => {}
                (Some(_), false) => bail!("{} must be true or false", place()),
                (None, _) => arguments.push(text.into()),
            }
        }
    }
    Ok(arguments)
}

fn known_names(command: &Command) -> String {
    let known = command.get_arguments().map(|known| known.get_id().as_str());
    let mut known: Vec<&str> = known
        .filter(|id| !matches!(*id, "config" | "help" | "version" | "quiet" | "verbose"))
        .collect();
    known.sort_unstable();
    known.join(", ")
}

/// A value, or the values of an array, as a person would write them on a command line.
fn texts(value: &toml::Value) -> anyhow::Result<Vec<String>> {
    let one = |value: &toml::Value| match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        toml::Value::Datetime(date) => Ok(date.to_string()),
        _ => bail!("neither text, number, date nor true or false"),
    };
    match value {
        toml::Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}
