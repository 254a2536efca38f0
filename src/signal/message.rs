//! What a sink is told of a night: one message, as a subject, as text and as JSON.

use std::cmp::Reverse;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Night;
use super::book::Book;
use super::config::{Notify, Occasion};
use super::entry::{Entry, Progress, State};
use crate::lake::hex::hex;
use crate::render::sanitize::one_line;
use crate::report::header::Level;

/// The version of the JSON.
const VERSION: u32 = 1;

/// Findings that the JSON has in full; all are counted.
const MAX_FINDINGS: usize = 200;

/// Losses and failures that a message names.
const MAX_NAMED: usize = 50;

/// Findings of a report that the text names.
const NAMED_IN_TEXT: usize = 3;

/// A message to one sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub version: u32,
    pub status: Status,
    /// The gravest level of its findings.
    pub level: Option<Level>,
    pub night: String,
    pub lake: String,
    /// Where the night's reports stand.
    pub place: Option<String>,
    /// Whether an earlier message with some of it may have arrived.
    pub may_repeat: bool,
    /// The latest first.
    pub failures: Vec<Failure>,
    /// All failures, those that are not named included.
    pub failure_count: u64,
    pub coverage: Vec<Loss>,
    /// All losses, those that are not named included.
    pub coverage_count: u64,
    /// By report, from the gravest level on.
    pub reports: Vec<ReportNews>,
    /// New findings, those that are not named included.
    pub finding_count: u64,
    #[serde(skip)]
    pub idempotency_key: String,
}

/// What a message is about at its worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Failure,
    Coverage,
    Findings,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Coverage => "coverage",
            Self::Findings => "findings",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub error: String,
    /// Nights in a row that ended so.
    pub nights: u32,
    pub first_night: String,
    pub last_night: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    pub sentence: String,
    pub first_night: String,
    /// Whether it has come to an end meanwhile.
    pub is_over: bool,
}

/// New findings of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportNews {
    pub report: String,
    pub title: String,
    pub level: Level,
    /// New ones, those that are not named included.
    pub count: u64,
    /// Rows of the report that are too many to be told from one another.
    pub rows_beyond: u64,
    pub findings: Vec<News>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    pub id: String,
    pub summary: String,
    pub first_night: String,
    /// How often it began: more than once where it had ended and came again.
    pub opening: u32,
    /// Whether it has ended meanwhile.
    pub is_over: bool,
}

impl Message {
    /// The message with all that a sink has still to be told, and the ids of that; none where there
    /// is nothing.
    pub(super) fn to(
        sink: &Notify,
        book: &Book,
        night: &Night<'_>,
    ) -> Option<(Self, Vec<(String, Progress)>)> {
        let mut pending = book.pending(&sink.key, &sink.wants);
        if book.problem().is_some() {
            pending.retain(|(_, entry, _)| entry.occasion == Occasion::Failure);
        }
        if pending.is_empty() {
            return None;
        }
        pending.sort_by_key(|(id, entry, _)| (Reverse(entry.level), &entry.report, *id));
        let mut message = Self::empty(night);
        let mut ids = Vec::new();
        let mut hash = Sha256::new();
        hash.update(&sink.key);
        for (id, entry, progress) in pending {
            message.add(id, entry, night);
            message.may_repeat |= progress == Progress::Sending;
            hash.update(format!("\n{id} {}", entry.opening));
            ids.push((id.to_owned(), progress));
        }
        message.may_repeat |= book.problem().is_some();
        message
            .failures
            .sort_by(|left, right| right.last_night.cmp(&left.last_night));
        message.failures.truncate(MAX_NAMED);
        message.idempotency_key = hex(&hash.finalize()[..16]);
        message.status = match (&message.failures[..], message.coverage_count) {
            ([_, ..], _) => Status::Failure,
            ([], 1..) => Status::Coverage,
            ([], 0) => Status::Findings,
        };
        Some((message, ids))
    }

    fn empty(night: &Night<'_>) -> Self {
        Self {
            version: VERSION,
            status: Status::Findings,
            level: None,
            night: one_line(night.label).into_owned(),
            lake: one_line(night.lake).into_owned(),
            place: night.place.map(|place| one_line(place).into_owned()),
            may_repeat: false,
            failures: Vec::new(),
            failure_count: 0,
            coverage: Vec::new(),
            coverage_count: 0,
            reports: Vec::new(),
            finding_count: 0,
            idempotency_key: String::new(),
        }
    }

    fn add(&mut self, id: &str, entry: &Entry, night: &Night<'_>) {
        match entry.occasion {
            Occasion::Failure => {
                self.failure_count += 1;
                self.failures.push(Failure {
                    error: entry.summary.clone(),
                    nights: entry.nights,
                    first_night: entry.first_night.clone(),
                    last_night: entry.last_night.clone(),
                });
            }
            Occasion::Coverage => {
                self.coverage_count += 1;
                if self.coverage.len() < MAX_NAMED {
                    self.coverage.push(Loss {
                        sentence: entry.summary.clone(),
                        first_night: entry.first_night.clone(),
                        is_over: entry.state == State::Ended,
                    });
                }
            }
            Occasion::Findings => self.add_finding(id, entry, night),
        }
    }

