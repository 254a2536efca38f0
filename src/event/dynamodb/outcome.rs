//! Says how a call ended, from the record's error code and message.

/// How a call, or one operation of it, ended. `as_str` gives the lake's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No error code. Parts of a batch may have failed all the same: the response is not logged.
    Ok,
    /// Refused for who asked: by a policy, or because the credentials are no good.
    Denied,
    Throttled,
    /// A condition of the caller's own was not met, or an INSERT found an item.
    ConditionFailed,
    NotFound,
    /// Given up because another operation of the same transaction failed.
    Cancelled,
    /// The state of the resource, or another request at work on it, stood in the way.
    Conflict,
    /// Refused for what was asked.
    Invalid,
    /// A write may have happened all the same.
    ServerError,
    Other,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Denied => "denied",
            Outcome::Throttled => "throttled",
            Outcome::ConditionFailed => "condition_failed",
            Outcome::NotFound => "not_found",
            Outcome::Cancelled => "cancelled",
            Outcome::Conflict => "conflict",
            Outcome::Invalid => "invalid",
            Outcome::ServerError => "server_error",
            Outcome::Other => "other",
        }
    }

    /// The outcome of a call with that `errorCode`.
    pub fn of_call(error_code: Option<&str>) -> Outcome {
        match error_code {
            None | Some("") => Outcome::Ok,
            Some(code) => Outcome::of_code(code),
        }
    }

    /// The outcome for an exception's name or a reason of a cancelled transaction.
    ///
    /// Codes come with and without `Exception`, `Error` or `Fault` behind
    /// (`AccessDenied` and `AccessDeniedException`), and may carry a namespace before a `#`.
    pub fn of_code(code: &str) -> Outcome {
        let code = code.rsplit_once('#').map_or(code, |(_, name)| name);
        let bare = code
            .strip_suffix("Exception")
            .or_else(|| code.strip_suffix("Fault"))
            .or_else(|| code.strip_suffix("Error"))
            .unwrap_or(code);
        match bare {
            "AccessDenied"
            | "VpceAccessDenied"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "UnrecognizedClient"
            | "MissingAuthenticationToken"
            | "IncompleteSignature"
            | "InvalidSignature"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidClientTokenId"
            | "OptInRequired" => Outcome::Denied,
            "ProvisionedThroughputExceeded"
            | "RequestLimitExceeded"
            | "Throttling"
            | "LimitExceeded"
            | "TooManyRequests" => Outcome::Throttled,
            "ConditionalCheckFailed" | "DuplicateItem" => Outcome::ConditionFailed,
            "TransactionCanceled" => Outcome::Cancelled,
            "TransactionConflict"
            | "TransactionInProgress"
            | "ReplicatedWriteConflict"
            | "ContinuousBackupsUnavailable"
            | "PointInTimeRecoveryUnavailable" => Outcome::Conflict,
            "Validation"
            | "IdempotentParameterMismatch"
            | "ItemCollectionSizeLimitExceeded"
            | "ExpiredIterator"
            | "Serialization"
            | "UnknownOperation" => Outcome::Invalid,
            "TrimmedDataAccess" => Outcome::NotFound,
            "InternalServer"
            | "InternalServerError"
            | "Internal"
            | "InternalService"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "Server.Internal" => Outcome::ServerError,
            _ => Outcome::of_family(bare),
        }
    }

    /// The control plane's exceptions follow a pattern: `TableNotFound`, `BackupInUse`,
    /// `ImportConflict`, `ReplicaAlreadyExists`, `InvalidRestoreTime`, `ClusterQuotaForCustomerExceeded`.
    fn of_family(bare: &str) -> Outcome {
        if bare.ends_with("NotFound") {
            Outcome::NotFound
        } else if bare.ends_with("InUse")
            || bare.ends_with("AlreadyExists")
            || bare.ends_with("Conflict")
        {
            Outcome::Conflict
        } else if bare.starts_with("Invalid") {
            Outcome::Invalid
        } else if bare.len() == 3
            && bare.starts_with('5')
            && bare.bytes().all(|b| b.is_ascii_digit())
        {
            Outcome::ServerError
        } else {
            Outcome::Other
        }
    }
}

