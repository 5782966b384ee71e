use std::time::Duration;

use dial::Protocol;
use domain::AttemptClass;
use proto::v1;
use runtime::Clock;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use super::way::{Reach, not_connected};
use super::{Job, Link, calls::Call, codec::AsStored};
use crate::answer::{Answer, Reader};

/// One call of the `Inbox` service per delivery, over one connection.
pub(crate) struct Unary {
    channel: Result<Channel, String>,
    reader: Reader,
    clock: Clock,
}

pub(crate) const LARGEST_ANSWER: usize = 64 << 10;
const DELIVER: &str = "/lienthong.v1.Inbox/Deliver";

/// A gRPC server's endpoint, with a connection that notices when the other side is gone.
pub(crate) fn endpoint(reach: &Reach) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(reach.url())?;
    Ok(endpoint
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10)))
}

// === impl Unary ===

impl Unary {
    pub(crate) fn new(reach: &Reach, link: &Link) -> Self {
        let connector = reach.connector(Protocol::Http2, &link.patience);
        let channel = endpoint(reach)
            .map(|endpoint| endpoint.connect_with_connector_lazy(connector))
            .map_err(|error| format!("the endpoint cannot be used: {error}"));
        Self {
            channel,
            reader: link.reader.clone(),
            clock: link.clock.clone(),
        }
    }
}

impl Call for Unary {
    async fn call(&self, job: Job) -> Answer {
        let channel = match &self.channel {
            Ok(channel) => channel.clone(),
            Err(reason) => return Answer::new(AttemptClass::Blocked, reason),
        };
        let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
        if let Err(error) = grpc.ready().await {
            let causes = crate::answer::causes(&error);
            return Answer::new(AttemptClass::Unreachable, format!("{error}{causes}"));
        }
        let id = job.id.to_string();
        let mut request = Request::new(job.body);
        if let Ok(key) = MetadataValue::try_from(&id) {
            request.metadata_mut().insert("idempotency-key", key);
        }
        let codec = AsStored::<v1::DeliverResponse>::default();
        let path = PathAndQuery::from_static(DELIVER);
        match grpc.unary(request, path, codec).await {
            Ok(response) => {
                let verdict = response.into_inner().verdict;
                self.reader.of_verdict(verdict, &id, self.clock.now())
            }
            Err(status) => not_connected(&status)
                .unwrap_or_else(|| self.reader.of_status(&status, &id, self.clock.now())),
        }
    }
}
