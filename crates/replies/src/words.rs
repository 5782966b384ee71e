use regex::{Regex, RegexBuilder};

use crate::fold::fold;

/// A test of a text: one of several others is it, is in it, or matches it. Case and normal form of neither
/// side matter.
#[derive(Clone, Debug)]
pub(crate) enum Words {
    Equal(Vec<String>),
    Contained(Vec<String>),
    Matching(Vec<Regex>),
}

/// The memory that a compiled expression may take, and its search.
const REGEX_BYTES: usize = 1 << 20;
/// How deep its groups may lie in each other.
const REGEX_DEPTH: u32 = 50;

// === impl Words ===

impl Words {
    pub(crate) fn equal(texts: Vec<String>) -> Self {
        Self::Equal(texts.iter().map(|text| fold(text.trim())).collect())
    }

    pub(crate) fn contained(texts: Vec<String>) -> Self {
        Self::Contained(texts.iter().map(|text| fold(text)).collect())
    }

    /// Whether it holds for a text that was folded.
    pub(crate) fn hold(&self, folded: &str) -> bool {
        match self {
            Self::Equal(texts) => texts.iter().any(|text| text == folded.trim()),
            Self::Contained(texts) => texts.iter().any(|text| folded.contains(text.as_str())),
            Self::Matching(regexes) => regexes.iter().any(|regex| regex.is_match(folded)),
        }
    }
}

/// Compiles an expression that is matched against folded texts.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    use unicode_normalization::UnicodeNormalization;
    let composed: String = pattern.nfc().collect();
    RegexBuilder::new(&composed)
        .case_insensitive(true)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .nest_limit(REGEX_DEPTH)
        .build()
        .map_err(|error| match error {
            regex::Error::Syntax(text) => last_line(&text),
            other => other.to_string(),
        })
}

/// A syntax error draws the expression over several lines; the last one says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_either_case_and_form() {
        let regex = Words::Matching(vec![regex("HỒ SƠ [0-9]+ đã tồn tại").unwrap()]);
        assert!(regex.hold(&fold("Ho\u{302}\u{300} sơ 17 Đã Tồn Tại!")));
        assert!(!regex.hold(&fold("Hồ sơ x đã tồn tại")));
    }

    #[test]
    fn an_expression_that_would_grow_large_is_refused() {
        assert!(regex(r"\w{500}{500}").is_err());
        assert!(regex(&"(".repeat(200)).is_err());
        assert_eq!(regex("a(").unwrap_err(), "unclosed group");
    }
}
