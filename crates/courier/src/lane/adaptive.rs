//! How many deliveries a destination can have in hand at once, found by trying.
//!
//! Answers are looked at a round at a time: about as many as are in flight. While they come as fast as
//! the fastest seen lately, the limit grows; when they come slower, something queues over there, and it
//! shrinks. Refusals for overload and silence shrink it more. A limit that is not reached does not grow.
//! The estimate of what queues is that of TCP Vegas: limit × (1 − fastest ÷ now). Now and then the limit
//! is lowered for a moment, so that no queue of our own hides how fast the destination is.

use std::time::Duration;

use super::breaker::Sign;

/// A limit that follows what a destination can do.
#[derive(Debug)]
pub(crate) struct Adaptive {
    cap: f64,
    is_fixed: bool,
    limit: f64,
    /// Doubles while nothing speaks against it.
    rising: bool,
    fastest: Option<f64>,
    round: Round,
    phase: Phase,
    /// Since the fastest was measured.
    rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Working,
    /// Waits until the queue of our own is gone; then goes on with that limit.
    Draining(f64),
    /// Lets those in flight pass that had waited in it.
    Settling(f64),
    /// Measures the fastest; then goes on with that limit.
    Measuring(f64),
}

/// One round of answers.
#[derive(Debug, Default)]
struct Round {
    answers: u32,
    /// The fastest answer: a queue delays this one too, while spread between cases does not.
    fastest: Option<f64>,
    reached: bool,
    overloaded: bool,
    silent: bool,
}

/// Slower than the fastest by no more than this is no sign of a queue: it is the noise of networks,
/// timers and our own scheduling.
const NOISE: f64 = 0.010;
/// The fastest is measured anew after so many rounds.
const MEASURED_FOR: u32 = 100;
const START: f64 = 4.0;

// === impl Adaptive ===

impl Adaptive {
    pub(crate) fn new(cap: usize) -> Self {
        let cap = (cap as f64).max(1.0);
        Self {
            cap,
            is_fixed: false,
            limit: START.min(cap),
            rising: true,
            fastest: None,
            round: Round::default(),
            phase: Phase::Working,
            rounds: 0,
        }
    }

    /// A limit that stays at its cap: nobody is called, so nobody can be overburdened.
    pub(crate) fn fixed(cap: usize) -> Self {
        let adaptive = Self::new(cap);
        Self {
            is_fixed: true,
            limit: adaptive.cap,
            ..adaptive
        }
    }

    /// How many may be in flight now.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Goes on from a limit that an earlier run had found.
    pub(crate) fn restore(&mut self, limit: usize) {
        if self.is_fixed {
            return;
        }
        self.limit = (limit as f64).clamp(1.0, self.cap);
        self.rising = false;
    }

    /// Another cap, by an operator; the limit follows at once.
    pub(crate) fn set_cap(&mut self, cap: usize) {
        self.cap = (cap as f64).max(1.0);
        self.limit = if self.is_fixed {
            self.cap
        } else {
            self.limit.min(self.cap)
        };
    }

    /// After a breaker closed: begins with one and doubles, so that a destination that has just come
    /// back is not flooded.
    pub(crate) fn ramp_up(&mut self) {
        self.limit = 1.0;
        self.rising = true;
        self.round = Round::default();
        self.phase = Phase::Working;
    }

