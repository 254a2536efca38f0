//! Names the fields, operators and categories of advanced event selectors, and which a trail
//! takes together.

use serde::{Serialize, Serializer};

/// What a selector selects from; the value of its `eventCategory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Management,
    Data,
    NetworkActivity,
}

impl Category {
    pub const NAMES: [&'static str; 3] = ["Management", "Data", "NetworkActivity"];
    /// Categories that only an event data store takes.
    pub const EVENT_DATA_STORE_ONLY: [&'static str; 4] = [
        "Insight",
        "ConfigurationItem",
        "Evidence",
        "ActivityAuditLog",
    ];

    pub fn from_name(name: &str) -> Option<Category> {
        match name {
            "Management" => Some(Category::Management),
            "Data" => Some(Category::Data),
            "NetworkActivity" => Some(Category::NetworkActivity),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Category::Management => "Management",
            Category::Data => "Data",
            Category::NetworkActivity => "NetworkActivity",
        }
    }

    /// Fields without which a selector of this category is refused.
    pub fn required(self) -> &'static [Field] {
        match self {
            Category::Management => &[],
            Category::Data => &[Field::ResourcesType],
            Category::NetworkActivity => &[Field::EventSource],
        }
    }
}

/// A field of a record that a selector can name. The order is that of the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    EventCategory,
    ResourcesType,
    ResourcesArn,
    ReadOnly,
    EventName,
    EventSource,
    EventType,
    SessionCredentialFromConsole,
    UserIdentityArn,
    ErrorCode,
    VpcEndpointId,
}

impl Field {
    pub const ALL: [Field; 11] = [
        Field::EventCategory,
        Field::ResourcesType,
        Field::ResourcesArn,
        Field::ReadOnly,
        Field::EventName,
        Field::EventSource,
        Field::EventType,
        Field::SessionCredentialFromConsole,
        Field::UserIdentityArn,
        Field::ErrorCode,
        Field::VpcEndpointId,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Field::EventCategory => "eventCategory",
            Field::ResourcesType => "resources.type",
            Field::ResourcesArn => "resources.ARN",
            Field::ReadOnly => "readOnly",
            Field::EventName => "eventName",
            Field::EventSource => "eventSource",
            Field::EventType => "eventType",
            Field::SessionCredentialFromConsole => "sessionCredentialFromConsole",
            Field::UserIdentityArn => "userIdentity.arn",
            Field::ErrorCode => "errorCode",
            Field::VpcEndpointId => "vpcEndpointId",
        }
    }

    pub fn from_name(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.as_str() == name)
    }

    /// Whether an event data store would take the field in a selector of the category.
    pub fn is_for_event_data_store(self, category: Category) -> bool {
        category == Category::Management
            && matches!(
                self,
                Field::EventName
                    | Field::EventType
                    | Field::SessionCredentialFromConsole
                    | Field::UserIdentityArn
            )
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A comparison of an advanced field selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equals,
    StartsWith,
    EndsWith,
    NotEquals,
    NotStartsWith,
    NotEndsWith,
}

impl Operator {
    pub const ALL: [Operator; 6] = [
        Operator::Equals,
        Operator::StartsWith,
        Operator::EndsWith,
        Operator::NotEquals,
        Operator::NotStartsWith,
        Operator::NotEndsWith,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Equals => "Equals",
            Operator::StartsWith => "StartsWith",
            Operator::EndsWith => "EndsWith",
            Operator::NotEquals => "NotEquals",
            Operator::NotStartsWith => "NotStartsWith",
            Operator::NotEndsWith => "NotEndsWith",
        }
    }
}

/// Which values a field takes in a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Any,
    OneOf(&'static [&'static str]),
    /// Exactly one value of any text.
    Single,
    /// Exactly one `AWS::Service::Type`.
    ResourceType,
    /// With Equals and NotEquals a whole ARN of the selector's resource type.
    Arn,
}

const EQUALS: &[Operator] = &[Operator::Equals];

/// Event sources that a trail can leave out of its management events.
pub(super) const EXCLUDABLE_SOURCES: &[&str] = &["kms.amazonaws.com", "rdsdata.amazonaws.com"];

/// The operators and values that a trail takes for a field in a category; `None` refuses it.
///
/// Source: CloudTrail user guide and the `AdvancedFieldSelector` reference.
pub(super) fn allowed(category: Category, field: Field) -> Option<(&'static [Operator], Values)> {
    use Category::{Data, Management, NetworkActivity};
    let any = (&Operator::ALL[..], Values::Any);
    match (field, category) {
        (Field::EventCategory, _) => Some((EQUALS, Values::OneOf(&Category::NAMES))),
        (Field::ReadOnly, Management | Data) => Some((EQUALS, Values::OneOf(&["true", "false"]))),
        (Field::EventSource, Management) => {
            Some((&[Operator::NotEquals], Values::OneOf(EXCLUDABLE_SOURCES)))
        }
        (Field::EventSource, NetworkActivity) => Some((EQUALS, Values::Single)),
        (Field::ResourcesType, Data) => Some((EQUALS, Values::ResourceType)),
        (Field::ResourcesArn, Data) => Some((&Operator::ALL, Values::Arn)),
        (Field::SessionCredentialFromConsole, Data) => Some((
            &[Operator::Equals, Operator::NotEquals],
            Values::OneOf(&["true"]),
        )),
        (Field::EventSource | Field::EventType | Field::UserIdentityArn, Data) => Some(any),
        (Field::EventName, Data | NetworkActivity) => Some(any),
        (Field::ErrorCode, NetworkActivity) => Some((EQUALS, Values::OneOf(&["VpceAccessDenied"]))),
        (Field::VpcEndpointId, NetworkActivity) => Some(any),
        _ => None,
    }
}
