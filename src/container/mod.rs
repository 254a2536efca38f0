//! Turns the bytes of an object into CloudTrail records.
