//! The table of API calls: which plane each belongs to, what it does to data, where its tables stand.
//!
//! Never from the record's `readOnly`: AWS writes `false` for a PartiQL SELECT and for ListExports.

/// Which API a call belongs to. `as_str` gives the lake's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    Data,
    Control,
    Streams,
    Dax,
}

impl Plane {
    pub fn as_str(self) -> &'static str {
        match self {
            Plane::Data => "data",
            Plane::Control => "control",
            Plane::Streams => "streams",
            Plane::Dax => "dax",
        }
    }
}

/// What an operation does. `as_str` gives the lake's values.
///
/// `Read` and `Delete` cover every path by which data leaves or goes, whatever the plane: an export
/// and the source of a restore are reads, DeleteTable is a delete. The plane tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Item data leaves the table.
    Read,
    /// Items are put or changed.
    Write,
    /// Items, or the table with them, go.
    Delete,
    ControlRead,
    ControlWrite,
}

impl Access {
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Delete => "delete",
            Access::ControlRead => "control_read",
            Access::ControlWrite => "control_write",
        }
    }
}

/// What one entry of a batch or a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    GetItem,
    PutItem,
    UpdateItem,
    DeleteItem,
    ConditionCheckItem,
    PartiqlSelect,
    PartiqlInsert,
    PartiqlUpdate,
    PartiqlDelete,
}

impl Verb {
    /// The IAM action's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::GetItem => "GetItem",
            Verb::PutItem => "PutItem",
            Verb::UpdateItem => "UpdateItem",
            Verb::DeleteItem => "DeleteItem",
            Verb::ConditionCheckItem => "ConditionCheckItem",
            Verb::PartiqlSelect => "PartiQLSelect",
            Verb::PartiqlInsert => "PartiQLInsert",
            Verb::PartiqlUpdate => "PartiQLUpdate",
            Verb::PartiqlDelete => "PartiQLDelete",
        }
    }

    pub fn access(self) -> Access {
        match self {
            Verb::GetItem | Verb::ConditionCheckItem | Verb::PartiqlSelect => Access::Read,
            Verb::PutItem | Verb::UpdateItem | Verb::PartiqlInsert | Verb::PartiqlUpdate => {
                Access::Write
            }
            Verb::DeleteItem | Verb::PartiqlDelete => Access::Delete,
        }
    }

    /// From an IAM action without its `dynamodb:`.
    pub fn of_action(action: &str) -> Option<Verb> {
        Some(match action {
            "GetItem" => Verb::GetItem,
            "PutItem" => Verb::PutItem,
            "UpdateItem" => Verb::UpdateItem,
            "DeleteItem" => Verb::DeleteItem,
            "ConditionCheckItem" => Verb::ConditionCheckItem,
            "PartiQLSelect" => Verb::PartiqlSelect,
            "PartiQLInsert" => Verb::PartiqlInsert,
            "PartiQLUpdate" => Verb::PartiqlUpdate,
            "PartiQLDelete" => Verb::PartiqlDelete,
            _ => return None,
        })
    }

    /// From a transaction entry's `operation` (`Put`, `ConditionCheck`) or the API's member name
    /// of an entry (`put`, `PutRequest`), in any letter case.
    pub fn of_entry(name: &str) -> Option<Verb> {
        let is = |verb: &str| {
            let suffix = name.get(verb.len()..).unwrap_or("-");
            name.get(..verb.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(verb))
                && ["", "Item", "Request"]
                    .iter()
                    .any(|s| suffix.eq_ignore_ascii_case(s))
        };
        [
            ("Put", Verb::PutItem),
            ("Update", Verb::UpdateItem),
            ("Delete", Verb::DeleteItem),
            ("ConditionCheck", Verb::ConditionCheckItem),
            ("Get", Verb::GetItem),
        ]
        .into_iter()
        .find_map(|(name, verb)| is(name).then_some(verb))
    }
}

/// Where a call's operations stand in its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One operation, or a source and a target.
    One,
    /// A PartiQL statement.
    Statement,
    /// A list of entries.
    Entries {
        /// What an entry does when it does not say.
        verb: Option<Verb>,
        /// The name under which missing entries are counted.
        unclear: &'static str,
    },
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub plane: Plane,
    pub access: Access,
    pub shape: Shape,
    /// False when the name is not in the table: access is then taken from the name's first word.
    pub is_known: bool,
}

/// Looks a call up; names are case-sensitive, as AWS writes them.
pub fn call(event_source: &str, event_name: &str) -> Call {
    if event_source.starts_with("dax.") {
        return dax(event_name);
    }
    let mut call = match event_name {
        "GetItem" | "Query" | "Scan" | "SearchVectors" => data(Access::Read),
        "PutItem" | "UpdateItem" => data(Access::Write),
        "DeleteItem" => data(Access::Delete),
        "GetRecords" => streams(Access::Read),
        // These give no item data away.
        "GetShardIterator" | "DescribeStream" | "ListStreams" => streams(Access::ControlRead),
        _ => match several(event_name) {
            Some(call) => call,
            None => control(event_name),
        },
    };
    if event_source.starts_with("streams.") {
        call.plane = Plane::Streams;
    }
    call
}

