//! Secrets come from environment variables and files alone, and show themselves nowhere.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// The most bytes that a file with a secret may have.
const MAX_SECRET_BYTES: u64 = 8 << 10;

/// Shorter pieces of a secret are too common to tell that a text holds it.
const MIN_PIECE_CHARACTERS: usize = 6;

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    Environment(String),
    File(PathBuf),
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A secret that could not be had; says where it was looked for.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{0} is not set, or is not UTF-8")]
    NotSet(SecretPlace),
    #[error("{0} is empty")]
    Empty(SecretPlace),
    #[error("{0} is larger than {MAX_SECRET_BYTES} bytes")]
    TooLarge(SecretPlace),
    #[error("cannot read {place}")]
    Read {
        place: SecretPlace,
        source: std::io::Error,
    },
}

impl SecretPlace {
    /// Reads the secret, without the white space around it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Environment(name) => {
                std::env::var(name).map_err(|_| SecretError::NotSet(self.clone()))?
            }
            Self::File(path) => {
                let failed = |source| SecretError::Read {
                    place: self.clone(),
                    source,
                };
                let file = File::open(path).map_err(failed)?;
                let mut text = String::new();
                let mut limited = file.take(MAX_SECRET_BYTES + 1);
                limited.read_to_string(&mut text).map_err(failed)?;
                text
            }
        };
        if text.len() as u64 > MAX_SECRET_BYTES {
            return Err(SecretError::TooLarge(self.clone()));
        }
        match text.trim() {
            "" => Err(SecretError::Empty(self.clone())),
            text => Ok(Secret(text.to_owned())),
        }
    }
}

/// A text that is neither shown nor logged.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a text holds a piece of the secret, so that it may not be shown.
    pub fn is_in(&self, text: &str) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let mut pieces = self.0.split(|c| !is_word(c));
        text.contains(&self.0)
            || pieces
                .any(|piece| piece.chars().count() >= MIN_PIECE_CHARACTERS && text.contains(piece))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_found_in_pieces() {
        let secret = Secret("https://hooks.example.com/services/T0/B0/abcdefSECRET".to_owned());
        assert_eq!(format!("{secret:?}"), "(secret)");
        assert!(secret.is_in("no route /x/abcdefSECRET found"));
        assert!(!secret.is_in("invalid_payload"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("url");
        let place = SecretPlace::File(path.clone());
        assert!(matches!(place.read(), Err(SecretError::Read { .. })));
        for (bytes, is_fine) in [
            (0, false),
            (MAX_SECRET_BYTES, true),
            (MAX_SECRET_BYTES + 1, false),
        ] {
            std::fs::write(&path, "x".repeat(bytes as usize)).expect("a file");
            assert_eq!(place.read().is_ok(), is_fine, "{bytes}");
        }
        std::fs::write(&path, " one\n").expect("a file");
        assert_eq!(place.read().expect("a secret").reveal(), "one");
        let place = SecretPlace::Environment("DYNATRAIL_NOT_SET_ANYWHERE".to_owned());
        let error = place.read().expect_err("it is not set").to_string();
        assert!(error.contains("DYNATRAIL_NOT_SET_ANYWHERE"), "{error}");
    }
}
