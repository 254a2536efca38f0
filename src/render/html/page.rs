//! What the page says before its reports: the summary, the evidence and the table of contents.

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::policy::policy;
use super::section::{Anchors, Attention};
use super::{SCRIPT, STYLE, grouped, own_markup};
use crate::report::evidence::{Evidence, TableSeen};
use crate::report::header::Level;
use crate::report::result::{ReportResult, ReportRun};

/// Tables, table names and holes that are listed; the rest is counted.
const LISTED: usize = 200;

#[derive(Serialize)]
struct Page {
    policy: String,
    style: Value,
    script: Value,
    verdict: String,
    counts: Vec<Count>,
    levels: Vec<&'static str>,
    /// What needs attention first.
    entries: Vec<Entry>,
    topics: Vec<TopicEntries>,
    report_count: usize,
    evidence: EvidenceView,
}

/// How many reports end in an answer.
#[derive(Serialize)]
struct Count {
    answer: &'static str,
    in_words: &'static str,
    reports: usize,
}

/// A report in a list.
#[derive(Clone, Serialize)]
struct Entry {
    id: String,
    name: String,
    title: String,
    level: &'static str,
    answer: &'static str,
    answer_in_words: &'static str,
    open_rows: String,
    has_rows: bool,
    suppressed_rows: Option<String>,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct TopicEntries {
    id: String,
    title: String,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct EvidenceView {
    lake: String,
    selection: String,
    window: String,
    dates: String,
    events: String,
    objects: Vec<(&'static str, String)>,
    records: Vec<(&'static str, String)>,
    seen: Vec<(String, String)>,
    tables: Vec<TableView>,
    tables_more: usize,
    tables_without_data_events: Vec<String>,
    tables_without_more: usize,
    holes: Vec<HoleView>,
    holes_more: usize,
    hole_hours: String,
    gaps: Vec<String>,
}

#[derive(Serialize)]
struct TableView {
    account: String,
    region: String,
    table: String,
    data_reads: String,
    data_writes: String,
    control: String,
}

#[derive(Serialize)]
struct HoleView {
    account: String,
    region: String,
    from: String,
    hours: String,
}

/// What `page.html.jinja` shows.
pub fn context(run: &ReportRun, anchors: &Anchors) -> Value {
    let mut order: Vec<usize> = (0..run.results.len()).collect();
    order.sort_by_key(|index| {
        let result = &run.results[*index];
        let level = std::cmp::Reverse(result.report.header.level);
        (Attention::of(result), level, *index)
    });
    let entry = |index: &usize| Entry::new(&run.results[*index], &anchors.reports[*index]);
    let topics = anchors.topics.iter().map(|topic| TopicEntries {
        id: topic.id.clone(),
        title: topic.title.clone(),
        entries: topic.results.iter().map(entry).collect(),
    });
    Value::from(Serde(Page {
        policy: policy(SCRIPT, STYLE),
        style: own_markup(STYLE.to_owned()),
        script: own_markup(SCRIPT.to_owned()),
        verdict: verdict(run),
        counts: counts(run),
        levels: Level::ALL
            .iter()
            .rev()
            .map(|level| level.as_str())
            .collect(),
        entries: order.iter().map(entry).collect(),
        topics: topics.collect(),
        report_count: run.results.len(),
        evidence: EvidenceView::new(&run.evidence),
    }))
}

impl Entry {
    fn new(result: &ReportResult, id: &str) -> Self {
        let attention = Attention::of(result);
        let suppressed = result.row_count - result.open_rows();
        Self {
            id: id.to_owned(),
            name: result.report.name.clone(),
            title: result.report.header.title.clone(),
            level: result.report.header.level.as_str(),
            answer: attention.as_str(),
            answer_in_words: attention.in_words(),
            open_rows: grouped(result.open_rows()),
            has_rows: result.row_count > 0,
            suppressed_rows: (suppressed > 0).then(|| grouped(suppressed)),
            reasons: result.reasons.clone(),
        }
    }
}

fn counts(run: &ReportRun) -> Vec<Count> {
    let count = |attention| {
        let results = run.results.iter();
        results
            .filter(|result| Attention::of(result) == attention)
            .count()
    };
    let all = Attention::ALL.into_iter();
    all.map(|attention| Count {
        answer: attention.as_str(),
        in_words: attention.in_words(),
        reports: count(attention),
    })
    .collect()
}

/// The run's answer in a sentence or two.
fn verdict(run: &ReportRun) -> String {
    let of = |attention| {
        let results = run.results.iter();
        results.filter(move |result| Attention::of(result) == attention)
    };
    let findings = of(Attention::Finding).count();
    let mut levels = Vec::new();
    for level in Level::ALL.into_iter().rev() {
        let count = of(Attention::Finding)
            .filter(|result| result.report.header.level == level)
            .count();
        if count > 0 {
            levels.push(format!("{count} {}", level.as_str()));
        }
    }
    let mut verdict = match findings {
        0 => "No report found anything.".to_owned(),
        1 => format!("1 report found something: {}.", levels.join(", ")),
        _ => format!("{findings} reports found something: {}.", levels.join(", ")),
    };
    let unsure = of(Attention::Incomplete).count() + of(Attention::NotRecorded).count();
    if unsure > 0 {
        let reports = if unsure == 1 {
            "1 report"
        } else {
            &format!("{unsure} reports")
        };
        verdict.push_str(&format!(
            " {reports} could not tell: what they look for was not recorded or not all of it read."
        ));
    }
    verdict
}

impl EvidenceView {
    fn new(evidence: &Evidence) -> Self {
        let (objects, records) = (&evidence.objects, &evidence.records);
        let tables = evidence.tables.iter().take(LISTED);
        let without = evidence.tables_without_data_events.iter().take(LISTED);
        let seen = evidence.seen.iter();
        Self {
            lake: evidence.lake.clone(),
            selection: evidence.selection.clone(),
            window: asked(evidence),
            dates: span(&evidence.first_date, &evidence.last_date),
            events: span(&evidence.first_event, &evidence.last_event),
            objects: vec![
                ("listed", grouped(objects.listed)),
                ("read to their end", grouped(objects.converted)),
                ("damaged", grouped(objects.damaged)),
                ("failed", grouped(objects.failed)),
                ("gone", grouped(objects.gone)),
                ("not logs", grouped(objects.not_logs)),
            ],
            records: vec![
                ("seen", grouped(records.seen)),
                ("kept", grouped(records.kept)),
                ("not selected", grouped(records.not_selected)),
                ("duplicate", grouped(records.duplicate)),
                ("quarantined", grouped(records.quarantined)),
            ],
            seen: seen
                .map(|seen| (seen.kind.clone(), grouped(seen.events)))
                .collect(),
            tables: tables.map(TableView::new).collect(),
            tables_more: evidence.tables.len().saturating_sub(LISTED),
            tables_without_data_events: without.cloned().collect(),
            tables_without_more: evidence
                .tables_without_data_events
                .len()
                .saturating_sub(LISTED),
            holes: holes(evidence),
            holes_more: evidence.holes.len().saturating_sub(LISTED),
            hole_hours: grouped(evidence.holes.iter().map(|hole| hole.hours).sum()),
            gaps: evidence.gaps.clone(),
        }
    }
}

impl TableView {
    fn new(table: &TableSeen) -> Self {
        Self {
            account: table.account.clone(),
            region: table.region.clone(),
            table: table.table.clone(),
            data_reads: grouped(table.data_reads),
            data_writes: grouped(table.data_writes),
            control: grouped(table.control),
        }
    }
}

fn holes(evidence: &Evidence) -> Vec<HoleView> {
    let holes = evidence.holes.iter().take(LISTED);
    holes
        .map(|hole| HoleView {
            account: hole.account.clone(),
            region: hole.region.clone(),
            from: hole.from.clone(),
            hours: grouped(hole.hours),
        })
        .collect()
}

/// The window that was asked for.
fn asked(evidence: &Evidence) -> String {
    match (&evidence.since, &evidence.until) {
        (None, None) => "all dates".to_owned(),
        (Some(since), None) => format!("since {since}"),
        (None, Some(until)) => format!("until {until}"),
        (Some(since), Some(until)) => format!("{since} to {until}"),
    }
}

fn span(first: &Option<String>, last: &Option<String>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    }
}
