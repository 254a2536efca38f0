//! Gathers the evidence of a run: one pass over a few columns of each table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::deliveries::deliveries;
use super::evidence::{Evidence, LastDelivery, Seen, TableSeen};
use super::header::Need;
use crate::lake::LakeState;
use crate::lake::receipt::RecordCounts;
use crate::query::{QueryError, Session, Value};

/// Days after an event within which CloudTrail delivers it: what is unreadable then may hold events
/// of the window. As many as `convert --late` has by default.
pub(super) const LATE_DAYS: i64 = 2;

/// Accounts and regions that are named as silent; the rest is counted.
const SILENT_NAMED: usize = 12;

/// Which events a run looks at; empty texts stand for all.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Event dates, YYYY-MM-DD, both included.
    pub since: Option<String>,
    pub until: Option<String>,
    pub account: String,
    pub region: String,
    pub table: String,
    pub principal: String,
}

/// What the window holds, for questions that the evidence shown does not answer.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Events by need, in the accounts and regions of the scope.
    needs: BTreeMap<Need, u64>,
    /// The same of the table of the scope.
    of_table: BTreeMap<Need, u64>,
    /// Accounts and regions by what was recorded in them.
    places: BTreeMap<(String, String), BTreeSet<Need>>,
}

impl Recorded {
    /// Whether something of a need was recorded; for data of a table, of that table.
    pub fn has(&self, need: &Need, table: &str) -> bool {
        if *need == Need::Receipts {
            return true;
        }
        let is_about_tables = matches!(need, Need::DataRead | Need::DataWrite | Need::Streams);
        let needs = match is_about_tables && !table.is_empty() {
            true => &self.of_table,
            false => &self.needs,
        };
        needs.contains_key(need)
    }

    /// Accounts and regions with events of DynamoDB, but none of a need.
    pub fn places_without(&self, need: &Need) -> Vec<String> {
        let places = self.places.iter();
        let without =
            places.filter(|(_, needs)| needs.contains(&Need::Any) && !needs.contains(need));
        without
            .map(|((account, region), _)| format!("{account} {region}"))
            .collect()
    }

    fn add(&mut self, need: Need, place: &(String, String), events: u64) {
        *self.needs.entry(need.clone()).or_default() += events;
        self.places.entry(place.clone()).or_default().insert(need);
    }
}

/// Gathers what a run over a scope rests on.
pub fn gather(
    session: &Session,
    lake: &LakeState,
    place: &str,
    scope: &Scope,
) -> Result<(Evidence, Recorded), QueryError> {
    let mut evidence = Evidence {
        lake: place.to_owned(),
        selection: lake.description.selection.clone(),
        since: scope.since.clone(),
        until: scope.until.clone(),
        ..Evidence::default()
    };
    let mut recorded = Recorded::default();
    let dates = lake
        .parts()
        .into_iter()
        .filter(|part| part.table == "events" && part.dt.starts_with(|c: char| c.is_ascii_digit()));
    let dates: BTreeSet<String> = dates.map(|part| part.dt).collect();
    evidence.first_date = dates.first().cloned();
    evidence.last_date = dates.last().cloned();
    events(session, scope, &mut evidence, &mut recorded)?;
    operations(session, scope, &mut evidence, &mut recorded)?;
    evidence.seen = recorded
        .needs
        .iter()
        .map(|(need, events)| Seen {
            kind: need.to_string(),
            events: *events,
        })
        .collect();
    objects(session, scope, &mut evidence)?;
    let silent = deliveries(session, scope, &mut evidence)?;
    gaps(session, lake, &silent, &mut evidence)?;
    Ok((evidence, recorded))
}

/// The scope as bound values.
pub(super) fn values(scope: &Scope) -> Vec<(String, Value)> {
    let since = scope.since.as_deref().unwrap_or("0000-01-01");
    let until = scope.until.as_deref().unwrap_or("9999-12-31");
    [
        ("since", since),
        ("until", until),
        ("account", &scope.account),
        ("region", &scope.region),
    ]
    .map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())))
    .to_vec()
}

/// A date, YYYY-MM-DD, so many days later; what is no date stays as it is.
pub(super) fn moved(date: &str, days: i64) -> String {
    let parsed: Result<jiff::civil::Date, _> = date.parse();
    match parsed {
        Ok(parsed) => parsed
            .saturating_add(jiff::Span::new().days(days))
            .to_string(),
        Err(_) => date.to_owned(),
    }
}

const IN_SCOPE: &str = "dt BETWEEN $since AND $until AND $account IN ('', recipient_account_id) \
                        AND $region IN ('', aws_region)";

