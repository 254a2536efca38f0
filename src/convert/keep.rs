//! Which events a run keeps: DynamoDB's, all, or what event selectors say.

use std::sync::Arc;

use crate::container::split::begins_record;
use crate::event::decode::{DYNAMODB_SOURCES, Event};
use crate::event::envelope::RecordKind;
use crate::event::parse::Json;
use crate::select::{Facts, Gate, ResourceFact, Selectors, Verdict};

/// Which events are kept.
#[derive(Clone)]
pub struct Keep {
    what: What,
    gate: Arc<Gate>,
}

#[derive(Clone)]
enum What {
    DynamoDb,
    All,
    Selectors(Arc<Selectors>),
}

impl Keep {
    /// DynamoDB's own events, its Streams' and DAX's.
    pub fn dynamodb() -> Self {
        let sources = DYNAMODB_SOURCES.map(str::to_owned).to_vec();
        Self {
            what: What::DynamoDb,
            gate: Arc::new(Gate::new(Some(sources))),
        }
    }

    /// Every API event.
    pub fn all() -> Self {
        Self {
            what: What::All,
            gate: Arc::new(Gate::new(None)),
        }
    }

    /// What these selectors would log.
    pub fn selectors(selectors: Selectors) -> Self {
        let sources = selectors
            .sources()
            .map(|sources| sources.into_iter().map(str::to_owned).collect());
        Self {
            what: What::Selectors(Arc::new(selectors)),
            gate: Arc::new(Gate::new(sources)),
        }
    }

    /// What a lake's description says that it keeps; none where it is nothing that
    /// [`Keep::describe`] gives.
    pub fn described(text: &str) -> Option<Self> {
        let keep = match text {
            "dynamodb" => Self::dynamodb(),
            "all" => Self::all(),
            selectors => Self::selectors(Selectors::from_json(selectors).ok()?),
        };
        (keep.describe() == text).then_some(keep)
    }

    /// A stable text of what is kept, for identities.
    pub fn describe(&self) -> String {
        match &self.what {
            What::DynamoDb => "dynamodb".to_owned(),
            What::All => "all".to_owned(),
            What::Selectors(selectors) => selectors.canonical_json(),
        }
    }

    /// Whether the text alone says that the record is not kept, and no other that begins in it.
    pub fn rules_out(&self, text: &[u8], has_backslash: bool) -> bool {
        let last = self.gate.ruled_out_by(text, has_backslash);
        last.is_some_and(|last| !begins_record(&text[last..]))
    }

    /// Whether an event of this source can be kept; decides before anything is decoded.
    pub fn may_keep_source(&self, source: Option<&str>) -> bool {
        match self.what {
            What::DynamoDb => source.is_some_and(|source| {
                DYNAMODB_SOURCES
                    .iter()
                    .any(|own| own.eq_ignore_ascii_case(source))
            }),
            What::All | What::Selectors(_) => true,
        }
    }

    /// Whether the verdict reads the members of the `userIdentity`.
    pub fn reads_user_identity(&self) -> bool {
        matches!(self.what, What::Selectors(_))
    }

    /// Whether an event is kept; what the selectors cannot decide is kept with the reason.
    pub fn verdict(&self, event: &Event<'_>, kind: RecordKind) -> Verdict {
        match &self.what {
            What::DynamoDb if event.is_dynamodb() => Verdict::Yes,
            What::DynamoDb => Verdict::No,
            What::All => Verdict::Yes,
            What::Selectors(selectors) => decide(selectors, event, kind),
        }
    }
}

fn decide<'d>(selectors: &Selectors, event: &Event<'d>, kind: RecordKind) -> Verdict {
    let text = |value: Json<'d>, name| value.get(name).and_then(Json::as_str);
    let resources: Vec<ResourceFact<'_>> = event
        .resources
        .into_iter()
        .flat_map(Json::elements)
        .map(|entry| ResourceFact {
            resource_type: text(entry, "type"),
            arn: text(entry, "ARN"),
        })
        .collect();
    let user_arn = event
        .user_identity
        .and_then(|user| user.get("arn"))
        .and_then(Json::as_str);
    selectors.decide(&Facts {
        category: event.category(kind),
        event_source: event.event_source,
        event_name: event.event_name,
        event_type: event.event_type,
        read_only: event.read_only,
        session_credential_from_console: event.session_credential_from_console == Some("true"),
        user_identity_arn: user_arn,
        error_code: event.error_code,
        vpc_endpoint_id: event.vpc_endpoint_id,
        resources: &resources,
    })
}
