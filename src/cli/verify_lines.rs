//! Prints what verification finds: the lines of `aws cloudtrail validate-logs`, or JSON.

use std::io::{BufWriter, Stdout, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::verify::quiet_pipe;
use crate::integrity::{
    Chain, DigestCounts, DigestResult, DigestStatus, LogResult, LogStatus, Summary, Verdict,
};
use crate::render::sanitize::{json_text, one_line};

/// Log files without a digest that are told one by one in text; the rest are counted.
const UNREFERENCED_SHOWN: u64 = 100;

/// How lines are printed.
pub struct Manner {
    pub json: bool,
    /// What is valid too.
    pub verbose: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// The lines on stdout.
pub struct Lines {
    manner: Manner,
    out: BufWriter<Stdout>,
    unreferenced: u64,
    is_closed: bool,
}

/// What is found of a digest. The names are stable.
#[derive(Serialize)]
struct DigestLine<'a> {
    kind: &'static str,
    uri: &'a str,
    organization: Option<&'a str>,
    account: &'a str,
    region: &'a str,
    trail: &'a str,
    home_region: &'a str,
    chain: &'static str,
    start: Option<String>,
    end: String,
    status: &'static str,
    detail: Option<&'a str>,
    fingerprint: Option<&'a str>,
    notes: Vec<NoteLine>,
    gap: Option<GapLine>,
    log_files: usize,
}

#[derive(Serialize)]
struct NoteLine {
    note: &'static str,
    text: String,
}

/// The interval before the next newer digest that no digest covers.
#[derive(Serialize)]
struct GapLine {
    from: String,
    to: String,
}

/// What is found of a log file.
#[derive(Serialize)]
struct LogLine<'a> {
    kind: &'static str,
    uri: &'a str,
    digest: Option<&'a str>,
    status: &'static str,
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct StrayLine<'a> {
    kind: &'static str,
    uri: &'a str,
}

#[derive(Serialize)]
struct EarlyEndLine<'a> {
    kind: &'static str,
    account: &'a str,
    region: &'a str,
    trail: &'a str,
    home_region: &'a str,
    end: String,
    trail_end: String,
}

#[derive(Serialize)]
struct CountLine {
    valid: u64,
    invalid: u64,
    unsigned: u64,
    orphan: u64,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    kind: &'static str,
    sound: bool,
    chains: u64,
    digests: CountLine,
    backfill_digests: CountLine,
    logs_valid: u64,
    logs_invalid: u64,
    logs_unvouched: u64,
    logs_unreferenced: u64,
    logs_pending: u64,
    gaps: u64,
    jumps: u64,
    overlaps: u64,
    strays: u64,
    early_ends: u64,
    found_from: Option<String>,
    found_to: Option<String>,
    warnings: &'a [String],
}

