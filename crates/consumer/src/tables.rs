use store::{Column, Migration, Op, Row, Schema, Step, Table, row};

use crate::Unreadable;

/// Records that could not be read, by group and place.
pub static UNREADABLE: Table = Table {
    name: "unreadable_records",
    columns: &[
        Column::text("grp"),
        Column::text("topic"),
        Column::int("partition_number"),
        Column::int("record_offset"),
        Column::int("appended_at"),
        Column::text("reason"),
        Column::blob("raw"),
    ],
    key: 4,
};

/// The tables that every group shares.
pub static SCHEMA: Schema = Schema {
    role: "consumer",
    migrations: &[Migration {
        version: 1,
        steps: &[Step::Create(&UNREADABLE)],
    }],
};

pub(crate) fn keep(group: &str, unreadable: &[Unreadable]) -> Option<Op> {
    let rows: Vec<Row> = unreadable
        .iter()
        .map(|one| {
            row![
                group,
                one.topic.label(),
                one.position.partition,
                one.position.offset,
                one.appended_at.as_millisecond(),
                one.reason.replace('\0', "\u{fffd}"),
                one.raw.clone(),
            ]
        })
        .collect();
    (!rows.is_empty()).then_some(Op::Insert {
        table: &UNREADABLE,
        rows,
    })
}
