//! Random valid selectors, and facts that lie close to them.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

const SOURCES: &[&str] = &[
    "dynamodb.amazonaws.com",
    "streams.dynamodb.amazonaws.com",
    "kms.amazonaws.com",
    "s3.amazonaws.com",
];
const NAMES: &[&str] = &[
    "PutItem",
    "GetItem",
    "GetRecords",
    "GetShardIterator",
    "Get",
];
const TABLES: &[&str] = &[
    "arn:aws:dynamodb:us-east-1:123456789012:table/prod",
    "arn:aws:dynamodb:us-east-1:123456789012:table/prod2",
    "arn:aws:dynamodb:us-east-1:123456789012:table/other",
];
const STREAMS: &[&str] = &[
    "arn:aws:dynamodb:us-east-1:123456789012:table/prod/stream/2021-04-15T04:02:47.428",
    "arn:aws:dynamodb:us-east-1:123456789012:table/other/stream/2021-04-15T04:02:47.428",
];
const OBJECTS: &[&str] = &["arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/b"];
const BUCKETS: &[&str] = &["arn:aws:s3:::bucket"];
const FUNCTIONS: &[&str] = &[
    "arn:aws:lambda:us-east-1:123456789012:function:hello",
    "arn:aws:lambda:us-east-1:123456789012:function:hello2",
];
const ALL_AND_ONE_TABLE: &[&str] = &["arn:aws:dynamodb", TABLES[0]];
const ALL_AND_ONE_FUNCTION: &[&str] = &["arn:aws:lambda", FUNCTIONS[0]];
const PARTS: &[&str] = &[
    "arn:aws:dynamodb:us-east-1:123456789012:table/prod",
    "arn:aws:dynamodb:us-east-1:123456789012:table/prod/",
    "prod",
    ".428",
    "arn:aws:s3:::bucket",
    "arn:aws:s3:::bucket/",
    "a",
];
const USERS: &[&str] = &[
    "arn:aws:sts::123456789012:assumed-role/A/s",
    "arn:aws:iam::1:user/u",
];
const ALL_OPERATORS: &[&str] = &[
    "Equals",
    "StartsWith",
    "EndsWith",
    "NotEquals",
    "NotStartsWith",
    "NotEndsWith",
];

/// One to three operators with one or two values each.
fn conditions(
    operators: &'static [&'static str],
    values: &'static [&'static str],
) -> impl Strategy<Value = Map<String, Value>> {
    let chosen = subsequence(values, 1..=values.len().min(2)).prop_shuffle();
    prop::collection::vec((select(operators), chosen), 1..=3).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(operator, values)| (operator.to_owned(), json!(values)))
            .collect()
    })
}

/// A field selector, or none.
fn optional(
    field: &'static str,
    operators: &'static [&'static str],
    values: &'static [&'static str],
) -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(
        0.3,
        conditions(operators, values).prop_map(move |mut members| {
            members.insert("Field".to_owned(), json!(field));
            Value::Object(members)
        }),
    )
}

fn advanced_selector() -> impl Strategy<Value = Value> {
    let of_category = |category: &'static str| {
        move |fields: Vec<Option<Value>>| {
            let mut fields: Vec<Value> = fields.into_iter().flatten().collect();
            fields.push(json!({"Field": "eventCategory", "Equals": [category]}));
            json!({"Name": "n", "FieldSelectors": fields})
        }
    };
    let management = (
        optional("readOnly", &["Equals"], &["true", "false"]),
        optional(
            "eventSource",
            &["NotEquals"],
            &["kms.amazonaws.com", "rdsdata.amazonaws.com"],
        ),
    );
    let network = (
        select(SOURCES),
        optional("eventName", ALL_OPERATORS, NAMES),
        optional("errorCode", &["Equals"], &["VpceAccessDenied"]),
        optional("vpcEndpointId", ALL_OPERATORS, &["vpce-1", "vpce-"]),
    );
    prop_oneof![
        1 => management.prop_map(|(a, b)| vec![a, b]).prop_map(of_category("Management")),
        1 => network
            .prop_map(|(source, a, b, c)| {
                vec![Some(json!({"Field": "eventSource", "Equals": [source]})), a, b, c]
            })
            .prop_map(of_category("NetworkActivity")),
        4 => data_fields().prop_map(of_category("Data")),
    ]
}