impl Lines {
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            out: BufWriter::new(std::io::stdout()),
            unreferenced: 0,
            is_closed: false,
        }
    }

    pub fn begin(&mut self, sources: &[String]) -> std::io::Result<()> {
        if self.manner.json {
            return Ok(());
        }
        let span = self.span();
        self.line(&format!(
            "Validating log files in {}{span}\n",
            sources.join(", ")
        ))
    }

    pub fn take(&mut self, verdict: &Verdict) -> std::io::Result<()> {
        match verdict {
            Verdict::Digest(result) => self.digest(result),
            Verdict::Log(log) => self.unreferenced(log),
            Verdict::Stray { uri } if self.manner.json => {
                self.json(&StrayLine { kind: "stray", uri })
            }
            Verdict::Stray { uri } => self.fields([
                "Digest file",
                uri,
                "STRAY: it has not the name of a digest file",
            ]),
            Verdict::EarlyEnd(early) if self.manner.json => self.json(&EarlyEndLine {
                kind: "early_end",
                account: &early.chain.account,
                region: &early.chain.region,
                trail: &early.chain.trail,
                home_region: &early.chain.home_region,
                end: early.end.to_string(),
                trail_end: early.trail_end.to_string(),
            }),
            Verdict::EarlyEnd(early) => self.fields(early.fields().each_ref().map(String::as_str)),
        }
    }

    fn digest(&mut self, result: &DigestResult) -> std::io::Result<()> {
        if self.manner.json {
            return self.digest_json(result);
        }
        if let Some(gap) = result.gap_line() {
            self.line(&gap)?;
        }
        let [subject, uri, told] = result.fields();
        if self.manner.verbose || result.status != DigestStatus::Valid {
            self.fields([&subject, &uri, &told])?;
        }
        if let (DigestStatus::NotFound, Some(detail)) = (result.status, &result.detail) {
            self.line(detail)?;
        }
        for note in &result.notes {
            self.fields([&subject, &uri, &note.told()])?;
        }
        for log in &result.logs {
            if self.manner.verbose || is_told(log.status) {
                self.fields(log.fields().each_ref().map(String::as_str))?;
            }
        }
        Ok(())
    }

    fn digest_json(&mut self, result: &DigestResult) -> std::io::Result<()> {
        let Chain {
            organization,
            account,
            region,
            trail,
            home_region,
            kind,
        } = &result.chain;
        let notes = result.notes.iter().map(|note| NoteLine {
            note: note.as_str(),
            text: note.told(),
        });
        self.json(&DigestLine {
            kind: "digest",
            uri: &result.uri,
            organization: organization.as_deref(),
            account,
            region,
            trail,
            home_region,
            chain: kind.as_str(),
            start: result.start.map(|start| start.to_string()),
            end: result.end.to_string(),
            status: result.status.as_str(),
            detail: result.detail.as_deref(),
            fingerprint: result.fingerprint.as_deref(),
            notes: notes.collect(),
            gap: result.gap.map(|gap| GapLine {
                from: gap.from.to_string(),
                to: gap.to.to_string(),
            }),
            log_files: result.logs_named,
        })?;
        for log in &result.logs {
            if self.manner.verbose || is_told(log.status) {
                self.log_json(log, Some(&result.uri))?;
            }
        }
        Ok(())
    }

    fn log_json(&mut self, log: &LogResult, digest: Option<&str>) -> std::io::Result<()> {
        self.json(&LogLine {
            kind: "log",
            uri: &log.uri,
            digest,
            status: log.status.as_str(),
            detail: log.detail.as_deref(),
        })
    }

    fn unreferenced(&mut self, log: &LogResult) -> std::io::Result<()> {
        if log.status == LogStatus::Pending && !self.manner.verbose {
            return Ok(());
        }
        if self.manner.json {
            return self.log_json(log, None);
        }
        self.unreferenced += 1;
        if self.unreferenced > UNREFERENCED_SHOWN && !self.manner.verbose {
            return Ok(());
        }
        self.fields(log.fields().each_ref().map(String::as_str))
    }

    /// Prints the closing counters: first those of the aws CLI, then ours.
    pub fn finish(&mut self, summary: &Summary) -> std::io::Result<()> {
        if self.manner.json {
            self.json(&summary_line(summary))?;
            return self.out.flush().or_else(quiet_pipe);
        }
        let not_shown = self.unreferenced.saturating_sub(UNREFERENCED_SHOWN);
        if not_shown > 0 && !self.manner.verbose {
            self.line(&format!("and {not_shown} more log files UNREFERENCED"))?;
        }
        let span = self.span();
        self.line(&match span.is_empty() {
            true => "\nResults requested for all times".to_owned(),
            false => format!("\nResults requested{span}"),
        })?;
        if summary.digests() == 0 {
            self.line("No digests found")?;
        } else if let Some((first, last)) = summary.found {
            let first = self.manner.since.map_or(first, |since| first.max(since));
            let last = self.manner.until.map_or(last, |until| last.min(until));
            self.line(&format!("Results found for {first} to {last}:\n"))?;
        } else {
            self.line("No valid digests found in range\n")?;
        }
        for text in counters(summary) {
            self.line(&text)?;
        }
        self.out.flush().or_else(quiet_pipe)
    }

    /// ` from … to …`, as far as it was asked for.
    fn span(&self) -> String {
        let mut span = String::new();
        if let Some(since) = self.manner.since {
            span.push_str(&format!(" from {since}"));
        }
        if let Some(until) = self.manner.until {
            span.push_str(&format!(" to {until}"));
        }
        span
    }

    /// Writes fields that cannot steer a terminal, nor pass for other fields.
    fn fields(&mut self, fields: [&str; 3]) -> std::io::Result<()> {
        let [subject, uri, told] = fields.map(one_line);
        self.write(&format!("{subject}\t{uri}\t{told}"))
    }

    fn line(&mut self, text: &str) -> std::io::Result<()> {
        self.write(&crate::render::sanitize::printable(text))
    }

    fn json(&mut self, line: &impl Serialize) -> std::io::Result<()> {
        let text = serde_json::to_string(line)?;
        self.write(&json_text(&text))
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        match writeln!(self.out, "{text}") {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written,
        }
    }
}

