//! SOAP 1.1 as old provincial systems speak it: just enough to answer, and to find a delivery's fields.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Success is status 200 and `error_code` 0. What the server before the service says keeps its status;
/// everything else is a fault under status 500, with the side to blame as its code.
pub(super) fn reply(status: StatusCode, detail: &str) -> Response {
    let detail = escaped(detail);
    let (shown, body) = if status.is_success() {
        let said = match detail.as_str() {
            "taken" => "thành công",
            "already taken" => "hồ sơ đã tồn tại trong một cửa điện tử",
            other => other,
        };
        let body = format!(
            "<DeliverResponse><error_code>0</error_code><message>{said}</message></DeliverResponse>"
        );
        (StatusCode::OK, body)
    } else {
        let side = if status.is_client_error() {
            "Client"
        } else {
            "Server"
        };
        let body = format!(
            "<soap:Fault><faultcode>soap:{side}</faultcode><faultstring>{detail}</faultstring>\
             </soap:Fault>"
        );
        (shown_as(status), body)
    };
    let envelope = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soap:Body>{body}</soap:Body></soap:Envelope>"
    );
    let kind = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
    (shown, kind, envelope).into_response()
}

fn shown_as(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The attributes of a delivery that stand as elements of an envelope, `<x:subject>d-1</x:subject>`,
/// as the headers that they are otherwise.
pub(super) fn headers(body: &[u8]) -> HeaderMap {
    const NAMES: [&str; 7] = [
        "id",
        "subject",
        "time",
        "procedure",
        "unit",
        "unitvalidon",
        "step",
    ];
    let text = String::from_utf8_lossy(body);
    let mut headers = HeaderMap::new();
    for name in NAMES {
        let value = element(&text, name).and_then(|value| HeaderValue::from_str(value).ok());
        let name = HeaderName::from_bytes(format!("ce-{name}").as_bytes());
        if let (Ok(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The text of the first element of this local name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.match_indices('<').find_map(|(at, _)| {
        let (tag, rest) = text[at + 1..].split_once('>')?;
        let whole = tag.split_whitespace().next()?;
        let local = whole.rsplit(':').next()?;
        let content = rest.split('<').next()?;
        local.eq_ignore_ascii_case(name).then(|| content.trim())
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_whatever_their_prefix() {
        let body =
            b"<s:Envelope><s:Body><d:Deliver kind='x'><d:Id> 0af7 </d:Id><subject>d-1</subject>\
            <unitValidOn>2026-09-20</unitValidOn></d:Deliver></s:Body></s:Envelope>";
        let headers = headers(body);
        assert_eq!(headers["ce-id"], "0af7");
        assert_eq!(headers["ce-subject"], "d-1");
        assert_eq!(headers["ce-unitvalidon"], "2026-09-20");
        assert!(headers.get("ce-step").is_none());
    }
}
