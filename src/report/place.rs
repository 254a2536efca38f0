//! Finds where the records of the events in a run's rows stand in the archive.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::gather::Scope;
use super::result::{Place, ReportResult};
use crate::query::{QueryError, Session, Value};

/// Events looked up for a run; rows beyond have no link to their record.
const MAX_PLACES: usize = 20_000;

/// The places of the events in the rows by their IDs, in one pass over the events.
pub fn find_places(
    session: &Session,
    results: &[ReportResult],
    scope: &Scope,
) -> Result<BTreeMap<String, Place>, QueryError> {
    let ids = event_ids(results);
    let mut places = BTreeMap::new();
    if ids.is_empty() {
        return Ok(places);
    }
    let named = ids.into_iter().enumerate();
    let mut values: Vec<(String, Value)> = named
        .map(|(number, id)| (format!("id_{number}"), Value::Text(id)))
        .collect();
    let names: Vec<String> = values.iter().map(|(name, _)| format!("${name}")).collect();
    let until = scope.until.as_deref().unwrap_or("9999-12-31");
    values.push(("until".to_owned(), Value::Text(until.to_owned())));
    let sql = format!(
        "SELECT event_id, source, source_position FROM events \
         WHERE dt <= $until AND event_id IN ({}) ORDER BY event_id, source, source_position",
        names.join(", ")
    );
    for batch in session.run(&sql, &values)? {
        let batch = batch?;
        let id = batch.column(0).as_string::<i32>();
        let source = batch.column(1).as_string::<i32>();
        let position = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let place = Place {
                source: source.value(row).to_owned(),
                position: position.value(row),
            };
            // An ID that several events share leads to the first of them.
            places.entry(id.value(row).to_owned()).or_insert(place);
        }
    }
    Ok(places)
}

fn event_ids(results: &[ReportResult]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for batch in results.iter().flat_map(|result| &result.batches) {
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
