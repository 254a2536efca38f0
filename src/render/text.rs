//! A run of reports for a terminal: what needs attention first, then the rows, then the evidence.

use std::io::Write;

use super::sanitize::one_line;
use super::table::TableWriter;
use super::{Layout, RenderError};
use crate::report::header::Level;
use crate::report::result::{Answer, ReportResult, ReportRun};

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const YELLOW: &str = "\u{1b}[33m";
const GREEN: &str = "\u{1b}[32m";
const RESET: &str = "\u{1b}[0m";

/// Writes a run.
pub fn write_run(
    run: &ReportRun,
    layout: Layout,
    out: &mut (impl Write + ?Sized),
) -> Result<(), RenderError> {
    if run.results.len() > 1 {
        for result in run.by_gravity() {
            write_line(result, layout, out)?;
        }
        writeln!(out)?;
    }
    for result in run.by_gravity() {
        let is_alone = run.results.len() == 1;
        if is_alone || result.answer == Answer::Finding {
            write_report(result, layout, out)?;
        }
    }
    writeln!(out, "{}", styled("Evidence", BOLD, layout))?;
    for line in run.evidence.in_words() {
        writeln!(out, "  {}", one_line(&line))?;
    }
    Ok(())
}

/// Writes a report with its rows.
pub fn write_report(
    result: &ReportResult,
    layout: Layout,
    out: &mut (impl Write + ?Sized),
) -> Result<(), RenderError> {
    write_line(result, layout, out)?;
    let title = one_line(&result.report.header.title);
    writeln!(out, "  {}", styled(&title, BOLD, layout))?;
    for reason in &result.reasons {
        writeln!(out, "  - {}", one_line(reason))?;
    }
    for applied in result.suppressions.iter().filter(|s| s.rows > 0) {
        let reason = one_line(&applied.reason);
        writeln!(
            out,
            "  - {} rows are suppressed until {}: {reason}",
            applied.rows, applied.until
        )?;
    }
    if result.row_count > 0 {
        let mut table = TableWriter::new(result.schema.clone(), layout, &mut *out);
        for batch in result.rows.batches() {
            table.write(&batch)?;
        }
        table.count_more(result.row_count - result.rows.count() as u64);
        table.finish()?;
    }
    writeln!(out)?;
    Ok(())
}

/// `finding       high   12 rows  table-deleted`
fn write_line(
    result: &ReportResult,
    layout: Layout,
    out: &mut (impl Write + ?Sized),
) -> Result<(), RenderError> {
    let level = result.report.header.level;
    let style = match result.answer {
        Answer::Finding if level >= Level::High => RED,
        Answer::Finding if level >= Level::Low => YELLOW,
        Answer::Clean => GREEN,
        Answer::Finding | Answer::Incomplete | Answer::NotRecorded => DIM,
    };
    let answer = styled(&format!("{:<12}", result.answer.in_words()), style, layout);
    let name = one_line(&result.report.name);
    writeln!(
        out,
        "{answer}  {:<13}  {:>7} rows  {name}",
        level.as_str(),
        result.row_count
    )?;
    Ok(())
}

fn styled(text: &str, style: &str, layout: Layout) -> String {
    match layout.color {
        true => format!("{style}{text}{RESET}"),
        false => text.to_owned(),
    }
}
