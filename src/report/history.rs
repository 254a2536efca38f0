//! Where a report that compares with what was before has too little of it: by how far the lake goes
//! back, and by the recorded days of each place, which the view `sightings` counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;

use super::catalogue::Report;
use super::evidence::Evidence;
use super::gather::{Scope, number, text, values};
use super::header::{HistoryOf, Need};
use super::parameter::ParameterValue;
use crate::query::{QueryError, Session, Value};

/// Places that are named; those beyond are counted.
const MAX_NAMED: usize = 3;

/// What is looked at in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Anything,
    ControlPlane,
    Items,
    Streams,
    ItemReads,
    ItemWrites,
}

impl Seen {
    const ALL: [Self; 6] = [
        Self::Anything,
        Self::ControlPlane,
        Self::Items,
        Self::Streams,
        Self::ItemReads,
        Self::ItemWrites,
    ];

    /// Whether a day of a place has it.
    fn is_seen(self) -> &'static str {
        match self {
            Self::Anything => "true",
            // What AWS services do is nobody's arrival.
            Self::ControlPlane => "called_control > 0",
            Self::Items => "called_data > 0",
            Self::Streams => "called_streams > 0",
            Self::ItemReads => "item_reads > 0",
            Self::ItemWrites => "item_writes > 0",
        }
    }

    /// Whether a day of a place is one with which it can be compared.
    fn is_comparable(self) -> &'static str {
        match self {
            // The control plane is always recorded: any day with an event is a recorded one.
            Self::Anything | Self::ControlPlane => "true",
            Self::Items => "on_data > 0",
            Self::Streams => "on_streams > 0",
            Self::ItemReads => "item_reads > 0",
            Self::ItemWrites => "item_writes > 0",
        }
    }

    /// What a report looks at. At a table all there is, where it was seen.
    fn of(report: &Report, of: HistoryOf) -> Vec<Self> {
        if matches!(of, HistoryOf::Table | HistoryOf::TableName) {
            return vec![Self::ControlPlane, Self::Items, Self::Streams];
        }
        let needs = report.header.needs.iter();
        let seen = needs.filter_map(|need| match need {
            Need::DataRead => Some(Self::ItemReads),
            Need::DataWrite => Some(Self::ItemWrites),
            Need::Streams => Some(Self::Streams),
            _ => None,
        });
        let seen: Vec<Self> = seen.collect();
        match seen.is_empty() {
            true => vec![Self::Anything],
            false => seen,
        }
    }
}

/// How many days before the window a place was recorded on, for each of `Seen::ALL` that the window
/// has of it.
struct Place {
    name: String,
    days: [Option<i64>; Seen::ALL.len()],
}

impl Place {
    /// Whether something that is looked at was recorded on fewer days than wanted.
    fn is_short(&self, looked_at: &[Seen], wanted: i64) -> bool {
        let mut days = Seen::ALL.iter().zip(self.days);
        days.any(|(seen, days)| looked_at.contains(seen) && days.is_some_and(|days| days < wanted))
    }
}

/// What the lake has from before the window.
#[derive(Default)]
pub struct History {
    /// The day before which days are counted: the first of the window, or, where the window has no
    /// beginning, its last, since then all days are looked at that have enough before them.
    asked: Option<Date>,
    first: Option<Date>,
    places: BTreeMap<HistoryOf, Vec<Place>>,
}

impl History {
    /// Counts the days of the places that the reports compare.
    pub fn gather(
        session: &Session,
        scope: &Scope,
        evidence: &Evidence,
        reports: &[Arc<Report>],
    ) -> Result<Self, QueryError> {
        let date = |text: &String| text.parse::<Date>().ok();
        let last = evidence.last_date.as_ref().and_then(date);
        let until = scope.until.as_ref().and_then(date);
        let since = scope.since.as_ref().and_then(date);
        let mut history = Self {
            asked: since.or(last.map(|last| until.map_or(last, |until| until.min(last)))),
            first: evidence.first_date.as_ref().and_then(date),
            places: BTreeMap::new(),
        };
        let Some(asked) = history.asked else {
            return Ok(history);
        };
        let recorded = reports
            .iter()
            .filter_map(|r| r.header.recorded_days.as_ref());
        let compared: BTreeSet<HistoryOf> = recorded.map(|recorded| recorded.of).collect();
        for of in compared {
            let found = places(session, scope, asked, of)?;
            history.places.insert(of, found);
        }
        Ok(history)
    }

