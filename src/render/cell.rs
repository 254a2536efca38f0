//! A value of a row as text or JSON, whatever its type.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value};

/// Whether values of a type are numbers, which stand at the right.
pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// A value as text: timestamps in RFC 3339 and UTC, structs and lists as JSON. None for NULL.
pub fn text(column: &ArrayRef, row: usize) -> Option<String> {
    match value(column, row) {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A value as JSON. Numbers that JSON has not are null.
pub fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int8 => Value::from(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => Value::from(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => Value::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Value::from(column.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => Value::from(column.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => Value::from(column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => Value::from(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => Value::from(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(unit, _) => match timestamp(column, row, *unit) {
            Some(time) => Value::from(time),
            None => Value::Null,
        },
        DataType::List(_) => array(&column.as_list::<i32>().value(row)),
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let members = fields.iter().zip(columns);
            let members = members.map(|(field, column)| (field.name().clone(), value(column, row)));
            Value::Object(members.collect())
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (names, values) = (entries.column(0), entries.column(1));
            let members = (0..entries.len())
                .map(|entry| (text(names, entry).unwrap_or_default(), value(values, entry)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        _ => array_value_to_string(column, row).map_or(Value::Null, Value::from),
    }
}

fn array(elements: &ArrayRef) -> Value {
    (0..elements.len())
        .map(|row| value(elements, row))
        .collect()
}

/// `2025-03-12T04:21:37.000Z`, or with as many digits as the value has.
fn timestamp(column: &ArrayRef, row: usize, unit: TimeUnit) -> Option<String> {
    let (nanoseconds, digits) = match unit {
        TimeUnit::Second => {
            let seconds = column.as_primitive::<TimestampSecondType>().value(row);
            (i128::from(seconds) * 1_000_000_000, 3)
        }
        TimeUnit::Millisecond => {
            let ms = column.as_primitive::<TimestampMillisecondType>().value(row);
            (i128::from(ms) * 1_000_000, 3)
        }
        TimeUnit::Microsecond => {
            let us = column.as_primitive::<TimestampMicrosecondType>().value(row);
            (i128::from(us) * 1_000, 6)
        }
        TimeUnit::Nanosecond => {
            let ns = column.as_primitive::<TimestampNanosecondType>().value(row);
            (i128::from(ns), 9)
        }
    };
    let time = jiff::Timestamp::from_nanosecond(nanoseconds).ok()?;
    // Finer than milliseconds only where it says something.
    let digits = match nanoseconds % 1_000_000 {
        0 => 3,
        _ => digits,
    };
    Some(format!("{time:.digits$}"))
}
