//! `json_extract_scalar`, as Athena has it: a scalar of a JSON text by its path, as text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::json_path::JsonPath;

/// The function, to be registered.
pub fn json_extract_scalar() -> ScalarUDF {
    ScalarUDF::from(JsonExtractScalar {
        signature: Signature::string(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonExtractScalar {
    signature: Signature,
}

impl ScalarUDFImpl for JsonExtractScalar {
    fn name(&self) -> &str {
        "json_extract_scalar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = args.args.as_slice() else {
            return exec_err!("json_extract_scalar takes a JSON text and a path");
        };
        let ColumnarValue::Scalar(path) = path else {
            return exec_err!("the path of json_extract_scalar must be a literal");
        };
        let is_scalar = matches!(json, ColumnarValue::Scalar(_));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let texts = cast(&json.to_array(rows)?, &DataType::Utf8View)?;
        let texts = texts
            .as_any()
            .downcast_ref::<StringViewArray>()
            .expect("the cast gives text");
        let path = path.try_as_str().flatten().unwrap_or_default();
        let Some(path) = JsonPath::parse(path) else {
            return exec_err!("{path:?} is no path such as $.tableName or $.a.b[0]");
        };
        let mut values = StringBuilder::with_capacity(rows, 0);
        for row in 0..rows {
            let text = texts.is_valid(row).then(|| texts.value(row));
            values.append_option(text.and_then(|text| path.scalar(text)));
        }
        let values: ArrayRef = Arc::new(values.finish());
        if is_scalar {
            let value = datafusion::common::ScalarValue::try_from_array(&values, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(values))
    }
}