    /// Says so where a report has not enough to compare with.
    pub fn too_short(
        &self,
        report: &Report,
        values: &BTreeMap<String, ParameterValue>,
    ) -> Option<String> {
        let asked = self.asked?;
        let days = |name: &String| match values.get(name) {
            Some(ParameterValue::Integer(days)) => Some(*days),
            _ => None,
        };
        let wanted = report.header.baseline_days.as_ref().and_then(days);
        if let (Some(wanted), Some(first)) = (wanted, self.first) {
            let held = i64::from((asked - first).get_days()).max(0);
            if held < wanted {
                return Some(format!(
                    "the baseline is too short: {held} of {wanted} days before {asked} are in the lake"
                ));
            }
        }
        let recorded = report.header.recorded_days.as_ref()?;
        let wanted = days(&recorded.parameter)?;
        let looked_at = Seen::of(report, recorded.of);
        let places = self.places.get(&recorded.of)?.iter();
        let short = places.filter(|place| place.is_short(&looked_at, wanted));
        let short: Vec<&str> = short.map(|place| place.name.as_str()).collect();
        let what = match (short.len(), recorded.of) {
            (0, _) => return None,
            (1, of) => format!("1 {} has", of.in_words()),
            (count, of) => format!("{count} {}s have", of.in_words()),
        };
        let more = match short.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = short[..short.len().min(MAX_NAMED)].join(", ");
        Some(format!(
            "the baseline is too short: {what} fewer than {wanted} recorded days before {asked}: {named}{more}"
        ))
    }
}

impl HistoryOf {
    /// The columns of `sightings` that tell places apart.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Table => &["recipient_account_id", "aws_region", "table_name"],
            Self::TableName => &["recipient_account_id", "table_name"],
            Self::Region => &["recipient_account_id", "aws_region"],
            Self::Account => &["recipient_account_id"],
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::TableName => "table name",
            Self::Region => "region",
            Self::Account => "account",
        }
    }
}

/// The places that the window has something of, sorted.
fn places(
    session: &Session,
    scope: &Scope,
    asked: Date,
    of: HistoryOf,
) -> Result<Vec<Place>, QueryError> {
    let columns = of.columns();
    let names = columns.join(", ");
    let mut counts = Vec::new();
    for (place, seen) in Seen::ALL.iter().enumerate() {
        let (is_seen, is_comparable) = (seen.is_seen(), seen.is_comparable());
        counts.push(format!(
            "count(*) FILTER (WHERE dt >= $since AND {is_seen}) AS seen_{place}, \
             count(*) FILTER (WHERE dt < $asked AND {is_comparable}) AS before_{place}"
        ));
    }
    // A scope narrows only what tells the places apart: a report on an account compares all of it.
    let narrowed = [
        ("recipient_account_id", "$account"),
        ("aws_region", "$region"),
        ("table_name", "$table"),
    ];
    let narrowed = narrowed
        .iter()
        .filter(|(column, _)| columns.contains(column));
    let narrowed: Vec<String> = narrowed
        .map(|(column, value)| format!("AND {value} IN ('', {column})"))
        .collect();
    let sql = format!(
        "SELECT {names}, {} FROM (SELECT {names}, dt, \
         sum(on_data) AS on_data, sum(on_streams) AS on_streams, \
         sum(CASE WHEN is_service_made = false THEN on_control ELSE 0 END) AS called_control, \
         sum(CASE WHEN is_service_made = false THEN on_data ELSE 0 END) AS called_data, \
         sum(CASE WHEN is_service_made = false THEN on_streams ELSE 0 END) AS called_streams, \
         sum(CASE WHEN on_data > 0 THEN item_reads ELSE 0 END) AS item_reads, \
         sum(CASE WHEN on_data > 0 THEN item_writes + item_deletes ELSE 0 END) AS item_writes \
         FROM sightings WHERE kind = 'principal' AND dt <= $until {} GROUP BY {names}, dt) AS days \
         GROUP BY {names} ORDER BY {names}",
        counts.join(", "),
        narrowed.join(" ")
    );
    let mut bound = values(scope);
    bound.push(("table".to_owned(), Value::Text(scope.table.clone())));
    bound.push(("asked".to_owned(), Value::Text(asked.to_string())));
    let mut places = Vec::new();
    for batch in session.run(&sql, &bound)? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let names = (0..columns.len()).map(|column| text(&batch, column, row));
            let mut place = Place {
                name: names.collect::<Vec<_>>().join(" "),
                days: [None; Seen::ALL.len()],
            };
            for (number_of, days) in place.days.iter_mut().enumerate() {
                let column = columns.len() + 2 * number_of;
                if number(&batch, column, row) > 0 {
                    *days = Some(number(&batch, column + 1, row));
                }
            }
            places.push(place);
        }
    }
    Ok(places)
}
