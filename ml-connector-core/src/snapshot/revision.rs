//! One fixed form of a vendor's JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result, model::Revision};

/// Deeper values are taken as they are written. Vendors' records have four or five levels; the bound keeps a
/// hostile document from costing quadratic time.
const MAX_DEPTH: usize = 8;

/// The revision of a JSON object: independent of the order of members and of white space, and of every member, at
/// any depth, that `ignored` names, such as stamps, etags and counters of reads. Numbers count as written.
///
/// ```
/// use ml_connector_core::snapshot::canonical_revision;
///
/// let ignored = |key: &str| key == "last_modified_time";
/// let one = canonical_revision(br#"{"total":1250.50,"last_modified_time":"10:05","id":"1"}"#, ignored)?;
/// let two = canonical_revision(br#"{ "id": "1", "total": 1250.50, "last_modified_time": "10:06" }"#, ignored)?;
/// let three = canonical_revision(br#"{"id":"1","total":1250.51}"#, ignored)?;
/// assert_eq!(one, two);
/// assert_ne!(one, three);
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the bytes are no JSON.
pub fn canonical_revision(json: &[u8], ignored: impl Fn(&str) -> bool) -> Result<Revision> {
    let value: &RawValue = serde_json::from_slice(json).map_err(no_json)?;
    let mut hasher = Sha256::new();
    hash(value, &ignored, 0, &mut hasher)?;
    Ok(Revision::of(&hasher.finalize()))
}

fn hash(value: &RawValue, ignored: &impl Fn(&str) -> bool, depth: usize, hasher: &mut Sha256) -> Result<()> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') if depth < MAX_DEPTH => {
            let members: BTreeMap<std::borrow::Cow<'_, str>, &RawValue> =
                serde_json::from_str(text).map_err(no_json)?;
            hasher.update(b"{");
            for (key, value) in members.iter().filter(|(key, _)| !ignored(key)) {
                hasher.update((key.len() as u64).to_be_bytes());
                hasher.update(key.as_bytes());
                hash(value, ignored, depth + 1, hasher)?;
            }
            hasher.update(b"}");
        }
        Some(b'[') if depth < MAX_DEPTH => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(no_json)?;
            hasher.update(b"[");
            items.into_iter().try_for_each(|item| hash(item, ignored, depth + 1, hasher))?;
            hasher.update(b"]");
        }
        _ => {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
    }
    Ok(())
}

/// Says where, and quotes nothing.
#[allow(clippy::needless_pass_by_value)] // the shape `map_err` takes
fn no_json(source: serde_json::Error) -> Error {
    let (line, column) = (source.line(), source.column());
    Error::new(ErrorKind::InvalidResponse, "expected a JSON object")
        .with_context("line", line)
        .with_context("column", column)
}
