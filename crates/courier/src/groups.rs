//! Dead letters by cause.

use std::collections::BTreeMap;

use domain::{DeliveryId, RecordId};

use crate::entry::Millis;

/// Dead letters with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) destination: String,
    pub(crate) class: String,
    /// The text with placeholders.
    pub(crate) text: String,
    pub(crate) count: u64,
    pub(crate) first: Millis,
    pub(crate) last: Millis,
    pub(crate) sample: DeliveryId,
}

/// Collects groups.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

/// Longer texts are cut: what comes later tells causes apart no more.
const LONGEST: usize = 200;
/// The shortest run of hexadecimal digits without any other digit that is taken for one.
const SHORTEST_HEX: usize = 8;

/// The id of the group of a dead letter.
pub(crate) fn group_id(destination: &str, class: &str, detail: &str) -> String {
    let text = fingerprint(detail);
    let id = RecordId::of("dead-group", &[destination, class, &text]);
    id.to_string()[..16].to_owned()
}

/// The text of an answer with what differs from delivery to delivery replaced: quoted parts by `"…"`,
/// numbers, dates and times by `#`, ids and digests by `<id>`. Status codes behind `HTTP` and short error
/// codes stay, for they name the cause.
pub(crate) fn fingerprint(text: &str) -> String {
    let text = unquoted(text);
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let is_status = words.last().is_some_and(|last| last == "HTTP");
        words.push(if is_status {
            word.to_owned()
        } else {
            plain(word)
        });
    }
    words.join(" ").chars().take(LONGEST).collect()
}

fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.chars().next() {
        let behind = &rest[open.len_utf8()..];
        let begins_word = !out.chars().next_back().is_some_and(char::is_alphanumeric);
        let end = closing(open)
            .filter(|_| begins_word)
            .and_then(|close| ending(behind, close));
        match end {
            Some(end) => {
                out.push_str("\"…\"");
                rest = &behind[end..];
            }
            None => {
                out.push(open);
                rest = behind;
            }
        }
    }
    out
}

fn closing(open: char) -> Option<char> {
    Some(match open {
        '"' | '\'' | '`' => open,
        '“' => '”',
        '‘' => '’',
        '«' => '»',
        _ => return None,
    })
}

/// Behind the closing quotation mark, which no word may go on behind.
fn ending(text: &str, close: char) -> Option<usize> {
    let ends = text.match_indices(close).map(|(at, mark)| at + mark.len());
    let mut ends = ends.filter(|end| !text[*end..].starts_with(char::is_alphanumeric));
    ends.next()
}

/// A word without what differs, with the punctuation around it.
fn plain(word: &str) -> String {
    let begin = word.find(char::is_alphanumeric).unwrap_or(word.len());
    let (before, rest) = word.split_at(begin);
    let end = rest
        .char_indices()
        .rfind(|(_, c)| c.is_alphanumeric())
        .map_or(0, |(at, c)| at + c.len_utf8());
    let (core, after) = rest.split_at(end);
    let core = match core.split_once('=') {
        Some((name, value)) => format!("{name}={}", placeholder(value)),
        None => placeholder(core),
    };
    format!("{before}{core}{after}")
}

fn placeholder(core: &str) -> String {
    let is_digit = |c: char| c.is_numeric();
    let is_separator = |c: char| matches!(c, '.' | ',' | ':' | '/' | '-' | '_' | '%' | '+');
    let digits = core.chars().filter(|c| is_digit(*c)).count();
    let is_hex = core.len() >= SHORTEST_HEX && core.bytes().all(|b| b.is_ascii_hexdigit());
    if digits == 0 {
        return if is_hex { "<id>" } else { core }.to_owned();
    }
    if is_error_code(core, digits) {
        return core.to_owned();
    }
    let is_unit = |c: char| c.is_ascii_lowercase() || matches!(c, 'T' | 'Z');
    if core.chars().all(|c| is_digit(c) || is_separator(c)) {
        return "#".to_owned();
    }
    // 250ms, 3s, 2026-09-21T02:00:00Z
    let is_measure = core.starts_with(is_digit)
        && core
            .chars()
            .all(|c| is_digit(c) || is_separator(c) || is_unit(c))
        && core.chars().filter(|c| is_unit(*c)).count() <= 2;
    if is_measure { "#" } else { "<id>" }.to_owned()
}

