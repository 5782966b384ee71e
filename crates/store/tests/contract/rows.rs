//! The role's own tables.

use store::{Kind, Op, ReadError, Row, RowError, Value, row};

use crate::scratch::{LANES, MEMBERS, Scratch, lane, lanes, on_both, write};

on_both!(
    an_insert_keeps_the_old_row,
    an_upsert_replaces_all_but_the_key,
    a_table_of_keys_alone_can_be_upserted,
    an_update_sets_the_named_columns_of_rows_that_exist,
    of_one_key_twice_in_one_change_the_right_one_stays,
    a_delete_goes_by_key_or_prefix,
    changes_apply_in_their_order,
    a_get_answers_in_the_order_of_its_keys,
    values_come_back_as_they_were,
    a_query_takes_parameters_and_names_wrong_kinds,
    common_sql_can_delete,
    a_store_opened_again_shows_everything,
);

async fn an_insert_keeps_the_old_row(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let insert = |rows| {
        write(
            epoch,
            vec![Op::Insert {
                table: &LANES,
                rows,
            }],
        )
    };
    store
        .commit(insert(vec![lane("land", 1, 10)]))
        .await
        .unwrap();
    store
        .commit(insert(vec![lane("land", 1, 99), lane("land", 2, 20)]))
        .await
        .unwrap();
    assert_eq!(
        lanes(&store).await,
        [lane("land", 1, 10), lane("land", 2, 20)]
    );
}

async fn an_upsert_replaces_all_but_the_key(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let upsert = |rows| {
        write(
            epoch,
            vec![Op::Upsert {
                table: &LANES,
                rows,
            }],
        )
    };
    let full = row!["land", 1, "note", [1_u8], 10];
    store
        .commit(upsert(vec![full, lane("tax", 1, 30)]))
        .await
        .unwrap();
    store
        .commit(upsert(vec![lane("land", 1, 99), lane("land", 2, 20)]))
        .await
        .unwrap();
    let expected = [lane("land", 1, 99), lane("land", 2, 20), lane("tax", 1, 30)];
    assert_eq!(lanes(&store).await, expected);
}

async fn a_table_of_keys_alone_can_be_upserted(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = vec![row![[1_u8; 16], 1], row![[1_u8; 16], 2]];
    for _ in 0..2 {
        let upsert = Op::Upsert {
            table: &MEMBERS,
            rows: rows.clone(),
        };
        store.commit(write(epoch, vec![upsert])).await.unwrap();
    }
    assert_eq!(store.get(&MEMBERS, [row![[1_u8; 16]]]).await.unwrap(), rows);
}

async fn an_update_sets_the_named_columns_of_rows_that_exist(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = vec![lane("land", 1, 10), lane("land", 2, 20)];
    let insert = Op::Insert {
        table: &LANES,
        rows,
    };
    let rows = vec![row!["land", 2, 21, "seen"], row!["land", 3, 31, "nobody"]];
    let update = Op::Update {
        table: &LANES,
        columns: &["due", "note"],
        rows,
    };
    let nothing = Op::Update {
        table: &LANES,
        columns: &[],
        rows: vec![row!["land", 1]],
    };
    store
        .commit(write(epoch, vec![insert, update, nothing]))
        .await
        .unwrap();
    let changed = row!["land", 2, "seen", None::<&[u8]>, 21];
    assert_eq!(lanes(&store).await, [lane("land", 1, 10), changed]);
}

async fn of_one_key_twice_in_one_change_the_right_one_stays(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let twice = |lane_name: &str| vec![lane(lane_name, 1, 1), lane(lane_name, 1, 2)];
    let ops = vec![
        Op::Insert {
            table: &LANES,
            rows: twice("insert: the first"),
        },
        Op::Upsert {
            table: &LANES,
            rows: twice("upsert: the last"),
        },
        Op::Insert {
            table: &LANES,
            rows: vec![lane("update: the last", 1, 0)],
        },
        Op::Update {
            table: &LANES,
            columns: &["due"],
            rows: vec![
                row!["update: the last", 1, 1],
                row!["update: the last", 1, 2],
            ],
        },
    ];
    store.commit(write(epoch, ops)).await.unwrap();
    let dues: Vec<_> = lanes(&store)
        .await
        .iter()
        .map(|row| row.int(4).unwrap())
        .collect();
    assert_eq!(dues, [1, 2, 2]);
}

async fn a_delete_goes_by_key_or_prefix(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = ["civil", "land", "tax"]
        .map(|name| [lane(name, 1, 0), lane(name, 2, 0)])
        .concat();
    let ops = vec![
        Op::Insert {
            table: &LANES,
            rows,
        },
        Op::Delete {
            table: &LANES,
            keys: vec![row!["civil", 2], row!["civil", 9]],
        },
        Op::Delete {
            table: &LANES,
            keys: vec![row!["tax"], row!["nobody"]],
        },
        Op::Delete {
            table: &LANES,
            keys: vec![],
        },
    ];
    store.commit(write(epoch, ops)).await.unwrap();
    let expected = [lane("civil", 1, 0), lane("land", 1, 0), lane("land", 2, 0)];
    assert_eq!(lanes(&store).await, expected);
}

async fn changes_apply_in_their_order(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let upsert = |due| Op::Upsert {
        table: &LANES,
        rows: vec![lane("land", 1, due)],
    };
    let delete = || Op::Delete {
        table: &LANES,
        keys: vec![row!["land"]],
    };
    store
        .commit(write(epoch, vec![upsert(1), delete(), upsert(2)]))
        .await
        .unwrap();
    assert_eq!(lanes(&store).await, [lane("land", 1, 2)]);
    store
        .commit(write(epoch, vec![upsert(3), delete()]))
        .await
        .unwrap();
    assert_eq!(lanes(&store).await, []);
}

