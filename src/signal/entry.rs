//! What the book knows of a finding, a loss or a failure, and what a night does to it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::Occasion;
use super::{Night, Window};
use crate::lake::hex::hex;
use crate::render::sanitize::beginning;
use crate::report::finding::{Finding, Span};
use crate::report::header::Level;

/// Characters of what an entry says.
const MAX_SUMMARY_CHARACTERS: usize = 400;

/// A finding, a loss of coverage or a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub occasion: Occasion,
    /// The report's name; empty for what is no finding.
    pub report: String,
    pub title: String,
    pub level: Level,
    /// One harmless line.
    pub summary: String,
    pub state: State,
    /// How often it began, from 1. Every night that fails is one.
    pub opening: u32,
    /// The label of the night on which it was seen first since it began.
    pub first_night: String,
    /// The label of the last night on which it was seen.
    pub last_night: String,
    /// Nights on which it was seen since it began.
    pub nights: u32,
    /// The event dates that it is about, as far as they have not been looked at without it.
    pub span: Span,
    /// The label of the night that did not see it any more.
    pub ended_night: Option<String>,
    /// By the key of the sink.
    pub sinks: BTreeMap<String, Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Open,
    /// Its dates were looked at, and it was not there.
    Ended,
    /// Its dates are older than those that are looked at every night. What has the same dates when it
    /// is seen again is no news.
    Past,
}

/// How far a sink was told of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The opening that is meant, and with it all before.
    pub opening: u32,
    pub progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    /// It is to be sent.
    Owed,
    /// A message with it was about to be sent, and may have arrived.
    Sending,
    Sent,
}

/// What became of a finding on a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub id: String,
    pub report: String,
    pub title: String,
    pub level: Level,
    /// Columns and values on one line, harmless on a terminal.
    pub summary: String,
    /// The night on which it was seen first since it began.
    pub first_night: String,
    pub last_night: String,
    /// How often it began: more than once where it had ended and came again.
    pub opening: u32,
}

/// What a night saw, before it is held against the book.
pub(super) struct Sighting {
    pub id: String,
    occasion: Occasion,
    report: String,
    title: String,
    level: Level,
    summary: String,
    span: Span,
}

impl Entry {
    pub(super) fn first(sighting: Sighting, label: &str) -> (String, Self) {
        let entry = Self {
            occasion: sighting.occasion,
            report: sighting.report,
            title: sighting.title,
            level: sighting.level,
            summary: sighting.summary,
            state: State::Open,
            opening: 1,
            first_night: label.to_owned(),
            last_night: label.to_owned(),
            nights: 1,
            span: sighting.span,
            ended_night: None,
            sinks: BTreeMap::new(),
        };
        (sighting.id, entry)
    }

    pub(super) fn see(&mut self, sighting: Sighting, label: &str) {
        let is_new = match self.state {
            State::Open => false,
            State::Ended => true,
            State::Past => !self.span.overlaps(&sighting.span),
        };
        self.state = State::Open;
        self.span = sighting.span;
        self.ended_night = None;
        if is_new {
            self.opening += 1;
            self.first_night = label.to_owned();
            self.nights = 1;
        } else if self.last_night != label {
            self.nights += 1;
            if self.occasion == Occasion::Failure {
                self.opening += 1;
            }
        }
        self.last_night = label.to_owned();
        self.title = sighting.title;
        self.level = sighting.level;
        self.summary = sighting.summary;
    }

    /// Takes in that a night did not see it.
    pub(super) fn miss(&mut self, night: &Night<'_>) {
        let (state, span) = match (self.occasion, night.window) {
            (Occasion::Failure, _) => (State::Ended, self.span),
            (_, None) => return,
            (_, Some(window)) => self.missed_in(window, is_answered(self, night)),
        };
        if state != State::Open {
            self.state = state;
            self.span = span;
            self.ended_night = Some(night.label.to_owned());
        }
    }

    /// What becomes of it, and which of its dates are left, where it was not in a window.
    fn missed_in(&self, window: Window, is_answered: bool) -> (State, Span) {
        let span = self.span;
        if is_answered && window.contains(&span) {
            return (State::Ended, span);
        }
        // A back-fill says nothing of other dates.
        if window.is_back_fill || span.first >= window.first {
            return (State::Open, span);
        }
        let left = Span {
            last: span.last.min(window.first.yesterday().unwrap_or(Date::MIN)),
            ..span
        };
        match is_answered || left == span {
            true => (State::Past, left),
            false => (State::Open, span),
        }
    }

    pub(super) fn change(&self, id: &str) -> Change {
        Change {
            id: id.to_owned(),
            report: self.report.clone(),
            title: self.title.clone(),
            level: self.level,
            summary: self.summary.clone(),
            first_night: self.first_night.clone(),
            last_night: self.last_night.clone(),
            opening: self.opening,
        }
    }
}

/// Whether a night looked for what an entry is about, at all of its window.
fn is_answered(entry: &Entry, night: &Night<'_>) -> bool {
    match entry.occasion {
        Occasion::Findings => night.findings.answered.contains(&entry.report),
        Occasion::Coverage => night.coverage.is_some(),
        Occasion::Failure => true,
    }
}

pub(super) fn sightings(night: &Night<'_>) -> Vec<Sighting> {
    let mut sightings = Vec::new();
    let whole = night.span();
    for finding in &night.findings.findings {
        sightings.push(Sighting {
            id: finding.id.clone(),
            occasion: Occasion::Findings,
            report: finding.report.clone(),
            title: beginning(&finding.title, MAX_SUMMARY_CHARACTERS),
            level: finding.level,
            summary: summary(finding),
            span: finding.span.unwrap_or(whole),
        });
    }
    for loss in night.coverage.unwrap_or_default() {
        sightings.push(Sighting {
            id: format!("coverage-{}", short_hash(&loss.id)),
            occasion: Occasion::Coverage,
            report: String::new(),
            title: "coverage fell".to_owned(),
            level: Level::High,
            summary: beginning(&loss.sentence, MAX_SUMMARY_CHARACTERS),
            span: loss.date.map_or(whole, Span::of_day),
        });
    }
    if let Some(error) = night.failure {
        sightings.push(Sighting {
            id: format!("failure-{}", short_hash(&without_numbers(error))),
            occasion: Occasion::Failure,
            report: String::new(),
            title: "the run failed".to_owned(),
            level: Level::Critical,
            summary: beginning(error, MAX_SUMMARY_CHARACTERS),
            span: whole,
        });
    }
    sightings
}

/// A finding's columns on one line, harmless on a terminal: `table_name=orders principal=…`.
fn summary(finding: &Finding) -> String {
    let mut text = String::new();
    for (name, value) in &finding.facts {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    beginning(&text, MAX_SUMMARY_CHARACTERS)
}

/// The text with every number as 0: an error is the same though it names another hour or count.
fn without_numbers(text: &str) -> String {
    let mut same = String::with_capacity(text.len());
    let mut in_number = false;
    for c in text.chars() {
        if !c.is_ascii_digit() {
            same.push(c);
        } else if !in_number {
            same.push('0');
        }
        in_number = c.is_ascii_digit();
    }
    same
}

/// 16 hexadecimal digits of a text's hash.
pub(super) fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}
