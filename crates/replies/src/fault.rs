use crate::fold::fold;
use crate::xml::{self, Piece};

/// A SOAP fault, 1.1 or 1.2; all texts folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Its code and subcodes, without their prefixes.
    pub(crate) codes: Vec<String>,
    /// Its reasons, and every text of its detail.
    pub(crate) texts: Vec<String>,
}

/// Where a fault lies. Namespaces are not asked for: old systems get them wrong.
const PATH: [&str; 3] = ["Envelope", "Body", "Fault"];

// === impl Fault ===

impl Fault {
    /// The fault that a body carries.
    pub(crate) fn read(body: &str) -> Option<Self> {
        // Cheaper than to parse what has none.
        if !body.contains("Fault") {
            return None;
        }
        let mut fault = None;
        xml::walk(body, |path, piece| {
            if path.len() >= PATH.len() && path.iter().zip(PATH).all(|(name, on)| name == on) {
                let fault = fault.get_or_insert_with(Self::default);
                if let Piece::Text(text) = piece {
                    fault.add(&path[PATH.len()..], text);
                }
            }
        })?;
        fault
    }

    /// Adds a text by the elements around it, the fault's own first.
    fn add(&mut self, around: &[String], text: &str) {
        let Some((part, inner)) = around.split_first() else {
            return;
        };
        let is_value = inner.last().is_some_and(|name| name == "Value");
        match part.as_str() {
            "faultcode" => self.codes.push(code(text)),
            "Code" if is_value => self.codes.push(code(text)),
            "faultstring" | "Reason" | "detail" | "Detail" => self.texts.push(fold(text)),
            _ => {}
        }
    }
}

/// Every text of an XML body, with its escapes resolved, folded.
pub(crate) fn texts(body: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let walked = xml::walk(body, |_, piece| {
        if let Piece::Text(text) = piece {
            texts.push(fold(text));
        }
    });
    walked.map_or_else(Vec::new, |()| texts)
}

fn code(text: &str) -> String {
    fold(text.trim().rsplit(':').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, codes: &[&str], texts: &[&str]) {
        let fault = Fault::read(body).unwrap();
        assert_eq!(fault.codes, codes);
        assert_eq!(fault.texts, texts);
    }

    #[test]
    fn both_versions_are_read_whatever_their_prefixes() {
        check(
            "<?xml version='1.0' encoding='utf-8'?>\n<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>\
             <s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>L&#7895;i</faultstring>\
             <detail><code>E7</code></detail></s:Fault></s:Body></s:Envelope>",
            &["server"],
            &["lỗi", "e7"],
        );
        check(
            "<Envelope><Header/><Body><Fault><Code><Value>env:Sender</Value><Subcode><Value>m:Late</Value></Subcode>\
             </Code><Reason><Text xml:lang='vi'><![CDATA[Quá hạn]]></Text></Reason></Fault></Body></Envelope>",
            &["sender", "late"],
            &["quá hạn"],
        );
    }

    #[test]
    fn what_is_no_fault_is_none() {
        for body in [
            "",
            "<Fault/>",
            "<Envelope><Body><Result>Fault</Result></Body></Envelope>",
            "<Envelope><Body><Fault></Body></Envelope>",
            "<Envelope><Body><Fault/></Envelope></Body>",
            "<!DOCTYPE Envelope><Envelope><Body><Fault/></Body></Envelope>",
            "<Envelope><Body><Fault><detail>&agrave;</detail></Fault></Body></Envelope>",
        ] {
            assert_eq!(Fault::read(body), None, "{body}");
        }
    }

    #[test]
    fn a_body_with_entities_of_its_own_is_not_read() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"Fault\"><!ENTITY b \"&a;&a;&a;\">]>\
                    <Envelope><Body><Fault><faultstring>&b;</faultstring></Fault></Body></Envelope>";
        assert_eq!(Fault::read(bomb), None);
        assert_eq!(texts(bomb), Vec::<String>::new());
    }

    #[test]
    fn a_body_as_deep_as_it_is_long_is_survived() {
        let deep = format!("{}Fault", "<a>".repeat(40_000));
        assert_eq!(Fault::read(&deep), None);
        let closed = |depth| format!("{}Fault{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(texts(&closed(xml::DEEPEST)), ["fault"]);
        assert_eq!(texts(&closed(xml::DEEPEST + 1)), Vec::<String>::new());
    }
}
