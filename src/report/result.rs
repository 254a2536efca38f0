//! What a run of reports found: the one plain structure that every output format is fed with.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::Serialize;

use super::catalogue::Report;
use super::evidence::Evidence;
use super::header::Level;
use super::rows::KeptRows;

/// What a report ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// There are rows that are not suppressed.
    Finding,
    /// Nothing was found, but not everything was read.
    Incomplete,
    /// Nothing was found, but what the report looks for was not in the logs.
    NotRecorded,
    /// What the report looks for was recorded and read, and nothing was found.
    Clean,
}

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Clean => "clean",
            Self::NotRecorded => "not_recorded",
            Self::Incomplete => "incomplete",
        }
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Self::NotRecorded => "not recorded",
            other => other.as_str(),
        }
    }
}

/// A suppression that rows of a report matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedSuppression {
    pub reason: String,
    /// The last day on which it holds, YYYY-MM-DD.
    pub until: String,
    pub rows: u64,
}

/// Where an event's record stands in the archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub source: String,
    pub position: i64,
}

/// One report's outcome.
pub struct ReportResult {
    pub report: Arc<Report>,
    pub answer: Answer,
    /// Whether it could not be run to its end.
    pub has_failed: bool,
    /// Why this answer, a sentence each: what was not recorded, what was not read, what is short.
    pub reasons: Vec<String>,
    /// Name and value of every parameter that the report read, in the order of the report.
    pub parameters: Vec<(String, String)>,
    /// The statement with the parameters in their places.
    pub sql: String,
    pub schema: SchemaRef,
    /// The rows, in order; at most as many as the run keeps.
    pub rows: KeptRows,
    /// Rows found, those beyond the kept ones included.
    pub row_count: u64,
    /// For each kept row, which of `suppressions` it matched; empty where none matched any.
    pub suppressed: Vec<Option<usize>>,
    pub suppressions: Vec<AppliedSuppression>,
}

impl ReportResult {
    /// Rows found that no suppression matched.
    pub fn open_rows(&self) -> u64 {
        self.row_count - self.suppressions.iter().map(|s| s.rows).sum::<u64>()
    }
}

/// The outcomes of several reports over one lake.
pub struct ReportRun {
    pub evidence: Evidence,
    /// In the order of topics and names.
    pub results: Vec<ReportResult>,
    /// Where the records of events in the rows stand, by event ID.
    pub places: BTreeMap<String, Place>,
}

impl ReportRun {
    /// The results by what needs attention first: findings from the gravest level on, then what is
    /// not known, then what is clean; inventories last.
    pub fn by_gravity(&self) -> Vec<&ReportResult> {
        let mut results: Vec<&ReportResult> = self.results.iter().collect();
        results.sort_by_key(|result| {
            let level = result.report.header.level;
            let is_inventory = level == Level::Informational && result.answer == Answer::Finding;
            (is_inventory, result.answer, std::cmp::Reverse(level))
        });
        results
    }

    /// The gravest level of a finding.
    pub fn gravest_finding(&self) -> Option<Level> {
        let findings = self.results.iter().filter(|r| r.answer == Answer::Finding);
        findings.map(|result| result.report.header.level).max()
    }
}
