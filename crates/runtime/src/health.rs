use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

type StatusSource = Arc<dyn Fn() -> Value + Send + Sync>;

/// What `/ready` and `/status` tell: each role says how it stands.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

/// How a role stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has not begun to work.
    Starting,
    /// It works.
    Ready,
    /// It cannot work, and says why.
    NotReady(String),
}

#[derive(Default)]
struct State {
    roles: BTreeMap<&'static str, Readiness>,
    sources: BTreeMap<&'static str, StatusSource>,
}

// === impl Health ===

impl Health {
    /// Says how a role stands.
    pub fn set(&self, role: &'static str, readiness: Readiness) {
        self.lock().roles.insert(role, readiness);
    }

    /// Registers what `/status` shows of a role.
    pub fn register(&self, role: &'static str, source: impl Fn() -> Value + Send + Sync + 'static) {
        self.lock().sources.insert(role, Arc::new(source));
    }

    /// The roles that are not ready, with the reason; empty when all are.
    pub fn not_ready(&self) -> Vec<(&'static str, String)> {
        let state = self.lock();
        let reasons = state
            .roles
            .iter()
            .filter_map(|(role, readiness)| match readiness {
                Readiness::Ready => None,
                other => Some((*role, other.to_string())),
            });
        reasons.collect()
    }

    /// Everything the roles tell of themselves.
    pub fn status(&self) -> Value {
        let (roles, sources) = {
            let state = self.lock();
            (state.roles.clone(), state.sources.clone())
        };
        let mut all = Map::new();
        for (role, readiness) in roles {
            let mut entry = Map::new();
            entry.insert("readiness".to_owned(), readiness.to_string().into());
            if let Some(source) = sources.get(role) {
                entry.insert("status".to_owned(), source());
            }
            all.insert(role.to_owned(), entry.into());
        }
        all.into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&self.lock().roles).finish()
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Ready => f.write_str("ready"),
            Self::NotReady(reason) => write!(f, "not ready: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_role_is() {
        let health = Health::default();
        health.set("router", Readiness::Starting);
        assert_eq!(health.not_ready(), [("router", "starting".to_owned())]);
        health.set("router", Readiness::Ready);
        assert!(health.not_ready().is_empty());
    }

    #[test]
    fn status_shows_what_a_role_registered() {
        let health = Health::default();
        health.set("router", Readiness::Ready);
        health.register("router", || serde_json::json!({"open": 3}));
        assert_eq!(health.status()["router"]["status"]["open"], 3);
    }
}
