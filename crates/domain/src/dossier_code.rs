use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A dossier's official code. Issued by an agency, parsed here, never invented.
///
/// Two forms circulate: Circular 01/2018/TT-VPCP Art. 19 (`000.17.22.H56-210531-0001`) and the short
/// prefix of newer systems (`G22.99-251225-020175`, `G09.20-20260609-0092637`). Opaque save for the
/// agency prefix and the date.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DossierCode {
    text: String,
    prefix_len: usize,
    date: Option<Date>,
}

/// The text is not a dossier code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "dossier code must look like `000.17.22.H56-210531-0001` or `G22.99-251225-020175`, got `{0}`"
)]
pub struct InvalidDossierCode(String);

// === impl DossierCode ===

impl DossierCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The issuing agency's code: `000.17.22.H56`, `G22.99`.
    pub fn agency_prefix(&self) -> &str {
        &self.text[..self.prefix_len]
    }

    /// The date of receipt that the code carries; `None` where its digits are no date.
    pub fn received_on(&self) -> Option<Date> {
        self.date
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (prefix, date, number) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !all_digits(date) || !all_digits(number) {
            return None;
        }
        let old = is_old_prefix(prefix) && date.len() == 6 && (4..=6).contains(&number.len());
        let new = is_new_prefix(prefix)
            && (date.len() == 6 || date.len() == 8)
            && (4..=7).contains(&number.len());
        (old || new).then(|| Self {
            text: text.to_owned(),
            prefix_len: prefix.len(),
            date: parse_date(date),
        })
    }
}

impl FromStr for DossierCode {
    type Err = InvalidDossierCode;

    fn from_str(text: &str) -> Result<Self, InvalidDossierCode> {
        Self::parse(text).ok_or_else(|| InvalidDossierCode(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for DossierCode {
    type Error = InvalidDossierCode;

    fn try_from(text: String) -> Result<Self, InvalidDossierCode> {
        text.parse()
    }
}

impl From<DossierCode> for String {
    fn from(code: DossierCode) -> String {
        code.text
    }
}

impl fmt::Display for DossierCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_agency(group: &str) -> bool {
    let bytes = group.as_bytes();
    bytes.len() == 3
        && bytes[0].is_ascii_uppercase()
        && bytes[1].is_ascii_digit()
        && bytes[2].is_ascii_digit()
}

/// Highest level last: `000.17.22.H56` (QCVN 102:2016).
fn is_old_prefix(prefix: &str) -> bool {
    let groups: Vec<&str> = prefix.split('.').collect();
    match groups.as_slice() {
        [a, b, c, agency] => {
            (a.len(), b.len(), c.len()) == (3, 2, 2)
                && [a, b, c].iter().all(|g| all_digits(g))
                && is_agency(agency)
        }
        _ => false,
    }
}

/// Highest level first: `G22.99.08` (Decision 20/2020/QĐ-TTg, at most 35 characters).
fn is_new_prefix(prefix: &str) -> bool {
    let mut groups = prefix.split('.');
    prefix.len() <= 35
        && groups.next().is_some_and(is_agency)
        && groups.all(|g| (2..=3).contains(&g.len()) && all_digits(g))
}

fn parse_date(digits: &str) -> Option<Date> {
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i16>().ok();
    let (year, rest) = match digits.len() {
        6 => (2000 + number(0..2)?, 2),
        _ => (number(0..4)?, 4),
    };
    let month = i8::try_from(number(rest..rest + 2)?).ok()?;
    let day = i8::try_from(number(rest + 2..rest + 4)?).ok()?;
    Date::new(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<Date>)>) {
        let code = text.parse::<DossierCode>().ok();
        assert_eq!(
            code.as_ref().map(|c| (c.agency_prefix(), c.received_on())),
            expected
        );
    }

    #[test]
    fn both_forms_are_read() {
        check(
            "000.17.22.H56-210531-0001",
            Some(("000.17.22.H56", Some(date(2021, 5, 31)))),
        );
        check(
            "H56.14-260921-0042",
            Some(("H56.14", Some(date(2026, 9, 21)))),
        );
        check(
            "G22.99.08-260921-896048",
            Some(("G22.99.08", Some(date(2026, 9, 21)))),
        );
        check(
            "G09.20-20260609-0092637",
            Some(("G09.20", Some(date(2026, 6, 9)))),
        );
        check("G22.99-259999-020175", Some(("G22.99", None)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "12345",
            "H56-21-1",
            "h56-210531-0001",
            "000.17.H56-210531-0001",
            "000.17.22.H56-20210531-0001",
            "G22.99-251225-020175-1",
            "G22.9-251225-0201",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "\\PC{0,40}") {
            if let Ok(code) = text.parse::<DossierCode>() {
                prop_assert_eq!(code.as_str(), text);
            }
        }
    }
}