/// Calls that hold statements or several entries. Where a statement or an entry cannot be read,
/// the graver access stands.
fn several(event_name: &str) -> Option<Call> {
    let entries = |access, verb, unclear| Call {
        shape: Shape::Entries { verb, unclear },
        ..data(access)
    };
    let get = Some(Verb::GetItem);
    Some(match event_name {
        "BatchGetItem" => entries(Access::Read, get, "BatchGetItem.requestItems"),
        "BatchWriteItem" => entries(Access::Write, None, "BatchWriteItem.requestItems"),
        "TransactGetItems" => entries(Access::Read, get, "TransactGetItems.requestItems"),
        "TransactWriteItems" => entries(Access::Write, None, "TransactWriteItems.requestItems"),
        "BatchExecuteStatement" => {
            entries(Access::Write, None, "BatchExecuteStatement.requestItems")
        }
        "ExecuteTransaction" => entries(Access::Write, None, "ExecuteTransaction.requestItems"),
        "ExecuteStatement" => Call {
            shape: Shape::Statement,
            ..data(Access::Write)
        },
        _ => return None,
    })
}

fn control(event_name: &str) -> Call {
    let access = match event_name {
        "DeleteTable" => Access::Delete,
        "ExportTableToPointInTime" => Access::Read,
        "ReadDataForReplication" => return data(Access::Read),
        "WriteDataForReplication" => return data(Access::Write),
        _ if is_control_read(event_name) => Access::ControlRead,
        _ if is_control_write(event_name) => Access::ControlWrite,
        _ => return unknown(Plane::Control, event_name),
    };
    Call {
        plane: Plane::Control,
        access,
        ..data(access)
    }
}

fn is_control_read(event_name: &str) -> bool {
    matches!(
        event_name,
        "DescribeTable"
            | "ListTables"
            | "DescribeLimits"
            | "DescribeTimeToLive"
            | "DescribeContinuousBackups"
            | "ListTagsOfResource"
            | "DescribeBackup"
            | "ListBackups"
            | "DescribeGlobalTable"
            | "ListGlobalTables"
            | "DescribeReservedCapacity"
            | "DescribeReservedCapacityOfferings"
            | "DescribeExport"
            | "ListExports"
            | "DescribeImport"
            | "ListImports"
            | "GetResourcePolicy"
            | "DescribeKinesisStreamingDestination"
            | "DescribeTableReplicaAutoScaling"
            | "DescribeGlobalTableSettings"
            | "DescribeEndpoints"
            | "DescribeContributorInsights"
            | "ListContributorInsights"
            | "GetAbacStatus"
    )
}

/// Also IAM actions without a public API of their name, which may be logged.
fn is_control_write(event_name: &str) -> bool {
    matches!(
        event_name,
        "CreateTable"
            | "UpdateTable"
            | "UpdateTimeToLive"
            | "TagResource"
            | "UntagResource"
            | "CreateBackup"
            | "DeleteBackup"
            | "RestoreTableFromBackup"
            | "RestoreTableToPointInTime"
            | "RestoreTableFromAwsBackup"
            | "StartAwsBackupJob"
            | "CreateGlobalTable"
            | "UpdateGlobalTable"
            | "UpdateGlobalTableVersion"
            | "UpdateGlobalTableSettings"
            | "CreateGlobalTableWitness"
            | "DeleteGlobalTableWitness"
            | "CreateTableReplica"
            | "DeleteTableReplica"
            | "AssociateTableReplica"
            | "ReplicateSettings"
            | "UpdateTableReplicaAutoScaling"
            | "PurchaseReservedCapacityOfferings"
            | "UpdateContinuousBackups"
            | "ImportTable"
            | "PutResourcePolicy"
            | "DeleteResourcePolicy"
            | "EnableKinesisStreamingDestination"
            | "DisableKinesisStreamingDestination"
            | "UpdateKinesisStreamingDestination"
            | "UpdateContributorInsights"
            | "UpdateAbacStatus"
            | "InjectError"
    )
}

fn dax(event_name: &str) -> Call {
    let access = match event_name {
        "DescribeClusters"
        | "DescribeDefaultParameters"
        | "DescribeEvents"
        | "DescribeParameterGroups"
        | "DescribeParameters"
        | "DescribeSubnetGroups"
        | "ListTags" => Access::ControlRead,
        "CreateCluster"
        | "CreateParameterGroup"
        | "CreateSubnetGroup"
        | "DecreaseReplicationFactor"
        | "DeleteCluster"
        | "DeleteParameterGroup"
        | "DeleteSubnetGroup"
        | "IncreaseReplicationFactor"
        | "RebootNode"
        | "TagResource"
        | "UntagResource"
        | "UpdateCluster"
        | "UpdateParameterGroup"
        | "UpdateSubnetGroup" => Access::ControlWrite,
        _ => return unknown(Plane::Dax, event_name),
    };
    Call {
        plane: Plane::Dax,
        access,
        ..data(access)
    }
}

fn unknown(plane: Plane, event_name: &str) -> Call {
    let is_read = ["Describe", "List", "Get"]
        .iter()
        .any(|word| event_name.starts_with(word));
    let access = if is_read {
        Access::ControlRead
    } else {
        Access::ControlWrite
    };
    Call {
        plane,
        is_known: false,
        ..data(access)
    }
}

fn data(access: Access) -> Call {
    Call {
        plane: Plane::Data,
        access,
        shape: Shape::One,
        is_known: true,
    }
}

fn streams(access: Access) -> Call {
    Call {
        plane: Plane::Streams,
        ..data(access)
    }
}
