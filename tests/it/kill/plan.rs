use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::harness::variable;

/// How much a kill run does.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    /// Kills of each role.
    pub(crate) kills: u32,
    /// Kills of the courier's process in its own run.
    pub(crate) courier_kills: u32,
    /// Kills of the whole.
    pub(crate) whole_kills: u32,
    /// At least so many events.
    pub(crate) events: usize,
    /// Dossiers a second.
    pub(crate) rate: u32,
    /// What chances come from; `LIENTHONG_SEED` repeats a run.
    pub(crate) seed: u64,
}

// === impl Numbers ===

impl Numbers {
    /// Kills of each role in a quick run.
    const KILLS: u32 = 20;
    /// Kills of each role from which on a run is a full one.
    const FULL: u32 = 50;
    /// Events of a full run, over its roles and its whole.
    const EVENTS: usize = 20_000;
    const RATE: u32 = 100;

    /// `parts` of five of the events are this run's.
    pub(crate) fn read(parts: usize) -> Self {
        let number = |name: &str| variable(name).and_then(|text| text.parse().ok());
        let asked = number("LIENTHONG_KILLS").map(|kills: u64| kills as u32);
        let kills = asked.unwrap_or(Self::KILLS);
        let events = if kills >= Self::FULL {
            Self::EVENTS * parts / 5
        } else {
            0
        };
        Self {
            kills,
            courier_kills: asked.map_or(Self::KILLS, |kills| kills * 4),
            whole_kills: (kills * 2 / 5).max(4),
            events,
            rate: Self::RATE,
            seed: number("LIENTHONG_SEED").unwrap_or_else(|| rand::rng().random()),
        }
    }

    /// Whether this is a full run.
    pub(crate) fn is_full(&self) -> bool {
        self.kills >= Self::FULL
    }

    pub(crate) fn chance(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}
