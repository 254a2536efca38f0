//! The lake: parts, receipts, plans and quarantine in one store.
