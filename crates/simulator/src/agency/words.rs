//! What inboxes of every protocol have in common.

use std::time::Duration;

use serde_json::Value;

/// The header and metadata key of a signature (Standard Webhooks).
pub(super) const SIGNATURE: &str = "webhook-signature";

/// As provincial systems word it.
pub(super) const OUT_OF_ORDER: &str = "hồ sơ chưa được gửi không thể cập nhật trạng thái";

pub(super) const CONFLICT: &str = "another content came under this id before";

/// The members of the synthetic payloads of simulator and conformance kit.
const KNOWN_MEMBERS: [&str; 4] = ["applicant", "conformance", "filler", "note"];

/// Whether a JSON payload has members that the reference agency does not know.
pub(super) fn has_unknown_member(payload: &[u8]) -> bool {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) => {
            let mut names = members.keys();
            names.any(|name| !KNOWN_MEMBERS.contains(&name.as_str()))
        }
        _ => false,
    }
}

/// Whole seconds, never fewer than asked for.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
