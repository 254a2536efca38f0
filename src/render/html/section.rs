//! What the page says about one report, and where each stands.

use std::collections::BTreeSet;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::chart;
use super::link::Reference;
use super::rows::{Column, Rows, StaticRow};
use super::{HtmlError, grouped, own_markup};
use crate::report::evidence::Evidence;
use crate::report::header::{Level, Need};
use crate::report::result::{Answer, ReportResult, ReportRun};

/// The packaged topics, in the order of the page; a user's own follow by name.
const TOPICS: [(&str, &str); 5] = [
    ("destruction", "Destruction"),
    ("exfiltration", "Exfiltration"),
    ("access", "Access"),
    ("operations", "Operations"),
    ("evidence", "Evidence"),
];

/// What a report's answer asks of the reader. Inventories find rows that are no suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    Finding,
    Incomplete,
    NotRecorded,
    Clean,
    Inventory,
}

impl Attention {
    /// From what needs attention first to what needs none.
    pub const ALL: [Self; 5] = [
        Self::Finding,
        Self::Incomplete,
        Self::NotRecorded,
        Self::Clean,
        Self::Inventory,
    ];

    pub fn of(result: &ReportResult) -> Self {
        match result.answer {
            Answer::Finding if result.report.header.level == Level::Informational => {
                Self::Inventory
            }
            Answer::Finding => Self::Finding,
            Answer::Incomplete => Self::Incomplete,
            Answer::NotRecorded => Self::NotRecorded,
            Answer::Clean => Self::Clean,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finding => Answer::Finding.as_str(),
            Self::Incomplete => Answer::Incomplete.as_str(),
            Self::NotRecorded => Answer::NotRecorded.as_str(),
            Self::Clean => Answer::Clean.as_str(),
            Self::Inventory => "inventory",
        }
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Self::NotRecorded => Answer::NotRecorded.in_words(),
            other => other.as_str(),
        }
    }
}

/// A topic and its reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    pub id: String,
    pub title: String,
    /// Places in the run's results.
    pub results: Vec<usize>,
}

/// The ids of the page's parts: unique, and of plain characters only.
pub struct Anchors {
    pub topics: Vec<Topic>,
    /// One for each result of the run.
    pub reports: Vec<String>,
}

impl Anchors {
    pub fn of(run: &ReportRun) -> Self {
        let mut taken = BTreeSet::new();
        let mut names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
        let own: BTreeSet<&str> = run
            .results
            .iter()
            .map(|r| r.report.topic.as_str())
            .collect();
        names.extend(
            own.into_iter()
                .filter(|name| TOPICS.iter().all(|(topic, _)| topic != name)),
        );
        let mut topics = Vec::new();
        for name in names {
            let results: Vec<usize> = (0..run.results.len())
                .filter(|index| run.results[*index].report.topic == name)
                .collect();
            if results.is_empty() {
                continue;
            }
            let known = TOPICS.iter().find(|(topic, _)| *topic == name);
            topics.push(Topic {
                id: unique("topic", name, &mut taken),
                title: known.map_or(name, |(_, title)| title).to_owned(),
                results,
            });
        }
        let reports = run
            .results
            .iter()
            .map(|result| unique("report", &result.report.name, &mut taken))
            .collect();
        Self { topics, reports }
    }
}

/// An id that is not taken yet, and takes it.
fn unique(prefix: &str, name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let mut id = format!("{prefix}-{plain}");
    let mut number = 2;
    while !taken.insert(id.clone()) {
        id = format!("{prefix}-{plain}-{number}");
        number += 1;
    }
    id
}

#[derive(Serialize)]
struct Suppression {
    reason: String,
    until: String,
    rows: String,
}

/// What was recorded of a kind of event that the report reads.
#[derive(Serialize)]
struct NeedSeen {
    kind: String,
    is_required: bool,
    /// None where nothing counts them.
    events: Option<String>,
    is_recorded: bool,
}

#[derive(Serialize)]
struct Section<'a> {
    id: &'a str,
    name: &'a str,
    topic: &'a str,
    title: &'a str,
    level: &'static str,
    answer: &'static str,
    answer_in_words: &'static str,
    reasons: &'a [String],
    paragraphs: Vec<String>,
    columns: Vec<ColumnView<'a>>,
    rows: Vec<StaticRow>,
    kept_rows: usize,
    kept_rows_grouped: String,
    row_count_grouped: String,
    open_rows_grouped: String,
    rows_not_kept: Option<String>,
    rows_not_static: Option<String>,
    suppressions: Vec<Suppression>,
    chart: Option<Value>,
    chart_note: Option<String>,
    sql: &'a str,
    parameters: Vec<Parameter<'a>>,
    false_positives: &'a [String],
    references: Vec<Reference>,
    techniques: Vec<Reference>,
    needs: Vec<NeedSeen>,
    gaps: &'a [String],
}

/// A column, and how much room its texts ask for.
#[derive(Serialize)]
struct ColumnView<'a> {
    name: &'a str,
    kind: &'static str,
    about: &'a str,
    room: &'static str,
}

#[derive(Serialize)]
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
    about: &'a str,
}

