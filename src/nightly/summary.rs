//! `summary.json`: what a night did, in a stable schema.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::verified::VerifySummary;
use crate::convert::summary::Summary;
use crate::report::result::{Answer, ReportRun};
use crate::signal::{Change, Changes, Delivery};

/// Raised when a member changes its name or meaning; new members may come without.
pub const SCHEMA: u32 = 1;

/// How a night ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything was read and nothing found at the level asked for.
    Complete,
    /// Something could not be read, is missing, or was left for the next run.
    Incomplete,
    /// Findings at or above the level of `--fail-on`.
    Findings,
    Interrupted,
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Findings => "findings",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// A night. Members that a night did not come to are null.
#[derive(Debug, Serialize)]
pub struct Night {
    pub schema: u32,
    pub version: &'static str,
    pub status: Status,
    /// What ended it early, in words.
    pub error: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    pub elapsed_seconds: f64,
    pub lake: String,
    pub sources: Vec<String>,
    pub listing: Option<Listed>,
    pub convert: Option<Summary>,
    /// What verification by digests found; null where it was not asked for.
    pub integrity: Option<VerifySummary>,
    pub reports: Option<Reports>,
    /// What keeps the evidence from being whole, a sentence each.
    pub coverage_gaps: Vec<String>,
    /// What the findings are beside those of the nights before; null too where those are not known.
    pub findings: Option<Findings>,
    /// What each sink was told.
    pub deliveries: Vec<Delivery>,
    /// Why somebody may not have been told, a sentence each: a night with one is not complete.
    pub signal_problems: Vec<String>,
}

impl Night {
    /// A night that has not come to anything yet. `started` is RFC 3339.
    pub fn begin(started: &str, lake: &str, sources: &[String]) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            status: Status::Failed,
            error: None,
            started: started.to_owned(),
            elapsed_seconds: 0.0,
            lake: lake.to_owned(),
            sources: sources.to_vec(),
            listing: None,
            convert: None,
            integrity: None,
            reports: None,
            coverage_gaps: Vec::new(),
            findings: None,
            deliveries: Vec::new(),
            signal_problems: Vec::new(),
        }
    }

    pub fn end(&mut self, status: Status, elapsed: Duration) {
        self.status = status;
        self.elapsed_seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    }
}

/// The findings of a night.
#[derive(Debug, Serialize)]
pub struct Findings {
    pub new: u64,
    pub continuing: u64,
    pub ended: u64,
    /// Older now than what is looked at.
    pub past: u64,
    /// New ones for which the book has no room.
    pub left_out: u64,
    /// Rows by report that are not among the findings of this night.
    pub rows_beyond: BTreeMap<String, u64>,
    /// The first of the new and of the ended ones, by level from the gravest on.
    pub new_ones: Vec<Change>,
    pub ended_ones: Vec<Change>,
}

/// Findings that a summary names.
const MAX_NAMED: usize = 100;

impl Findings {
    pub fn of(changes: &Changes, rows_beyond: &BTreeMap<String, u64>) -> Self {
        let first = |changes: &[Change]| changes.iter().take(MAX_NAMED).cloned().collect();
        Self {
            new: changes.new.len() as u64,
            continuing: changes.continuing.len() as u64,
            ended: changes.ended.len() as u64,
            past: changes.past,
            left_out: changes.left_out,
            rows_beyond: rows_beyond.clone(),
            new_ones: first(&changes.new),
            ended_ones: first(&changes.ended),
        }
    }
}

/// What was listed.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Key dates from here on; null where all were.
    pub first_key_date: Option<String>,
    pub last_key_date: Option<String>,
    pub late_days: u32,
}

/// What the reports ended in.
#[derive(Debug, Serialize)]
pub struct Reports {
    /// First and last event date looked at.
    pub since: String,
    pub until: Option<String>,
    /// Reports by answer.
    pub answers: BTreeMap<&'static str, u64>,
    pub reports: Vec<ReportSummary>,
}

#[derive(Debug, Serialize)]
pub struct ReportSummary {
    pub report: String,
    pub topic: String,
    pub level: &'static str,
    pub answer: &'static str,
    /// Whether it could not be run to its end.
    pub has_failed: bool,
    pub rows_found: u64,
    pub rows_suppressed: u64,
    pub reasons: Vec<String>,
}

impl Reports {
    pub fn of(run: &ReportRun, since: &str, until: Option<&str>) -> Self {
        let mut answers = BTreeMap::new();
        for answer in [
            Answer::Finding,
            Answer::Incomplete,
            Answer::NotRecorded,
            Answer::Clean,
        ] {
            let ended = run.results.iter().filter(|r| r.answer == answer).count();
            answers.insert(answer.as_str(), ended as u64);
        }
        let reports = run.results.iter().map(|result| ReportSummary {
            report: result.report.name.clone(),
            topic: result.report.topic.clone(),
            level: result.report.header.level.as_str(),
            answer: result.answer.as_str(),
            has_failed: result.has_failed,
            rows_found: result.row_count,
            rows_suppressed: result.row_count - result.open_rows(),
            reasons: result.reasons.clone(),
        });
        Self {
            since: since.to_owned(),
            until: until.map(str::to_owned),
            answers,
            reports: reports.collect(),
        }
    }
}
