//! Folds the letter case of member names: documented records mix `tableName` and `TableName`.

/// The longest member name that is looked at, in bytes; DynamoDB's own are shorter.
pub(super) const LONGEST_NAME: usize = 48;

/// A member name in lower case.
///
/// A name longer than [`LONGEST_NAME`] is none that anybody asks for, and becomes "".
pub(super) fn folded<'b>(name: &str, buffer: &'b mut [u8; LONGEST_NAME]) -> &'b str {
    std::str::from_utf8(folded_bytes(name, buffer)).unwrap_or("")
}

/// The bytes of [`folded`].
pub(super) fn folded_bytes<'b>(name: &str, buffer: &'b mut [u8; LONGEST_NAME]) -> &'b [u8] {
    let Some(folded) = buffer.get_mut(..name.len()) else {
        return b"";
    };
    folded.copy_from_slice(name.as_bytes());
    folded.make_ascii_lowercase();
    folded
}
