use std::collections::BTreeMap;

/// Steps and, for each, the steps it waits for (names that are no steps are passed over).
type Waits<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// A ring of steps that wait for each other, each one followed by a step that it waits for.
pub(crate) fn find<'a>(waits: &Waits<'a>) -> Option<Vec<&'a str>> {
    let mut open = waits.clone();
    loop {
        let free: Vec<&str> = open
            .iter()
            .filter(|(_, after)| !after.iter().any(|before| open.contains_key(before)))
            .map(|(step, _)| *step)
            .collect();
        if free.is_empty() {
            return ring(&open);
        }
        open.retain(|step, _| !free.contains(step));
    }
}

/// Every step left waits for another one that is left, so following any of them runs into a ring.
fn ring<'a>(open: &Waits<'a>) -> Option<Vec<&'a str>> {
    let mut step = *open.keys().next()?;
    let mut path = Vec::new();
    while !path.contains(&step) {
        path.push(step);
        let after = open.get(step)?;
        step = after.iter().find(|before| open.contains_key(*before))?;
    }
    let start = path.iter().position(|seen| *seen == step)?;
    Some(path.split_off(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(waits: &[(&'static str, &[&'static str])], expected: Option<&[&str]>) {
        let waits: Waits<'_> = waits
            .iter()
            .map(|(step, after)| (*step, after.to_vec()))
            .collect();
        assert_eq!(find(&waits).as_deref(), expected);
    }

    #[test]
    fn a_ring_is_found_and_what_leads_to_it_left_out() {
        check(&[], None);
        check(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"])], None);
        check(&[("a", &["no-step"])], None);
        check(&[("a", &["a"])], Some(&["a"]));
        check(
            &[("a", &["b"]), ("b", &["c"]), ("c", &["d", "b"]), ("d", &[])],
            Some(&["b", "c"]),
        );
    }
}
