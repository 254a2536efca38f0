//! Normalises a DynamoDB event once: which operations it holds, on which tables, how they ended.
//!
//! Whatever shape AWS logged (a name or an ARN, a list or a map, classic calls, transactions,
//! PartiQL) becomes a list of [`Operation`]s. Nothing is guessed: a shape that is not understood
//! leaves its fields empty and is named in [`DynamoDb::not_understood`].

use std::borrow::Cow;

use super::attributes::attributes_of;
use super::catalogue::{self, Access, Call, Plane, Shape, Verb};
use super::json_text;
use super::outcome::{CancelReasons, Denied, Outcome};
use super::partiql;
use super::request::Request;
use super::tables::{Table, Tables};
use crate::event::parse::{Json, Kind};

/// Most operations of one event. The API allows 100 entries a call.
pub const MAX_OPERATIONS: usize = 1000;

/// What the record's envelope says, already extracted by the caller. An empty text is none.
#[derive(Clone, Copy, Default)]
pub struct Envelope<'d> {
    pub event_source: &'d str,
    pub event_name: &'d str,
    pub aws_region: Option<&'d str>,
    pub recipient_account_id: Option<&'d str>,
    /// `userIdentity.accountId`.
    pub user_account_id: Option<&'d str>,
    pub error_code: Option<&'d str>,
    pub error_message: Option<&'d str>,
    pub request_parameters: Option<Json<'d>>,
    pub response_elements: Option<Json<'d>>,
    pub resources: Option<Json<'d>>,
}

/// A normalised event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamoDb<'d> {
    pub plane: Plane,
    pub outcome: Outcome,
    /// What the sentence about a refused call says, when there is one.
    pub denied: Option<Denied<'d>>,
    /// The account that owns the (first) table, where the record tells it: the ARN's account,
    /// else `resources[].accountId`.
    pub owner_account_id: Option<&'d str>,
    /// In request order; at least one.
    pub operations: Vec<Operation<'d>>,
    /// Names of the shapes that are not understood, each once, such as
    /// `BatchGetItem.requestItems`.
    pub not_understood: Vec<&'static str>,
}

/// One table access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'d> {
    /// The IAM action of an item access (`GetItem`, `PartiQLSelect`, `ConditionCheckItem`), else
    /// the event name. An entry that cannot be read has the event name too.
    pub operation: &'d str,
    pub access: Access,
    /// Which side of a copy between two tables this is.
    pub role: Option<Role>,
    pub table_name: Option<Cow<'d, str>>,
    /// As logged, else built from region, account and name.
    pub table_arn: Option<Cow<'d, str>>,
    pub index_name: Option<Cow<'d, str>>,
    /// JSON text of a flat object, compact and sorted by attribute name: the key as logged; of
    /// PartiQL the visible equality predicates, with redacted values as `"***(Redacted)"`.
    pub key: Option<Cow<'d, str>>,
    /// JSON text of an array: names of the attributes written or asked for, where logged, in
    /// order.
    pub attributes: Option<Cow<'d, str>>,
    /// PartiQL text as logged.
    pub statement: Option<&'d str>,
    /// A conditional write, or a condition check.
    pub is_conditional: bool,
    pub has_filter: bool,
    pub select: Option<&'d str>,
    pub item_limit: Option<i64>,
    pub segment: Option<i64>,
    pub total_segments: Option<i64>,
    pub outcome: Outcome,
    /// The reason that a cancelled transaction gives for this entry.
    pub cancel_reason: Option<&'d str>,
}

/// `as_str` gives the lake's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Source,
    Target,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Source => "source",
            Role::Target => "target",
        }
    }
}

