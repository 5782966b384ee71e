//! When the write-ahead file is copied back while nothing waits to be written: early and in small
//! pieces. While a large piece is synced every other file on the disk waits for its own sync, the log's
//! too. Under full load nothing of this happens; there the file grows to the size at which `SQLite`
//! copies it back by itself.

use std::time::Instant;

/// Of one file.
#[derive(Default)]
pub(super) struct Copying {
    has_commits: bool,
    not_before: Option<Instant>,
}

// === impl Copying ===

impl Copying {
    /// From the start of one copy to that of the next passes at least so many times what the first took.
    const SPARED: u32 = 10;

    /// Something was written, or part of it.
    pub(super) fn committed(&mut self) {
        self.has_commits = true;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.has_commits && self.not_before.is_none_or(|instant| now >= instant)
    }

    pub(super) fn ended(&mut self, begun: Instant, now: Instant) {
        let pause = now.duration_since(begun).saturating_mul(Self::SPARED);
        self.has_commits = false;
        self.not_before = begun.checked_add(pause);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_nothing_was_written_to_is_not_copied() {
        let now = Instant::now();
        let mut copying = Copying::default();
        assert!(!copying.is_due(now));
        copying.committed();
        assert!(copying.is_due(now));
        copying.ended(now, now);
        assert!(!copying.is_due(now + Duration::from_secs(60)));
    }

    #[test]
    fn copying_takes_a_tenth_of_the_time_at_most() {
        let begun = Instant::now();
        let mut copying = Copying::default();
        copying.ended(begun, begun + Duration::from_millis(7));
        copying.committed();
        assert!(!copying.is_due(begun + Duration::from_millis(69)));
        assert!(copying.is_due(begun + Duration::from_millis(70)));
    }
}
