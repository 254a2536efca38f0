//! Tables: their keys, attributes and ARNs.

use super::json::Object;
use super::prng::Prng;
use super::record::resource;

/// How the values of a key attribute look. CloudTrail logs them as plain strings.
#[derive(Clone)]
pub enum Values {
    Uuid,
    /// `ORD-00004711`: a prefix and a number below the count.
    Numbered {
        prefix: &'static str,
        digits: usize,
        count: u64,
    },
    /// A hash in base64, 24 characters.
    Hash,
    /// Milliseconds since 1970 in March 2025.
    Milliseconds,
}

#[derive(Clone)]
pub struct Attribute {
    pub name: &'static str,
    pub values: Values,
}

pub struct Index {
    pub name: String,
    pub key: Attribute,
}

pub struct Table {
    pub name: String,
    pub account: &'static str,
    pub region: &'static str,
    pub partition_key: Attribute,
    pub sort_key: Option<Attribute>,
    pub index: Option<Index>,
    /// Names of the attributes that are no key.
    pub attributes: Vec<&'static str>,
    /// The label of its stream, if it has one.
    pub stream: Option<String>,
}

impl Attribute {
    pub fn new(name: &'static str, values: Values) -> Attribute {
        Attribute { name, values }
    }

    pub fn value(&self, prng: &mut Prng) -> String {
        match self.values {
            Values::Uuid => prng.uuid(),
            Values::Numbered {
                prefix,
                digits,
                count,
            } => {
                format!("{prefix}{:0digits$}", prng.below(count))
            }
            Values::Hash => {
                let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                prng.text(alphabet, 22) + "=="
            }
            Values::Milliseconds => format!("{}", 1_740_960_000_000 + prng.below(1_209_600_000)),
        }
    }
}

impl Table {
    pub fn arn(&self) -> String {
        table_arn(self.region, self.account, &self.name)
    }

    pub fn stream_arn(&self) -> Option<String> {
        self.stream
            .as_ref()
            .map(|label| format!("{}/stream/{label}", self.arn()))
    }

    /// The primary key of some item as CloudTrail logs it: a flat object without type tags.
    pub fn key(&self, prng: &mut Prng) -> String {
        let mut key = Object::new().text(self.partition_key.name, &self.partition_key.value(prng));
        if let Some(sort_key) = &self.sort_key {
            key = key.text(sort_key.name, &sort_key.value(prng));
        }
        key.finish()
    }

    /// `WHERE` with the whole key of some item.
    pub fn key_condition(&self, prng: &mut Prng) -> String {
        let mut text = format!(
            "WHERE {} = '{}'",
            self.partition_key.name,
            self.partition_key.value(prng)
        );
        if let Some(sort_key) = &self.sort_key {
            text.push_str(&format!(
                " AND {} = '{}'",
                sort_key.name,
                sort_key.value(prng)
            ));
        }
        text
    }

    /// The names of all attributes of an item, in no order, as PutItem logs them.
    pub fn item_names(&self, prng: &mut Prng) -> Vec<&'static str> {
        let mut names = self.attributes.clone();
        names.push(self.partition_key.name);
        names.extend(self.sort_key.as_ref().map(|key| key.name));
        prng.shuffle(&mut names);
        names
    }

    /// The `resources` of a data event: the table, and its stream too if it has one, in no fixed order.
    pub fn resources(&self, prng: &mut Prng) -> Vec<String> {
        let mut resources = vec![resource(self.account, "AWS::DynamoDB::Table", &self.arn())];
        if let Some(stream_arn) = self.stream_arn() {
            resources.push(resource(self.account, "AWS::DynamoDB::Stream", &stream_arn));
            prng.shuffle(&mut resources);
        }
        resources
    }
}

pub fn table_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{account}:table/{name}")
}