/// Collects the names of shapes that are not understood, each once.
#[derive(Debug, Default)]
pub(super) struct Unclear(Vec<&'static str>);

impl Unclear {
    pub fn note(&mut self, name: &'static str) {
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

impl DynamoDb<'_> {
    /// The table, where all operations that name one name the same.
    pub fn only_table(&self) -> Option<&str> {
        let mut tables = self
            .operations
            .iter()
            .filter_map(|operation| operation.table_name.as_deref());
        let first = tables.next()?;
        tables.all(|table| table == first).then_some(first)
    }
}

/// Normalises an event of `dynamodb.amazonaws.com`, its streams or `dax.amazonaws.com`.
pub fn normalise<'d>(envelope: &Envelope<'d>) -> DynamoDb<'d> {
    let call = catalogue::call(envelope.event_source, envelope.event_name);
    let mut unclear = Unclear::default();
    if !call.is_known {
        unclear.note("eventName");
    }
    let outcome = Outcome::of_call(envelope.error_code);
    let denied = match outcome {
        Outcome::Denied => envelope.error_message.and_then(Denied::parse),
        _ => None,
    };
    let request = read_parameters(envelope.request_parameters, &mut unclear);
    let tables = Tables::read(envelope, denied.as_ref(), &mut unclear);
    let mut event = Normaliser {
        envelope,
        call,
        outcome,
        tables,
        denied,
        has_parameters: envelope
            .request_parameters
            .is_some_and(|parameters| parameters.kind() == Kind::Object),
        is_omitted: request.is_omitted,
        owner_account_id: None,
        operations: Vec::with_capacity(1),
        unclear,
    };
    if call.plane == Plane::Dax {
        // A cluster is no table, though it serves some.
        event.push(Table::default(), event.draft(None));
    } else {
        event.read(&request);
    }
    event.finish()
}

/// Parameters of no use (absent, the text "null" that pasted records have) read as empty.
fn read_parameters<'d>(parameters: Option<Json<'d>>, unclear: &mut Unclear) -> Request<'d> {
    let Some(parameters) = parameters else {
        return Request::default();
    };
    match parameters.kind() {
        Kind::Object => {
            let request = Request::read(parameters, unclear);
            if request.is_omitted {
                unclear.note("requestParameters omitted");
            }
            request
        }
        Kind::Null => Request::default(),
        _ => {
            if !matches!(parameters.as_str(), Some("null" | "")) {
                unclear.note("requestParameters");
            }
            Request::default()
        }
    }
}

/// An event on its way to being normalised.
pub(super) struct Normaliser<'e, 'd> {
    envelope: &'e Envelope<'d>,
    pub call: Call,
    outcome: Outcome,
    pub tables: Tables<'d>,
    denied: Option<Denied<'d>>,
    has_parameters: bool,
    is_omitted: bool,
    owner_account_id: Option<&'d str>,
    operations: Vec<Operation<'d>>,
    pub unclear: Unclear,
}