/// What `report.html.jinja` shows.
pub fn context(
    run: &ReportRun,
    result: &ReportResult,
    rows: &Rows<'_>,
    id: &str,
) -> Result<Value, HtmlError> {
    let header = &result.report.header;
    let attention = Attention::of(result);
    let static_rows = rows.static_rows()?;
    let kept_rows = result.rows.count();
    let drawing = chart::draw(result, id)?;
    Ok(Value::from(Serde(Section {
        id,
        name: &result.report.name,
        topic: &result.report.topic,
        title: &header.title,
        level: header.level.as_str(),
        answer: attention.as_str(),
        answer_in_words: attention.in_words(),
        reasons: &result.reasons,
        paragraphs: paragraphs(&header.description),
        columns: column_views(&rows.columns, &static_rows),
        kept_rows,
        kept_rows_grouped: grouped(kept_rows as u64),
        row_count_grouped: grouped(result.row_count),
        open_rows_grouped: grouped(result.open_rows()),
        rows_not_kept: more_than(result.row_count, kept_rows),
        rows_not_static: more_than(kept_rows as u64, static_rows.len()),
        rows: static_rows,
        suppressions: suppressions(result),
        chart: drawing.svg.map(own_markup),
        chart_note: drawing.note,
        sql: &result.sql,
        parameters: parameters(result),
        false_positives: &header.false_positives,
        references: header
            .references
            .iter()
            .map(|text| Reference::of_header(text))
            .collect(),
        techniques: header
            .attack
            .iter()
            .map(|id| Reference::of_technique(id))
            .collect(),
        needs: needs(result, &run.evidence),
        gaps: &run.evidence.gaps,
    })))
}

fn column_views<'a>(columns: &'a [Column], rows: &[StaticRow]) -> Vec<ColumnView<'a>> {
    let mut views = Vec::with_capacity(columns.len());
    for (place, column) in columns.iter().enumerate() {
        let texts = rows
            .iter()
            .filter_map(|row| row.cells[place].text.as_deref());
        let longest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
        views.push(ColumnView {
            name: &column.name,
            kind: column.kind.as_str(),
            about: &column.about,
            room: match longest {
                0..=18 => "narrow",
                19..=48 => "medium",
                _ => "wide",
            },
        });
    }
    views
}

/// How many of `all` are beyond `shown`; none if none.
fn more_than(all: u64, shown: usize) -> Option<String> {
    let more = all.saturating_sub(shown as u64);
    (more > 0).then(|| grouped(more))
}

/// Paragraphs are parted by empty lines; other line ends are only where the file was wrapped.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim) {
        let last = paragraphs.len() - 1;
        match (line.is_empty(), paragraphs[last].is_empty()) {
            (true, false) => paragraphs.push(String::new()),
            (true, true) => {}
            (false, true) => paragraphs[last].push_str(line),
            (false, false) => {
                paragraphs[last].push(' ');
                paragraphs[last].push_str(line);
            }
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

fn suppressions(result: &ReportResult) -> Vec<Suppression> {
    let applied = result.suppressions.iter();
    applied
        .map(|suppression| Suppression {
            reason: suppression.reason.clone(),
            until: suppression.until.clone(),
            rows: grouped(suppression.rows),
        })
        .collect()
}

fn parameters(result: &ReportResult) -> Vec<Parameter<'_>> {
    let declared = &result.report.header.parameters.0;
    let read = result.parameters.iter();
    read.map(|(name, value)| Parameter {
        name,
        value,
        about: declared
            .iter()
            .find(|(declared_name, _)| declared_name == name)
            .map_or("", |(_, parameter)| parameter.about.as_str()),
    })
    .collect()
}

fn needs(result: &ReportResult, evidence: &Evidence) -> Vec<NeedSeen> {
    let header = &result.report.header;
    let required = header.needs.iter().map(|need| (need, true));
    let optional = header.optional.iter().map(|need| (need, false));
    required
        .chain(optional)
        .map(|(need, is_required)| {
            let events = events_seen(need, evidence);
            NeedSeen {
                kind: need.in_words(),
                is_required,
                events: events.map(grouped),
                is_recorded: events != Some(0),
            }
        })
        .collect()
}

/// Events of the window that a need asks for; none where it asks for no events.
fn events_seen(need: &Need, evidence: &Evidence) -> Option<u64> {
    let counted = |is_asked: &dyn Fn(&str) -> bool| {
        let seen = evidence.seen.iter().filter(|seen| is_asked(&seen.kind));
        seen.map(|seen| seen.events).sum()
    };
    match need {
        Need::Receipts => None,
        Need::Any => Some(counted(&|kind| !kind.ends_with(".amazonaws.com"))),
        other => Some(counted(&|kind| kind == other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_and_unique() {
        let mut taken = BTreeSet::new();
        assert_eq!(unique("report", "a\"b", &mut taken), "report-a-b");
        assert_eq!(unique("report", "a b", &mut taken), "report-a-b-2");
    }

    #[test]
    fn wrapped_lines_are_one_paragraph() {
        assert_eq!(paragraphs("\na\nb\n\n\nc\n"), ["a b", "c"]);
    }
}
