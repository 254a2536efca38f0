//! Gathers waiting rows into the order they are written, column by column: joins what was stored
//! once for many rows, and makes one dictionary of those of the batches.

use hashbrown::HashMap;

use super::chunk::Values;
use crate::event::batch::Rows;
use crate::event::column::{Column, NO_VALUE, Value};
use crate::event::schema::{Events, Of, Operations, Storage, Table};

/// Where a row stands: which batch, and which row of it.
pub type Place = (u32, u32);

/// Rows of batches, in the order they are written.
pub struct Gathering<'b> {
    batches: &'b [Rows],
    events: Vec<Place>,
    operations: Vec<Place>,
    /// The principal of each event.
    principals: Vec<Place>,
    /// The event of each operation, and that event's principal.
    parents: Vec<Place>,
    parent_principals: Vec<Place>,
}

impl<'b> Gathering<'b> {
    /// Gathers these events with their operations.
    pub fn of(batches: &'b [Rows], events: Vec<Place>) -> Self {
        let mut gathering = Self {
            batches,
            principals: Vec::with_capacity(events.len()),
            operations: Vec::new(),
            parents: Vec::new(),
            parent_principals: Vec::new(),
            events: Vec::new(),
        };
        for &(batch, row) in &events {
            let key = &batches[batch as usize].keys[row as usize];
            let principal = (batch, key.principal);
            gathering.principals.push(principal);
            for operation in key.first_operation..key.first_operation + key.operations {
                gathering.operations.push((batch, operation));
                gathering.parents.push((batch, row));
                gathering.parent_principals.push(principal);
            }
        }
        Self {
            events,
            ..gathering
        }
    }

    /// How many operations the events have.
    pub fn operations(&self) -> usize {
        self.operations.len()
    }

    /// A column of `events`, by its place in the table.
    pub fn event_values(&self, column: usize) -> Values<'b> {
        self.values_of_events(column, &self.events, &self.principals)
    }

    /// A column of `operations`, by its place in the table.
    pub fn operation_values(&self, column: usize) -> Values<'b> {
        let wanted = &Operations::COLUMNS[column];
        if wanted.of == Of::Event {
            let of_event = Events::COLUMNS
                .iter()
                .position(|column| column.name == wanted.name)
                .expect("a column of the event is one of events");
            return self.values_of_events(of_event, &self.parents, &self.parent_principals);
        }
        let columns = self.batches.iter().map(|rows| &rows.operations.0[column]);
        gather(
            &columns.collect::<Vec<_>>(),
            wanted.storage,
            &self.operations,
        )
    }

    fn values_of_events(
        &self,
        column: usize,
        events: &[Place],
        principals: &[Place],
    ) -> Values<'b> {
        let is_of_principal = Events::COLUMNS[column].of == Of::Principal;
        let columns = self.batches.iter().map(|rows| match is_of_principal {
            true => &rows.principals.0[column],
            false => &rows.events.0[column],
        });
        let places = if is_of_principal { principals } else { events };
        let storage = Events::COLUMNS[column].storage;
        gather(&columns.collect::<Vec<_>>(), storage, places)
    }
}

/// The values of a column, of which each batch has a piece.
fn gather<'b>(pieces: &[&'b Column], storage: Storage, places: &[Place]) -> Values<'b> {
    if pieces.iter().all(|piece| piece.is_empty()) {
        return Values::Absent(places.len());
    }
    let is_repeating = matches!(storage, Storage::Repeating | Storage::RepeatingLookup);
    match pieces[0] {
        Column::Repeating { .. } => gather_codes(pieces, places),
        Column::Numbers(_) if is_repeating => code(rows(pieces, places, number)),
        Column::Numbers(_) => Values::Numbers(rows(pieces, places, number).collect()),
        Column::Unique { .. } => Values::Texts(rows(pieces, places, Column::unique).collect()),
        Column::Flags(_) => Values::Flags(rows(pieces, places, flag).collect()),
    }
}

fn rows<'p, 'b, V: 'p>(
    pieces: &'p [&'b Column],
    places: &'p [Place],
    get: impl Fn(&'b Column, usize) -> Option<V> + 'p,
) -> impl Iterator<Item = Option<V>> + 'p {
    places
        .iter()
        .map(move |(batch, row)| get(pieces[*batch as usize], *row as usize))
}

fn number(column: &Column, row: usize) -> Option<i64> {
    match column {
        Column::Numbers(numbers) => numbers.get(row).copied().flatten(),
        _ => None,
    }
}

fn flag(column: &Column, row: usize) -> Option<bool> {
    match column {
        Column::Flags(flags) => flags.get(row).copied().flatten(),
        _ => None,
    }
}

/// Joins the dictionaries of the pieces, with only those texts that are used.
fn gather_codes<'b>(pieces: &[&'b Column], places: &[Place]) -> Values<'b> {
    let mut dictionary = Dictionary::default();
    let mut pieces: Vec<_> = pieces
        .iter()
        .map(|piece| match piece {
            Column::Repeating { codes, texts } => (codes, texts, vec![NO_VALUE; texts.len()]),
            _ => unreachable!("the pieces of a column are of one kind"),
        })
        .collect();
    let codes = places.iter().map(|(batch, row)| {
        let (codes, texts, joined) = &mut pieces[*batch as usize];
        let code = codes.get(*row as usize).copied().unwrap_or(NO_VALUE);
        if code == NO_VALUE {
            return NO_VALUE;
        }
        let joined = &mut joined[code as usize];
        if *joined == NO_VALUE {
            *joined = dictionary.code(Value::Text(texts.get(code as usize)));
        }
        *joined
    });
    Values::Coded {
        codes: codes.collect(),
        dictionary: dictionary.values,
    }
}

/// Makes a dictionary of values that repeat.
pub fn code<'b>(values: impl Iterator<Item = Option<impl Into<Value<'b>>>>) -> Values<'b> {
    let mut dictionary = Dictionary::default();
    let codes = values.map(|value| value.map_or(NO_VALUE, |value| dictionary.code(value.into())));
    Values::Coded {
        codes: codes.collect(),
        dictionary: dictionary.values,
    }
}

#[derive(Default)]
struct Dictionary<'b> {
    values: Vec<Value<'b>>,
    codes: HashMap<Value<'b>, u32>,
    last: u32,
}

impl<'b> Dictionary<'b> {
    fn code(&mut self, value: Value<'b>) -> u32 {
        if self.values.get(self.last as usize) != Some(&value) {
            self.last = *self.codes.entry(value).or_insert_with(|| {
                self.values.push(value);
                self.values.len() as u32 - 1
            });
        }
        self.last
    }
}