/// CloudTrail cuts `errorMessage` at 1 KB without a mark.
const MESSAGE_LIMIT_BYTES: usize = 1024;

/// What IAM's sentence about a refused call says.
///
/// Shape: `User: <arn> is not authorized to perform: <action>[ on resource: <arn>][ because|with …]`
/// (IAM guide, "Troubleshoot access denied error messages"). One policy type is named even when
/// several deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied<'d> {
    /// The ARN after `User:`; roles' sessions stand there too.
    pub user: &'d str,
    /// The IAM action, such as `dynamodb:PartiQLSelect`.
    pub action: &'d str,
    /// An ARN, a pattern such as `…:table/*`, or `*`.
    pub resource: Option<&'d str>,
    /// The sentence's own words after `because` or from `an explicit deny` on.
    pub reason: Option<&'d str>,
    /// The kind of policy that refused: `identity-based`, `resource-based`, `session`,
    /// `service control`, `resource control`, `VPC endpoint` or `permissions boundary`.
    pub policy_type: Option<&'static str>,
    /// True for an explicit deny, false for a missing allow.
    pub is_explicit: Option<bool>,
}

impl<'d> Denied<'d> {
    /// None when the message is not that sentence ("Access denied.", a VPC endpoint's text).
    pub fn parse(message: &'d str) -> Option<Denied<'d>> {
        let rest = message.trim_start().strip_prefix("User: ")?;
        let (user, rest) = rest.split_once(" is not authorized to perform: ")?;
        let (action, rest) = first_word(rest);
        if action.is_empty() {
            return None;
        }
        let (resource, rest) = match rest.strip_prefix("on resource: ") {
            Some(rest) => {
                let (resource, rest) = first_word(rest);
                let is_cut = rest.is_empty() && message.len() >= MESSAGE_LIMIT_BYTES;
                (Some(resource).filter(|r| !r.is_empty() && !is_cut), rest)
            }
            None => (None, rest),
        };
        let (reason, is_explicit) = match rest.strip_prefix("with ") {
            Some(reason) if reason.starts_with("an explicit deny") => (Some(reason), Some(true)),
            Some(reason) => (Some(reason), None),
            None => match rest.strip_prefix("because ") {
                Some(reason) if reason.starts_with("no ") => (Some(reason), Some(false)),
                reason => (reason, None),
            },
        };
        Some(Denied {
            user,
            action,
            resource,
            reason,
            policy_type: reason.and_then(policy_type),
            is_explicit,
        })
    }
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn policy_type(reason: &str) -> Option<&'static str> {
    // The rest of the sentence can hold a policy's ARN, whose name is anybody's choice.
    let subject = reason
        .strip_prefix("no ")
        .or_else(|| reason.strip_prefix("an explicit deny in an "))
        .or_else(|| reason.strip_prefix("an explicit deny in a "))?;
    [
        ("identity-based policy", "identity-based"),
        ("identity policy", "identity-based"),
        ("resource-based policy", "resource-based"),
        ("resource policy", "resource-based"),
        ("session policy", "session"),
        ("service control policy", "service control"),
        ("resource control policy", "resource control"),
        ("VPC endpoint policy", "VPC endpoint"),
        ("permissions boundary", "permissions boundary"),
    ]
    .into_iter()
    .find_map(|(words, name)| subject.starts_with(words).then_some(name))
}

/// Per-item reasons of a cancelled transaction in request order, out of the message
/// `Transaction cancelled, … for specific reasons [ConditionalCheckFailed, None]`.
pub struct CancelReasons<'d> {
    pub reasons: Vec<&'d str>,
    /// The message was cut, so the last reasons are missing.
    pub is_cut: bool,
}

impl<'d> CancelReasons<'d> {
    /// None when the message holds no list.
    pub fn parse(message: &'d str) -> Option<CancelReasons<'d>> {
        let (_, list) = message.split_once('[')?;
        let (list, is_cut) = match list.split_once(']') {
            Some((list, _)) => (list, false),
            // What stands after the last comma may be half a word.
            None => (list.rsplit_once(',').map_or("", |(whole, _)| whole), true),
        };
        let reasons = list
            .split(',')
            .map(str::trim)
            .filter(|reason| !reason.is_empty())
            .collect();
        Some(CancelReasons { reasons, is_cut })
    }
}
