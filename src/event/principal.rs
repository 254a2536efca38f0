//! Tells who made a call, from the record's `userIdentity`.

use std::borrow::Cow;

use super::member_name::{LONGEST_NAME, folded};
use super::parse::Json;

/// The caller. Texts are as logged, empty ones count as absent; any of them may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal<'d> {
    /// `type`: `IAMUser`, `AssumedRole`, `Root`, …; some service events have none.
    pub user_type: Option<&'d str>,
    pub principal_id: Option<&'d str>,
    pub arn: Option<&'d str>,
    /// `accountId`: of the entity that granted the permissions.
    pub account_id: Option<&'d str>,
    pub access_key_id: Option<&'d str>,
    pub user_name: Option<&'d str>,
    /// Of a role's or a federated user's session.
    pub session_name: Option<&'d str>,
    pub session_issuer_arn: Option<&'d str>,
    /// The stable actor behind sessions; see [`principal`].
    pub principal: Option<Cow<'d, str>>,
    pub invoked_by: Option<&'d str>,
    /// Made by an AWS service, on its own or on somebody's behalf.
    pub is_service_made: bool,
    pub mfa_authenticated: Option<bool>,
    pub source_identity: Option<&'d str>,
    /// `identityProvider`, else `webIdFederationData.federatedProvider`.
    pub identity_provider: Option<&'d str>,
    /// `onBehalfOf.userId`: a user of IAM Identity Center.
    pub on_behalf_of_user_id: Option<&'d str>,
}

/// Reads `userIdentity`, whatever of it is there.
///
/// The stable actor (`Principal::principal`) is:
/// - of a role's session the role's ARN: the session issuer's, which keeps the role's path, else
///   `arn:<partition>:iam::<account>:role/<role>` made from the session's ARN, which has lost it;
/// - of a user, of root and of a federated user the ARN, of root without one
///   `arn:aws:iam::<account>:root`;
/// - of a service the service's name;
/// - of an Identity Center user the user's id, since records have no ARN for it;
/// - of a foreign account (`AWSAccount`) the account's id: the record hides which of its users
///   or roles called, and a `…:root` ARN would read as that account's root user. IAM policies
///   name an account by its bare id, too;
/// - else the first there is of ARN, user name, principal id, invoking service, account id.
pub fn principal<'d>(user_identity: Option<Json<'d>>) -> Principal<'d> {
    let Some(identity) = user_identity else {
        return Principal::default();
    };
    let mut found = Principal::default();
    let mut federated_provider = None;
    let mut buffer = [0; LONGEST_NAME];
    for (name, value) in identity.members() {
        match folded(name, &mut buffer) {
            "type" => found.user_type = text(value),
            "principalid" => found.principal_id = text(value),
            "arn" => found.arn = text(value),
            "accountid" => found.account_id = text(value),
            "accesskeyid" => found.access_key_id = text(value),
            "username" => found.user_name = text(value),
            "invokedby" => found.invoked_by = text(value),
            "identityprovider" => found.identity_provider = text(value),
            "onbehalfof" => {
                found.on_behalf_of_user_id = value.get_ignore_case("userId").and_then(text);
            }
            "sessioncontext" => federated_provider = read_session(value, &mut found),
            _ => {}
        }
    }
    found.identity_provider = found.identity_provider.or(federated_provider);
    found.session_name = session_name(&found);
    found.principal = stable_actor(&found);
    found.is_service_made = is_service_made(&found);
    found
}

/// Reads `sessionContext`; answers the web identity provider.
fn read_session<'d>(session: Json<'d>, found: &mut Principal<'d>) -> Option<&'d str> {
    let mut federated_provider = None;
    let mut buffer = [0; LONGEST_NAME];
    for (name, value) in session.members() {
        match folded(name, &mut buffer) {
            "sessionissuer" => {
                found.session_issuer_arn = value.get_ignore_case("arn").and_then(text);
            }
            "attributes" => {
                found.mfa_authenticated =
                    value.get_ignore_case("mfaAuthenticated").and_then(boolean);
            }
            "sourceidentity" => found.source_identity = text(value),
            "webidfederationdata" => {
                federated_provider = value.get_ignore_case("federatedProvider").and_then(text);
            }
            _ => {}
        }
    }
    federated_provider
}

