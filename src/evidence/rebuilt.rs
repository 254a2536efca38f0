//! Makes rows anew of the records in the bundle, and tells where the lake has others.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::Events;
use super::manifest::Problem;
use crate::convert::keep::Keep;
use crate::convert::object::{Decoder, Source};
use crate::convert::rules::{MAX_KEPT_BYTES, Rules};
use crate::event::column::Value;
use crate::event::schema::{self, Table};
use crate::lake::receipt::EventFilter;

/// A cell by its hash: values may be long, and what differs stands in the bundle itself.
type Cell = [u8; 16];

/// The cells of a row, in the order of its table's columns.
pub type Cells = Vec<Cell>;

/// What rows hold. Sets: before copies are settled a lake may have a row twice.
#[derive(Debug, Default)]
pub struct RowCells {
    /// By the object and the position of the record.
    pub events: BTreeMap<(String, u64), BTreeSet<Cells>>,
    /// By the event's ID.
    pub operations: BTreeMap<String, BTreeSet<Cells>>,
}

/// The hashes of a row's values.
pub fn cells<'v>(values: impl Iterator<Item = Option<Value<'v>>>) -> Cells {
    values.map(cell).collect()
}

fn cell(value: Option<Value<'_>>) -> Cell {
    let mut hash = Sha256::new();
    match value {
        None => hash.update([0]),
        Some(Value::Text(text)) => hash.update([&[1], text.as_bytes()].concat()),
        Some(Value::Number(number)) => hash.update([&[2][..], &number.to_be_bytes()].concat()),
        Some(Value::Flag(flag)) => hash.update([3, u8::from(flag)]),
    }
    let mut cell = Cell::default();
    cell.copy_from_slice(&hash.finalize()[..size_of::<Cell>()]);
    cell
}

/// Decodes records as converting does, one by one.
pub struct Rebuilder {
    rules: Rules,
    decoder: Decoder,
    rows: RowCells,
}

impl Rebuilder {
    /// `keep` is what the lake keeps. What the runs' filters left out has no rows to hold against.
    pub fn new(keep: Keep) -> Self {
        Self {
            rules: Rules {
                keep,
                filter: EventFilter::default(),
                hashes: false,
                max_kept_bytes: MAX_KEPT_BYTES,
            },
            decoder: Decoder::default(),
            rows: RowCells::default(),
        }
    }

    pub fn keep(&self) -> &Keep {
        &self.rules.keep
    }

    /// Takes a record as it stands at a position of an object.
    pub fn take(&mut self, uri: &str, (position, id): (u64, &str), text: &[u8]) {
        let source = Source {
            uri,
            key_is_known: true,
        };
        let mut group = self.decoder.group(&self.rules);
        group.record_at(&source, position, text);
        let rows = group.finish().rows;
        let events = self.rows.events.entry((uri.to_owned(), position));
        let events = events.or_default();
        let operations = self.rows.operations.entry(id.to_owned()).or_default();
        for (event, key) in rows.keys.iter().enumerate() {
            let columns = 0..schema::Events::COLUMNS.len();
            events.insert(cells(columns.map(|column| rows.event_value(column, event))));
            for operation in key.first_operation..key.first_operation + key.operations {
                let places = (event, operation as usize);
                let columns = 0..schema::Operations::COLUMNS.len();
                let values = columns.map(|column| rows.operation_value(column, places));
                operations.insert(cells(values));
            }
        }
    }

    /// Holds the lake's rows of the events against those of the records that were taken.
    ///
    /// An event whose record was not found is passed over: that is told of the record.
    pub fn compare(&self, events: &Events, held: &RowCells, problems: &mut Vec<Problem>) {
        let mut without_record = BTreeSet::new();
        let mut of_ids: BTreeMap<&str, &str> = BTreeMap::new();
        for (uri, wanted) in events {
            for (position, id) in wanted {
                let origin = (uri.clone(), *position);
                let Some(rebuilt) = self.rows.events.get(&origin) else {
                    without_record.insert(id.as_str());
                    continue;
                };
                of_ids.insert(id, uri);
                let held = held.events.get(&origin);
                if let Some(words) =
                    held.and_then(|held| differing::<schema::Events>(held, rebuilt))
                {
                    let words = format!("record {position}, the event {id}, {words}");
                    problems.push(Problem::new(uri, words));
                }
            }
        }
        let none = BTreeSet::new();
        for (id, uri) in of_ids {
            if without_record.contains(id) {
                continue;
            }
            let held = held.operations.get(id).unwrap_or(&none);
            let rebuilt = self.rows.operations.get(id).unwrap_or(&none);
            if let Some(words) = differing::<schema::Operations>(held, rebuilt) {
                problems.push(Problem::new(
                    uri,
                    format!("the record of the event {id} {words}"),
                ));
            }
        }
    }
}

/// What differs between the rows that a lake holds and those that a record gives.
fn differing<T: Table>(held: &BTreeSet<Cells>, rebuilt: &BTreeSet<Cells>) -> Option<String> {
    if held == rebuilt {
        return None;
    }
    let table = T::NAME;
    if held.len() != rebuilt.len() {
        let (held, given) = (held.len(), rebuilt.len());
        return Some(format!(
            "gives {given} rows of {table} where the lake has {held}"
        ));
    }
    let mut names = BTreeSet::new();
    for (held, rebuilt) in held.iter().zip(rebuilt) {
        let cells = T::COLUMNS.iter().zip(held.iter().zip(rebuilt));
        let other = cells.filter(|(_, (held, rebuilt))| held != rebuilt);
        names.extend(other.map(|(column, _)| column.name));
    }
    let names: Vec<&str> = names.into_iter().collect();
    let names = names.join(", ");
    Some(format!(
        "does not give what the lake has in {table}: {names}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<Value<'_>>]) -> Cells {
        cells(values.iter().copied())
    }

    #[test]
    fn cells_of_other_kinds_differ() {
        let values = [
            None,
            Some(Value::Text("")),
            Some(Value::Text("1")),
            Some(Value::Number(1)),
            Some(Value::Flag(true)),
            Some(Value::Flag(false)),
        ];
        let different: BTreeSet<Cell> = values.into_iter().map(cell).collect();
        assert_eq!(different.len(), values.len());
    }

    #[test]
    fn what_differs_is_named() {
        let columns = schema::Operations::COLUMNS.len();
        let mut values = vec![None; columns];
        let held = BTreeSet::from([row(&values)]);
        assert_eq!(differing::<schema::Operations>(&held, &held), None);
        values[columns - 1] = Some(Value::Flag(true));
        values[0] = Some(Value::Number(0));
        let other = BTreeSet::from([row(&values)]);
        assert_eq!(
            differing::<schema::Operations>(&held, &other).as_deref(),
            Some("does not give what the lake has in operations: event_time, is_service_made")
        );
        let both = held.union(&other).cloned().collect();
        assert_eq!(
            differing::<schema::Operations>(&held, &both).as_deref(),
            Some("gives 2 rows of operations where the lake has 1")
        );
    }
}
