//! The report of a full run.

use super::figures::Figure;

pub(super) fn write(_: &[Figure], _: &[String], _: &[&str]) -> anyhow::Result<()> {
    Ok(())
}
