//! Collects decoded events into [`Rows`]: columns in memory, until their part is written.
//!
//! What follows from an event's `userIdentity` is stored once for each identity, and what an
//! operation repeats of its event is not stored again: both are joined when rows are written.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::column::{
    Column, Interner, RepeatingBuilder, Texts, UniqueBuilder, Value, put, renewed,
};
use super::schema::{Cell, EventRow, Events, Of, OperationRow, Operations, Table};

/// Columns of one table, in its order; those that follow from something else are empty.
#[derive(Debug, Clone)]
pub struct Columns(pub Vec<Column>);

impl Columns {
    fn size_bytes(&self) -> usize {
        self.0.iter().map(Column::size_bytes).sum()
    }
}

/// Reads a cell of a row.
type Read<T, V> = for<'r, 'a> fn(&'r <T as Table>::Row<'a>) -> Option<V>;
type ReadText<T> = for<'r, 'a> fn(&'r <T as Table>::Row<'a>) -> Option<&'r str>;

/// Columns of one kind: the place of each in the table, how its cells are read, what is built.
type OfKind<R, B> = Vec<(usize, R, B)>;

/// Builds the columns of a table that follow from one thing, by kind.
struct ColumnsBuilder<T: Table> {
    repeating: OfKind<ReadText<T>, RepeatingBuilder>,
    unique: OfKind<ReadText<T>, UniqueBuilder>,
    flags: OfKind<Read<T, bool>, Vec<Option<bool>>>,
    ints: OfKind<Read<T, i32>, Vec<Option<i64>>>,
    longs: OfKind<Read<T, i64>, Vec<Option<i64>>>,
    rows: usize,
}

impl<T: Table> ColumnsBuilder<T> {
    fn new(of: Of) -> Self {
        let mut builder = Self {
            repeating: Vec::new(),
            unique: Vec::new(),
            flags: Vec::new(),
            ints: Vec::new(),
            longs: Vec::new(),
            rows: 0,
        };
        for (place, column) in T::COLUMNS.iter().enumerate().filter(|(_, c)| c.of == of) {
            match column.cell {
                Cell::Text(read) | Cell::Json(read) if column.storage.is_repeating() => {
                    builder.repeating.push((place, read, Default::default()));
                }
                Cell::Text(read) | Cell::Json(read) => {
                    builder.unique.push((place, read, Default::default()));
                }
                Cell::Bool(read) => builder.flags.push((place, read, Vec::new())),
                Cell::Int(read) => builder.ints.push((place, read, Vec::new())),
                Cell::Long(read) | Cell::Timestamp(read) => {
                    builder.longs.push((place, read, Vec::new()));
                }
            }
        }
        builder
    }

    fn push(&mut self, row: &T::Row<'_>) {
        let at = self.rows;
        for (_, read, builder) in &mut self.repeating {
            read(row)
                .into_iter()
                .for_each(|text| builder.push(at, text));
        }
        for (_, read, builder) in &mut self.unique {
            read(row)
                .into_iter()
                .for_each(|text| builder.push(at, text));
        }
        for (_, read, flags) in &mut self.flags {
            read(row).into_iter().for_each(|flag| put(flags, at, flag));
        }
        for (_, read, numbers) in &mut self.ints {
            read(row)
                .into_iter()
                .for_each(|int| put(numbers, at, int.into()));
        }
        for (_, read, numbers) in &mut self.longs {
            read(row)
                .into_iter()
                .for_each(|long| put(numbers, at, long));
        }
        self.rows += 1;
    }

    fn copy(&mut self, from: &Columns, row: usize) {
        let at = self.rows;
        for (place, _, builder) in &mut self.repeating {
            if let Some(Value::Text(text)) = from.0[*place].get(row) {
                builder.push(at, text);
            }
        }
        for (place, _, builder) in &mut self.unique {
            if let Some(Value::Text(text)) = from.0[*place].get(row) {
                builder.push(at, text);
            }
        }
        for (place, _, flags) in &mut self.flags {
            if let Some(Value::Flag(flag)) = from.0[*place].get(row) {
                put(flags, at, flag);
            }
        }
        let ints = self.ints.iter_mut().map(|(place, _, ints)| (place, ints));
        let longs = self
            .longs
            .iter_mut()
            .map(|(place, _, longs)| (place, longs));
        for (place, numbers) in ints.chain(longs) {
            if let Some(Value::Number(number)) = from.0[*place].get(row) {
                put(numbers, at, number);
            }
        }
        self.rows += 1;
    }

