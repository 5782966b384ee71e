use bytes::{Bytes, BytesMut};
use dial::{Connector, Protocol};
use domain::AttemptClass;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use proto::v1;
use serde::Deserialize;
use tokio::time::timeout;

use super::calls::{Call, impossible};
use super::soap::Template;
use super::way::{Reach, not_connected};
use super::{Job, Link, Patience};
use crate::answer::{Answer, HttpReply, Reader, causes};
use crate::cloud_event;

/// One POST per delivery. Redirects are not followed.
pub(crate) struct Post {
    url: String,
    client: Client<Connector, Full<Bytes>>,
    envelope: Envelope,
    patience: Patience,
    reader: Reader,
}

/// What a delivery is wrapped in.
#[derive(Clone, Debug)]
pub(crate) enum Envelope {
    /// A CloudEvent in binary mode.
    CloudEvent,
    Soap(Template),
}

/// Of an answer's body no more is read.
const LARGEST_BODY: usize = 128 << 10;
const LARGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 64;
const PART_FOR_BODY: u32 = 4;

/// The part of an RFC 9457 problem that is the same for every occurrence, so it cannot hold personal
/// data.
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
}

// === impl Post ===

impl Post {
    pub(crate) fn new(reach: &Reach, envelope: Envelope, link: &Link) -> Self {
        let connector = reach.connector(Protocol::Http1, &link.patience);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(reach.room())
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(LARGEST_HEAD)
            .http1_max_headers(MOST_HEADERS)
            .build(connector);
        Self {
            url: reach.url(),
            client,
            envelope,
            patience: link.patience.clone(),
            reader: link.reader.clone(),
        }
    }

    fn request(&self, job: &Job) -> Result<Request<Full<Bytes>>, String> {
        let delivery = v1::Delivery::decode(job.body.clone())
            .map_err(|error| format!("the stored delivery cannot be read: {error}"))?;
        let mut headers = HeaderMap::new();
        let body = match &self.envelope {
            Envelope::CloudEvent => {
                cloud_event::write_headers(&delivery, &mut headers);
                delivery.data
            }
            Envelope::Soap(template) => {
                template.write_headers(&delivery, &mut headers);
                template.render(&delivery)?.into()
            }
        };
        let mut request = Request::builder().method(Method::POST).uri(&self.url);
        if let Some(own) = request.headers_mut() {
            *own = headers;
        }
        request
            .body(Full::new(body))
            .map_err(|error| format!("no request can be made of the delivery: {error}"))
    }

    async fn read(&self, id: &str, response: Response<Incoming>) -> Answer {
        let (head, body) = response.into_parts();
        let body = self.read_body(body).await;
        let title = problem_title(head.headers.get(CONTENT_TYPE), &body);
        let reply = HttpReply {
            status: head.status,
            headers: &head.headers,
            body: &body,
            title: title.as_deref(),
            delivery: id,
        };
        self.reader.of_http(&reply, self.patience.clock.now())
    }

    /// The body as far as it may be read, in a part of the attempt's time; the status counts whatever
    /// becomes of the rest.
    async fn read_body(&self, body: Incoming) -> Bytes {
        if body.is_end_stream() {
            return Bytes::new();
        }
        if self.reader.has_rules() {
            let head = timeout(self.patience.real() / PART_FOR_BODY, head_of(body)).await;
            return head.ok().flatten().unwrap_or_default();
        }
        let whole = Limited::new(body, LARGEST_BODY).collect();
        match timeout(self.patience.real() / PART_FOR_BODY, whole).await {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Bytes::from_static(b"(too long)"),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        }
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
            Err(error) => not_connected(&error).unwrap_or_else(|| {
                let detail = format!("no answer: {error}{}", causes(&error));
                Answer::new(AttemptClass::Timeout, detail)
            }),
        }
    }
}

/// As much of a body as rules look at; `None`: it broke off before.
async fn head_of(mut body: Incoming) -> Option<Bytes> {
    let mut head = BytesMut::new();
    while head.len() < LARGEST_BODY {
        match body.frame().await {
            Some(frame) => head.extend_from_slice(frame.ok()?.data_ref().unwrap_or(&Bytes::new())),
            None => break,
        }
    }
    Some(head.freeze())
}

fn problem_title(content_type: Option<&HeaderValue>, body: &[u8]) -> Option<String> {
    let is_problem = content_type?
        .as_bytes()
        .starts_with(b"application/problem+json");
    is_problem.then(|| serde_json::from_slice::<Problem>(body).ok()?.title)?
}
