use domain::RecordId;
use rand::{SeedableRng, rngs::StdRng};

/// A generator for one decision: the same seed and parts always give the same one, whatever was decided
/// before.
pub(crate) fn chance(seed: u64, kind: &str, parts: &[&str]) -> StdRng {
    let id = RecordId::of(kind, parts);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.as_bytes()[..8]);
    StdRng::seed_from_u64(seed ^ u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn chance_depends_on_the_seed_and_the_parts_alone() {
        let draw = |seed, parts: &[&str]| chance(seed, "test", parts).random::<u64>();
        assert_eq!(draw(1, &["a", "b"]), draw(1, &["a", "b"]));
        assert_ne!(draw(1, &["a", "b"]), draw(2, &["a", "b"]));
        assert_ne!(draw(1, &["a", "b"]), draw(1, &["ab"]));
    }
}