    /// Counts an answer; `in_flight` with it.
    pub(crate) fn answered(&mut self, sign: Sign, took: Duration, in_flight: usize) {
        if self.is_fixed {
            return;
        }
        if let Phase::Draining(after) = self.phase
            && in_flight <= self.limit()
        {
            self.phase = Phase::Settling(after);
            self.round = Round::default();
        }
        let round = &mut self.round;
        round.answers += 1;
        round.reached |= in_flight >= self.limit as usize;
        match sign {
            Sign::Works => {
                let took = took.as_secs_f64();
                round.fastest = Some(round.fastest.map_or(took, |fastest| fastest.min(took)));
            }
            Sign::Overloaded => round.overloaded = true,
            Sign::Silent => round.silent = true,
            Sign::Failed | Sign::Away => {}
        }
        if f64::from(round.answers) >= self.limit.floor() {
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        let round = std::mem::take(&mut self.round);
        match self.phase {
            Phase::Draining(_) => return,
            Phase::Settling(after) => {
                self.phase = Phase::Measuring(after);
                return;
            }
            Phase::Working | Phase::Measuring(_) => {}
        }
        if round.silent || round.overloaded {
            let share = if round.silent { 0.5 } else { 0.7 };
            return self.shrink(share);
        }
        let Some(took) = round.fastest else {
            return;
        };
        if let Phase::Measuring(after) = self.phase {
            self.rising = self.fastest.is_some_and(|fastest| took > 1.5 * fastest);
            self.fastest = Some(took);
            self.limit = after.min(self.cap);
            self.phase = Phase::Working;
            self.rounds = 0;
            return;
        }
        self.rounds += 1;
        if self.rounds >= MEASURED_FOR && round.reached {
            self.phase = Phase::Draining(self.limit);
            self.limit = (self.limit / 3.0).max(1.0);
            return;
        }
        let queue = self.queue(took);
        if queue > self.limit.mul_add(0.2, 2.0) {
            self.shrink(0.9);
        } else if round.reached && queue < self.limit.mul_add(0.1, 1.0) {
            let step = if self.rising { self.limit } else { 1.0 };
            self.limit = (self.limit + step).min(self.cap);
        } else if round.reached {
            self.rising = false;
        }
    }

    /// How many of those in flight seem to queue at the destination.
    fn queue(&mut self, took: f64) -> f64 {
        let fastest = self.fastest.map_or(took, |fastest| fastest.min(took));
        self.fastest = Some(fastest);
        if took - fastest < NOISE {
            return 0.0;
        }
        self.limit * (1.0 - fastest / took)
    }

    fn shrink(&mut self, share: f64) {
        self.rising = false;
        if let Phase::Measuring(after) = self.phase {
            self.limit = self.limit.max(after);
            self.phase = Phase::Working;
        }
        self.limit = (self.limit * share).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    /// A destination with so many desks, each taking so long; more wait in line. Above `refuses` it
    /// answers "too many" at once. Time is simulated.
    struct Office {
        desks: usize,
        service: u64,
        refuses: usize,
    }

    /// Feeds the limit from an endless queue for a while; answers the limits seen in the last half.
    fn work(limit: &mut Adaptive, office: &Office, answers: usize) -> Vec<usize> {
        let mut now = 0;
        let mut in_flight: BinaryHeap<Reverse<(u64, u64, bool)>> = BinaryHeap::new();
        let mut desks: BinaryHeap<Reverse<u64>> = (0..office.desks).map(|_| Reverse(0)).collect();
        let mut seen = Vec::new();
        for n in 0..answers {
            while in_flight.len() < limit.limit() {
                if in_flight.len() >= office.refuses {
                    in_flight.push(Reverse((now + 1_000, now, false)));
                    continue;
                }
                let Reverse(free) = desks.pop().unwrap();
                let end = free.max(now) + office.service;
                desks.push(Reverse(end));
                in_flight.push(Reverse((end, now, true)));
            }
            let flying = in_flight.len();
            let Reverse((end, sent, served)) = in_flight.pop().unwrap();
            now = end;
            let sign = if served {
                Sign::Works
            } else {
                Sign::Overloaded
            };
            limit.answered(sign, Duration::from_micros(end - sent), flying);
            if n > answers / 2 {
                seen.push(limit.limit());
            }
        }
        seen
    }

    fn mean(limits: &[usize]) -> f64 {
        limits.iter().sum::<usize>() as f64 / limits.len() as f64
    }

    fn office(desks: usize, service_ms: u64) -> Office {
        Office {
            desks,
            service: service_ms * 1_000,
            refuses: usize::MAX,
        }
    }

    #[test]
    fn it_finds_the_capacity_without_being_told() {
        for (desks, service) in [(1, 100), (5, 200), (20, 100), (50, 1_000), (100, 300)] {
            let mut limit = Adaptive::new(1_000);
            let limits = work(&mut limit, &office(desks, service), 20_000);
            let found = mean(&limits) / desks as f64;
            // One at each desk, and at most one waiting for it.
            let most = 2.1 + 3.0 / desks as f64;
            assert!(
                (0.9..most).contains(&found),
                "{desks} desks, found {found:.2} times as many"
            );
        }
    }

    #[test]
    fn it_follows_when_the_capacity_falls_and_rises() {
        let mut limit = Adaptive::new(1_000);
        let many = mean(&work(&mut limit, &office(40, 200), 10_000));
        let few = mean(&work(&mut limit, &office(5, 200), 10_000));
        let again = mean(&work(&mut limit, &office(40, 200), 40_000));
        assert!(few < many / 2.0, "{many} then {few}");
        assert!(again > many * 0.7, "{many}, {few}, then {again}");
    }

    #[test]
    fn it_heeds_refusals_for_overload() {
        let office = Office {
            refuses: 10,
            ..office(1_000, 100)
        };
        let limits = work(&mut Adaptive::new(1_000), &office, 20_000);
        assert!((6.0..14.0).contains(&mean(&limits)), "{}", mean(&limits));
    }

    #[test]
    fn a_fast_destination_gets_its_cap_in_a_few_rounds() {
        let mut limit = Adaptive::new(64);
        let mut answers = 0;
        while limit.limit() < 64 {
            limit.answered(Sign::Works, Duration::from_millis(5), limit.limit());
            answers += 1;
            assert!(answers < 200);
        }
    }

    #[test]
    fn a_limit_that_is_not_reached_does_not_grow() {
        let mut limit = Adaptive::new(64);
        for _ in 0..1_000 {
            limit.answered(Sign::Works, Duration::from_millis(5), 1);
        }
        assert_eq!(limit.limit(), 4);
    }

    #[test]
    fn silence_halves_it_and_a_recovery_begins_with_one() {
        let mut limit = Adaptive::new(8);
        limit.restore(8);
        for _ in 0..8 {
            limit.answered(Sign::Silent, Duration::from_secs(10), 8);
        }
        assert_eq!(limit.limit(), 4);
        limit.ramp_up();
        let mut limits = Vec::new();
        for _ in 0..15 {
            limit.answered(Sign::Works, Duration::from_millis(5), limit.limit());
            limits.push(limit.limit());
        }
        limits.dedup();
        assert_eq!(limits, [2, 4, 8]);
    }

    proptest! {
        #[test]
        fn it_stays_between_one_and_its_cap(
            cap in 1_usize..200,
            answers in prop::collection::vec((0..5_usize, 0_u64..100_000, 0_usize..200), 0..400),
        ) {
            let signs = [Sign::Works, Sign::Overloaded, Sign::Failed, Sign::Away, Sign::Silent];
            let mut limit = Adaptive::new(cap);
            for (sign, took, in_flight) in answers {
                limit.answered(signs[sign], Duration::from_millis(took), in_flight);
                prop_assert!((1..=cap).contains(&limit.limit()));
            }
        }
    }
}
