//! Lanes of destinations that the configuration does not have.

use domain::DestinationId;
use runtime::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::Input;
use crate::entry::Millis;
use crate::lane::Line;
use crate::telemetry;
use crate::view::LaneView;

/// Takes in what goes to a destination that the configuration does not have, and holds it.
pub(crate) async fn hold(
    destination: DestinationId,
    clock: Clock,
    mut inputs: mpsc::UnboundedReceiver<Input>,
    stop: CancellationToken,
) {
    telemetry::unknown_destination(destination.as_str());
    const REASON: &str = "no such destination in the configuration";
    let mut line = Line::default();
    while let Some(Some(input)) = stop.run_until_cancelled(inputs.recv()).await {
        let now = Millis::from(clock.now());
        match input {
            Input::Arrived(arrivals) => {
                for arrival in arrivals {
                    line.add(arrival.entry, now);
                }
            }
            Input::Interrupted(entry) => {
                line.add(entry, now);
            }
            Input::Dead(dead) => dead.into_iter().for_each(|(id, at)| line.add_dead(id, at)),
            Input::Discarded(discarded) => discarded
                .into_iter()
                .for_each(|(id, at)| line.discard(id, at)),
            Input::Settled(settled) => {
                for (entry, arrived) in settled {
                    line.settle(entry, arrived, now);
                }
            }
            Input::Controls(_) | Input::Sidelines(_) => {}
            Input::Show(reply) => {
                let _ = reply.send(LaneView::held(&line, &destination, REASON));
            }
            // What proves an outcome is in the store until there is a lane again.
            Input::Kept(_) | Input::Asker(_) | Input::Proved(_) => {}
            Input::Forecast(_, reply) => {
                let _ = reply.send(None);
            }
        }
    }
}
