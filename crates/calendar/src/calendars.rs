//! All calendars of an installation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::calendar::Calendar;
use crate::file::{self, FileError};
use crate::national::national_days;

/// The calendars that `deploy/calendars` brings along.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "deploy/calendars/national-office.yaml",
        include_str!("../../../deploy/calendars/national-office.yaml"),
    ),
    (
        "deploy/calendars/social-insurance.yaml",
        include_str!("../../../deploy/calendars/social-insurance.yaml"),
    ),
    (
        "deploy/calendars/thanh-hoa-commune.yaml",
        include_str!("../../../deploy/calendars/thanh-hoa-commune.yaml"),
    ),
    (
        "deploy/calendars/ward-police.yaml",
        include_str!("../../../deploy/calendars/ward-police.yaml"),
    ),
];

/// Calendars by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendars {
    by_id: BTreeMap<String, Calendar>,
}

// === impl Calendars ===

impl Calendars {
    /// Reads (file name, text) pairs, one calendar each; the name is for messages only.
    pub fn from_yaml<N, T>(files: impl IntoIterator<Item = (N, T)>) -> Result<Self, FileError>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let national = national_days();
        let mut by_id = BTreeMap::new();
        for (name, text) in files {
            let (calendar, position) = file::read(name.as_ref(), text.as_ref(), &national)?;
            match by_id.entry(calendar.id().to_owned()) {
                Entry::Vacant(free) => free.insert(calendar),
                Entry::Occupied(taken) => {
                    return Err(FileError::SameId {
                        position,
                        id: taken.key().clone(),
                    });
                }
            };
        }
        Ok(Self { by_id })
    }

    /// The sample calendars of `deploy/calendars`, for the demo and for tests.
    pub fn built_in() -> Result<Self, FileError> {
        Self::from_yaml(BUILT_IN.iter().copied())
    }

    /// The calendar of that id.
    pub fn get(&self, id: &str) -> Option<&Calendar> {
        self.by_id.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Calendar> {
        self.by_id.values()
    }
}

/// Of calendars with the same id the last is kept.
impl FromIterator<Calendar> for Calendars {
    fn from_iter<I: IntoIterator<Item = Calendar>>(calendars: I) -> Self {
        let by_id = calendars
            .into_iter()
            .map(|calendar| (calendar.id().to_owned(), calendar));
        Self {
            by_id: by_id.collect(),
        }
    }
}