fn data_fields() -> impl Strategy<Value = Vec<Option<Value>>> {
    let typed = prop_oneof![
        Just(("AWS::DynamoDB::Table", TABLES)),
        Just(("AWS::DynamoDB::Stream", STREAMS)),
        Just(("AWS::S3::Object", OBJECTS)),
    ];
    let typed = typed.prop_flat_map(|(resource_type, wholes)| {
        let parts = &["StartsWith", "EndsWith", "NotStartsWith", "NotEndsWith"];
        let arns = prop::option::of((
            conditions(&["Equals", "NotEquals"], wholes),
            conditions(parts, PARTS),
            0..3,
        ));
        arns.prop_map(move |arns| {
            let arn = arns.map(|(wholes, parts, which)| {
                let mut members = Map::from_iter([("Field".to_owned(), json!("resources.ARN"))]);
                members.extend(wholes.into_iter().filter(|_| which != 1));
                members.extend(parts.into_iter().filter(|_| which != 0));
                Value::Object(members)
            });
            [
                Some(json!({"Field": "resources.type", "Equals": [resource_type]})),
                arn,
            ]
        })
    });
    (
        typed,
        optional("readOnly", &["Equals"], &["true", "false"]),
        optional("eventName", ALL_OPERATORS, NAMES),
        optional("eventSource", ALL_OPERATORS, SOURCES),
        optional(
            "eventType",
            ALL_OPERATORS,
            &["AwsApiCall", "AwsServiceEvent"],
        ),
        optional(
            "sessionCredentialFromConsole",
            &["Equals", "NotEquals"],
            &["true"],
        ),
        optional("userIdentity.arn", ALL_OPERATORS, USERS),
    )
        .prop_map(|([a, b], c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

fn basic_selector() -> impl Strategy<Value = Value> {
    let resource = |resource_type: &'static str, values: &'static [&'static str]| {
        subsequence(values, 1..=2)
            .prop_map(move |values| json!({"Type": resource_type, "Values": values}))
    };
    let resource = prop_oneof![
        4 => resource("AWS::DynamoDB::Table", TABLES),
        1 => resource("AWS::DynamoDB::Table", ALL_AND_ONE_TABLE),
        1 => resource("AWS::Lambda::Function", ALL_AND_ONE_FUNCTION),
        1 => resource("AWS::Lambda::Function", FUNCTIONS),
        1 => resource("AWS::S3::Object", &["arn:aws:s3:::bucket/", "arn:aws:s3:::bucket/a"]),
        1 => resource("AWS::S3::Object", &["arn:aws:s3:::", "arn:aws:s3"]),
    ];
    (
        prop::option::of(select(&["All", "ReadOnly", "WriteOnly"][..])),
        prop::option::of(any::<bool>()),
        prop::collection::vec(resource, 0..3),
        subsequence(vec!["kms.amazonaws.com", "rdsdata.amazonaws.com"], 0..=2),
    )
        .prop_map(|(read_write, management, resources, excluded)| {
            let mut members = Map::new();
            members.extend(read_write.map(|text| ("ReadWriteType".to_owned(), json!(text))));
            members
                .extend(management.map(|flag| ("IncludeManagementEvents".to_owned(), json!(flag))));
            members.insert("DataResources".to_owned(), json!(resources));
            members.insert("ExcludeManagementEventSources".to_owned(), json!(excluded));
            Value::Object(members)
        })
}

pub fn document() -> impl Strategy<Value = Value> {
    let advanced = prop::collection::vec(advanced_selector(), 1..=3);
    let basic = prop::collection::vec(basic_selector(), 1..=3);
    prop_oneof![
        3 => advanced.prop_map(|list| json!({"AdvancedEventSelectors": list})),
        1 => basic.prop_map(|list| json!({"EventSelectors": list})),
    ]
}

pub fn facts() -> impl Strategy<Value = Value> {
    let maybe = |values: &'static [&'static str]| prop::option::weighted(0.8, select(values));
    let entry = |resource_type: &'static str, arns: &'static [&'static str]| {
        prop::option::weighted(0.9, select(arns))
            .prop_map(move |arn| json!({"type": resource_type, "ARN": arn}))
    };
    let entry = prop_oneof![
        4 => entry("AWS::DynamoDB::Table", TABLES),
        2 => entry("AWS::DynamoDB::Stream", STREAMS),
        1 => entry("AWS::S3::Object", OBJECTS),
        1 => entry("AWS::S3::Bucket", BUCKETS),
        1 => entry("AWS::Lambda::Function", FUNCTIONS),
        1 => Just(json!({"type": null, "ARN": TABLES[0]})),
    ];
    let category = prop_oneof![8 => Just("Data"), 2 => Just("Management"), 1 => Just("NetworkActivity"),
            1 => Just("Insight")];
    (
        prop::option::weighted(0.9, category),
        prop_oneof![3 => Just(Some(SOURCES[0])), 1 => maybe(SOURCES)],
        maybe(NAMES),
        maybe(&["AwsApiCall", "AwsServiceEvent"]),
        prop::option::weighted(0.8, any::<bool>()),
        any::<bool>(),
        maybe(USERS),
        (maybe(&["VpceAccessDenied"]), maybe(&["vpce-1", "vpce-2"])),
        prop::collection::vec(entry, 0..4),
    )
        .prop_map(
            |(category, source, name, kind, read_only, console, user, (error, vpce), list)| {
                json!({"category": category, "eventSource": source, "eventName": name,
                "eventType": kind, "readOnly": read_only,
                "sessionCredentialFromConsole": console, "userIdentityArn": user,
                "errorCode": error, "vpcEndpointId": vpce, "resources": list})
            },
        )
}
