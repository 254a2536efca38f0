//! Replaces item keys by their keyed hash, before any statement sees them.
//!
//! The same value has the same hash wherever it stands, so that grouping, joining and comparing
//! still work; without the key nobody can tell a value from its hash by trying values.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, exec_err};
use datafusion::datasource::{TableProvider, provider_as_source};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::event::schema::Table;

/// Bytes of a hash that are shown, in hexadecimal: 64 bits tell a million keys apart.
const SHOWN_BYTES: usize = 8;

/// Members of requests and answers below which every value is taken for part of an item or its
/// key, in lower case.
const ITEM_MEMBERS: [&str; 14] = [
    "key",
    "keys",
    "item",
    "items",
    "exclusivestartkey",
    "lastevaluatedkey",
    "expressionattributevalues",
    "keyconditions",
    "queryfilter",
    "scanfilter",
    "expected",
    "attributeupdates",
    "parameters",
    "unprocessedkeys",
];

/// Members that hold PartiQL, in lower case.
const STATEMENT_MEMBERS: [&str; 2] = ["statement", "statements"];

/// Columns that hold a flat object of key attributes.
const KEY_COLUMNS: [&str; 1] = ["item_key"];

/// Columns that hold PartiQL.
const STATEMENT_COLUMNS: [&str; 1] = ["statement"];

/// Columns that hold JSON in which keys may stand somewhere.
const JSON_COLUMNS: [&str; 5] = [
    "request_parameters",
    "response_elements",
    "additional_event_data",
    "service_event_details",
    "extra",
];

/// Columns of free text that AWS fills with the caller's own words.
const TEXT_COLUMNS: [&str; 1] = ["error_message"];

/// The secret that hashes are made with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedactionKey(Arc<[u8]>);

impl std::fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedactionKey")
    }
}

