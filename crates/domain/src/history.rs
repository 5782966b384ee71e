use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{DossierClock, Status, Transition};

/// One status fact: when it happened in the agency's world, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    /// When the status began.
    pub at: Timestamp,
    /// The status.
    pub status: Status,
}

/// The status facts of one dossier or one step, in the order in which they happened.
///
/// The state is a function of the *set* of facts, so the order of arrival cannot change where a
/// dossier ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    facts: Vec<Fact>,
}

/// What a history amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The status the state has reached.
    pub status: Status,
    /// When that status began.
    pub since: Timestamp,
    /// When the dossier or step was accepted: the receipt that starts the legal clock.
    pub accepted_at: Option<Timestamp>,
    /// When the work ended: the time of status 9, else of 10, 3, 7 or 8.
    pub ended_at: Option<Timestamp>,
    /// Closed pauses of the legal clock, oldest first, and the open one last with no end.
    pub pauses: Vec<(Timestamp, Option<Timestamp>)>,
}

// === impl History ===

impl History {
    /// How many facts one history keeps; further ones are refused by [`History::insert`].
    pub const MAX_FACTS: usize = 256;

    /// The facts, oldest first.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Adds a fact and says what it did to the state. The same fact twice changes nothing.
    ///
    /// [`Transition::Contradicts`] also stands for a status that came late: it is kept in its place
    /// and may lengthen a pause, but does not move the state back.
    pub fn insert(&mut self, fact: Fact) -> Transition {
        let Err(place) = self.facts.binary_search(&fact) else {
            return Transition::Repeats;
        };
        let before = self.fold().map(|fold| fold.status);
        if self.facts.len() >= Self::MAX_FACTS {
            return Transition::Contradicts;
        }
        self.facts.insert(place, fact);
        match (before, self.fold().map(|fold| fold.status)) {
            (None, _) => Transition::Moves,
            (Some(old), new) if new != Some(old) => Transition::Moves,
            (Some(old), _) => match old.meets(fact.status) {
                Transition::Moves => Transition::Contradicts,
                other => other,
            },
        }
    }

    /// The state that the facts amount to; `None` without any.
    pub fn fold(&self) -> Option<Fold> {
        let mut facts = self.facts.iter();
        let mut fold = Fold::start(facts.next()?);
        for fact in facts {
            if fold.status.meets(fact.status) == Transition::Moves {
                fold.advance(fact);
            }
        }
        Some(fold)
    }
}

// === impl Fold ===

impl Fold {
    fn start(fact: &Fact) -> Self {
        let mut fold = Self {
            status: fact.status,
            since: fact.at,
            accepted_at: None,
            ended_at: None,
            pauses: Vec::new(),
        };
        fold.note(fact);
        fold
    }

    fn advance(&mut self, fact: &Fact) {
        if let Some((_, end @ None)) = self.pauses.last_mut() {
            *end = Some(fact.at);
        }
        self.status = fact.status;
        self.since = fact.at;
        self.note(fact);
    }

    fn note(&mut self, fact: &Fact) {
        match fact.status.clock() {
            DossierClock::NotStarted => {}
            DossierClock::Runs => {
                self.accepted_at.get_or_insert(fact.at);
            }
            DossierClock::Pauses => self.pauses.push((fact.at, None)),
            DossierClock::Ended => {
                self.ended_at.get_or_insert(fact.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Status::*, *};

    fn fact(at: i64, status: Status) -> Fact {
        Fact {
            at: Timestamp::from_second(at).unwrap(),
            status,
        }
    }

    fn history(facts: &[Fact]) -> History {
        let mut history = History::default();
        for fact in facts {
            history.insert(*fact);
        }
        history
    }

    #[test]
    fn a_supplement_pauses_and_resumes() {
        let facts = [
            fact(0, Accepted),
            fact(10, SupplementRequested),
            fact(30, InProcess),
            fact(50, Processed),
        ];
        let fold = history(&facts).fold().unwrap();
        assert_eq!(fold.status, Processed);
        assert_eq!(fold.pauses, [(facts[1].at, Some(facts[2].at))]);
        assert_eq!(
            (fold.accepted_at, fold.ended_at),
            (Some(facts[0].at), Some(facts[3].at))
        );
    }

    #[test]
    fn processed_beats_handed_over_as_the_end() {
        let facts = [fact(0, Accepted), fact(50, Processed), fact(90, HandedOver)];
        let fold = history(&facts).fold().unwrap();
        assert_eq!(
            (fold.status, fold.ended_at),
            (HandedOver, Some(facts[1].at))
        );
    }

    #[test]
    fn late_and_contradicting_statuses_do_not_move_the_state_back() {
        let mut history = history(&[fact(0, Accepted), fact(50, Processed)]);
        assert_eq!(history.insert(fact(20, InProcess)), Transition::AfterEnd);
        assert_eq!(history.insert(fact(60, InProcess)), Transition::AfterEnd);
        assert_eq!(history.insert(fact(50, Processed)), Transition::Repeats);
        assert_eq!(history.fold().unwrap().status, Processed);
        assert_eq!(history.facts().len(), 4);
    }

    /// The facts of a whole life, with a pause, a contradiction and one after the end.
    const LIFE: [(i64, Status); 7] = [
        (0, Filed),
        (5, Accepted),
        (10, SupplementRequested),
        (30, InProcess),
        (50, Processed),
        (60, InProcess),
        (90, HandedOver),
    ];

    fn permutations(facts: &[Fact]) -> Vec<Vec<Fact>> {
        if facts.len() < 2 {
            return vec![facts.to_vec()];
        }
        let mut all = Vec::new();
        for first in 0..facts.len() {
            let mut rest = facts.to_vec();
            let first = rest.remove(first);
            for mut one in permutations(&rest) {
                one.insert(0, first);
                all.push(one);
            }
        }
        all
    }

    /// D13: every order of arrival of a whole life, 5,040 of them, ends in the same history.
    #[test]
    fn d13_all_permutations_of_a_life_end_the_same() {
        let facts = LIFE.map(|(at, status)| fact(at, status));
        let expected = history(&facts);
        let all = permutations(&facts);
        assert_eq!(all.len(), 5_040);
        for facts in all {
            assert_eq!(history(&facts), expected, "{facts:?}");
        }
        let fold = expected.fold().unwrap();
        assert_eq!((fold.status, fold.pauses.len()), (HandedOver, 1));
    }

    type Facts = Vec<(i64, usize)>;

    /// Any facts, and the same with some of them repeated, in another order.
    fn twice_told() -> impl Strategy<Value = (Facts, Facts)> {
        let facts = prop::collection::vec((0_i64..40, 0_usize..10), 1..12);
        facts.prop_flat_map(|facts| {
            let repeats = prop::sample::subsequence(facts.clone(), 0..=facts.len());
            let told = repeats.prop_map({
                let facts = facts.clone();
                move |repeats| [facts.clone(), repeats].concat()
            });
            (Just(facts), told.prop_shuffle())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// D13: late, repeated and out of order, 10,000 times.
        #[test]
        fn d13_the_order_of_arrival_does_not_matter((facts, told) in twice_told()) {
            let build = |list: &[(i64, usize)]| {
                history(&list.iter().map(|(at, s)| fact(*at, Status::ALL[*s])).collect::<Vec<_>>())
            };
            let (expected, found) = (build(&facts), build(&told));
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(found.fold(), expected.fold());
        }
    }
}
