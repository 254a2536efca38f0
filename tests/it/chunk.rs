//! Column chunks as we encode them, read back by parquet's own reader.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use dynatrail::event::column::{NO_VALUE, Value};
use dynatrail::lake::chunk::{ChunkFormat, Values, encode};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescriptor, Type};
use proptest::prelude::*;

const TYPES: [Physical; 4] = [
    Physical::BYTE_ARRAY,
    Physical::INT32,
    Physical::INT64,
    Physical::BOOLEAN,
];

/// A schema of one column of each type, all optional or all required.
fn schema(repetition: Repetition) -> SchemaDescriptor {
    let columns = TYPES.map(|physical| {
        let text = (physical == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        let name = physical.to_string();
        let column = Type::primitive_type_builder(&name, physical)
            .with_repetition(repetition)
            .with_logical_type(text);
        Arc::new(column.build().expect("a column"))
    });
    let root = Type::group_type_builder("event").with_fields(columns.to_vec());
    SchemaDescriptor::new(Arc::new(root.build().expect("a schema")))
}

/// What a column of a type holds for a seed: few texts of many lengths, numbers of both signs.
fn value(physical: Physical, seed: u32, texts: &[String]) -> Value<'_> {
    match physical {
        Physical::BYTE_ARRAY => Value::Text(&texts[seed as usize % texts.len()]),
        Physical::BOOLEAN => Value::Flag(seed.is_multiple_of(3)),
        Physical::INT32 => Value::Number(i64::from(seed as i32)),
        _ => Value::Number(i64::from(seed as i32) << (seed % 30)),
    }
}

fn as_coded<'v>(values: &[Option<Value<'v>>]) -> Values<'v> {
    let mut dictionary: Vec<Value<'v>> = Vec::new();
    let codes = values.iter().map(|value| {
        let Some(value) = value else { return NO_VALUE };
        let known = dictionary.iter().position(|known| known == value);
        known.unwrap_or_else(|| {
            dictionary.push(*value);
            dictionary.len() - 1
        }) as u32
    });
    Values::Coded {
        codes: codes.collect(),
        dictionary,
    }
}

fn as_plain<'v>(physical: Physical, values: &[Option<Value<'v>>]) -> Values<'v> {
    let values = values.iter();
    match physical {
        Physical::BYTE_ARRAY => Values::Texts(
            values
                .map(|value| match value {
                    Some(Value::Text(text)) => Some(*text),
                    _ => None,
                })
                .collect(),
        ),
        Physical::BOOLEAN => Values::Flags(
            values
                .map(|value| value.map(|v| v == Value::Flag(true)))
                .collect(),
        ),
        _ => Values::Numbers(
            values
                .map(|value| match value {
                    Some(Value::Number(number)) => Some(*number),
                    _ => None,
                })
                .collect(),
        ),
    }
}

/// A file of one row group; flags cannot be coded.
fn file(repetition: Repetition, columns: &[Vec<Option<Value<'_>>>], is_coded: bool) -> Bytes {
    let schema = schema(repetition);
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema.root_schema_ptr(), properties)
        .expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    for (descriptor, values) in schema.columns().iter().zip(columns) {
        let format = ChunkFormat {
            column: descriptor.clone(),
            has_bounds: true,
            has_bloom_filter: descriptor.physical_type() == Physical::BYTE_ARRAY,
        };
        let is_flag = descriptor.physical_type() == Physical::BOOLEAN;
        let values = match is_coded && !is_flag {
            true => as_coded(values),
            false => as_plain(descriptor.physical_type(), values),
        };
        let chunk = encode(&format, &values).expect("encodes");
        group
            .append_column(&chunk.bytes, chunk.close)
            .expect("is appended");
    }
    group.close().expect("closes");
    writer.into_inner().expect("finishes").into()
}

fn read_value(array: &ArrayRef, physical: Physical, row: usize) -> Option<Value<'_>> {
    array.is_valid(row).then(|| match physical {
        Physical::BYTE_ARRAY => Value::Text(array.as_string::<i32>().value(row)),
        Physical::BOOLEAN => Value::Flag(array.as_boolean().value(row)),
        Physical::INT32 => Value::Number(array.as_primitive::<Int32Type>().value(row).into()),
        _ => Value::Number(array.as_primitive::<Int64Type>().value(row)),
    })
}

fn builder(file: &Bytes) -> ParquetRecordBatchReaderBuilder<Bytes> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).expect("opens")
}

fn concatenated(batches: Vec<RecordBatch>) -> RecordBatch {
    arrow::compute::concat_batches(&batches[0].schema(), &batches).expect("one schema")
}

