//! Writes a run of reports: to stdout, or a file a report into a folder.

use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;

use crate::cli::terminal;
use crate::render::{Format, Layout, RenderError, RowWriter, html, json, markdown, text};
use crate::report::result::{ReportResult, ReportRun};

/// Whether a run of so many reports can be written so.
pub fn check(format: Format, folder: Option<&Path>, reports: usize) -> anyhow::Result<()> {
    if folder.is_some() {
        return Ok(());
    }
    match format {
        Format::Csv | Format::Parquet if reports > 1 => {
            Err(RenderError::OneTable(if format == Format::Csv {
                "CSV"
            } else {
                "Parquet"
            })
            .into())
        }
        Format::Parquet if std::io::stdout().is_terminal() => {
            anyhow::bail!("Parquet is no text: send it to a file with > report.parquet")
        }
        _ => Ok(()),
    }
}

/// Writes a run.
pub fn write(
    run: &ReportRun,
    format: Format,
    folder: Option<&Path>,
    max_rows: usize,
) -> anyhow::Result<()> {
    if let Some(folder) = folder {
        return write_folder(run, format, folder);
    }
    let layout = Layout {
        width: terminal::width(),
        max_rows,
        color: terminal::wants_color_on_stdout(),
    };
    let mut out = BufWriter::new(std::io::stdout());
    match format {
        Format::Table => text::write_run(run, layout, &mut out)?,
        Format::Json => json::write_run(run, &mut out)?,
        Format::Ndjson => json::write_run_lines(run, &mut out)?,
        Format::Markdown => markdown::write_run(run, &mut out)?,
        Format::Html => html::write_html(run, &mut out)?,
        Format::Csv | Format::Parquet => {
            for result in &run.results {
                write_rows(result, format, &mut out)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn write_rows(
    result: &ReportResult,
    format: Format,
    out: impl Write + Send,
) -> Result<(), RenderError> {
    let layout = Layout {
        width: None,
        max_rows: usize::MAX,
        color: false,
    };
    let mut writer = RowWriter::new(format, &result.schema, layout, out)?;
    for batch in result.rows.batches() {
        writer.write(&batch)?;
    }
    writer.finish()
}

pub fn write_folder(run: &ReportRun, format: Format, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    write_file(&folder.join("summary.json"), |out| {
        json::write_summary(run, out)
    })?;
    if format == Format::Html {
        return write_page(run, &folder.join("index.html"));
    }
    for result in &run.results {
        let report = &result.report;
        let topic = folder.join(&report.topic);
        fs::create_dir_all(&topic).with_context(|| format!("cannot create {}", topic.display()))?;
        let path = topic.join(format!("{}.{}", report.name, format.ending()));
        write_file(&path, |out| match format {
            Format::Markdown => markdown::write_report(result, out),
            Format::Table => {
                let layout = Layout {
                    width: None,
                    max_rows: usize::MAX,
                    color: false,
                };
                text::write_report(result, layout, out)
            }
            _ => write_rows(result, format, out),
        })?;
    }
    Ok(())
}

/// Writes a run as one HTML page.
pub fn write_page(run: &ReportRun, path: &Path) -> anyhow::Result<()> {
    write_file(path, |out| Ok(html::write_html(run, out)?))
}

/// Writes a file as a whole: a reader sees the old one or the new one.
pub fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), RenderError>,
) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let staging = path.with_extension("unfinished");
    let mut out = BufWriter::new(File::create(&staging).with_context(failed)?);
    write(&mut out).with_context(failed)?;
    out.flush().with_context(failed)?;
    fs::rename(&staging, path).with_context(failed)
}
