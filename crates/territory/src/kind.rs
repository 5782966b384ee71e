use std::fmt;

/// What a commune-level unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// *Xã*.
    Commune,
    /// *Phường*.
    Ward,
    /// *Thị trấn*; ended on 30 June 2025.
    Township,
    /// *Đặc khu*; since 1 July 2025.
    SpecialZone,
}

/// What a province-level unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProvinceKind {
    /// *Tỉnh*.
    Province,
    /// *Thành phố*, a city directly under the central government.
    City,
}

// === impl Kind ===

impl Kind {
    /// The Vietnamese word, as it stands before the unit's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commune => "Xã",
            Self::Ward => "Phường",
            Self::Township => "Thị trấn",
            Self::SpecialZone => "Đặc khu",
        }
    }

    pub(crate) fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "X" => Some(Self::Commune),
            "P" => Some(Self::Ward),
            "T" => Some(Self::Township),
            "D" => Some(Self::SpecialZone),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

// === impl ProvinceKind ===

impl ProvinceKind {
    /// The Vietnamese word, as it stands before the province's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Province => "Tỉnh",
            Self::City => "Thành phố",
        }
    }

    pub(crate) fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "T" => Some(Self::Province),
            "C" => Some(Self::City),
            _ => None,
        }
    }
}

impl fmt::Display for ProvinceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
