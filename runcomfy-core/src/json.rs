//! JSON as the service writes it: kept as text, with unknown fields, and with numbers that JSON does not have.

mod fields;
mod non_finite;
mod raw;

pub(crate) use fields::{Fields, object};
pub use non_finite::NonFinite;
#[cfg(feature = "http")]
pub(crate) use non_finite::replace_non_finite;
pub use raw::RawJson;
