use std::fmt;
use std::sync::Arc;

use domain::Delivery;

/// Says whether a delivery may still go where it was meant to go. Asked before a dead letter is sent
/// again: the routes may have changed since.
#[derive(Clone)]
pub struct Boundary(Arc<MayGo>);

type MayGo = dyn Fn(&Delivery) -> Result<(), String> + Send + Sync;

// === impl Boundary ===

impl Boundary {
    /// A boundary that answers by this function: in words why not.
    pub fn new(may_go: impl Fn(&Delivery) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_go))
    }

    pub(crate) fn may_go(&self, delivery: &Delivery) -> Result<(), String> {
        (self.0)(delivery)
    }
}

impl Default for Boundary {
    /// Lets everything pass.
    fn default() -> Self {
        Self::new(|_| Ok(()))
    }
}

impl fmt::Debug for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Boundary")
    }
}
