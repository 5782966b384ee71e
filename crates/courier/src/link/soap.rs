//! A delivery as a SOAP message, for systems that know nothing else.

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use jiff::tz::Offset;
use proto::v1::Delivery;

/// A message with places for what differs from delivery to delivery. The same delivery gives the same
/// bytes.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// In its quotes.
    action: HeaderValue,
    parts: Arc<[Part]>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Id,
    Dossier,
    DossierCode,
    Procedure,
    Step,
    Unit,
    DueAt,
    Data,
    DataBase64,
}

/// A SOAP message or its action cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// What stands between the braces is no field of a delivery.
    #[error("the template's `{{{{{0}}}}}` is not known; it may use {known}", known = known())]
    Unknown(String),
    /// Braces that are opened and not closed.
    #[error("the template opens `{{{{` and never closes it, at `{0}`")]
    Open(String),
    /// The action cannot stand in a header.
    #[error("the SOAP action must be visible ASCII without quotes, got `{0}`")]
    Action(String),
}

const FIELDS: [(&str, Field); 9] = [
    ("id", Field::Id),
    ("dossier", Field::Dossier),
    ("dossier_code", Field::DossierCode),
    ("procedure", Field::Procedure),
    ("step", Field::Step),
    ("unit", Field::Unit),
    ("due_at", Field::DueAt),
    ("data", Field::Data),
    ("data_base64", Field::DataBase64),
];

/// Asia/Ho_Chi_Minh, which has had no other offset since 1975.
const VIETNAM: Offset = jiff::tz::offset(7);
const SHOWN: usize = 64;

fn known() -> String {
    let names = FIELDS.map(|(name, _)| format!("`{{{{{name}}}}}`"));
    names.join(", ")
}

// === impl Template ===

impl Template {
    pub(crate) fn read(action: &str, template: &str) -> Result<Self, InvalidTemplate> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
        let quoted = HeaderValue::try_from(format!("\"{action}\""));
        let quoted = quoted.ok().filter(|_| action.bytes().all(is_plain));
        Ok(Self {
            action: quoted.ok_or_else(|| InvalidTemplate::Action(shown(action)))?,
            parts: parts(template)?.into(),
        })
    }

    pub(crate) fn write_headers(&self, delivery: &Delivery, headers: &mut HeaderMap) {
        let xml = HeaderValue::from_static("text/xml; charset=utf-8");
        headers.insert(CONTENT_TYPE, xml);
        headers.insert(HeaderName::from_static("soapaction"), self.action.clone());
        if let Ok(id) = HeaderValue::from_str(&delivery.id) {
            headers.insert(HeaderName::from_static("idempotency-key"), id);
        }
    }

    /// The message; or why there cannot be one.
    pub(crate) fn render(&self, delivery: &Delivery) -> Result<String, String> {
        let mut message = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Text(text) => message.push_str(text),
                Part::Field(field) => escape(&field.of(delivery)?, &mut message),
            }
        }
        Ok(message)
    }
}

fn parts(template: &str) -> Result<Vec<Part>, InvalidTemplate> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some((text, after)) = rest.split_once("{{") {
        let closed = after.split_once("}}");
        let (name, next) = closed.ok_or_else(|| InvalidTemplate::Open(shown(after)))?;
        let found = FIELDS.iter().find(|(known, _)| *known == name.trim());
        let (_, field) = found.ok_or_else(|| InvalidTemplate::Unknown(shown(name)))?;
        parts.push(Part::Text(text.to_owned()));
        parts.push(Part::Field(*field));
        rest = next;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// Writes a value so that it is text wherever it stands: in an element, an attribute, or CDATA. What XML
/// 1.0 has no place for becomes U+FFFD.
fn escape(value: &str, message: &mut String) {
    for c in value.chars() {
        match c {
            '&' => message.push_str("&amp;"),
            '<' => message.push_str("&lt;"),
            '>' => message.push_str("&gt;"),
            '"' => message.push_str("&quot;"),
            '\'' => message.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(message, "&#{};", u32::from(c));
            }
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => message.push('\u{fffd}'),
            _ => message.push(c),
        }
    }
}

// === impl Field ===

impl Field {
    fn of(self, delivery: &Delivery) -> Result<String, String> {
        Ok(match self {
            Self::Id => delivery.id.clone(),
            Self::Dossier => delivery.dossier.clone(),
            Self::DossierCode => delivery.dossier_code.clone(),
            Self::Procedure => delivery.procedure.clone(),
            Self::Step => delivery.step.clone(),
            Self::Unit => delivery.unit.clone(),
            Self::DueAt => local_time(delivery),
            Self::Data => String::from_utf8(delivery.data.to_vec()).map_err(|_| {
                "the payload is not text; the template must use `{{data_base64}}`".to_owned()
            })?,
            Self::DataBase64 => STANDARD.encode(&delivery.data),
        })
    }
}

