//! Who calls: the userIdentity of users, role sessions and services, and how the call reached AWS.

use super::json::Object;
use super::prng::Prng;
use super::time::{Seconds, iso};

/// One principal in one session, with the address and program it calls from.
pub struct Caller {
    /// The `userIdentity` object.
    pub identity: String,
    /// As AccessDenied sentences name the caller.
    pub arn: String,
    pub account: &'static str,
    pub address: String,
    pub user_agent: String,
    pub connection: Connection,
}

/// How a call came in; decides tlsDetails, vpcEndpointId and sessionCredentialFromConsole.
#[derive(Clone)]
pub enum Connection {
    Public(Tls),
    /// Through the VPC endpoint with this id, of the caller's own account.
    Endpoint(String, Tls),
    /// A browser in the console, or its CloudShell.
    Console,
    /// Made by an AWS service: no TLS of the client is known.
    Service,
}

#[derive(Clone, Copy)]
pub enum Tls {
    V12,
    V13Aes128,
    V13Aes256,
}

impl Tls {
    pub fn version(self) -> &'static str {
        match self {
            Tls::V12 => "TLSv1.2",
            Tls::V13Aes128 | Tls::V13Aes256 => "TLSv1.3",
        }
    }

    pub fn cipher_suite(self) -> &'static str {
        match self {
            Tls::V12 => "ECDHE-RSA-AES128-GCM-SHA256",
            Tls::V13Aes128 => "TLS_AES_128_GCM_SHA256",
            Tls::V13Aes256 => "TLS_AES_256_GCM_SHA384",
        }
    }
}

/// Where a session's calls come from.
pub struct Origin {
    pub address: String,
    pub user_agent: String,
    pub connection: Connection,
}

/// What made a role session, as far as it shows in the record.
pub enum SessionKind {
    Plain,
    /// Of an EC2 instance, delivered by IMDSv2.
    Instance,
    /// Of a Kubernetes service account.
    WebIdentity,
    /// Of a person who signed in with a second factor.
    Person,
    /// Of a service-linked role, used by the service named.
    Service(&'static str),
}

pub struct RoleSession<'a> {
    pub account: &'static str,
    /// `/`, or `/aws-service-role/<service>/` and the like.
    pub path: &'a str,
    pub role: &'a str,
    pub session: &'a str,
    pub created: Seconds,
    pub kind: SessionKind,
}

/// A unique id or access key id of the documented length; like all of AWS's own examples it ends in `EXAMPLE`.
pub fn identifier(prefix: &str, of: &str) -> String {
    let letters = if prefix.starts_with("AROA") || prefix.starts_with("AIDA") {
        10
    } else {
        9
    };
    let middle = Prng::of_text(of).text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", letters);
    format!("{prefix}{middle}EXAMPLE")
}

pub fn user(account: &'static str, name: &str, access_key_id: &str, origin: Origin) -> Caller {
    let arn = format!("arn:aws:iam::{account}:user/{name}");
    let identity = Object::new()
        .text("type", "IAMUser")
        .text("principalId", &identifier("AIDA", &arn))
        .text("arn", &arn)
        .text("accountId", account)
        .text("accessKeyId", access_key_id)
        .text("userName", name)
        .finish();
    Caller {
        identity,
        arn,
        account,
        address: origin.address,
        user_agent: origin.user_agent,
        connection: origin.connection,
    }
}

pub fn role_session(of: &RoleSession, origin: Origin) -> Caller {
    let account = of.account;
    let role_arn = format!("arn:aws:iam::{account}:role{}{}", of.path, of.role);
    let arn = format!(
        "arn:aws:sts::{account}:assumed-role/{}/{}",
        of.role, of.session
    );
    let role_id = identifier("AROA", &role_arn);
    let issuer = Object::new()
        .text("type", "Role")
        .text("principalId", &role_id)
        .text("arn", &role_arn)
        .text("accountId", account)
        .text("userName", of.role)
        .finish();
    let mut context = Object::new().json("sessionIssuer", &issuer);
    if let SessionKind::WebIdentity = of.kind {
        let provider = format!(
            "arn:aws:iam::{account}:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
        );
        let federation = Object::new()
            .text("federatedProvider", &provider)
            .json("attributes", "{}")
            .finish();
        context = context.json("webIdFederationData", &federation);
    }
    let signed_in_with_second_factor = matches!(of.kind, SessionKind::Person);
    let attributes = Object::new()
        .text("creationDate", &iso(of.created))
        .text(
            "mfaAuthenticated",
            if signed_in_with_second_factor {
                "true"
            } else {
                "false"
            },
        )
        .finish();
    context = context.json("attributes", &attributes);
    if let SessionKind::Instance = of.kind {
        context = context.text("ec2RoleDelivery", "2.0");
    }
    let mut identity = Object::new()
        .text("type", "AssumedRole")
        .text("principalId", &format!("{role_id}:{}", of.session))
        .text("arn", &arn)
        .text("accountId", account)
        .text(
            "accessKeyId",
            &identifier("ASIA", &format!("{arn}{}", of.created)),
        )
        .json("sessionContext", &context.finish());
    if let SessionKind::Service(service) = of.kind {
        identity = identity.text("invokedBy", service);
    }
    Caller {
        identity: identity.finish(),
        arn,
        account,
        address: origin.address,
        user_agent: origin.user_agent,
        connection: origin.connection,
    }
}

/// A service under its own name, as in the AssumeRole and KMS calls that services make.
pub fn service(account: &'static str, service: &str) -> Caller {
    let origin = service_origin(service);
    Caller {
        identity: Object::new()
            .text("type", "AWSService")
            .text("invokedBy", service)
            .finish(),
        arn: service.to_owned(),
        account,
        address: origin.address,
        user_agent: origin.user_agent,
        connection: origin.connection,
    }
}

/// Where calls come from that a service makes: its name stands for address and program.
pub fn service_origin(service: &str) -> Origin {
    Origin {
        address: service.to_owned(),
        user_agent: service.to_owned(),
        connection: Connection::Service,
    }
}