impl<'d> Normaliser<'_, 'd> {
    fn read(&mut self, request: &Request<'d>) {
        match self.call.shape {
            Shape::One => self.read_one(request),
            Shape::Statement => match request.statement {
                Some(text) => self.push_statement(text),
                None => self.note_missing("ExecuteStatement.statement"),
            },
            Shape::Entries { verb, unclear } => {
                if let Some(entries) = request.entries {
                    self.read_entries(entries, verb);
                }
                if self.operations.is_empty() {
                    self.note_missing(unclear);
                }
            }
        }
        if self.operations.is_empty() {
            self.push_from_resources(request);
        }
        if self.outcome == Outcome::Cancelled {
            self.give_reasons();
        }
        self.note_unnamed_resources();
    }

    /// Counts parameters that a call must have had. Refused calls and network activity events
    /// (which have no resources) are logged without.
    fn note_missing(&mut self, name: &'static str) {
        let is_expected = self.has_parameters || !self.tables.resources().is_empty();
        let is_refused = matches!(self.outcome, Outcome::Denied | Outcome::Invalid);
        if is_expected && !is_refused && !self.is_omitted {
            self.unclear.note(name);
        }
    }

    fn read_one(&mut self, request: &Request<'d>) {
        let source = [
            request.source_table,
            request.global_table_source_arn,
            request
                .copy_arn
                .filter(|_| request.target_table_name.is_some()),
        ];
        let source = source
            .into_iter()
            .flatten()
            .find_map(|s| self.tables.resolve(s));
        let target = match request.global_table_source_arn {
            Some(_) => request.table_name,
            None => request.target_table_name,
        };
        let target = target.and_then(|target| self.tables.resolve(target));
        if source.is_some() || target.is_some() {
            if let Some(source) = source {
                let draft = Operation {
                    access: Access::Read,
                    role: Some(Role::Source),
                    ..self.draft(None)
                };
                self.push(source, draft);
            }
            if let Some(target) = target {
                let draft = Operation {
                    role: Some(Role::Target),
                    ..self.draft(None)
                };
                self.push(target, draft);
            }
            return;
        }
        if let Some(table) = self.table_of(request).or_else(|| self.table_of_response()) {
            self.push_item(table, request, None);
        }
    }

    /// The table that the request names: by name or ARN, or by the ARN of something below it.
    pub fn table_of(&self, request: &Request<'d>) -> Option<Table<'d>> {
        let named = |reference: Option<&'d str>| self.tables.resolve(reference?);
        let below = |reference: Option<&'d str>| named(reference.filter(|t| t.starts_with("arn:")));
        named(request.table_name)
            .or_else(|| named(request.table_arn))
            .or_else(|| named(request.resource_arn))
            .or_else(|| named(request.global_table_name))
            .or_else(|| below(request.stream_arn))
            .or_else(|| below(request.shard_iterator))
            .or_else(|| below(request.copy_arn))
    }

    /// Old UpdateTable records name the table only in `responseElements.tableDescription`.
    fn table_of_response(&self) -> Option<Table<'d>> {
        let description = self
            .envelope
            .response_elements?
            .get_ignore_case("tableDescription")?;
        ["tableArn", "tableName"].into_iter().find_map(|name| {
            let reference = description.get_ignore_case(name)?.as_str()?;
            self.tables.resolve(reference)
        })
    }

    /// Operations of an event whose parameters name no table: one for each table of `resources`,
    /// else what the sentence about a refused call says, else one without a table.
    fn push_from_resources(&mut self, request: &Request<'d>) {
        let is_one = self.call.shape == Shape::One;
        if is_one && self.call.plane == Plane::Data {
            self.note_missing("requestParameters.tableName");
        }
        // The sentence names the IAM action: what one entry of a batch or transaction does.
        let action = self
            .denied
            .and_then(|denied| denied.action.strip_prefix("dynamodb:"));
        let verb = action.and_then(Verb::of_action).filter(|_| !is_one);
        let refused = self
            .tables
            .denied
            .filter(|denied| denied.table_arn.is_some());
        let tables: Vec<Table<'d>> = match refused.filter(|_| verb.is_some()) {
            Some(refused) => vec![refused.into()],
            None if self.tables.resources().is_empty() => {
                vec![refused.map(Table::from).unwrap_or_default()]
            }
            None => self
                .tables
                .resources()
                .iter()
                .map(|t| (*t).into())
                .collect(),
        };
        for table in tables {
            if is_one {
                self.push_item(table, request, None);
            } else {
                self.push(table, self.draft(verb));
            }
        }
    }

    /// An operation that has only its name, its access and its outcome yet.
    pub fn draft(&self, verb: Option<Verb>) -> Operation<'d> {
        Operation {
            operation: match verb {
                Some(verb) => verb.as_str(),
                None => self.envelope.event_name,
            },
            access: verb.map_or(self.call.access, Verb::access),
            role: None,
            table_name: None,
            table_arn: None,
            index_name: None,
            key: None,
            attributes: None,
            statement: None,
            is_conditional: false,
            has_filter: false,
            select: None,
            item_limit: None,
            segment: None,
            total_segments: None,
            outcome: self.outcome,
            cancel_reason: None,
        }
    }

    /// Adds an operation on `table` with what `request` says of it.
    pub fn push_item(&mut self, table: Table<'d>, request: &Request<'d>, verb: Option<Verb>) {
        let mut operation = self.draft(verb);
        operation.index_name = request.index_name.map(Cow::Borrowed);
        if matches!(self.call.plane, Plane::Data | Plane::Streams) {
            operation.key = request.key.and_then(|key| self.key_text(key));
            operation.attributes = attributes_of(request, &mut self.unclear);
            operation.is_conditional =
                request.is_conditional || verb == Some(Verb::ConditionCheckItem);
            operation.has_filter = request.has_filter;
            operation.select = request.select;
            operation.item_limit = request.limit;
            operation.segment = request.segment;
            operation.total_segments = request.total_segments;
        }
        self.push(table, operation);
    }

    pub fn key_text(&mut self, key: Json<'d>) -> Option<Cow<'d, str>> {
        let text = json_text::key_text(key);
        let is_empty = key.is_null() || (key.kind() == Kind::Object && text.is_none());
        match text {
            Some((text, is_flat)) => {
                if !is_flat {
                    self.unclear.note("requestParameters.key");
                }
                Some(text)
            }
            None => {
                if !is_empty {
                    self.unclear.note("requestParameters.key");
                }
                None
            }
        }
    }

    pub fn push_statement(&mut self, text: &'d str) {
        let statement = partiql::read(text);
        if !statement.is_understood {
            self.unclear.note("PartiQL.statement");
        }
        let table = match statement.table {
            Some(Cow::Borrowed(name)) => self.tables.resolve(name).unwrap_or_default(),
            Some(name) => self.tables.of_name(name),
            None => match self.tables.resources() {
                [only] => (*only).into(),
                _ => Table::default(),
            },
        };
        let operation = Operation {
            index_name: statement.index,
            key: statement.key.map(Cow::Owned),
            attributes: (!statement.attributes.is_empty())
                .then(|| Cow::Owned(json_text::string_array(&statement.attributes))),
            statement: Some(text),
            is_conditional: statement.is_conditional,
            has_filter: statement.has_filter,
            ..self.draft(statement.verb)
        };
        self.push(table, operation);
    }

    pub fn push(&mut self, table: Table<'d>, mut operation: Operation<'d>) {
        if self.operations.len() == MAX_OPERATIONS {
            self.unclear.note("operations beyond 1000");
            return;
        }
        self.owner_account_id = self.owner_account_id.or(table.account_id);
        operation.table_name = table.name;
        operation.table_arn = table.arn;
        operation.index_name = operation.index_name.or(table.index.map(Cow::Borrowed));
        self.operations.push(operation);
    }

    /// Gives each operation of a cancelled transaction its own reason, by position.
    fn give_reasons(&mut self) {
        let Some(list) = self.envelope.error_message.and_then(CancelReasons::parse) else {
            self.unclear.note("errorMessage reasons");
            return;
        };
        let is_fitting = if list.is_cut {
            self.unclear.note("errorMessage reasons cut");
            list.reasons.len() <= self.operations.len()
        } else {
            list.reasons.len() == self.operations.len()
        };
        if !is_fitting {
            self.unclear.note("errorMessage reasons");
            return;
        }
        for (operation, reason) in self.operations.iter_mut().zip(list.reasons) {
            if reason != "None" {
                operation.outcome = Outcome::of_code(reason);
                operation.cancel_reason = Some(reason);
            }
        }
    }

    fn note_unnamed_resources(&mut self) {
        let is_named = |name: Option<&str>| {
            let mut operations = self.operations.iter();
            operations.any(|operation| operation.table_name.as_deref() == name)
        };
        if !self
            .tables
            .resources()
            .iter()
            .all(|table| is_named(table.name))
        {
            self.unclear.note("resources name another table");
        }
    }

    fn finish(self) -> DynamoDb<'d> {
        let denied_account = self.tables.denied.and_then(|denied| denied.account_id);
        DynamoDb {
            plane: self.call.plane,
            outcome: self.outcome,
            denied: self.denied,
            owner_account_id: self
                .owner_account_id
                .or(self.tables.resource_account_id)
                .or(denied_account),
            operations: self.operations,
            not_understood: self.unclear.0,
        }
    }
}
