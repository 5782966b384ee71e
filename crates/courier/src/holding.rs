//! Lanes of destinations that the configuration does not have.

use domain::DestinationId;
use runtime::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::Input;
use crate::entry::Millis;
use crate::lane::Lane;
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
    let mut lane = Lane::closed("no such destination in the configuration".to_owned());
    while let Some(Some(input)) = stop.run_until_cancelled(inputs.recv()).await {
        let now = Millis::from(clock.now());
        match input {
            Input::Arrived(arrivals) => {
                arrivals
                    .into_iter()
                    .for_each(|arrival| lane.add(arrival.entry, now));
            }
            Input::Dead(dead) => dead.into_iter().for_each(|(id, at)| lane.add_dead(id, at)),
            Input::Discarded(discarded) => discarded
                .into_iter()
                .for_each(|(id, at)| lane.forget_dead(id, at)),
            Input::Settled(settled) => {
                for (entry, arrived) in settled {
                    lane.forget_dead(entry.id, entry.opened_at);
                    if !arrived {
                        lane.add(entry, now);
                    }
                }
            }
            Input::Controls(_) | Input::Sidelines(_) => {}
            Input::Show(reply) => {
                let _ = reply.send(LaneView::of(&lane, &destination, None, now));
            }
        }
    }
}
