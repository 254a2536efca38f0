//! Turns events into Arrow batches, column by column as the schema says.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMillisecondBuilder, new_null_array,
};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::schema::{Cell, EventRow, Events, OperationRow, Operations, Table};

/// Builds batches of one table.
///
/// Builders begin with the room that the batch before them took, so that filling them does not
/// copy texts again and again.
pub struct BatchBuilder<T: Table> {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    table: std::marker::PhantomData<T>,
}

enum ColumnBuilder {
    Text(TextColumn),
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Timestamp(TimestampMillisecondBuilder),
}

/// A column of texts. Many columns have no value in a whole batch: those cost next to nothing.
#[derive(Default)]
struct TextColumn {
    /// Made when the first value comes.
    values: Option<StringBuilder>,
    rows: usize,
    /// Rows and bytes of the batch before.
    usual: (usize, usize),
}

impl TextColumn {
    fn push(&mut self, value: Option<&str>) {
        match (&mut self.values, value) {
            (Some(values), value) => values.append_option(value),
            (None, None) => {}
            (None, Some(value)) => {
                let (rows, bytes) = self.usual;
                let mut values = StringBuilder::with_capacity(rows, bytes);
                values.append_nulls(self.rows);
                values.append_value(value);
                self.values = Some(values);
            }
        }
        self.rows += 1;
    }

    fn finish(&mut self) -> ArrayRef {
        let rows = std::mem::take(&mut self.rows);
        match self.values.take() {
            Some(mut values) => {
                // Objects are of about one size: a little more room than the last one took saves
                // doubling, which would copy the texts and hold twice their memory.
                let bytes = values.values_slice().len();
                self.usual = (rows + rows / 8, bytes + bytes / 8);
                Arc::new(values.finish())
            }
            None => new_null_array(&DataType::Utf8, rows),
        }
    }
}

impl<T: Table> Default for BatchBuilder<T> {
    fn default() -> Self {
        let columns = T::COLUMNS.iter().map(|column| match column.cell {
            Cell::Text(_) | Cell::Json(_) => ColumnBuilder::Text(TextColumn::default()),
            Cell::Bool(_) => ColumnBuilder::Bool(BooleanBuilder::new()),
            Cell::Int(_) => ColumnBuilder::Int(Int32Builder::new()),
            Cell::Long(_) => ColumnBuilder::Long(Int64Builder::new()),
            Cell::Timestamp(_) => ColumnBuilder::Timestamp(TimestampMillisecondBuilder::new()),
        });
        Self {
            schema: Arc::new(T::schema()),
            columns: columns.collect(),
            rows: 0,
            table: std::marker::PhantomData,
        }
    }
}

impl<T: Table> BatchBuilder<T> {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn push(&mut self, row: &T::Row<'_>) {
        for (column, builder) in T::COLUMNS.iter().zip(&mut self.columns) {
            if column.is_of_event {
                continue;
            }
            match (&column.cell, builder) {
                (Cell::Text(read) | Cell::Json(read), ColumnBuilder::Text(builder)) => {
                    builder.push(read(row));
                }
                (Cell::Bool(read), ColumnBuilder::Bool(builder)) => {
                    builder.append_option(read(row));
                }
                (Cell::Int(read), ColumnBuilder::Int(builder)) => builder.append_option(read(row)),
                (Cell::Long(read), ColumnBuilder::Long(builder)) => {
                    builder.append_option(read(row));
                }
                (Cell::Timestamp(read), ColumnBuilder::Timestamp(builder)) => {
                    builder.append_option(read(row));
                }
                _ => unreachable!("a builder is made for its column's cell"),
            }
        }
        self.rows += 1;
    }

    /// The rows so far as a batch; the builder is empty afterwards.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        let columns =
            self.columns
                .iter_mut()
                .zip(T::COLUMNS)
                .map(|(builder, column)| -> ArrayRef {
                    if column.is_of_event {
                        return new_null_array(&column.cell.data_type(), rows);
                    }
                    match builder {
                        ColumnBuilder::Text(column) => column.finish(),
                        ColumnBuilder::Bool(builder) => {
                            let next = BooleanBuilder::with_capacity(rows);
                            Arc::new(std::mem::replace(builder, next).finish())
                        }
                        ColumnBuilder::Int(builder) => {
                            let next = Int32Builder::with_capacity(rows);
                            Arc::new(std::mem::replace(builder, next).finish())
                        }
                        ColumnBuilder::Long(builder) => {
                            let next = Int64Builder::with_capacity(rows);
                            Arc::new(std::mem::replace(builder, next).finish())
                        }
                        ColumnBuilder::Timestamp(builder) => {
                            let next = TimestampMillisecondBuilder::with_capacity(rows);
                            Arc::new(std::mem::replace(builder, next).finish())
                        }
                    }
                });
        RecordBatch::try_new(self.schema.clone(), columns.collect())
            .expect("the builders are made from the schema")
    }
}

/// Where an event stands in its [`Rows`], and what identifies it.
#[derive(Debug, Clone, Copy)]
pub struct RowKey {
    /// Identity of the event for de-duplication; events without an eventID have none.
    pub identity: Option<u128>,
    pub event_time_ms: Option<i64>,
    /// The event's rows in the batch of operations: first and count.
    pub first_operation: u32,
    pub operations: u32,
}

/// Decoded events of consecutive records, in their order.
pub struct Rows {
    pub events: RecordBatch,
    /// Columns that repeat the event's are empty here.
    pub operations: RecordBatch,
    /// One an event.
    pub keys: Vec<RowKey>,
}

impl Rows {
    /// Memory held, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.events.get_array_memory_size()
            + self.operations.get_array_memory_size()
            + self.keys.len() * size_of::<RowKey>()
    }
}

/// Builds [`Rows`].
#[derive(Default)]
pub struct RowsBuilder {
    events: BatchBuilder<Events>,
    operations: BatchBuilder<Operations>,
    keys: Vec<RowKey>,
}

impl RowsBuilder {
    /// Appends an event and its operations.
    pub fn push(&mut self, row: &EventRow<'_>) {
        let event = row.event;
        let first_operation = self.operations.rows() as u32;
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
            first_operation,
            operations: self.operations.rows() as u32 - first_operation,
        });
    }

    pub fn finish(&mut self) -> Rows {
        Rows {
            events: self.events.finish(),
            operations: self.operations.finish(),
            keys: std::mem::take(&mut self.keys),
        }
    }
}

/// The identity under which an event is kept once: recipient account, event ID, source, name and
/// time. The ID alone would do for genuine records; with the rest, two different events to which
/// some tool gave one ID stay two.
pub fn identity(texts: [Option<&str>; 4], event_time_ms: Option<i64>) -> Option<u128> {
    use siphasher::sip128::{Hasher128, SipHasher24};
    use std::hash::Hasher;

    texts[1]?;
    let mut hasher = SipHasher24::new();
    for text in texts {
        let text = text.unwrap_or_default();
        hasher.write_usize(text.len());
        hasher.write(text.as_bytes());
    }
    hasher.write_i64(event_time_ms.unwrap_or(i64::MIN));
    Some(hasher.finish128().as_u128())
}
