//! Publishes one event to a running gateway, as an agency's software would.
//!
//! ```sh
//! cargo run -p lienthong --example publish -- first-3
//! ```
//!
//! The first argument is the dossier's key, the second the gateway's address.
#![expect(clippy::print_stdout, reason = "it exists to show the answer")]

use std::{error::Error, time::Duration};

use proto::v1::{Accepted, Event, PublishRequest, gateway_client::GatewayClient};
use runtime::Clock;
use tonic::{Code, Status, transport::Channel};

const PAUSE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dossier = arguments.next().unwrap_or_else(|| "first-3".to_owned());
    let gateway = arguments
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:7400".to_owned());
    let mut client = GatewayClient::connect(gateway).await?;
    let accepted = publish(&mut client, birth_filed(&dossier)).await?;
    println!(
        "accepted: partition {}, offset {}",
        accepted.partition, accepted.offset
    );
    Ok(())
}

/// A desk in the ward of Hạc Thành, Thanh Hóa, has accepted the filing of a birth.
fn birth_filed(dossier: &str) -> Event {
    Event {
        // From what happened, not from a counter or the clock: sent again, it is the same event.
        id: format!("{dossier}-accepted"),
        source: "hac-thanh-desk".to_owned(),
        r#type: "vn.lienthong.dossier.accepted.v1".to_owned(),
        time: Some(proto::timestamp_to_wire(Clock::system().now())),
        dossier: dossier.to_owned(),
        procedure: "3.000722".to_owned(),
        unit: "14797".to_owned(),
        unit_valid_on: "2026-09-21".to_owned(),
        content_type: "application/json".to_owned(),
        data: br#"{"child":"Nguyen Van Mau"}"#.as_slice().into(),
        ..Event::default()
    }
}

/// Sends the event until the gateway accepts or refuses it. Without an answer the event may or may not
/// be taken: the same event goes again under the same id, and a repeat has no second effect.
async fn publish(client: &mut GatewayClient<Channel>, event: Event) -> Result<Accepted, Status> {
    loop {
        let request = PublishRequest {
            event: Some(event.clone()),
        };
        match client.publish(request).await {
            Ok(answer) => {
                let accepted = answer.into_inner().accepted;
                return accepted.ok_or_else(|| Status::internal("an answer without a position"));
            }
            Err(status) if asks_for_a_repeat(&status) => tokio::time::sleep(PAUSE).await,
            Err(refused) => return Err(refused),
        }
    }
}

/// The unknown answers, and the limit that passes.
fn asks_for_a_repeat(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted
    )
}