/// `E1`, `GW4002`, `ERR-042`: capital letters, then few digits.
fn is_error_code(core: &str, digits: usize) -> bool {
    let letters = core.chars().take_while(char::is_ascii_uppercase).count();
    let rest = core[letters..].trim_start_matches(['-', '_']);
    letters > 0 && digits <= 4 && core.len() <= 8 && rest.bytes().all(|b| b.is_ascii_digit())
}

// === impl Groups ===

impl Groups {
    /// Counts a dead letter.
    pub(crate) fn add(
        &mut self,
        id: DeliveryId,
        destination: &str,
        class: &str,
        detail: &str,
        dead_at: Millis,
    ) {
        let group = group_id(destination, class, detail);
        let group = self.0.entry(group.clone()).or_insert_with(|| Group {
            id: group,
            destination: destination.to_owned(),
            class: class.to_owned(),
            text: fingerprint(detail),
            count: 0,
            first: dead_at,
            last: dead_at,
            sample: id,
        });
        group.count += 1;
        group.first = group.first.min(dead_at);
        group.last = group.last.max(dead_at);
    }

    /// The largest first.
    pub(crate) fn largest(self, most: usize) -> Vec<Group> {
        let mut groups: Vec<Group> = self.0.into_values().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.id.cmp(&b.id)));
        groups.truncate(most);
        groups
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(fingerprint(text), expected);
    }

    #[test]
    fn numbers_ids_and_quoted_parts_do_not_tell_causes_apart() {
        check("no answer within 10000 ms", "no answer within # ms");
        check("took 250ms, at 2026-09-21T02:00:00Z", "took #, at #");
        check(
            "dossier 4f1c9a52-77b0-4c1e-9b55-0123456789ab is unknown",
            "dossier <id> is unknown",
        );
        check("digest deadbeefcafe (decade)", "digest <id> (decade)");
        check(
            "field \"hoTen\" must be 'x y', can't be `z`",
            "field \"…\" must be \"…\", can't be \"…\"",
        );
        check("id=42 key=abc", "id=# key=abc");
    }

    #[test]
    fn codes_that_name_the_cause_stay() {
        check("HTTP 422: the form", "HTTP 422: the form");
        check(
            "not taken: E1 scripted refusal",
            "not taken: E1 scripted refusal",
        );
        check(
            "ERR-042 and GW4002 but HS123456",
            "ERR-042 and GW4002 but <id>",
        );
    }

    #[test]
    fn vietnamese_answers_group_by_their_words() {
        check(
            "Hồ sơ H56.14-260921-0042 không tồn tại trên hệ thống",
            "Hồ sơ <id> không tồn tại trên hệ thống",
        );
        check(
            "Mã hồ sơ “H56.14-260921-0042” đã được tiếp nhận lúc 08:15 ngày 21/09/2026.",
            "Mã hồ sơ \"…\" đã được tiếp nhận lúc # ngày #.",
        );
        check(
            "Lỗi 5 lần, thiếu trường ‘ngaySinh’",
            "Lỗi # lần, thiếu trường \"…\"",
        );
    }

    proptest! {
        #[test]
        fn a_fingerprint_has_no_longer_text_and_is_its_own(text in ".{0,300}") {
            let once = fingerprint(&text);
            prop_assert!(once.chars().count() <= LONGEST);
        }

        #[test]
        fn numbers_never_make_another_group(a in 0..1_000_000_u32, b in 0..1_000_000_u32) {
            let text = |n: u32| format!("hồ sơ số {n} bị từ chối sau {n} ms");
            prop_assert_eq!(fingerprint(&text(a)), fingerprint(&text(b)));
        }
    }

    #[test]
    fn groups_count_and_date_their_dead_letters() {
        let mut groups = Groups::default();
        let mut add = |n: u8, detail: &str, at| {
            groups.add(
                DeliveryId::from([n; 16]),
                "justice",
                "permanent",
                detail,
                Millis(at),
            );
        };
        add(1, "form 1 is wrong", 30);
        add(2, "form 22 is wrong", 10);
        add(3, "another", 20);
        let groups = groups.largest(10);
        assert_eq!(groups.len(), 2);
        let first = &groups[0];
        assert_eq!((first.count, first.text.as_str()), (2, "form # is wrong"));
        assert_eq!((first.first, first.last), (Millis(10), Millis(30)));
        assert_eq!(first.sample, DeliveryId::from([1; 16]));
        assert_eq!(
            first.id,
            group_id("justice", "permanent", "form 333 is wrong")
        );
        assert_ne!(
            first.id,
            group_id("police", "permanent", "form 333 is wrong")
        );
    }
}
