//! Writes what a night leaves: the page, the rows, the summary and the metrics.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::cli::report::output;
use crate::cli::terminal::printable;
use crate::nightly::estimate::Estimate;
use crate::nightly::metrics;
use crate::nightly::summary::Night;
use crate::render::Format;
use crate::report::result::ReportRun;

/// Writes the page and a file of rows for each report with rows.
pub fn write_reports(run: &ReportRun, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    output::write_folder(run, Format::Csv, &folder.join("reports"))?;
    output::write_page(run, &folder.join("index.html"))
}

pub fn write_summary(night: &Night, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let text = serde_json::to_string_pretty(night)?;
    output::write_file(&folder.join("summary.json"), |out| {
        Ok(writeln!(out, "{}", printable(&text))?)
    })
}

pub fn write_metrics(night: &Night, path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    output::write_file(path, |out| {
        Ok(out.write_all(metrics::text(night, now).as_bytes())?)
    })
}

/// A night in one line.
pub fn in_words(night: &Night) -> String {
    let mut text = format!(
        "{} after {:.1} s",
        night.status.as_str(),
        night.elapsed_seconds
    );
    if let Some(convert) = &night.convert {
        let objects = &convert.objects;
        text.push_str(&format!(
            ": {} objects listed, {} converted, {} failed; {} events in the lake",
            objects.listed, objects.converted, objects.failed, convert.lake.events
        ));
    }
    if let Some(convert) = &night.convert {
        let objects = &convert.objects;
        if objects.converted + objects.failed + objects.deferred + convert.resumed_units == 0 {
            text.push_str("; nothing was new, nothing was fetched");
        }
    }
    if let Some(reports) = &night.reports {
        let answers = reports.answers.iter();
        let answers: Vec<String> = answers
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        text.push_str(&format!("; reports: {}", answers.join(", ")));
    }
    text
}

pub fn print_estimate(estimate: &Estimate) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(estimate)?;
    writeln!(std::io::stdout(), "{}", printable(&text))?;
    Ok(())
}
