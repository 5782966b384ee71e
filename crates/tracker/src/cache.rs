//! The dossiers that were touched last.

use std::{collections::HashMap, hash::Hash};

/// Keeps at least the newest `generation` values and at most twice as many. A value is taken out to
/// be changed and put back afterwards.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation: usize,
}

// === impl Cache ===

impl<K: Eq + Hash, V> Cache<K, V> {
    pub(crate) fn new(generation: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation,
        }
    }

    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_memory_is_bounded() {
        let mut cache = Cache::new(10);
        for key in 0..100 {
            cache.put(key, key);
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        for key in 90..100 {
            assert_eq!(cache.take(&key), Some(key));
            assert_eq!(cache.take(&key), None);
        }
        assert_eq!(cache.take(&0), None);
    }
}