fn events(
    session: &Session,
    scope: &Scope,
    evidence: &mut Evidence,
    recorded: &mut Recorded,
) -> Result<(), QueryError> {
    let sql = format!(
        "SELECT recipient_account_id AS account, aws_region AS region, event_source, plane, \
         event_category = 'NetworkActivity' AS is_network, count(*) AS events, \
         min(event_time_ms) AS first_ms, max(event_time_ms) AS last_ms \
         FROM events WHERE {IN_SCOPE} GROUP BY 1, 2, 3, 4, 5"
    );
    let (mut first, mut last) = (None::<i64>, None::<i64>);
    for batch in session.run(&sql, &values(scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let place = (text(&batch, 0, row), text(&batch, 1, row));
            let count = number(&batch, 5, row) as u64;
            let source = text(&batch, 2, row);
            if !batch.column(3).is_null(row) {
                recorded.add(Need::Any, &place, count);
            }
            match text(&batch, 3, row).as_str() {
                "control" => recorded.add(Need::Control, &place, count),
                "streams" => recorded.add(Need::Streams, &place, count),
                "dax" => recorded.add(Need::Dax, &place, count),
                _ => {}
            }
            let is_network = batch.column(4).as_boolean();
            if is_network.is_valid(row) && is_network.value(row) {
                recorded.add(Need::Network, &place, count);
            }
            recorded.add(Need::Source(source), &place, count);
            let times = (number(&batch, 6, row), number(&batch, 7, row));
            first = first.into_iter().chain([times.0]).min();
            last = last.into_iter().chain([times.1]).max();
        }
    }
    evidence.first_event = first.map(time_text);
    evidence.last_event = last.map(time_text);
    Ok(())
}

fn operations(
    session: &Session,
    scope: &Scope,
    evidence: &mut Evidence,
    recorded: &mut Recorded,
) -> Result<(), QueryError> {
    // PartiQL is logged with readOnly false: a trail of writes has its reads too.
    let sql = format!(
        "SELECT recipient_account_id AS account, aws_region AS region, \
         coalesce(table_name, '') AS table_name, plane, \
         CASE WHEN access IN ('write', 'delete') THEN 'write' \
         WHEN access = 'read' AND NOT starts_with(operation, 'PartiQL') THEN 'read' \
         ELSE 'other' END AS kind, count(*) AS operations \
         FROM operations WHERE {IN_SCOPE} GROUP BY 1, 2, 3, 4, 5"
    );
    let mut tables: BTreeMap<(String, String, String), TableSeen> = BTreeMap::new();
    for batch in session.run(&sql, &values(scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let [account, region, table] = [0, 1, 2].map(|column| text(&batch, column, row));
            let count = number(&batch, 5, row) as u64;
            let (plane, kind) = (text(&batch, 3, row), text(&batch, 4, row));
            let place = (account.clone(), region.clone());
            let need = match (plane.as_str(), kind.as_str()) {
                ("data", "read") => Some(Need::DataRead),
                ("data", "write") => Some(Need::DataWrite),
                ("streams", _) => Some(Need::Streams),
                _ => None,
            };
            if let Some(need) = need {
                if table == scope.table {
                    *recorded.of_table.entry(need.clone()).or_default() += count;
                }
                if need != Need::Streams {
                    recorded.add(need, &place, count);
                }
            }
            if table.is_empty() || !(scope.table.is_empty() || table == scope.table) {
                continue;
            }
            let key = (account.clone(), region.clone(), table.clone());
            let seen = tables.entry(key).or_insert_with(|| TableSeen {
                account,
                region,
                table,
                data_reads: 0,
                data_writes: 0,
                control: 0,
            });
            match (plane.as_str(), kind.as_str()) {
                ("data", "write") => seen.data_writes += count,
                ("data", _) => seen.data_reads += count,
                _ => seen.control += count,
            }
        }
    }
    let without = tables
        .values()
        .filter(|t| t.data_reads + t.data_writes == 0);
    evidence.tables_without_data_events = without
        .map(|t| format!("{} {} {}", t.account, t.region, t.table))
        .collect();
    evidence.tables = tables.into_values().collect();
    Ok(())
}

