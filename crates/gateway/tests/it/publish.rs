//! One event a call, and what stands beside the service.

use gateway::{Config, Error, Gateway, Limits};
use log::Log;
use proto::v1;
use runtime::{Clock, Health, Tasks};
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::server::{FAULTS, NOW, Server, event, unary};

#[tokio::test]
async fn an_event_is_accepted_with_its_position_and_lies_there() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for offset in 0..3 {
        let id = format!("e-{offset}");
        let answer = client.publish(unary(event(&id))).await.unwrap();
        let accepted = answer.into_inner().accepted;
        let expected = v1::Accepted {
            partition: 0,
            offset,
        };
        assert_eq!(accepted, Some(expected));
    }
    assert_eq!(server.ids().await, ["e-0", "e-1", "e-2"]);
}

#[tokio::test]
async fn a_bad_field_is_named_and_nothing_is_written() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for (fault, field) in FAULTS {
        let mut bad = event("e-1");
        fault(&mut bad);
        let status = client.publish(unary(bad)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        let message = status.message();
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
    }
    let none = v1::PublishRequest { event: None };
    let status = client.publish(none).await.unwrap_err();
    assert_eq!(status.message(), "event: is missing");
    assert!(server.ids().await.is_empty());
    assert_eq!(server.health.not_ready(), []);
}

#[tokio::test]
async fn an_oversized_event_is_refused_and_the_next_one_is_not() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut large = event("e-large");
    large.data = vec![0; Limits::default().event_bytes].into();
    let status = client.publish(unary(large)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    client.publish(unary(event("e-1"))).await.unwrap();
    assert_eq!(server.ids().await, ["e-1"]);
}

#[tokio::test]
async fn over_the_quota_says_when_to_come_again_and_others_pass() {
    let limits = Limits {
        rate: 1,
        burst: 2,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let mut client = server.client().await;
    client.publish(unary(event("e-1"))).await.unwrap();
    client.publish(unary(event("e-2"))).await.unwrap();
    let status = client.publish(unary(event("e-3"))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    let other = v1::Event {
        source: "other-desk".to_owned(),
        ..event("e-4")
    };
    client.publish(unary(other)).await.unwrap();
    assert_eq!(server.ids().await, ["e-1", "e-2", "e-4"]);
}

#[tokio::test]
async fn plaintext_off_the_loopback_interface_is_refused_unless_allowed() {
    let bind = |listen: &str, allow_plaintext| {
        let config = Config {
            listen: listen.parse().unwrap(),
            allow_plaintext,
            limits: Limits::default(),
        };
        let log = Log::memory(std::sync::Arc::new(|| NOW.parse().unwrap()));
        let health = Health::default();
        Gateway::new(config, log, Clock::system(), health, Tasks::default()).bind()
    };
    let refused = bind("0.0.0.0:0", false).await.map(drop);
    assert!(matches!(refused, Err(Error::Plaintext(_))), "{refused:?}");
    let bound = bind("0.0.0.0:0", true).await.unwrap();
    let taken = bind(&format!("0.0.0.0:{}", bound.address().port()), true).await;
    assert!(matches!(taken.map(drop), Err(Error::Bind { .. })));
}

#[tokio::test]
async fn health_is_serving() {
    let server = Server::start().await;
    let mut client = HealthClient::new(server.channel().await);
    for service in ["", "lienthong.v1.Gateway"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), tonic_health::ServingStatus::Serving.into());
    }
}

#[tokio::test]
async fn reflection_lists_what_is_served_and_nothing_else() {
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = Request::new(tokio_stream::once(ask));
    let answers = client.server_reflection_info(asked).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|one| one.name).collect();
    names.sort();
    assert_eq!(names, ["grpc.health.v1.Health", "lienthong.v1.Gateway"]);
}