    fn needed_bytes(&self) -> usize {
        let texts = self.repeating.iter().map(|(_, _, b)| b.needed_bytes());
        let unique = self.unique.iter().map(|(_, _, b)| b.needed_bytes());
        let flags = self
            .flags
            .iter()
            .map(|(_, _, flags)| size_of_val(&flags[..]));
        let ints = self.ints.iter().map(|(_, _, ints)| size_of_val(&ints[..]));
        let longs = self
            .longs
            .iter()
            .map(|(_, _, longs)| size_of_val(&longs[..]));
        texts
            .chain(unique)
            .chain(flags)
            .chain(ints)
            .chain(longs)
            .sum()
    }

    fn finish(&mut self) -> Columns {
        self.rows = 0;
        let mut columns = vec![Column::Flags(Vec::new()); T::COLUMNS.len()];
        for (place, _, builder) in &mut self.repeating {
            columns[*place] = builder.finish();
        }
        for (place, _, builder) in &mut self.unique {
            columns[*place] = builder.finish();
        }
        for (place, _, flags) in &mut self.flags {
            columns[*place] = Column::Flags(renewed(flags));
        }
        for (place, _, ints) in &mut self.ints {
            columns[*place] = Column::Numbers(renewed(ints));
        }
        for (place, _, longs) in &mut self.longs {
            columns[*place] = Column::Numbers(renewed(longs));
        }
        Columns(columns)
    }
}

/// Where what belongs to an event stands in its [`Rows`], and what identifies it.
#[derive(Debug, Clone, Copy)]
pub struct RowKey {
    /// Identity of the event for de-duplication; events without an eventID have none.
    pub identity: Option<u128>,
    pub event_time_ms: Option<i64>,
    /// The event's row among the principals.
    pub principal: u32,
    /// The event's rows among the operations: first and count.
    pub first_operation: u32,
    pub operations: u32,
}

/// Decoded events of consecutive records, in their order.
pub struct Rows {
    /// The columns of `events` that are [`Of::Row`].
    pub events: Columns,
    /// The columns of `events` that are [`Of::Principal`], a row for each `userIdentity`.
    pub principals: Columns,
    /// The columns of `operations` that are [`Of::Row`].
    pub operations: Columns,
    /// One an event.
    pub keys: Vec<RowKey>,
}

impl Rows {
    /// The text that an event has in the column of this name; nothing for other columns.
    pub fn event_text(&self, name: &str, row: usize) -> Option<&str> {
        let column = Events::COLUMNS.iter().position(|c| c.name == name)?;
        match self.event_value(column, row)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Flag(_) => None,
        }
    }

    /// What an event has in a column of `events`.
    pub fn event_value(&self, column: usize, row: usize) -> Option<Value<'_>> {
        match Events::COLUMNS[column].of {
            Of::Principal => self.principals.0[column].get(self.keys[row].principal as usize),
            Of::Row | Of::Event => self.events.0[column].get(row),
        }
    }

    /// What an operation of an event has in a column of `operations`; both by their rows.
    pub fn operation_value(
        &self,
        column: usize,
        (event, operation): (usize, usize),
    ) -> Option<Value<'_>> {
        let wanted = &Operations::COLUMNS[column];
        match wanted.of {
            Of::Event => self.event_value(place_of(wanted.name), event),
            Of::Row | Of::Principal => self.operations.0[column].get(operation),
        }
    }

    /// The size in bytes: of what is in it, not of the memory that it holds. Where row groups are cut
    /// depends on it, and the room that is left depends on what the thread had built before.
    pub fn size_bytes(&self) -> usize {
        [&self.events, &self.principals, &self.operations]
            .map(Columns::size_bytes)
            .iter()
            .sum::<usize>()
            + self.keys.len() * size_of::<RowKey>()
    }
}

/// Builds [`Rows`].
pub struct RowsBuilder {
    events: ColumnsBuilder<Events>,
    principals: ColumnsBuilder<Events>,
    operations: ColumnsBuilder<Operations>,
    keys: Vec<RowKey>,
    /// The `userIdentity` of each principal.
    identities: Texts,
    identity_codes: Interner,
    /// Which of the principals' columns of repeating texts has their account.
    account: usize,
}

impl Default for RowsBuilder {
    fn default() -> Self {
        let principals = ColumnsBuilder::new(Of::Principal);
        let account = place_of("user_account_id");
        let mut repeating = principals.repeating.iter();
        Self {
            account: repeating
                .position(|(place, _, _)| *place == account)
                .expect("principals have an account"),
            events: ColumnsBuilder::new(Of::Row),
            principals,
            operations: ColumnsBuilder::new(Of::Row),
            keys: Vec::new(),
            identities: Texts::default(),
            identity_codes: Interner::default(),
        }
    }
}

