use unicode_normalization::UnicodeNormalization;

/// The text as it is compared: in lower case and in one normal form. Agencies send Vietnamese in both forms,
/// composed (`ệ` is one character) and decomposed (three), and in any case.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfd().flat_map(char::to_lowercase).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_normal_form_do_not_matter() {
        const TEXT: &str = "chưa được gửi không thể cập nhật trạng thái";
        for other in [TEXT.to_owned(), TEXT.to_uppercase()] {
            assert_eq!(fold(&other), TEXT);
            assert_eq!(fold(&other.nfd().collect::<String>()), TEXT);
        }
        assert_ne!(fold("chua duoc"), fold("chưa được"));
        assert_eq!(fold("Server ERROR"), "server error");
    }
}
