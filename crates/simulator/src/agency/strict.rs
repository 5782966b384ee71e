use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Full};
use prost::Message;
use proto::v1::DeliverRequest;
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

/// In front of an inbox: refuses unary calls whose message has fields that it does not know.
#[derive(Clone)]
pub(super) struct Strict<S> {
    pub(super) inbox: S,
    pub(super) is_on: bool,
}

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// A gRPC message begins with a flag and its length.
const PREFIX: usize = 5;

// === impl Strict ===

impl<S: NamedService> NamedService for Strict<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request> for Strict<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inbox.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !self.is_on || !request.uri().path().ends_with("/Deliver") {
            return self.inbox.call(request).boxed();
        }
        let mut inbox = self.inbox.clone();
        async move {
            let (head, body) = request.into_parts();
            let message = match body.collect().await {
                Ok(whole) => whole.to_bytes(),
                Err(status) => return Ok(status.into_http()),
            };
            let known = DeliverRequest::decode(message.get(PREFIX..).unwrap_or_default());
            if known.is_ok_and(|known| known.encoded_len() + PREFIX != message.len()) {
                return Ok(Status::invalid_argument("simulated: an unknown field").into_http());
            }
            let body = Body::new(Full::new(message));
            inbox.call(Request::from_parts(head, body)).await
        }
        .boxed()
    }
}
