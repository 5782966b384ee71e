//! Statuses that come late, again and out of order (D13).

use super::*;

/// When, which status, and of which step; of the dossier without one.
type Told = (i64, usize, Option<usize>);

/// Any statuses, and the same with some of them repeated under other ids, in another order.
fn twice_told() -> impl Strategy<Value = (Vec<Told>, Vec<Told>)> {
    let one = (0_i64..120, 0_usize..10, prop::option::of(0_usize..3));
    prop::collection::vec(one, 1..8).prop_flat_map(|told| {
        let repeats = prop::sample::subsequence(told.clone(), 0..=told.len());
        let again = repeats.prop_map({
            let told = told.clone();
            move |repeats| [told.clone(), repeats].concat()
        });
        (Just(told), again.prop_shuffle())
    })
}

/// The dossier with three steps after these statuses, without its timeline, which keeps the order of
/// arrival, and without the id of the event that names it.
fn dossier(told: &[Told]) -> State {
    let deliveries = STEPS.map(|step| News::Delivery(delivery(step, 0, 33)));
    let statuses = told.iter().enumerate().map(|(n, (at, kind, step))| {
        let step = step.map(|step| STEPS[step]);
        status(&format!("e-{n}"), *at, Status::ALL[*kind], step)
    });
    let mut state = folded(deliveries.into_iter().chain(statuses));
    state.tail = Tail::default();
    state.named.as_mut().unwrap().by = Namer::Event(hour(0), String::new());
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// D13: states, pauses, deadlines and ends of the dossier and its steps are the same for all orders.
    #[test]
    fn d13_late_repeated_and_disordered_statuses_end_in_the_same_dossier(
        (told, again) in twice_told(),
    ) {
        prop_assert_eq!(dossier(&again), dossier(&told));
    }
}
