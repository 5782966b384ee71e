use std::sync::Arc;

use calendar::Calendars;
use consumer::Options;
use routes::RouteSet;
use territory::Territory;

/// What the router needs besides log and store.
#[derive(Clone, Debug)]
pub struct Config {
    /// What decisions rest on.
    pub plan: Plan,
    /// How much is read at once.
    pub options: Options,
}

/// Routes, units and working time: everything that a decision may look at besides the event and the
/// dossier's state.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Routes and destinations.
    pub routes: Arc<RouteSet>,
    /// Units and their succession.
    pub territory: Arc<Territory>,
    /// Working time.
    pub calendars: Arc<Calendars>,
}
