//! Held dossiers are tried again when the router starts with another plan.

use consumer::Outbox;
use domain::DossierKey;
use store::{Fence, Kind, Store, Write};

use crate::{
    Effects, Error, GROUP, Plan, decide,
    fold::{emit, load, save},
    telemetry,
};

const PAGE: i64 = 500;

/// Tries every held dossier once; what can go on now is committed and published page by page.
pub(crate) async fn recheck(
    plan: &Plan,
    store: &Store,
    outbox: &mut Outbox,
    epoch: i64,
    now: i64,
) -> Result<(), Error> {
    let mut after = String::new();
    let (mut released, mut waiting) = (0, 0);
    loop {
        let keys = page(store, &after).await.map_err(Error::Recheck)?;
        let Some(last) = keys.last() else { break };
        after = last.to_string();
        let mut dossiers = load(store, keys.iter()).await.map_err(Error::Recheck)?;
        let mut outgoing = Vec::new();
        dossiers.retain(|_, dossier| {
            let effects = decide::reopen(dossier, plan);
            match &dossier.held {
                None => released += 1,
                Some(_) => waiting += 1,
            }
            let is_changed = effects != Effects::default();
            emit(effects, &mut outgoing);
            is_changed
        });
        if dossiers.is_empty() {
            continue;
        }
        let fence = Fence {
            group: GROUP,
            epoch,
            moves: Vec::new(),
        };
        let mut write = Write::new(fence, now);
        write.ops.extend(save(dossiers.values()));
        let outgoing = consumer::by_topic(outgoing);
        let ids = outbox
            .commit(write, &outgoing)
            .await
            .map_err(Error::Release)?;
        outbox.publish(ids, outgoing).await?;
    }
    telemetry::released(released);
    telemetry::waiting(waiting);
    Ok(())
}

async fn page(store: &Store, after: &str) -> Result<Vec<DossierKey>, store::ReadError> {
    let sql = "select dossier from router_dossiers where held is not null and dossier > $1 \
               order by dossier limit $2";
    let rows = store
        .query(sql, vec![after.into(), PAGE.into()], &[Kind::Text])
        .await?;
    rows.iter()
        .map(|row| {
            let fatal =
                |error: domain::InvalidId| store::ReadError::Fatal(std::sync::Arc::new(error));
            row.text(0)?.parse().map_err(fatal)
        })
        .collect()
}