/// Reads the file as a whole and by skipping pages, and holds both, the bounds and the bloom
/// filter against the values.
fn check(file: &Bytes, columns: &[Vec<Option<Value<'_>>>]) {
    let rows = columns[0].len();
    let batches = builder(file).build().expect("reads");
    let whole = concatenated(batches.map(|batch| batch.expect("a batch")).collect());
    assert_eq!(whole.num_rows(), rows);
    for ((physical, values), array) in TYPES.iter().zip(columns).zip(whole.columns()) {
        for (row, value) in values.iter().enumerate() {
            assert_eq!(
                read_value(array, *physical, row),
                *value,
                "{physical} {row}"
            );
        }
    }
    // Every third stretch of rows, found through the page index.
    let step = (rows / 7).max(1);
    let starts: Vec<usize> = (0..rows).step_by(step).collect();
    let selectors = starts.iter().map(|start| RowSelector {
        row_count: step.min(rows - start),
        skip: !(start / step).is_multiple_of(3),
    });
    let wanted: Vec<usize> = (0..rows)
        .filter(|row| (row / step).is_multiple_of(3))
        .collect();
    let reader = builder(file)
        .with_row_selection(RowSelection::from(selectors.collect::<Vec<_>>()))
        .build()
        .expect("reads");
    let some = concatenated(reader.map(|batch| batch.expect("a batch")).collect());
    for ((physical, values), array) in TYPES.iter().zip(columns).zip(some.columns()) {
        for (row, wanted) in wanted.iter().enumerate() {
            assert_eq!(read_value(array, *physical, row), values[*wanted]);
        }
    }
    check_bounds(file, columns);
}

fn check_bounds(file: &Bytes, columns: &[Vec<Option<Value<'_>>>]) {
    let builder = builder(file);
    let metadata = builder.metadata().clone();
    let indexes = metadata.column_index().expect("column indexes")[0].clone();
    let offsets = metadata.offset_index().expect("offset indexes")[0].clone();
    for (column, (values, physical)) in columns.iter().zip(TYPES).enumerate() {
        let chunk = metadata.row_group(0).column(column);
        let nulls = values.iter().filter(|value| value.is_none()).count();
        let statistics = chunk.statistics().expect("statistics");
        assert_eq!(statistics.null_count_opt(), Some(nulls as u64));
        let least = values
            .iter()
            .flatten()
            .min()
            .map(|value| bytes_of(*value, physical));
        let most = values
            .iter()
            .flatten()
            .max()
            .map(|value| bytes_of(*value, physical));
        let is_short = [&least, &most]
            .iter()
            .all(|b| b.as_ref().is_none_or(|b| b.len() < 1000));
        if is_short {
            assert_eq!(statistics.min_bytes_opt(), least.as_deref());
            assert_eq!(statistics.max_bytes_opt(), most.as_deref());
        }
        let mut first_rows: Vec<usize> = offsets[column]
            .page_locations()
            .iter()
            .map(|page| page.first_row_index as usize)
            .collect();
        first_rows.push(values.len());
        if let ColumnIndexMetaData::INT64(index) = &indexes[column] {
            for (page, rows) in first_rows.windows(2).enumerate() {
                let numbers = values[rows[0]..rows[1]]
                    .iter()
                    .flatten()
                    .map(|value| match value {
                        Value::Number(number) => number,
                        other => panic!("{other:?} among numbers"),
                    });
                assert_eq!(index.min_value(page), numbers.clone().min());
                assert_eq!(index.max_value(page), numbers.max());
            }
        }
    }
    let filter = builder
        .get_row_group_column_bloom_filter(0, 0)
        .expect("reads")
        .expect("a filter");
    for value in columns[0].iter().flatten() {
        if let Value::Text(text) = value {
            assert!(filter.check(*text));
        }
    }
}

fn bytes_of(value: Value<'_>, physical: Physical) -> Vec<u8> {
    match value {
        Value::Text(text) => text.as_bytes().to_vec(),
        Value::Number(number) if physical == Physical::INT32 => {
            (number as i32).to_le_bytes().to_vec()
        }
        Value::Number(number) => number.to_le_bytes().to_vec(),
        Value::Flag(flag) => vec![u8::from(flag)],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn chunks_are_read_back(
        runs in proptest::collection::vec((proptest::option::weighted(0.8, any::<u32>()), 1_usize..40), 1..60),
        is_required in any::<bool>(),
        is_coded in any::<bool>(),
    ) {
        let texts: Vec<String> = (0..40).map(|n| "é-".repeat(n)).collect();
        let rows: Vec<Option<u32>> = runs
            .iter()
            .flat_map(|(seed, times)| (0..*times).map(move |n| seed.map(|s| s.wrapping_add(n as u32 / 9))))
            .filter(|seed| !is_required || seed.is_some())
            .collect();
        prop_assume!(!rows.is_empty());
        let columns = TYPES.map(|physical| {
            rows.iter().map(|seed| seed.map(|seed| value(physical, seed, &texts))).collect::<Vec<_>>()
        });
        let repetition = if is_required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        check(&file(repetition, &columns, is_coded), &columns);
    }
}

#[test]
fn many_pages_and_large_dictionaries_are_read_back() {
    // Texts of a dictionary beyond its limit are written as they are.
    for (distinct, length) in [(50_000_u32, 8), (9_000, 900), (3, 200_000)] {
        let texts: Vec<String> = (0..distinct)
            .map(|n| format!("{}{n:08}", "x".repeat(length - 8)))
            .collect();
        let rows = 61_000_u32.min(20_000_000 / length as u32);
        for is_coded in [false, distinct < 10_000] {
            let columns = TYPES.map(|physical| {
                let seeds = (0..rows).map(|n| (n % 11 != 0).then_some(n.wrapping_mul(7919) % 500));
                seeds
                    .enumerate()
                    .map(|(row, seed)| match physical {
                        Physical::BYTE_ARRAY => seed.map(|_| value(physical, row as u32, &texts)),
                        _ => seed.map(|seed| value(physical, seed, &texts)),
                    })
                    .collect::<Vec<_>>()
            });
            check(&file(Repetition::OPTIONAL, &columns, is_coded), &columns);
        }
    }
}

#[test]
fn a_column_without_values_takes_next_to_nothing() {
    let schema = schema(Repetition::OPTIONAL);
    for descriptor in schema.columns() {
        let format = ChunkFormat {
            column: descriptor.clone(),
            has_bounds: true,
            has_bloom_filter: false,
        };
        let absent = encode(&format, &Values::Absent(100_000)).expect("encodes");
        let empty =
            encode(&format, &as_plain(descriptor.physical_type(), &[None; 100])).expect("encodes");
        assert!(absent.bytes.len() < 60 && empty.bytes.len() < 60);
        assert_eq!(absent.close.rows_written, 100_000);
    }
}
