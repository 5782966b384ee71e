use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use crate::Reply;
use crate::fault::{self, Fault};
use crate::fold::fold;

/// What can be told about a reply, each found out once and when it is first asked for.
pub(crate) struct Facts<'a> {
    pub(crate) reply: &'a Reply<'a>,
    text: OnceCell<Cow<'a, str>>,
    said: OnceCell<Vec<String>>,
    json: OnceCell<Option<Value>>,
    fault: OnceCell<Option<Fault>>,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    pub(crate) fn new(reply: &'a Reply<'a>) -> Self {
        Self {
            reply,
            text: OnceCell::new(),
            said: OnceCell::new(),
            json: OnceCell::new(),
            fault: OnceCell::new(),
        }
    }

    /// The body as text, folded; then, if it writes letters as escapes, the texts that it means by them.
    pub(crate) fn said(&self) -> &[String] {
        self.said.get_or_init(|| {
            let text = self.text();
            let mut said = vec![fold(text)];
            if text.contains("\\u")
                && let Some(json) = self.json()
            {
                strings(json, &mut said);
            }
            if text.contains('&') {
                said.extend(fault::texts(text));
            }
            said
        })
    }

    /// What a JSON pointer finds in the body, as text: a string, a number, `true` or `false`.
    pub(crate) fn json_text(&self, pointer: &str) -> Option<Cow<'_, str>> {
        match self.json()?.pointer(pointer)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Bool(flag) => Some(Cow::Owned(flag.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The SOAP fault in the body.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.fault.get_or_init(|| Fault::read(self.text())).as_ref()
    }

    fn json(&self) -> Option<&Value> {
        self.json
            .get_or_init(|| serde_json::from_str(self.text()).ok())
            .as_ref()
    }

    /// Bytes that are no text become characters that no rule asks for.
    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let head = self.reply.head();
            let marked = head.strip_prefix("\u{feff}".as_bytes());
            String::from_utf8_lossy(marked.unwrap_or(head))
        })
    }
}

/// All strings of a document, folded. As deep as the parser allows, which is not deep.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(fold(text)),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
