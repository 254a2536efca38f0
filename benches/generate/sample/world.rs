//! The shop's accounts, tables and people.

use std::sync::Arc;

use super::super::identities::{
    Caller, Connection, Origin, RoleSession, SessionKind, Tls, role_session, service_origin, user,
};
use super::super::prng::Prng;
use super::super::record::Moment;
use super::super::tables::{Attribute, Index, Table, Values};
use super::super::time::{DAY, HOUR, Seconds, moment};

/// Runs the shop.
pub const SHOP: &str = "111122223333";
/// Analyses it.
pub const ANALYTICS: &str = "123456789012";
/// Builds and deploys it.
pub const PLATFORM: &str = "444455556666";
/// Nobody's whom the shop knows.
pub const FOREIGN: &str = "777788889999";

pub const US: &str = "us-east-1";
pub const EU: &str = "eu-west-1";

pub const ORGANIZATION: &str = "o-exampleorg1";
pub const LEAKED_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const LEAKED_USER: &str = "legacy-reporting";

const BOTO: &str = "Boto3/1.37.4 md/Botocore#1.37.4 ua/2.0 os/linux#6.1.127-135.201.amzn2023.x86_64 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.37.4";
const JAVA: &str = "aws-sdk-java/2.30.31 md/io#sync md/http#Apache ua/2.1 os/Linux#5.10.234-225.895.amzn2.x86_64 lang/java#21.0.6 md/OpenJDK_64-Bit_Server_VM#21.0.6+7-LTS md/en_US exec-env/AWS_ECS_FARGATE m/D,N,P";
const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.11.0 (+https://www.terraform.io) aws-sdk-go-v2/1.36.1 ua/2.1 os/linux lang/go#1.23.3 md/GOOS#linux md/GOARCH#amd64 api/dynamodb#1.39.9 m/g";
const BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36";
const POLLER: &str = "leb-kcl-4f1d2c5e-7b0a-4f0e-9a63-1c1d5a3b7f10,amazon-kinesis-client-library-java-lambda_1.2.1, aws-internal/3 aws-sdk-java/1.12.780";
const AUTO_SCALING: &str = "dynamodb.application-autoscaling.amazonaws.com";
const KALI: &str = "aws-cli/2.15.30 Python/3.11.8 Linux/6.6.15-amd64 exe/x86_64.kali.2024 prompt/off command/dynamodb";

/// The first moments of the days of the sample, 2025-03-03 to 2025-03-16.
pub fn days() -> impl Iterator<Item = Seconds> {
    let first = moment((2025, 3, 3), (0, 0, 0));
    (0..14).map(move |day| first + day * DAY)
}

/// Monday to Friday; the sample begins on a Monday.
pub fn is_working_day(day: Seconds) -> bool {
    (day - moment((2025, 3, 3), (0, 0, 0))) / DAY % 7 < 5
}

pub struct World {
    pub orders: Table,
    pub customers: Table,
    pub carts: Table,
    pub inventory: Table,
    pub orders_eu: Table,
    pub clickstream: Table,
    pub reports: Table,
    pub locks: Table,
}

fn numbered(name: &'static str, prefix: &'static str, count: u64) -> Attribute {
    Attribute::new(
        name,
        Values::Numbered {
            prefix,
            digits: 6,
            count,
        },
    )
}

fn table(
    account: &'static str,
    name: &str,
    partition_key: Attribute,
    attributes: &[&'static str],
) -> Table {
    Table {
        name: name.to_owned(),
        account,
        region: US,
        partition_key,
        sort_key: None,
        index: None,
        attributes: attributes.to_vec(),
        stream: None,
    }
}

/// The table that the data pipeline makes in the morning and deletes when it is done.
pub fn temporary_table(day: Seconds) -> Table {
    let name = format!("analytics-temp-{}", super::super::time::day(day));
    table(
        ANALYTICS,
        &name,
        numbered("customer_id", "C-", 100_000),
        &["segment", "score", "run_id"],
    )
}

const ORDER_ATTRIBUTES: [&str; 6] = [
    "status",
    "total",
    "currency",
    "created_at",
    "customer_id",
    "channel",
];

fn orders(name: &str) -> Table {
    let index = Index {
        name: String::from("customer-index"),
        key: numbered("customer_id", "C-", 100_000),
    };
    Table {
        index: Some(index),
        ..table(
            SHOP,
            name,
            numbered("order_id", "ORD-", 900_000),
            &ORDER_ATTRIBUTES,
        )
    }
}

fn customers() -> Table {
    let attributes = [
        "name",
        "email",
        "address",
        "phone",
        "birth_date",
        "loyalty_points",
    ];
    table(
        SHOP,
        "customers",
        numbered("customer_id", "C-", 100_000),
        &attributes,
    )
}

fn inventory() -> Table {
    let attributes = ["on_hand", "reserved", "updated_at"];
    Table {
        sort_key: Some(numbered("warehouse", "WH-", 12)),
        ..table(
            SHOP,
            "inventory",
            numbered("sku", "SKU-", 40_000),
            &attributes,
        )
    }
}

fn clickstream() -> Table {
    let visitor = Attribute::new("visitor", Values::Uuid);
    Table {
        sort_key: Some(Attribute::new("seen_at", Values::Milliseconds)),
        ..table(
            ANALYTICS,
            "clickstream",
            visitor,
            &["page", "referrer", "device"],
        )
    }
}

fn reports() -> Table {
    let attributes = ["title", "owner", "status", "body"];
    table(
        ANALYTICS,
        "reports",
        numbered("report_id", "R-", 5_000),
        &attributes,
    )
}

fn locks() -> Table {
    let paths = Values::Numbered {
        prefix: "example-state/env:/stage-",
        digits: 2,
        count: 12,
    };
    table(
        PLATFORM,
        "terraform-locks",
        Attribute::new("LockID", paths),
        &["Info", "Digest"],
    )
}

impl World {
    pub fn new() -> World {
        let cart_id = Attribute::new("cart_id", Values::Uuid);
        World {
            orders: Table {
                stream: Some(String::from("2024-06-18T08:12:44.117")),
                ..orders("orders")
            },
            customers: customers(),
            carts: table(
                SHOP,
                "carts",
                cart_id,
                &["lines", "expires_at", "customer_id"],
            ),
            inventory: inventory(),
            orders_eu: Table {
                region: EU,
                ..orders("orders-eu")
            },
            clickstream: clickstream(),
            reports: reports(),
            locks: locks(),
        }
    }
}

fn public(address: &str, user_agent: &str, tls: Tls) -> Origin {
    Origin {
        address: address.to_owned(),
        user_agent: user_agent.to_owned(),
        connection: Connection::Public(tls),
    }
}

fn private(address: &str, user_agent: &str, endpoint: &str) -> Origin {
    Origin {
        address: address.to_owned(),
        user_agent: user_agent.to_owned(),
        connection: Connection::Endpoint(endpoint.to_owned(), Tls::V13Aes128),
    }
}

fn plain_role(
    account: &'static str,
    role: &str,
    session: &str,
    created: Seconds,
    origin: Origin,
) -> Arc<Caller> {
    let of = RoleSession {
        account,
        path: "/",
        role,
        session,
        created,
        kind: SessionKind::Plain,
    };
    Arc::new(role_session(&of, origin))
}

/// The moment of a call by `caller`.
pub fn at(caller: &Arc<Caller>, time: Seconds, region: &'static str) -> Moment {
    Moment {
        caller: caller.clone(),
        time,
        region,
    }
}

/// The shop's back end, a container that gets new credentials for every feed it works off.
pub fn orders_service(burst: Seconds, region: &'static str) -> Arc<Caller> {
    let mut prng = Prng::of_text(&format!("{region}{burst}"));
    let task = prng.hex(32);
    let (network, endpoint) = match region {
        EU => ("10.24.3", "vpce-0a11b22c33d44e55f"),
        _ => ("10.20.7", "vpce-0123456789abcdef0"),
    };
    let address = format!("{network}.{}", prng.between(4, 90));
    plain_role(
        SHOP,
        "orders-service",
        &task,
        burst - 20 * 60,
        private(&address, JAVA, endpoint),
    )
}

pub fn nightly_batch(day: Seconds) -> Arc<Caller> {
    let of = RoleSession {
        account: SHOP,
        path: "/",
        role: "nightly-batch",
        session: "i-0a1b2c3d4e5f60718",
        created: day + HOUR / 2,
        kind: SessionKind::Instance,
    };
    Arc::new(role_session(
        &of,
        private("10.20.9.14", BOTO, "vpce-0123456789abcdef0"),
    ))
}

pub fn stream_poller(day: Seconds) -> Arc<Caller> {
    let session = format!(
        "awslambda_292_{}00334",
        super::super::time::day(day).replace('-', "")
    );
    plain_role(
        SHOP,
        "order-events-function",
        &session,
        day,
        public("192.0.2.40", POLLER, Tls::V12),
    )
}

pub fn auto_scaling(day: Seconds) -> Arc<Caller> {
    let of = RoleSession {
        account: SHOP,
        path: "/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/",
        role: "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
        session: "AutoScaling-RetrieveCurrentCapacity",
        created: day,
        kind: SessionKind::Service(AUTO_SCALING),
    };
    Arc::new(role_session(&of, service_origin(AUTO_SCALING)))
}

pub fn backup_rotation(day: Seconds) -> Arc<Caller> {
    let user_agent = "Boto3/1.37.4 md/Botocore#1.37.4 ua/2.0 os/linux#5.10.234 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#standard Botocore/1.37.4";
    plain_role(
        SHOP,
        "backup-rotation",
        "backup-rotation",
        day + 2 * HOUR,
        public("192.0.2.41", user_agent, Tls::V13Aes256),
    )
}

pub fn data_pipeline(day: Seconds) -> Arc<Caller> {
    let session = format!("pipeline-{}", super::super::time::day(day));
    plain_role(
        ANALYTICS,
        "data-pipeline",
        &session,
        day + 4 * HOUR,
        private("10.30.1.22", BOTO, "vpce-0fedcba9876543210"),
    )
}

pub fn deployer(created: Seconds) -> Arc<Caller> {
    plain_role(
        PLATFORM,
        "ci-runner",
        "deploy",
        created,
        public("192.0.2.90", TERRAFORM, Tls::V13Aes128),
    )
}

/// A person signed in through the identity provider, with a program on the office network.
pub fn analyst(name: &str, host: u8, created: Seconds) -> Arc<Caller> {
    let origin = public(&format!("198.51.100.{host}"), BOTO, Tls::V13Aes256);
    Arc::new(role_session(
        &person(ANALYTICS, "Analyst", name, created).borrow(),
        origin,
    ))
}

/// A person signed in to the console.
pub fn console(
    account: &'static str,
    role: &'static str,
    name: &str,
    created: Seconds,
) -> Arc<Caller> {
    let origin = Origin {
        address: String::from("198.51.100.12"),
        user_agent: BROWSER.to_owned(),
        connection: Connection::Console,
    };
    Arc::new(role_session(
        &person(account, role, name, created).borrow(),
        origin,
    ))
}

struct Person {
    account: &'static str,
    role: String,
    session: String,
    created: Seconds,
}

fn person(account: &'static str, role: &str, name: &str, created: Seconds) -> Person {
    Person {
        account,
        role: format!("AWSReservedSSO_{role}_0123456789abcdef"),
        session: format!("{name}@example.com"),
        created,
    }
}

impl Person {
    fn borrow(&self) -> RoleSession<'_> {
        RoleSession {
            account: self.account,
            path: "/aws-reserved/sso.amazonaws.com/",
            role: &self.role,
            session: &self.session,
            created: self.created,
            kind: SessionKind::Person,
        }
    }
}

/// The IAM user whose key leaks, where it belongs: the reporting host in the office.
pub fn reporting_host() -> Arc<Caller> {
    Arc::new(user(
        SHOP,
        LEAKED_USER,
        LEAKED_KEY,
        public("198.51.100.77", BOTO, Tls::V12),
    ))
}

/// The same key, used by the intruder.
pub fn intruder() -> Arc<Caller> {
    Arc::new(user(
        SHOP,
        LEAKED_USER,
        LEAKED_KEY,
        public("203.0.113.66", KALI, Tls::V13Aes256),
    ))
}

pub fn reporting_arn() -> String {
    format!("arn:aws:iam::{SHOP}:user/{LEAKED_USER}")
}
