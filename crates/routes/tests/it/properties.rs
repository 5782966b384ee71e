//! What holds for every route.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use crate::good::{DESTINATIONS, ROUTE, read};

/// Each step's number with those of the steps that it waits for, in the order of the file.
type Waits = Vec<(usize, Vec<usize>)>;

/// A route of the steps `s0`, `s1`, …
fn route(waits: &Waits) -> String {
    let head = &ROUTE[..ROUTE.find("  - id: civil-status").unwrap()];
    let first = ROUTE.find("    agency: justice").unwrap();
    let rest = &ROUTE[first..ROUTE.find("  - id: residence").unwrap()];
    let mut text = head.to_owned();
    for (step, after) in waits {
        let after: Vec<_> = after.iter().map(|before| format!("s{before}")).collect();
        text += &format!("  - id: s{step}\n    after: [{}]\n{rest}", after.join(", "));
    }
    text
}

/// Up to seven steps, each waiting for any of those with a lower number, shuffled.
fn waits() -> impl Strategy<Value = Waits> {
    let numbered = |picks: Vec<Vec<bool>>| {
        let picked = |picks: Vec<bool>| {
            let steps = picks.into_iter().enumerate();
            steps
                .filter_map(|(step, picked)| picked.then_some(step))
                .collect()
        };
        let steps = picks.into_iter().map(picked).enumerate();
        steps.collect::<Waits>()
    };
    (1..8_usize)
        .prop_flat_map(|count| {
            let of_step = |step| prop::collection::vec(any::<bool>(), step);
            (0..count).map(of_step).collect::<Vec<_>>()
        })
        .prop_map(numbered)
        .prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn each_step_opens_once_and_after_all_it_waits_for(
        waits in waits(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let set = read(&route(&waits), DESTINATIONS).unwrap();
        let route = set.routes().next().unwrap();
        let mut open: Vec<_> = route.first_steps().map(|step| step.id.clone()).collect();
        let mut opened: BTreeSet<_> = open.iter().cloned().collect();
        let mut ended = BTreeSet::new();
        let mut choices = VecDeque::from(choices);
        while !open.is_empty() {
            let next = open.swap_remove(choices.pop_front().unwrap().index(open.len()));
            ended.insert(next);
            for step in route.opened_by(&ended) {
                prop_assert!(step.after.iter().all(|before| ended.contains(before)));
                if opened.insert(step.id.clone()) {
                    open.push(step.id.clone());
                } else {
                    prop_assert!(open.contains(&step.id), "{} opens again", step.id);
                }
            }
        }
        prop_assert_eq!(ended.len(), waits.len());
    }

    #[test]
    fn a_route_that_goes_in_circles_is_refused(waits in waits(), pick in any::<prop::sample::Index>()) {
        // Let the first step wait for a step that waits for it, or for itself.
        let mut waits = waits;
        let last = pick.index(waits.len());
        for (step, after) in &mut waits {
            match *step {
                0 => after.push(last),
                step if step <= last => after.push(step - 1),
                _ => {}
            }
        }
        let problems = read(&route(&waits), DESTINATIONS).unwrap_err();
        prop_assert!(problems.contains("steps wait for each other: s"), "{}", problems);
    }

    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,60}", at in any::<prop::sample::Index>()) {
        let mut broken = ROUTE.to_owned();
        let place = broken.char_indices().map(|(place, _)| place).collect::<Vec<_>>();
        broken.insert_str(place[at.index(place.len())], &text);
        let _ = read(&broken, DESTINATIONS);
        let _ = read(ROUTE, &text);
    }
}