/// `yyyyMMddHHmmss`, as systems in Viet Nam exchange it.
fn local_time(delivery: &Delivery) -> String {
    let due_at = proto::timestamp_from_wire("due_at", delivery.due_at);
    due_at.map_or_else(
        |_| String::new(),
        |due_at| {
            let local = VIETNAM.to_datetime(due_at);
            local.strftime("%Y%m%d%H%M%S").to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivery(data: &[u8]) -> Delivery {
        Delivery {
            id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            dossier: "d-1".to_owned(),
            dossier_code: "000.00.01.H38-260921-0001".to_owned(),
            procedure: "3.000722".to_owned(),
            step: "residence".to_owned(),
            unit: "14797".to_owned(),
            due_at: Some(proto::timestamp_to_wire(
                "2026-09-25T18:30:05Z".parse().unwrap(),
            )),
            data: bytes::Bytes::copy_from_slice(data),
            ..Delivery::default()
        }
    }

    fn rendered(template: &str, data: &[u8]) -> Result<String, String> {
        let template = Template::read("urn:nhan", template).unwrap();
        template.render(&delivery(data))
    }

    #[test]
    fn a_message_is_the_template_with_its_places_filled() {
        let check = |template: &str, expected: &str| {
            assert_eq!(rendered(template, b"{}").unwrap(), expected);
        };
        check("<a/>", "<a/>");
        check(
            "<a id='{{id}}'>{{ dossier }}</a>}}",
            "<a id='0af7651916cd43dd8448eb211c80319c'>d-1</a>}}",
        );
        check(
            "{{dossier_code}} {{procedure}} {{step}} {{unit}}",
            "000.00.01.H38-260921-0001 3.000722 residence 14797",
        );
        check("{{due_at}}", "20260926013005");
        check("{{data}}{{data_base64}}", "{}e30=");
    }

    #[test]
    fn no_value_leaves_its_place() {
        let check = |data: &str, expected: &str| {
            for (before, after) in [("<a>", "</a>"), ("<a b='", "'/>"), ("<![CDATA[", "]]>")] {
                let message = rendered(&format!("{before}{{{{data}}}}{after}"), data.as_bytes());
                assert_eq!(message.unwrap(), format!("{before}{expected}{after}"));
            }
        };
        check("</x>", "&lt;/x&gt;");
        check("]]><x/>", "]]&gt;&lt;x/&gt;");
        check("\"'&amp;", "&quot;&apos;&amp;amp;");
        check("a\0b\u{1b}[31m\u{ffff}", "a\u{fffd}b\u{fffd}[31m\u{fffd}");
        check("a\r\n\tb", "a&#13;&#10;&#9;b");
        check("{{id}}", "{{id}}");
        check("Đăng ký", "Đăng ký");
    }

    #[test]
    fn what_is_not_known_is_refused_when_the_template_is_read() {
        let check = |action: &str, template: &str, expected: InvalidTemplate| {
            assert_eq!(Template::read(action, template).unwrap_err(), expected);
        };
        let unknown = |name: &str| InvalidTemplate::Unknown(name.to_owned());
        check("a", "<a>{{name}}</a>", unknown("name"));
        check("a", "{{}}", unknown(""));
        check("a", "{{{id}}}", unknown("{id"));
        check("a", "{{Id}}", unknown("Id"));
        check("a", "{{id", InvalidTemplate::Open("id".to_owned()));
        for action in ["a\"b", "a b", "a\r\nx: y", "tên"] {
            check(action, "", InvalidTemplate::Action(action.to_owned()));
        }
        let message = unknown("name").to_string();
        assert!(
            message.starts_with("the template's `{{name}}` is not known; it may use `{{id}}`, "),
            "{message}"
        );
    }

    #[test]
    fn a_payload_that_is_no_text_needs_base64() {
        assert!(
            rendered("{{data}}", b"\xff")
                .unwrap_err()
                .contains("data_base64")
        );
        assert_eq!(rendered("{{data_base64}}", b"\xff").unwrap(), "/w==");
    }

    proptest! {
        #[test]
        fn an_escaped_value_holds_no_markup_and_reads_as_it_was(value: String) {
            let mut escaped = String::new();
            escape(&value, &mut escaped);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'', '\r', '\n', '\t', '\0']));
            let read = escaped
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&apos;", "'")
                .replace("&#9;", "\t")
                .replace("&#10;", "\n")
                .replace("&#13;", "\r")
                .replace("&amp;", "&");
            let no_place = |c: char| matches!(c, '\0'..' ' | '\u{fffe}' | '\u{ffff}')
                && !matches!(c, '\t' | '\n' | '\r');
            let legal: String =
                value.chars().map(|c| if no_place(c) { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(read, legal);
        }
    }
}