    fn add_finding(&mut self, id: &str, entry: &Entry, night: &Night<'_>) {
        self.level = self.level.max(Some(entry.level));
        let report = one_line(&entry.report);
        let last = self.reports.last();
        if last.is_none_or(|last| last.report != report || last.level != entry.level) {
            let beyond = night.findings.beyond.get(&entry.report);
            self.reports.push(ReportNews {
                report: report.into_owned(),
                title: entry.title.clone(),
                level: entry.level,
                count: 0,
                rows_beyond: beyond.copied().unwrap_or(0),
                findings: Vec::new(),
            });
        }
        let has_room = self.finding_count < MAX_FINDINGS as u64;
        self.finding_count += 1;
        let news = self.reports.last_mut().expect("one was added");
        news.count += 1;
        if has_room {
            news.findings.push(News {
                id: id.to_owned(),
                summary: entry.summary.clone(),
                first_night: entry.first_night.clone(),
                opening: entry.opening,
                is_over: entry.state == State::Ended,
            });
        }
    }

    /// Findings, losses and failures.
    pub fn count(&self) -> u64 {
        self.finding_count + self.coverage_count + self.failure_count
    }

    /// One line of ASCII without a word of the log.
    pub fn subject(&self) -> String {
        let mut parts = Vec::new();
        if let Some(failure) = self.failures.first() {
            parts.push(match failure.nights {
                1 => "run failed".to_owned(),
                nights => format!("run still failing, night {nights}"),
            });
        }
        if self.coverage_count > 0 {
            parts.push("coverage fell".to_owned());
        }
        if let Some(level) = self.level {
            let findings = if self.finding_count == 1 {
                "finding"
            } else {
                "findings"
            };
            parts.push(format!(
                "{} new {findings}, {} at worst",
                self.finding_count,
                level.as_str()
            ));
        }
        format!("dynatrail: {}", parts.join("; "))
    }

    /// The message in paragraphs, each of lines: what happened to the run, what is not covered, then a
    /// paragraph a report, and where to read on.
    pub fn paragraphs(&self) -> Vec<Vec<String>> {
        let mut paragraphs = Vec::new();
        if self.may_repeat {
            paragraphs.push(vec![
                "This may repeat an earlier message: whether that arrived is not known.".to_owned(),
            ]);
        }
        for failure in &self.failures {
            let head = match failure.nights {
                1 => format!("The run of {} failed:", failure.last_night),
                nights => format!(
                    "Still failing, night {nights} since {}; the run of {} failed:",
                    failure.first_night, failure.last_night
                ),
            };
            paragraphs.push(vec![head, failure.error.clone()]);
        }
        if let Some(more) = more(self.failure_count, self.failures.len()) {
            paragraphs.push(vec![more]);
        }
        if self.coverage_count > 0 {
            let mut lines = vec!["Coverage fell:".to_owned()];
            for loss in &self.coverage {
                lines.push(format!("- {}{}", loss.sentence, over(loss.is_over)));
            }
            lines.extend(more(self.coverage_count, self.coverage.len()));
            paragraphs.push(lines);
        }
        for news in &self.reports {
            paragraphs.push(news.lines());
        }
        let mut lines = vec![format!("Night {} of lake {}", self.night, self.lake)];
        if let Some(place) = &self.place {
            lines.push(format!("Reports: {place}"));
        }
        paragraphs.push(lines);
        paragraphs
    }

    /// The paragraphs as one text.
    pub fn text(&self) -> String {
        let paragraphs = self.paragraphs();
        let texts: Vec<String> = paragraphs.iter().map(|lines| lines.join("\n")).collect();
        texts.join("\n\n")
    }

    /// The message as a JSON object on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("plain data becomes JSON")
    }
}

impl ReportNews {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{}: {} ({}): {} new",
            self.level.as_str(),
            self.title,
            self.report,
            self.count
        )];
        for news in self.findings.iter().take(NAMED_IN_TEXT) {
            let again = if news.opening > 1 { ", again" } else { "" };
            lines.push(format!(
                "- {} {}{again}{}",
                news.id,
                news.summary,
                over(news.is_over)
            ));
        }
        lines.extend(more(self.count, self.findings.len().min(NAMED_IN_TEXT)));
        if self.rows_beyond > 0 {
            lines.push(format!(
                "{} rows more than can be told from one another",
                self.rows_beyond
            ));
        }
        lines
    }
}

fn over(is_over: bool) -> &'static str {
    if is_over { ", ended meanwhile" } else { "" }
}

fn more(count: u64, named: usize) -> Option<String> {
    let more = count - named as u64;
    (more > 0).then(|| format!("and {more} more"))
}
