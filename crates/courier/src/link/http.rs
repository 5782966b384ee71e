use bytes::Bytes;
use domain::AttemptClass;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use proto::v1;
use runtime::Clock;
use serde::Deserialize;

use super::{
    Job, Link,
    calls::{Call, impossible},
};
use crate::answer::{Answer, causes, retry_after};
use crate::cloud_event;

/// One POST per delivery: a CloudEvent in binary mode. Redirects are not followed.
pub(crate) struct Post {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    clock: Clock,
}

/// Of an answer's body no more is read.
const LARGEST_BODY: usize = 128 << 10;
const LARGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 64;

/// The part of an RFC 9457 problem that is the same for every occurrence, so it cannot hold personal
/// data.
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
}

// === impl Post ===

impl Post {
    pub(crate) fn new(rest: &str, room: usize, link: &Link) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(link.patience.real()));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(room)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(LARGEST_HEAD)
            .http1_max_headers(MOST_HEADERS)
            .build(connector);
        Self {
            url: format!("http://{rest}"),
            client,
            clock: link.clock.clone(),
        }
    }

    fn request(&self, job: &Job) -> Result<Request<Full<Bytes>>, String> {
        let delivery = v1::Delivery::decode(job.body.clone())
            .map_err(|error| format!("the stored delivery cannot be read: {error}"))?;
        let mut request = Request::builder().method(Method::POST).uri(&self.url);
        if let Some(headers) = request.headers_mut() {
            cloud_event::write_headers(&delivery, headers);
        }
        request
            .body(Full::new(delivery.data))
            .map_err(|error| format!("no request can be made of the delivery: {error}"))
    }

    async fn read(&self, id: &str, response: Response<Incoming>) -> Answer {
        let (head, body) = response.into_parts();
        let asked = head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| retry_after(text, self.clock.now()));
        let body = read_body(body).await;
        let names_delivery = head
            .headers
            .values()
            .any(|value| value.as_bytes() == id.as_bytes())
            || contains(&body, id.as_bytes());
        let title = problem_title(head.headers.get(CONTENT_TYPE), &body);
        Answer::of_http(head.status.as_u16(), title.as_deref(), names_delivery).asking(asked)
    }
}

impl Call for Post {
    async fn call(&self, job: Job) -> Answer {
        let request = match self.request(&job) {
            Ok(request) => request,
            Err(reason) => return impossible(reason),
        };
        match self.client.request(request).await {
            Ok(response) => self.read(&job.id.to_string(), response).await,
            Err(error) if error.is_connect() => {
                let detail = format!("{error}{}", causes(&error));
                Answer::new(AttemptClass::Unreachable, detail)
            }
            Err(error) => {
                let detail = format!("no answer: {error}{}", causes(&error));
                Answer::new(AttemptClass::Timeout, detail)
            }
        }
    }
}

/// The body as far as it may be read; the status counts whatever becomes of the rest.
async fn read_body(body: Incoming) -> Bytes {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => Bytes::from_static(b"(too long)"),
        Err(_) => Bytes::new(),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

fn problem_title(content_type: Option<&HeaderValue>, body: &[u8]) -> Option<String> {
    let is_problem = content_type?
        .as_bytes()
        .starts_with(b"application/problem+json");
    is_problem.then(|| serde_json::from_slice::<Problem>(body).ok()?.title)?
}
