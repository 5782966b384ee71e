//! Records as Kafka messages: CloudEvents in binary mode (Kafka protocol binding 1.0.2, §3.2).

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

use crate::batch::intern;
use crate::record::Record;

const PREFIX: &str = "ce_";
const CONTENT_TYPE: &str = "content-type";
const VERSION: &str = "specversion";

/// Marks a header that is no CloudEvents attribute, so that it cannot pass for one.
const FOREIGN: &str = "kafka:";

/// The headers of a message. `specversion` is added, for other consumers rely on it.
pub(super) fn headers(record: &Record) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + 1);
    if record.header(VERSION).is_none() {
        headers = headers.insert(Header {
            key: "ce_specversion",
            value: Some("1.0"),
        });
    }
    for (name, value) in &record.headers {
        headers = headers.insert(Header {
            key: &wire_name(name),
            value: Some(value.as_str()),
        });
    }
    headers
}

/// The record in a message, or the reason why there is none.
pub(super) fn record(message: &BorrowedMessage<'_>) -> Result<Record, String> {
    let key = std::str::from_utf8(message.key().unwrap_or_default());
    let key = key
        .map_err(|_| "its key is not UTF-8".to_owned())?
        .to_owned();
    // rdkafka 0.39 panics on a header name that is not UTF-8; a stranger may have written one.
    let headers = catch_unwind(AssertUnwindSafe(|| attributes(message)));
    let headers = headers.map_err(|_| "a header's name is not UTF-8".to_owned())??;
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    Ok(Record {
        key,
        headers,
        value,
    })
}

/// When the log took a message.
pub(super) fn time(message: &BorrowedMessage<'_>) -> Timestamp {
    let millis = message.timestamp().to_millis().unwrap_or_default();
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn attributes(message: &BorrowedMessage<'_>) -> Result<Vec<(Cow<'static, str>, String)>, String> {
    let Some(headers) = message.headers() else {
        return Ok(Vec::new());
    };
    let mut attributes = Vec::with_capacity(headers.count());
    for header in headers.iter() {
        let value = std::str::from_utf8(header.value.unwrap_or_default());
        let value = value.map_err(|_| format!("the header {} is not UTF-8", header.key))?;
        let name = own_name(header.key);
        if name != VERSION || value != "1.0" {
            attributes.push((name, value.to_owned()));
        }
    }
    Ok(attributes)
}

fn wire_name(name: &str) -> Cow<'_, str> {
    if name == "datacontenttype" {
        return Cow::Borrowed(CONTENT_TYPE);
    }
    match name.strip_prefix(FOREIGN) {
        Some(foreign) => Cow::Borrowed(foreign),
        None => Cow::Owned(format!("{PREFIX}{name}")),
    }
}

fn own_name(name: &str) -> Cow<'static, str> {
    if name == CONTENT_TYPE {
        return Cow::Borrowed("datacontenttype");
    }
    match name.strip_prefix(PREFIX) {
        Some(attribute) => intern(attribute),
        None => Cow::Owned(format!("{FOREIGN}{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: &str, wire: &str) {
        assert_eq!(wire_name(own), wire);
        assert_eq!(own_name(wire), own);
    }

    #[test]
    fn attributes_have_their_names_of_the_binding() {
        check("id", "ce_id");
        check("ownextension", "ce_ownextension");
        check("datacontenttype", "content-type");
    }

    #[test]
    fn a_foreign_header_is_kept_and_cannot_pass_for_an_attribute() {
        check("kafka:id", "id");
        check("kafka:X-Request", "X-Request");
    }
}
