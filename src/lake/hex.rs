//! Bytes as lower-case hexadecimal digits, of which names in a lake and ids are made.

/// Two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
