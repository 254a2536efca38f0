//! Decides which events are kept, as CloudTrail event selectors would.
