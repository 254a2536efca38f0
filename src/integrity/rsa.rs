//! RSA public keys as CloudTrail gives them, and the one kind of signature that it makes.

use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// The AlgorithmIdentifier of rsaEncryption, parameters NULL (RFC 3279 section 2.3.1).
const RSA_ENCRYPTION: [u8; 13] = [
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Bytes of a modulus that are worked with: CloudTrail's have 2048 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    /// Parses DER: an `RSAPublicKey` of PKCS#1, as is documented, or a `SubjectPublicKeyInfo`, as one
    /// of the documentation's samples is. None for anything else, and for a modulus below 2048 bits.
    pub(super) fn from_der(der: &[u8]) -> Option<RsaKey> {
        let (body, rest) = element(der, SEQUENCE)?;
        if !rest.is_empty() {
            return None;
        }
        if body.first() == Some(&INTEGER) {
            return Self::from_integers(body);
        }
        let (algorithm, rest) = element(body, SEQUENCE)?;
        let (bits, rest) = element(rest, BIT_STRING)?;
        let (0, inner) = bits.split_first()? else {
            return None;
        };
        if algorithm != RSA_ENCRYPTION || !rest.is_empty() {
            return None;
        }
        let (body, rest) = element(inner, SEQUENCE)?;
        if !rest.is_empty() {
            return None;
        }
        Self::from_integers(body)
    }

    fn from_integers(body: &[u8]) -> Option<RsaKey> {
        let (modulus, rest) = element(body, INTEGER)?;
        let (exponent, rest) = element(rest, INTEGER)?;
        let (modulus, exponent) = (magnitude(modulus)?, magnitude(exponent)?);
        if !rest.is_empty() || !MODULUS_BYTES.contains(&modulus.len()) {
            return None;
        }
        Some(RsaKey {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        })
    }

    /// Says whether the signature is RSASSA-PKCS1-v1_5 with SHA-256 over the text.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature)
            .is_ok()
    }
}

/// Takes one DER element of the tag: its content, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // No key is longer than two bytes of length can say.
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            let length = digits
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The bytes of a positive integer without leading zeros.
fn magnitude(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if rest.first().is_some_and(|&byte| byte >= 0x80) => Some(rest),
        [1..=0x7f, ..] => Some(integer),
        _ => None,
    }
}
