//! Migrations: repeated, at once, half done, too new.

use store::{Column, Kind, MigrateError, Migration, Op, Schema, Step, Table, row};

use crate::scratch::{SCHEMA, Scratch, on_both, write};

on_both!(
    migrating_twice_changes_nothing,
    of_two_at_once_both_succeed,
    a_later_version_keeps_the_rows,
    a_newer_schema_is_refused_in_one_line,
    a_migration_that_fails_leaves_nothing_and_can_run_again,
);

static NOTES: Table = Table {
    name: "notes",
    columns: &[Column::int("id"), Column::text("note")],
    key: 1,
};
static MARKED_NOTES: Table = Table {
    name: "notes",
    columns: &[
        Column::int("id"),
        Column::text("note"),
        Column::int("marked"),
    ],
    key: 1,
};
const FIRST: Migration = Migration {
    version: 1,
    steps: &[Step::Create(&NOTES)],
};
const MARK: Step = Step::Sql("alter table notes add column marked bigint not null default 7");
const MARK_STRICT: Step = Step::Each {
    sqlite: "alter table notes add column marked integer not null default 7",
    postgres: "alter table notes add column marked bigint not null default 7",
};
static OLD: Schema = Schema {
    role: "notes",
    migrations: &[FIRST],
};
static NEW: Schema = Schema {
    role: "notes",
    migrations: &[
        FIRST,
        Migration {
            version: 2,
            steps: &[
                MARK_STRICT,
                Step::Sql("create index notes_note on notes (note)"),
            ],
        },
    ],
};
static BROKEN: Schema = Schema {
    role: "notes",
    migrations: &[
        FIRST,
        Migration {
            version: 2,
            steps: &[MARK_STRICT, Step::Sql("create nonsense"), MARK],
        },
    ],
};

async fn migrating_twice_changes_nothing(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    store.migrate(&[&SCHEMA, &OLD]).await.unwrap();
    let insert = Op::Insert {
        table: &NOTES,
        rows: vec![row![1, "a"]],
    };
    store.commit(write(epoch, vec![insert])).await.unwrap();
    store.migrate(&[&SCHEMA, &OLD]).await.unwrap();
    assert_eq!(store.get(&NOTES, [row![1]]).await.unwrap(), [row![1, "a"]]);
}

async fn of_two_at_once_both_succeed(scratch: &Scratch) {
    let store = scratch.open().await;
    let (first, second) = (store.clone(), store.clone());
    let both = tokio::join!(async { first.migrate(&[&NEW]).await }, async {
        second.migrate(&[&NEW]).await
    });
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    assert_eq!(store.get(&MARKED_NOTES, [row![1]]).await.unwrap(), []);
}

async fn a_later_version_keeps_the_rows(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    store.migrate(&[&OLD]).await.unwrap();
    let insert = Op::Insert {
        table: &NOTES,
        rows: vec![row![1, "a"]],
    };
    store.commit(write(epoch, vec![insert])).await.unwrap();
    drop(store);

    let store = scratch.open().await;
    store.migrate(&[&NEW]).await.unwrap();
    assert_eq!(
        store.get(&MARKED_NOTES, [row![1]]).await.unwrap(),
        [row![1, "a", 7]]
    );
}

async fn a_newer_schema_is_refused_in_one_line(scratch: &Scratch) {
    let store = scratch.open().await;
    store.migrate(&[&NEW]).await.unwrap();
    let error = store.migrate(&[&OLD]).await.unwrap_err();
    let line = "the tables of `notes` have version 2, this binary knows 1: use a newer one";
    assert_eq!(error.to_string(), line);
    assert_eq!(store.get(&MARKED_NOTES, [row![1]]).await.unwrap(), []);
}

async fn a_migration_that_fails_leaves_nothing_and_can_run_again(scratch: &Scratch) {
    let store = scratch.open().await;
    let error = store.migrate(&[&BROKEN]).await.unwrap_err();
    let MigrateError::Failed { role, version, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((role, version), ("notes", 2));
    store
        .query("select marked from notes", vec![], &[Kind::Int])
        .await
        .unwrap_err();

    store.migrate(&[&NEW]).await.unwrap();
    assert_eq!(store.get(&MARKED_NOTES, [row![1]]).await.unwrap(), []);
}