fn text(value: Json<'_>) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// CloudTrail writes booleans of a session as texts.
fn boolean(value: Json<'_>) -> Option<bool> {
    match value.as_str() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => None,
        None => value.as_bool(),
    }
}

/// A session's ARN taken apart: `arn:<partition>:sts::<account>:assumed-role/<role>/<session>`.
struct RoleSession<'d> {
    partition: &'d str,
    account_id: &'d str,
    role: &'d str,
    session: Option<&'d str>,
}

fn role_session(arn: &str) -> Option<RoleSession<'_>> {
    let mut fields = arn.strip_prefix("arn:")?.splitn(5, ':');
    let partition = fields.next()?;
    let _service = fields.next()?;
    let _region = fields.next()?;
    let account_id = fields.next()?;
    let path = fields.next()?.strip_prefix("assumed-role/")?;
    let (role, session) = path
        .split_once('/')
        .map_or((path, None), |(role, session)| (role, Some(session)));
    (!role.is_empty()).then_some(RoleSession {
        partition,
        account_id,
        role,
        session: session.filter(|session| !session.is_empty()),
    })
}

fn session_name<'d>(found: &Principal<'d>) -> Option<&'d str> {
    if let Some(session) = found.arn.and_then(role_session) {
        return session.session;
    }
    // These types have colons in ids that hold no session.
    if matches!(found.user_type, Some("WebIdentityUser" | "SAMLUser")) {
        return None;
    }
    let (_, session) = found.principal_id?.split_once(':')?;
    (!session.is_empty() && !session.contains(':')).then_some(session)
}

fn stable_actor<'d>(found: &Principal<'d>) -> Option<Cow<'d, str>> {
    let known = match found.user_type {
        Some("AssumedRole" | "Role") | None => role_arn(found),
        Some("AWSService") => found.invoked_by.map(Cow::Borrowed),
        Some("IdentityCenterUser") => found.on_behalf_of_user_id.map(Cow::Borrowed),
        Some("AWSAccount") => found.account_id.map(Cow::Borrowed),
        Some("Root") if found.arn.is_none() => found
            .account_id
            .map(|account_id| Cow::Owned(format!("arn:aws:iam::{account_id}:root"))),
        _ => None,
    };
    let logged = [
        found.arn,
        found.user_name,
        found.principal_id,
        found.invoked_by,
        found.account_id,
    ];
    known.or_else(|| logged.into_iter().flatten().next().map(Cow::Borrowed))
}

fn role_arn<'d>(found: &Principal<'d>) -> Option<Cow<'d, str>> {
    if let Some(issuer) = found.session_issuer_arn {
        return Some(Cow::Borrowed(issuer));
    }
    let session = found.arn.and_then(role_session)?;
    Some(Cow::Owned(format!(
        "arn:{}:iam::{}:role/{}",
        session.partition, session.account_id, session.role
    )))
}

/// A call is service-made when a service's own identity or a service-linked role made it, or when
/// `invokedBy` names a service.
///
/// Two values of `invokedBy` name none: `signin.amazonaws.com`, which the console wrote for people
/// in 2017, and `AWS Internal`, which stands beside people's console sessions as well. Hiding a
/// person's call among services' would be the worse mistake, so `AWS Internal` counts only where
/// no user or role is named.
fn is_service_made(found: &Principal<'_>) -> bool {
    if found.user_type == Some("AWSService") {
        return true;
    }
    let is_linked_role = match found.session_issuer_arn {
        Some(issuer) => issuer.contains(":role/aws-service-role/"),
        None => found
            .arn
            .and_then(role_session)
            .is_some_and(|session| session.role.starts_with("AWSServiceRoleFor")),
    };
    let Some(invoked_by) = found.invoked_by else {
        return is_linked_role;
    };
    let is_service = match invoked_by {
        "signin.amazonaws.com" | "console.amazonaws.com" => false,
        _ if invoked_by.starts_with("AWS Internal") => {
            found.arn.is_none() && found.user_name.is_none()
        }
        _ => [".amazonaws.com", ".amazonaws.com.cn"]
            .iter()
            .any(|suffix| invoked_by.ends_with(suffix)),
    };
    is_linked_role || is_service
}
