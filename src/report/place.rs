//! Finds where the records of the events in a run's rows stand in the archive.

use std::collections::{BTreeMap, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::gather::Scope;
use super::result::{Place, ReportResult};
use crate::query::{QueryError, Session, Value};

/// Events looked up for a run; rows beyond have no link to their record.
const MAX_PLACES: usize = 20_000;

/// The most IDs that a statement names: bloom filters then find the few parts that hold them.
/// Planning one with thousands takes longer than reading the IDs of all events.
const MAX_NAMED_IDS: usize = 100;

/// The places of the events in the rows by their IDs, in one pass over the events.
pub fn find_places(
    session: &Session,
    results: &[ReportResult],
    scope: &Scope,
) -> Result<BTreeMap<String, Place>, QueryError> {
    let ids = event_ids(results);
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    if ids.is_empty() {
        return Ok(places);
    }
    let until = scope.until.as_deref().unwrap_or("9999-12-31");
    let mut values = vec![("until".to_owned(), Value::Text(until.to_owned()))];
    let mut sql =
        "SELECT event_id, source, source_position FROM events WHERE dt <= $until".to_owned();
    if ids.len() <= MAX_NAMED_IDS {
        let names: Vec<String> = (0..ids.len())
            .map(|number| format!("$id_{number}"))
            .collect();
        sql += &format!(" AND event_id IN ({})", names.join(", "));
        let named = ids.iter().enumerate();
        values.extend(named.map(|(number, id)| (format!("id_{number}"), Value::Text(id.clone()))));
    }
    for batch in session.run(&sql, &values)? {
        let batch = batch?;
        let id = batch.column(0).as_string::<i32>();
        let source = batch.column(1).as_string::<i32>();
        let position = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            if !ids.contains(id.value(row)) {
                continue;
            }
            let place = Place {
                source: source.value(row).to_owned(),
                position: position.value(row),
            };
            // An ID that several events share leads to the first of them.
            match places.get_mut(id.value(row)) {
                Some(first) if *first <= place => {}
                Some(first) => *first = place,
                None => {
                    places.insert(id.value(row).to_owned(), place);
                }
            }
        }
    }
    Ok(places)
}

fn event_ids(results: &[ReportResult]) -> HashSet<String> {
    let mut ids = HashSet::new();
    for batch in results.iter().flat_map(|result| result.rows.batches()) {
        let column = batch.column_by_name("event_id");
        let column = column.and_then(|column| column.as_string_opt::<i32>());
        for id in column.into_iter().flatten().flatten() {
            if ids.len() < MAX_PLACES {
                ids.insert(id.to_owned());
            }
        }
    }
    ids
}