impl RedactionKey {
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    /// The hash that stands for a value: `#` and 16 hexadecimal digits.
    pub fn hash(&self, value: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(value.as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut text = String::from("#");
        for byte in &digest[..SHOWN_BYTES] {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Every scalar below hashed.
    fn hash_all(&self, value: &mut Value) {
        match value {
            Value::Null => {}
            Value::String(text) => *text = self.hash(text),
            Value::Number(number) => *value = Value::String(self.hash(&number.to_string())),
            Value::Bool(truth) => *value = Value::String(self.hash(&truth.to_string())),
            Value::Array(elements) => elements.iter_mut().for_each(|e| self.hash_all(e)),
            Value::Object(members) => members.values_mut().for_each(|m| self.hash_all(m)),
        }
    }

    /// What stands below members that hold items, keys or PartiQL hashed; the rest as it is.
    fn hash_items(&self, value: &mut Value) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|e| self.hash_items(e)),
            Value::Object(members) => {
                for (name, member) in members {
                    let name = name.to_ascii_lowercase();
                    if ITEM_MEMBERS.contains(&name.as_str()) {
                        self.hash_all(member);
                    } else if STATEMENT_MEMBERS.contains(&name.as_str())
                        && let Value::String(text) = member
                    {
                        *text = self.hash_literals(text);
                    } else {
                        self.hash_items(member);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The literals of a PartiQL statement hashed: texts in `'…'`, and numbers.
    fn hash_literals(&self, statement: &str) -> String {
        let mut out = String::new();
        let mut rest = statement;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            if first == '\'' {
                let (text, behind) = quoted(&rest[1..]);
                let _ = write!(out, "'{}'", self.hash(&text));
                rest = behind;
            } else if first == '"' {
                // A name: up to its closing quote as it is.
                let end = rest[1..].find('"').map_or(rest.len(), |end| end + 2);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            } else if first.is_ascii_digit() && !is_word(before) {
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                    .unwrap_or(rest.len());
                out.push_str(&self.hash(&rest[..end]));
                rest = &rest[end..];
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
            before = first;
        }
        out
    }

    fn redact(&self, kind: Kind, text: &str) -> String {
        match kind {
            Kind::Statement => self.hash_literals(text),
            Kind::Text => self.hash(text),
            Kind::Key | Kind::Json => match serde_json::from_str::<Value>(text) {
                Ok(mut value) => {
                    match kind {
                        Kind::Key => self.hash_all(&mut value),
                        _ => self.hash_items(&mut value),
                    }
                    value.to_string()
                }
                // What cannot be read may hold a key.
                Err(_) => self.hash(text),
            },
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || c == '.'
}

/// The text up to the closing quote, with `''` taken as a quote, and what is behind.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let Some(end) = rest.find('\'') else {
            value.push_str(rest);
            return (value, "");
        };
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        if !rest.starts_with('\'') {
            return (value, rest);
        }
        value.push('\'');
        rest = &rest[1..];
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Key,
    Statement,
    Json,
    Text,
}

fn kind_of(column: &str) -> Option<Kind> {
    if KEY_COLUMNS.contains(&column) {
        Some(Kind::Key)
    } else if STATEMENT_COLUMNS.contains(&column) {
        Some(Kind::Statement)
    } else if JSON_COLUMNS.contains(&column) {
        Some(Kind::Json)
    } else if TEXT_COLUMNS.contains(&column) {
        Some(Kind::Text)
    } else {
        None
    }
}

/// Whether a table has columns in which keys stand.
pub fn is_redacted<T: Table>() -> bool {
    T::COLUMNS
        .iter()
        .any(|column| kind_of(column.name).is_some())
}

/// The table with every such column redacted.
pub fn plan<T: Table>(table: Arc<dyn TableProvider>, key: &RedactionKey) -> Result<LogicalPlan> {
    let scan = LogicalPlanBuilder::scan(T::NAME, provider_as_source(table), None)?;
    let schema = scan.schema().clone();
    let columns = schema.iter().map(|(relation, field)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        match kind_of(field.name()) {
            Some(kind) => {
                let function = ScalarUDF::from(Redact {
                    key: key.clone(),
                    kind,
                    signature: Signature::string(1, Volatility::Immutable),
                });
                function.call(vec![column]).alias(field.name())
            }
            None => column,
        }
    });
    scan.project(columns.collect::<Vec<_>>())?.build()
}

/// Redacts a column of a kind.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Redact {
    key: RedactionKey,
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Redact {
    fn name(&self) -> &str {
        "redact"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text] = args.args.as_slice() else {
            return exec_err!("redact takes one text");
        };
        let texts = cast(&text.to_array(args.number_rows)?, &DataType::Utf8View)?;
        let texts = texts
            .as_any()
            .downcast_ref::<StringViewArray>()
            .expect("the cast gives text");
        let mut redacted = StringBuilder::new();
        for row in 0..texts.len() {
            let text = texts.is_valid(row).then(|| texts.value(row));
            redacted.append_option(text.map(|text| self.key.redact(self.kind, text)));
        }
        let redacted: ArrayRef = Arc::new(redacted.finish());
        Ok(ColumnarValue::Array(redacted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_value_has_the_same_hash_everywhere() {
        let key = RedactionKey::new(b"secret");
        let hash = key.hash("c-1");
        let number = key.hash("7");
        assert_eq!(hash.len(), 17);
        assert_ne!(hash, RedactionKey::new(b"other").hash("c-1"));
        let redact = |kind, text: &str| key.redact(kind, text);
        assert_eq!(
            redact(Kind::Key, r#"{"pk":"c-1","sk":7}"#),
            format!(r#"{{"pk":"{hash}","sk":"{number}"}}"#)
        );
        assert_eq!(
            redact(
                Kind::Json,
                r#"{"tableName":"t","Key":{"pk":"c-1"},"limit":7}"#
            ),
            format!(r#"{{"Key":{{"pk":"{hash}"}},"limit":7,"tableName":"t"}}"#)
        );
        assert_eq!(
            redact(
                Kind::Statement,
                r#"DELETE FROM "t1" WHERE pk='c-1' AND sk = 7"#
            ),
            format!(r#"DELETE FROM "t1" WHERE pk='{hash}' AND sk = {number}"#)
        );
    }

    #[test]
    fn nothing_of_a_value_is_left() {
        let key = RedactionKey::new(b"secret");
        for (kind, text) in [
            (Kind::Json, r#"{"requestItems":[{"key":{"a":["hidden"]}}]}"#),
            (
                Kind::Json,
                r#"{"statement":"SELECT * FROM t WHERE a='it''s hidden'"}"#,
            ),
            (Kind::Json, "not JSON: hidden"),
            (Kind::Statement, "SELECT * FROM t WHERE a = 'hidden"),
            (Kind::Text, "hidden"),
        ] {
            let redacted = key.redact(kind, text);
            assert!(!redacted.contains("hidden"), "{redacted}");
        }
    }
}
