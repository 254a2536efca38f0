//! Reads the entries of batches and transactions, in every shape that they are logged in.
//!
//! Genuine records: TransactWriteItems has a list `requestItems` of entries with an `operation`,
//! BatchExecuteStatement one of `statement`s. The shapes of the other calls have not been seen, so
//! the API's own (a map from table to keys or requests; entries with one member `put`, `get`, …)
//! are read too.

use super::catalogue::Verb;
use super::operation::Normaliser;
use super::request::Request;
use super::tables::Table;
use crate::event::parse::{Json, Kind};

impl<'d> Normaliser<'_, 'd> {
    /// `verb` is what an entry does when it does not say.
    pub(super) fn read_entries(&mut self, entries: Json<'d>, verb: Option<Verb>) {
        match entries.kind() {
            Kind::Array => {
                for entry in entries.elements() {
                    self.read_entry(entry, None, verb);
                }
            }
            Kind::Object => {
                for (table, value) in entries.members() {
                    self.read_entries_of_table(table, value, verb);
                }
            }
            _ => self.unclear.note("requestParameters.requestItems"),
        }
    }

    /// One member of the map from table to `{"Keys":[…]}` or `[{"PutRequest":…}, …]`.
    fn read_entries_of_table(&mut self, table: &'d str, value: Json<'d>, verb: Option<Verb>) {
        match value.kind() {
            Kind::Array => {
                for entry in value.elements() {
                    self.read_entry(entry, Some(table), verb);
                }
            }
            _ => self.read_entry(value, Some(table), verb),
        }
    }

    fn read_entry(&mut self, entry: Json<'d>, table: Option<&'d str>, verb: Option<Verb>) {
        if let Some(statement) = entry.as_str() {
            self.push_statement(statement);
            return;
        }
        if entry.kind() != Kind::Object {
            self.push_unread(table);
            return;
        }
        let outer = Request::read(entry, &mut self.unclear);
        if let Some(statement) = outer.statement {
            self.push_statement(statement);
            return;
        }
        let inner;
        let (said, request) = match outer.action {
            Some((verb, parameters)) => {
                inner = Request::read(parameters, &mut self.unclear);
                (Some(verb), &inner)
            }
            None => (outer.operation.and_then(Verb::of_entry), &outer),
        };
        let verb = match outer.operation {
            Some(_) => said,
            // Only a put lists an item; an entry with neither an item nor a verb stays unread.
            None => said.or(verb).or(request.item.map(|_| Verb::PutItem)),
        };
        let own = self.table_of(request).or_else(|| self.table_of(&outer));
        let table = own.or_else(|| self.tables.resolve(table?));
        let Some(verb) = verb else {
            self.unclear.note("requestParameters.requestItems");
            self.push_item(table.unwrap_or_default(), request, None);
            return;
        };
        if table.is_none() {
            self.unclear.note("requestParameters.requestItems");
        }
        self.push_keys(table.unwrap_or_default(), request, verb);
    }

    /// One operation for each of `keys`, or one for the entry's own `key`.
    fn push_keys(&mut self, table: Table<'d>, request: &Request<'d>, verb: Verb) {
        let Some(keys) = request.keys.filter(|_| request.key.is_none()) else {
            self.push_item(table, request, Some(verb));
            return;
        };
        let mut keys = keys.elements().peekable();
        if keys.peek().is_none() {
            self.unclear.note("requestParameters.requestItems");
        }
        let mut request = *request;
        for key in keys {
            request.key = Some(key);
            self.push_item(table.clone(), &request, Some(verb));
        }
    }

    /// An entry that cannot be read holds its place: cancellation reasons go by position.
    fn push_unread(&mut self, table: Option<&'d str>) {
        self.unclear.note("requestParameters.requestItems");
        let table = table.and_then(|table| self.tables.resolve(table));
        self.push(table.unwrap_or_default(), self.draft(None));
    }
}
