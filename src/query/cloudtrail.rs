//! The view `cloudtrail`, with the columns that AWS documents, as DataFusion sees it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ListArray, MapBuilder, StringBuilder, StringViewArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field as ArrowField, Fields};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use crate::event::schema::{Cell, Events, Table};
use crate::lake::ddl::cloudtrail::{COLUMNS, Field, Shown, lake_column};

/// The functions that make the view's structs and lists from JSON text.
pub fn functions() -> impl Iterator<Item = ScalarUDF> {
    COLUMNS.iter().filter_map(|shown| {
        let (fields, is_list) = match shown {
            Shown::Struct(_, fields) => (*fields, false),
            Shown::List(_, fields) => (*fields, true),
            Shown::Text(_) | Shown::Time => return None,
        };
        Some(ScalarUDF::from(Members {
            name: function_name(shown),
            fields: DocumentedFields(fields),
            is_list,
            signature: Signature::string(1, Volatility::Immutable),
        }))
    })
}

fn function_name(shown: &Shown) -> String {
    format!("cloudtrail_{}", shown.member().to_lowercase())
}

/// The view's statement.
pub fn statement() -> String {
    let columns = COLUMNS.iter().map(|shown| {
        let name = shown.member().to_lowercase();
        let value = match shown {
            Shown::Time => {
                "coalesce(event_time_text, to_char(event_time, '%Y-%m-%dT%H:%M:%SZ'))".to_owned()
            }
            Shown::Text(member) => {
                let column = lake_column(member);
                match column.cell {
                    Cell::Bool(_) => format!("CAST({} AS VARCHAR)", column.name),
                    _ => column.name.to_owned(),
                }
            }
            Shown::Struct(member, _) | Shown::List(member, _) => {
                format!("{}({})", function_name(shown), lake_column(member).name)
            }
        };
        format!("{value} AS {name}")
    });
    format!(
        "SELECT {}, replace(dt, '-', '/') AS \"timestamp\" FROM {}",
        columns.collect::<Vec<_>>().join(", "),
        Events::NAME
    )
}

/// Fields of a struct, equal to others by where they stand.
#[derive(Clone, Copy)]
struct DocumentedFields(&'static [Field]);

impl std::fmt::Debug for DocumentedFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} fields", self.0.len())
    }
}

impl PartialEq for DocumentedFields {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for DocumentedFields {}

impl std::hash::Hash for DocumentedFields {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.as_ptr().hash(state);
    }
}

/// Makes structs of the documented members of JSON objects.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Members {
    name: String,
    fields: DocumentedFields,
    is_list: bool,
    signature: Signature,
}

impl Members {
    fn data_type(&self) -> DataType {
        let structure = DataType::Struct(arrow_fields(self.fields.0));
        match self.is_list {
            true => DataType::new_list(structure, true),
            false => structure,
        }
    }
}

impl ScalarUDFImpl for Members {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json] = args.args.as_slice() else {
            return exec_err!("{} takes a JSON text", self.name);
        };
        let texts = cast(&json.to_array(args.number_rows)?, &DataType::Utf8View)?;
        let texts = texts
            .as_any()
            .downcast_ref::<StringViewArray>()
            .expect("the cast gives text");
        let values: Vec<Option<Value>> = texts
            .iter()
            .map(|text| text.and_then(|text| serde_json::from_str(text).ok()))
            .collect();
        let values: Vec<Option<&Value>> = values.iter().map(Option::as_ref).collect();
        Ok(ColumnarValue::Array(match self.is_list {
            true => list(self.fields.0, &values),
            false => structure(self.fields.0, &values),
        }))
    }
}

fn arrow_fields(fields: &[Field]) -> Fields {
    let fields = fields.iter().map(|field| {
        let data_type = match field {
            Field::Text(_) => DataType::Utf8,
            Field::Map(_) => empty_map().finish().data_type().clone(),
            Field::Struct(_, fields) => DataType::Struct(arrow_fields(fields)),
        };
        ArrowField::new(field.name(), data_type, true)
    });
    fields.collect()
}

fn empty_map() -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
}

/// A struct for every object; null for everything else.
fn structure(fields: &[Field], values: &[Option<&Value>]) -> ArrayRef {
    let columns: Vec<ArrayRef> = fields
        .iter()
        .map(|field| {
            let members: Vec<Option<&Value>> = values
                .iter()
                .map(|value| value.and_then(|value| value.get(field.member())))
                .collect();
            match field {
                Field::Text(_) => texts(&members),
                Field::Map(_) => maps(&members),
                Field::Struct(_, fields) => structure(fields, &members),
            }
        })
        .collect();
    let is_object = values
        .iter()
        .map(|value| value.is_some_and(Value::is_object));
    let nulls: NullBuffer = is_object.collect();
    Arc::new(StructArray::new(arrow_fields(fields), columns, Some(nulls)))
}

fn list(fields: &[Field], values: &[Option<&Value>]) -> ArrayRef {
    let arrays = || values.iter().map(|value| value.and_then(Value::as_array));
    let offsets = OffsetBuffer::from_lengths(arrays().map(|array| array.map_or(0, Vec::len)));
    let elements: Vec<Option<&Value>> = arrays().flatten().flatten().map(Some).collect();
    let nulls: NullBuffer = arrays().map(|array| array.is_some()).collect();
    let field = ArrowField::new_list_field(DataType::Struct(arrow_fields(fields)), true);
    Arc::new(ListArray::new(
        Arc::new(field),
        offsets,
        structure(fields, &elements),
        Some(nulls),
    ))
}

/// Scalars as text, as Athena's json_extract_scalar gives them.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn texts(values: &[Option<&Value>]) -> ArrayRef {
    let mut builder = StringBuilder::new();
    for value in values {
        builder.append_option(value.and_then(scalar));
    }
    Arc::new(builder.finish())
}

fn maps(values: &[Option<&Value>]) -> ArrayRef {
    let mut builder = empty_map();
    for value in values {
        let object = value.and_then(Value::as_object);
        for (name, value) in object.into_iter().flatten() {
            builder.keys().append_value(name);
            builder.values().append_option(scalar(value));
        }
        builder
            .append(object.is_some())
            .expect("keys and values are appended together");
    }
    Arc::new(builder.finish())
}
