use store::{Column, Migration, Schema, Step, Table};

/// One row per dossier: its state, and the reason of its hold for [`crate::recheck`].
pub(crate) static DOSSIERS: Table = Table {
    name: "router_dossiers",
    columns: &[
        Column::text("dossier"),
        Column::text("held").nullable(),
        Column::blob("body"),
    ],
    key: 1,
};

/// The router's tables.
pub static SCHEMA: Schema = Schema {
    role: "router",
    migrations: &[Migration {
        version: 1,
        steps: &[
            Step::Create(&DOSSIERS),
            Step::Sql(
                "create index router_held on router_dossiers (dossier) where held is not null",
            ),
        ],
    }],
};
