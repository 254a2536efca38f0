//! Lists reports, shows one, and writes the catalogue page.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use crate::cli::Outcome;
use crate::cli::terminal::printable;
use crate::report::catalogue::{Catalogue, Report};

/// Prints a line a report, by topic.
pub fn list(reports: &[Arc<Report>]) -> anyhow::Result<Outcome> {
    let mut text = String::new();
    let widest = reports
        .iter()
        .map(|report| report.name.len())
        .max()
        .unwrap_or(0);
    let mut topic = "";
    for report in reports {
        if report.topic != topic {
            let between = if topic.is_empty() { "" } else { "\n" };
            topic = &report.topic;
            writeln!(text, "{between}{topic}")?;
        }
        let header = &report.header;
        writeln!(
            text,
            "  {:widest$}  {:<13}  {:<19}  {}",
            report.name,
            header.level.as_str(),
            header.attack.join(","),
            header.title
        )?;
    }
    std::io::stdout().write_all(printable(&text).as_bytes())?;
    Ok(Outcome::Complete)
}

/// Prints what a report is.
pub fn show(report: &Report) -> anyhow::Result<Outcome> {
    let header = &report.header;
    let mut text = String::new();
    writeln!(text, "{}/{}: {}\n", report.topic, report.name, header.title)?;
    writeln!(text, "{}\n", header.description.trim())?;
    writeln!(text, "level     {}", header.level.as_str())?;
    if !header.attack.is_empty() {
        writeln!(text, "ATT&CK    {}", header.attack.join(", "))?;
    }
    let names = |needs: &[crate::report::header::Need]| {
        let names: Vec<String> = needs.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    writeln!(text, "needs     {}", names(&header.needs))?;
    if !header.optional.is_empty() {
        writeln!(text, "reads too {}", names(&header.optional))?;
    }
    if !header.identity.is_empty() {
        writeln!(text, "identity  {}", header.identity.join(", "))?;
    }
    section(&mut text, "False positives", &header.false_positives)?;
    section(&mut text, "References", &header.references)?;
    writeln!(text, "\nParameters")?;
    for parameter in &report.parameters {
        writeln!(
            text,
            "  {} ({}, {:?}): {}",
            parameter.name,
            parameter.kind.as_str(),
            parameter.default.in_words(),
            parameter.about
        )?;
    }
    writeln!(text, "\nColumns")?;
    for (name, about) in &header.columns.0 {
        writeln!(text, "  {name}: {about}")?;
    }
    std::io::stdout().write_all(printable(&text).as_bytes())?;
    Ok(Outcome::Complete)
}

fn section(text: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{title}")?;
    for line in lines {
        writeln!(text, "  {line}")?;
    }
    Ok(())
}

/// Prints the catalogue as Markdown, made from the headers.
pub fn write_page(catalogue: &Catalogue) -> anyhow::Result<Outcome> {
    let mut text = String::from(
        "# The packaged reports\n\n\
         Made by `dynatrail report --catalogue` from the headers of the files. Each file is a report: \
         its header in the leading comment, then one statement, which runs as it stands in Athena, \
         DuckDB, Spark and dynatrail. `/*:name*/` marks the literal behind it as a parameter's \
         default; `dynatrail report --sql NAME --engine ENGINE` prints the statement with other \
         values.\n",
    );
    let mut topic = "";
    for report in &catalogue.reports {
        if report.topic != topic {
            topic = &report.topic;
            writeln!(
                text,
                "\n## {topic}\n\n| report | level | needs | ATT&CK | parameters | |\n|---|---|---|---|---|---|"
            )?;
        }
        let header = &report.header;
        let needs: Vec<String> = header.needs.iter().map(ToString::to_string).collect();
        let own = header.parameters.0.iter();
        let own = own.map(|(name, own)| format!("`{name}` {}", own.default));
        writeln!(
            text,
            "| [{name}]({topic}/{name}.sql) | {} | {} | {} | {} | {} |",
            header.level.as_str(),
            needs.join(", "),
            header.attack.join(", "),
            own.collect::<Vec<_>>().join(", "),
            header.title,
            name = report.name,
        )?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Outcome::Complete)
}