/// What is told of a digest's log files without --verbose.
fn is_told(status: LogStatus) -> bool {
    !matches!(status, LogStatus::Valid | LogStatus::Unvouched)
}

/// `22/23 digest files valid, 1/23 digest files INVALID`, and so on.
fn counters(summary: &Summary) -> Vec<String> {
    let mut texts = Vec::new();
    for (name, counts) in [
        ("digest", &summary.standard),
        ("backfill digest", &summary.backfill),
    ] {
        let parts = [
            (counts.valid, "valid"),
            (counts.invalid, "INVALID"),
            (counts.unsigned, "UNSIGNED"),
        ];
        texts.extend(ratio(name, &parts));
    }
    let parts = [
        (summary.logs_valid, "valid"),
        (summary.logs_invalid, "INVALID"),
    ];
    texts.extend(ratio("log", &parts));
    let orphans = summary.standard.orphan + summary.backfill.orphan;
    for (count, text) in [
        (orphans, "digest files ORPHAN: signed, but off the chain"),
        (summary.strays, "files among the digest files STRAY"),
        (
            summary.logs_unvouched,
            "log files UNVOUCHED: named only by a digest file that is not valid",
        ),
        (
            summary.logs_unreferenced,
            "log files UNREFERENCED: no digest file names them",
        ),
        (
            summary.logs_pending,
            "log files too new to be named by a digest file",
        ),
        (summary.gaps, "gaps, where a chain begins anew"),
        (summary.jumps, "jumps in time within a chain"),
        (summary.overlaps, "overlaps in time within a chain"),
        (
            summary.early_ends,
            "chains that end before others of their trail",
        ),
    ] {
        if count > 0 {
            texts.push(format!("{count} {text}"));
        }
    }
    texts
}

/// None where there is nothing of the kind.
fn ratio(name: &str, parts: &[(u64, &str)]) -> Option<String> {
    let total: u64 = parts.iter().map(|(count, _)| count).sum();
    if total == 0 {
        return None;
    }
    let mut texts = Vec::new();
    for (index, (count, what)) in parts.iter().enumerate() {
        if index == 0 || *count > 0 {
            texts.push(format!("{count}/{total} {name} files {what}"));
        }
    }
    Some(texts.join(", "))
}

fn summary_line(summary: &Summary) -> SummaryLine<'_> {
    let counts = |of: &DigestCounts| CountLine {
        valid: of.valid,
        invalid: of.invalid,
        unsigned: of.unsigned,
        orphan: of.orphan,
    };
    SummaryLine {
        kind: "summary",
        sound: summary.is_sound(),
        chains: summary.chains,
        digests: counts(&summary.standard),
        backfill_digests: counts(&summary.backfill),
        logs_valid: summary.logs_valid,
        logs_invalid: summary.logs_invalid,
        logs_unvouched: summary.logs_unvouched,
        logs_unreferenced: summary.logs_unreferenced,
        logs_pending: summary.logs_pending,
        gaps: summary.gaps,
        jumps: summary.jumps,
        overlaps: summary.overlaps,
        strays: summary.strays,
        early_ends: summary.early_ends,
        found_from: summary.found.map(|(from, _)| from.to_string()),
        found_to: summary.found.map(|(_, to)| to.to_string()),
        warnings: &summary.warnings,
    }
}