async fn a_get_answers_in_the_order_of_its_keys(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows: Vec<_> = (0..10).map(|order| lane("land", order, 0)).collect();
    let more = vec![lane("B", 1, 0), lane("a", 1, 0), lane("ă", 1, 0)];
    let rows = [rows, more].concat();
    store
        .commit(write(
            epoch,
            vec![Op::Insert {
                table: &LANES,
                rows,
            }],
        ))
        .await
        .unwrap();

    let keys = [
        row!["land", 7],
        row!["nobody", 1],
        row!["B", 1],
        row!["land", 2],
    ];
    let found = store.get(&LANES, keys).await.unwrap();
    assert_eq!(
        found,
        [lane("land", 7, 0), lane("B", 1, 0), lane("land", 2, 0)]
    );

    let found = store.get(&LANES, [row!["land"], row!["a"]]).await.unwrap();
    let orders: Vec<_> = found.iter().map(|row| row.int(1).unwrap()).collect();
    assert_eq!(orders, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1]);

    let names: Vec<_> = lanes(&store)
        .await
        .iter()
        .map(|r| r.text(0).unwrap().to_owned())
        .collect();
    assert_eq!(
        [&names[..2], &names[12..]].concat(),
        ["B", "a", "ă"],
        "text sorts by bytes"
    );
    assert!(matches!(
        store.get(&LANES, [row![1]]).await,
        Err(ReadError::Fatal(_))
    ));
}

async fn values_come_back_as_they_were(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let big: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let rows = vec![
        row!["", i64::MIN, "", [0_u8; 0], i64::MAX],
        row!["Đất đai '\"\\$1", 0, None::<&str>, [0_u8, 255, 39], -1],
        row!["ő", 1, "\r\n\t\u{1}", big, 0],
    ];
    let insert = Op::Insert {
        table: &LANES,
        rows: rows.clone(),
    };
    store.commit(write(epoch, vec![insert])).await.unwrap();
    let keys: Vec<Row> = rows.iter().map(|row| Row(row.0[..2].to_vec())).collect();
    assert_eq!(store.get(&LANES, keys).await.unwrap(), rows);
}

async fn a_query_takes_parameters_and_names_wrong_kinds(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = (0..5)
        .map(|order| row!["land", order, "n", [order as u8], order * 10])
        .collect();
    store
        .commit(write(
            epoch,
            vec![Op::Insert {
                table: &LANES,
                rows,
            }],
        ))
        .await
        .unwrap();

    let sql = "select due, body from lanes where due >= $2 and lane = $1 and body <> $3 \
               order by due desc limit $4";
    let params: Vec<Value> = vec!["land".into(), 10.into(), [4_u8].into(), 2.into()];
    let found = store
        .query(sql, params, &[Kind::Int, Kind::Blob])
        .await
        .unwrap();
    assert_eq!(found, [row![30, [3_u8]], row![20, [2_u8]]]);

    let sql = "select count(*), max(due), min(note), cast(sum(due) as bigint) from lanes";
    let kinds = [Kind::Int, Kind::Int, Kind::Text, Kind::Int];
    assert_eq!(
        store.query(sql, vec![], &kinds).await.unwrap(),
        [row![5, 40, "n", 100]]
    );

    let error = store
        .query("select note from lanes", vec![], &[Kind::Int])
        .await
        .unwrap_err();
    let ReadError::Row(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        error,
        RowError::Kind {
            column: 0,
            expected: "int",
            found: "text"
        }
    );
}

async fn common_sql_can_delete(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = (0..5).map(|order| lane("land", order, order)).collect();
    let delete = Op::Sql {
        sql: "delete from lanes where lane = $1 and due < $2".into(),
        params: vec!["land".into(), 4.into()],
    };
    store
        .commit(write(
            epoch,
            vec![
                Op::Insert {
                    table: &LANES,
                    rows,
                },
                delete,
            ],
        ))
        .await
        .unwrap();
    assert_eq!(lanes(&store).await, [lane("land", 4, 4)]);
}

async fn a_store_opened_again_shows_everything(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows: Vec<_> = (0..100).map(|order| lane("land", order, order)).collect();
    let insert = Op::Insert {
        table: &LANES,
        rows: rows.clone(),
    };
    store.commit(write(epoch, vec![insert])).await.unwrap();
    drop(store);

    let (store, next) = scratch.start().await;
    assert_eq!(lanes(&store).await, rows);
    assert_eq!(next, epoch + 1);
}

/// A plan made while a table is small stays when it has grown.
#[tokio::test]
async fn postgresql_finds_rows_of_a_small_table_by_their_keys() {
    let Some(scratch) = Scratch::postgres() else {
        return;
    };
    let (store, epoch) = scratch.start().await;
    let rows = (0..20).map(|order| lane("land", order, 10)).collect();
    let insert = Op::Insert {
        table: &LANES,
        rows,
    };
    store.commit(write(epoch, vec![insert])).await.unwrap();
    scratch.analyze("lanes").await;
    let explain = "explain (costs off) select t.due from \
                   unnest('{land}'::text[], '{1}'::bigint[]) as u(c1, c2) \
                   join lanes t on t.lane = u.c1 and t.\"order\" = u.c2";
    let lines = store.query(explain, vec![], &[Kind::Text]).await.unwrap();
    let lines: Vec<_> = lines.iter().map(|row| row.text(0).unwrap()).collect();
    let plan = lines.join("\n");
    assert!(plan.contains("Index"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    scratch.remove().await;
}
