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
    /// The principals of the events, each once.
    principals: Vec<Place>,
    /// Of each event its principal, of each operation its event and that event's principal.
    principal_of: Vec<u32>,
    parent_of: Vec<u32>,
    principal_of_parent: Vec<u32>,
}

impl<'b> Gathering<'b> {
    /// Gathers these events with their operations.
    pub fn of(batches: &'b [Rows], events: Vec<Place>) -> Self {
        let mut gathering = Self {
            batches,
            operations: Vec::new(),
            principals: Vec::new(),
            principal_of: Vec::with_capacity(events.len()),
            parent_of: Vec::new(),
            principal_of_parent: Vec::new(),
            events: Vec::new(),
        };
        let mut known: Vec<Vec<u32>> = vec![Vec::new(); batches.len()];
        for (event, &(batch, row)) in (0..).zip(&events) {
            let key = &batches[batch as usize].keys[row as usize];
            let known = &mut known[batch as usize];
            let place = key.principal as usize;
            if known.len() <= place {
                known.resize(place + 1, NO_VALUE);
            }
            if known[place] == NO_VALUE {
                known[place] = gathering.principals.len() as u32;
                gathering.principals.push((batch, key.principal));
            }
            gathering.principal_of.push(known[place]);
            for operation in key.first_operation..key.first_operation + key.operations {
                gathering.operations.push((batch, operation));
                gathering.parent_of.push(event);
                gathering.principal_of_parent.push(known[place]);
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

    /// The values of a column of `events`, and of the column of `operations` that repeats it,
    /// if one does.
    pub fn event_values(&self, column: usize) -> (Values<'b>, Option<(usize, Values<'b>)>) {
        let wanted = &Events::COLUMNS[column];
        let repeating = Operations::COLUMNS
            .iter()
            .position(|other| other.of == Of::Event && other.name == wanted.name);
        if wanted.of == Of::Principal {
            let pieces = self.batches.iter().map(|rows| &rows.principals.0[column]);
            let values = gather(
                &pieces.collect::<Vec<_>>(),
                wanted.storage,
                &self.principals,
            );
            let repeated = |place| (place, spread(&values, &self.principal_of_parent));
            let repeated = repeating.map(repeated);
            return (spread(&values, &self.principal_of), repeated);
        }
        let pieces = self.batches.iter().map(|rows| &rows.events.0[column]);
        let values = gather(&pieces.collect::<Vec<_>>(), wanted.storage, &self.events);
        let repeated = repeating.map(|place| (place, spread(&values, &self.parent_of)));
        (values, repeated)
    }

    /// The values of a column of `operations` that is its own.
    pub fn operation_values(&self, column: usize) -> Values<'b> {
        let pieces = self.batches.iter().map(|rows| &rows.operations.0[column]);
        let storage = Operations::COLUMNS[column].storage;
        gather(&pieces.collect::<Vec<_>>(), storage, &self.operations)
    }
}

/// For each index the value that stands there.
fn spread<'b>(values: &Values<'b>, indices: &[u32]) -> Values<'b> {
    fn each<V: Copy>(values: &[V], indices: &[u32]) -> Vec<V> {
        indices
            .iter()
            .map(|index| values[*index as usize])
            .collect()
    }
    match values {
        Values::Coded { codes, dictionary } => used(each(codes, indices), dictionary),
        Values::Texts(texts) => Values::Texts(each(texts, indices)),
        Values::Numbers(numbers) => Values::Numbers(each(numbers, indices)),
        Values::Flags(flags) => Values::Flags(each(flags, indices)),
        Values::Absent(_) => Values::Absent(indices.len()),
    }
}

/// The codes with a dictionary of only those values that they name.
fn used<'b>(mut codes: Vec<u32>, dictionary: &[Value<'b>]) -> Values<'b> {
    let mut is_used = vec![false; dictionary.len()];
    for code in codes.iter().filter(|code| **code != NO_VALUE) {
        is_used[*code as usize] = true;
    }
    if is_used.iter().all(|is_used| *is_used) {
        let dictionary = dictionary.to_vec();
        return Values::Coded { codes, dictionary };
    }
    let mut kept = Vec::new();
    let renamed = dictionary.iter().zip(&is_used).map(|(value, is_used)| {
        kept.extend(is_used.then_some(*value));
        (kept.len() as u32).wrapping_sub(1)
    });
    let renamed: Vec<u32> = renamed.collect();
    for code in codes.iter_mut().filter(|code| **code != NO_VALUE) {
        *code = renamed[*code as usize];
    }
    Values::Coded {
        codes,
        dictionary: kept,
    }
}

/// The values of a column, of which each batch has a piece.
fn gather<'b>(pieces: &[&'b Column], storage: Storage, places: &[Place]) -> Values<'b> {
    if pieces.iter().all(|piece| piece.is_empty()) {
        return Values::Absent(places.len());
    }
    match pieces[0] {
        Column::Repeating { .. } => gather_codes(pieces, places),
        Column::Numbers(_) if storage.is_repeating() => code(storage, rows(pieces, places, number)),
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

/// Makes a dictionary of values.
pub fn code<'b>(
    storage: Storage,
    values: impl Iterator<Item = Option<impl Into<Value<'b>>>>,
) -> Values<'b> {
    let mut dictionary = Dictionary::default();
    let codes = values.map(|value| match value.map(Into::into) {
        None => NO_VALUE,
        // A value that was left behind does not come again.
        Some(value) if storage == Storage::Ordered => dictionary.next(value),
        Some(value) => dictionary.code(value),
    });
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
    /// The code of a value that is either the last one or new.
    fn next(&mut self, value: Value<'b>) -> u32 {
        if self.values.last() != Some(&value) {
            self.values.push(value);
        }
        self.values.len() as u32 - 1
    }

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
