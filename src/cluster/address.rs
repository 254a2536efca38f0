//! Where a scheduler is.

use std::fmt;
use std::str::FromStr;

use super::SCHEDULER_PORT;

/// A scheduler's address, written `df://HOST:PORT` or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address such as df://scheduler:{SCHEDULER_PORT}")]
pub struct AddressError {
    text: String,
}

impl Address {
    /// As gRPC names it.
    pub fn url(&self) -> String {
        format!("http://{}:{}", in_url(&self.host), self.port)
    }
}

/// A host as it stands before a port: the engine puts them together as they are.
pub fn in_url(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AddressError {
            text: text.to_owned(),
        };
        let rest = text.strip_prefix("df://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| error())?,
            None => SCHEDULER_PORT,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_name) {
            return Err(error());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url().replacen("http://", "df://", 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, url) in [
            ("df://scheduler:50050", "http://scheduler:50050"),
            ("scheduler", "http://scheduler:50050"),
            ("df://10.0.0.7:7/", "http://10.0.0.7:7"),
            ("df://[::1]:50050", "http://[::1]:50050"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.url(), url);
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        for text in [
            "",
            "df://",
            "df://a:b",
            "http://a:1",
            "a b:1",
            "df://a:1/x",
            "df://a:99999",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