impl RowsBuilder {
    /// Appends an event and its operations.
    pub fn push(&mut self, row: &EventRow<'_>) {
        let event = row.event;
        let first_operation = self.operations.rows as u32;
        if let Some(dynamodb) = &event.dynamodb {
            for (position, operation) in dynamodb.operations.iter().enumerate() {
                self.operations.push(&OperationRow {
                    row,
                    dynamodb,
                    operation,
                    position: position as i32,
                });
            }
        }
        self.events.push(row);
        let principal = row.known_principal.unwrap_or_else(|| {
            let identity_text = event.user_identity.map_or("", |identity| identity.raw());
            self.principal(identity_text, |principals| principals.push(row))
        });
        self.keys.push(RowKey {
            identity: identity(
                [
                    event.recipient_account_id,
                    event.event_id,
                    event.event_source,
                    event.event_name,
                ],
                event.event_time_ms,
            ),
            event_time_ms: event.event_time_ms,
            principal,
            first_operation,
            operations: self.operations.rows as u32 - first_operation,
        });
    }

    /// Memory that the rows so far need, in bytes.
    pub fn needed_bytes(&self) -> usize {
        self.events.needed_bytes()
            + self.principals.needed_bytes()
            + self.operations.needed_bytes()
            + size_of_val(&self.keys[..])
    }

    /// The principal of this `userIdentity`, where an event before had the same text.
    pub fn known_principal(&self, identity_text: &str) -> Option<u32> {
        let last = self.keys.last().map(|key| key.principal);
        last.filter(|last| self.identities.is(*last, identity_text))
            .or_else(|| self.identity_codes.find(&self.identities, identity_text))
    }

    /// The account of a principal.
    pub fn account_of(&self, principal: u32) -> Option<&str> {
        let (_, _, accounts) = &self.principals.repeating[self.account];
        accounts.get(principal as usize)
    }

    /// Appends a copy of an event of other rows, with its operations.
    pub fn copy(&mut self, from: &Rows, row: usize) {
        let key = from.keys[row];
        let first_operation = self.operations.rows as u32;
        for operation in key.first_operation..key.first_operation + key.operations {
            self.operations.copy(&from.operations, operation as usize);
        }
        self.events.copy(&from.events, row);
        let principal = key.principal as usize;
        let identity_text = match from.principals.0[place_of("user_identity")].get(principal) {
            Some(Value::Text(text)) => text,
            _ => "",
        };
        let principal = self.principal(identity_text, |principals| {
            principals.copy(&from.principals, principal);
        });
        self.keys.push(RowKey {
            principal,
            first_operation,
            ..key
        });
    }

    /// The row of the principal of this `userIdentity`, which `push` adds if it is new.
    fn principal(
        &mut self,
        identity_text: &str,
        push: impl FnOnce(&mut ColumnsBuilder<Events>),
    ) -> u32 {
        let last = self.keys.last().map(|key| key.principal);
        let principal = match last {
            Some(last) if self.identities.is(last, identity_text) => last,
            _ => self
                .identity_codes
                .code(&mut self.identities, identity_text),
        };
        if principal as usize == self.principals.rows {
            push(&mut self.principals);
        }
        principal
    }

    pub fn finish(&mut self) -> Rows {
        self.identities = Texts::default();
        self.identity_codes = Interner::default();
        Rows {
            events: self.events.finish(),
            principals: self.principals.finish(),
            operations: self.operations.finish(),
            keys: std::mem::take(&mut self.keys),
        }
    }
}

/// The place of a column of `events`.
fn place_of(name: &str) -> usize {
    Events::COLUMNS
        .iter()
        .position(|column| column.name == name)
        .expect("the column table has it")
}

/// The identity under which an event is kept once: recipient account, event ID, source, name and
/// time. The ID alone would do for genuine records; with the rest, two different events to which
/// some tool gave one ID stay two.
///
/// The key is of this process, so that nobody can write two events of one identity.
pub fn identity(texts: [Option<&str>; 4], event_time_ms: Option<i64>) -> Option<u128> {
    texts[1]?;
    let (key0, key1) = *IDENTITY_KEY;
    let mut hasher = SipHasher13::new_with_keys(key0, key1);
    for text in texts {
        let text = text.unwrap_or_default();
        hasher.write_usize(text.len());
        hasher.write(text.as_bytes());
    }
    hasher.write_i64(event_time_ms.unwrap_or(i64::MIN));
    Some(hasher.finish128().as_u128())
}

static IDENTITY_KEY: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let state = RandomState::new();
    (state.hash_one(0), state.hash_one(1))
});