/// Objects by what became of them at last. One that is named as a log file and holds no record was
/// emptied or overwritten: CloudTrail writes none without records.
fn objects(session: &Session, scope: &Scope, evidence: &mut Evidence) -> Result<(), QueryError> {
    // An object delivered on one day may hold events of the days before.
    let scope = Scope {
        until: scope.until.as_deref().map(|until| moved(until, LATE_DAYS)),
        ..scope.clone()
    };
    let in_scope = "(dt IS NULL OR dt BETWEEN $since AND $until) \
                    AND (account_id IS NULL OR $account IN ('', account_id)) \
                    AND (region IS NULL OR $region IN ('', region))";
    let sql = format!(
        "WITH last AS (SELECT source, \
         min(CASE WHEN status = 'converted' THEN 0 WHEN status = 'digest' THEN 1 \
         WHEN status = 'damaged' THEN 2 WHEN status = 'failed' THEN 3 \
         WHEN status = 'not_a_log' AND account_id IS NOT NULL AND delivered_at_ms IS NOT NULL \
         THEN 3 WHEN status = 'not_a_log' THEN 1 ELSE 4 END) AS status, \
         sum(records_seen) AS seen, sum(records_kept) AS kept, \
         sum(records_not_selected) AS not_selected, sum(records_duplicate) AS duplicate, \
         sum(records_quarantined) AS quarantined \
         FROM receipts WHERE {in_scope} GROUP BY source) \
         SELECT status, count(*), CAST(sum(seen) AS bigint), CAST(sum(kept) AS bigint), \
         CAST(sum(not_selected) AS bigint), CAST(sum(duplicate) AS bigint), \
         CAST(sum(quarantined) AS bigint) FROM last GROUP BY status"
    );
    for batch in session.run(&sql, &values(&scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let number = |column| number(&batch, column, row) as u64;
            let objects = &mut evidence.objects;
            objects.listed += number(1);
            match number(0) {
                0 => objects.converted += number(1),
                1 => objects.not_logs += number(1),
                2 => objects.damaged += number(1),
                3 => objects.failed += number(1),
                _ => objects.gone += number(1),
            }
            evidence.records.add(&RecordCounts {
                seen: number(2),
                kept: number(3),
                not_selected: number(4),
                duplicate: number(5),
                quarantined: number(6),
            });
        }
    }
    Ok(())
}

fn gaps(
    session: &Session,
    lake: &LakeState,
    silent: &[LastDelivery],
    evidence: &mut Evidence,
) -> Result<(), QueryError> {
    let mut gaps = Vec::new();
    let objects = &evidence.objects;
    for (count, what) in [
        (objects.failed, "objects could not be read"),
        (
            objects.damaged,
            "objects are damaged and were read as far as they go",
        ),
        (objects.gone, "objects were deleted before they were read"),
        (evidence.records.quarantined, "records could not be read"),
        (
            undated(session)?,
            "events have no readable time and were not looked at",
        ),
    ] {
        if count > 0 {
            gaps.push(format!("{count} {what}"));
        }
    }
    let hours: u64 = evidence.holes.iter().map(|hole| hole.hours).sum();
    if hours > 0 {
        let holes = evidence.holes.len();
        gaps.push(format!(
            "{hours} hours in {holes} holes have no object, though their account and region usually deliver"
        ));
    }
    let named = silent.iter().take(SILENT_NAMED);
    gaps.extend(named.map(LastDelivery::silence_in_words));
    if silent.len() > SILENT_NAMED {
        let more = silent.len() - SILENT_NAMED;
        gaps.push(format!(
            "nothing was delivered of {more} more accounts and regions, though it usually comes"
        ));
    }
    if let Some(integrity) = &evidence.integrity {
        if integrity.files_wrong > 0 {
            let files = integrity.files_wrong;
            gaps.push(format!(
                "{files} log files are missing, altered or not vouched for by CloudTrail's digests"
            ));
        }
        if integrity.digests_valid < integrity.digests {
            let digests = integrity.digests - integrity.digests_valid;
            gaps.push(format!("{digests} digest files are not valid"));
        }
    }
    if !lake.unfinished.is_empty() {
        gaps.push("an earlier convert has not ended".to_owned());
    }
    if let (Some(since), Some(first)) = (&evidence.since, &evidence.first_date)
        && since < first
    {
        gaps.push(format!("the lake begins on {first}"));
    }
    if let (Some(until), Some(last)) = (&evidence.until, &evidence.last_date)
        && until > last
    {
        gaps.push(format!("the lake ends on {last}"));
    }
    evidence.gaps = gaps;
    Ok(())
}

fn undated(session: &Session) -> Result<u64, QueryError> {
    let sql = "SELECT count(*) FROM events WHERE dt IS NULL";
    let mut count = 0;
    for batch in session.run(sql, &[])? {
        let batch = batch?;
        count += number(&batch, 0, 0) as u64;
    }
    Ok(count)
}

/// A text, empty for NULL.
pub(super) fn text(batch: &RecordBatch, column: usize, row: usize) -> String {
    let column = batch.column(column).as_string::<i32>();
    match column.is_valid(row) {
        true => column.value(row).to_owned(),
        false => String::new(),
    }
}

/// A whole number, 0 for NULL.
pub(super) fn number(batch: &RecordBatch, column: usize, row: usize) -> i64 {
    let column = batch.column(column).as_primitive::<Int64Type>();
    match column.is_valid(row) {
        true => column.value(row),
        false => 0,
    }
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub(super) fn time_text(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{time:.3}")
}
