//! Resolves what a request calls its table, by name or ARN, against the record's resources.

use std::borrow::Cow;

use super::arn::{self, TableArn};
use super::operation::{Envelope, Unclear};
use super::outcome::Denied;
use crate::event::parse::{Json, Kind};

/// Most entries of `resources` that are read. A call names at most 100 tables.
pub const MAX_RESOURCES: usize = 256;

/// One table as an operation carries it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table<'d> {
    pub name: Option<Cow<'d, str>>,
    pub arn: Option<Cow<'d, str>>,
    pub index: Option<&'d str>,
    /// The ARN's account; none when the ARN was built from a name.
    pub account_id: Option<&'d str>,
}

impl<'d> From<TableArn<'d>> for Table<'d> {
    fn from(arn: TableArn<'d>) -> Self {
        Table {
            name: arn.name.map(Cow::Borrowed),
            arn: arn.table_arn.map(Cow::Borrowed),
            index: arn.index,
            account_id: arn.account_id,
        }
    }
}

/// The tables that a record names outside of its parameters.
pub(super) struct Tables<'d> {
    /// Tables of `resources`, each once; a stream's entry counts as its table's. Their order
    /// says nothing: a restore has source and target in either order.
    resources: Vec<TableArn<'d>>,
    /// The first `accountId` of `resources`.
    pub resource_account_id: Option<&'d str>,
    /// What the sentence about a refused call names.
    pub denied: Option<TableArn<'d>>,
    region: Option<&'d str>,
    /// The account of a table given by its bare name.
    own_account_id: Option<&'d str>,
}

impl<'d> Tables<'d> {
    pub fn read(
        envelope: &Envelope<'d>,
        denied: Option<&Denied<'d>>,
        unclear: &mut Unclear,
    ) -> Tables<'d> {
        let mut tables = Tables {
            resources: Vec::new(),
            resource_account_id: None,
            denied: denied.and_then(|denied| TableArn::parse(denied.resource?)),
            region: envelope.aws_region.filter(|region| !region.is_empty()),
            own_account_id: None,
        };
        match envelope
            .resources
            .map(|resources| (resources, resources.kind()))
        {
            Some((resources, Kind::Array)) => tables.read_resources(resources, unclear),
            None | Some((_, Kind::Null)) => {}
            Some(_) => unclear.note("resources"),
        }
        // A bare name always means the caller's own account, whose copy of the record this is:
        // tables of other accounts are called by their ARN.
        tables.own_account_id = tables
            .resource_account_id
            .or(envelope.recipient_account_id)
            .or(envelope.user_account_id)
            .filter(|account| !account.is_empty());
        tables
    }

    fn read_resources(&mut self, resources: Json<'d>, unclear: &mut Unclear) {
        for (position, resource) in resources.elements().enumerate() {
            if position == MAX_RESOURCES {
                unclear.note("resources beyond 256");
                return;
            }
            let account_id = resource
                .get_ignore_case("accountId")
                .and_then(Json::as_str)
                .filter(|account| !account.is_empty());
            self.resource_account_id = self.resource_account_id.or(account_id);
            let Some(text) = resource.get_ignore_case("ARN").and_then(Json::as_str) else {
                continue;
            };
            let Some(table) = TableArn::parse(text) else {
                continue;
            };
            if let (Some(account_id), Some(owner)) = (account_id, table.account_id)
                && account_id != owner
            {
                unclear.note("resources.accountId differs from the ARN");
            }
            let is_new = table.table_arn.is_some()
                && self
                    .resources
                    .iter()
                    .all(|t| t.table_arn != table.table_arn);
            if is_new {
                self.resources.push(TableArn {
                    index: None,
                    ..table
                });
            }
        }
    }

    /// The tables of `resources`.
    pub fn resources(&self) -> &[TableArn<'d>] {
        &self.resources
    }

    /// The table behind a name or an ARN; none for an ARN that is not a table's, and for no text.
    pub fn resolve(&self, reference: &'d str) -> Option<Table<'d>> {
        match TableArn::parse(reference) {
            Some(arn) if arn.table_arn.is_some() => Some(arn.into()),
            // A global table goes by its name in every region.
            Some(arn) => Some(self.of_name(Cow::Borrowed(arn.name?))),
            None if reference.is_empty() || reference.starts_with("arn:") => None,
            None => Some(self.of_name(Cow::Borrowed(reference))),
        }
    }

    /// The table of a bare name: with the ARN that the record has for that name, else with one
    /// built from region and account.
    pub fn of_name(&self, name: Cow<'d, str>) -> Table<'d> {
        let same_name = |table: &&TableArn<'d>| table.name == Some(name.as_ref());
        let in_region = |table: &&TableArn<'d>| Some(table.region) == self.region;
        let known = self
            .resources
            .iter()
            .filter(same_name)
            .find(in_region)
            .or_else(|| self.resources.iter().find(same_name))
            .or_else(|| self.denied.as_ref().filter(same_name));
        if let Some(known) = known.filter(|known| known.table_arn.is_some()) {
            return Table {
                index: None,
                ..Table::from(*known)
            };
        }
        let arn = match (self.region, self.own_account_id) {
            (Some(region), Some(account_id)) => Some(arn::table_arn(region, account_id, &name)),
            _ => None,
        };
        Table {
            name: Some(name),
            arn,
            index: None,
            account_id: None,
        }
    }
}
