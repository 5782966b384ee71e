use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use calendar::Calendars;
use consumer::Options;
use domain::{CalendarId, DestinationId, RouteId};

/// What the tracker needs besides log and store.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it answers queries; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Whether plaintext may be spoken off the loopback interface, for networks that encrypt below.
    pub allow_plaintext: bool,
    /// Working time.
    pub calendars: Arc<Calendars>,
    /// The calendar of each destination; `national-office` for others.
    pub destinations: BTreeMap<DestinationId, CalendarId>,
    /// The calendar of each route version; `national-office` for others.
    pub routes: BTreeMap<RouteId, CalendarId>,
    /// How much is read at once.
    pub options: Options,
}
