//! What was recorded of the vendor is read as what it is.

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str(include_str!(concat!("../../tests/fixtures/", $name, ".json"))).unwrap()
    };
}

#[test]
fn statements_are_read_in_every_state() {
    let states: [(Statement, State); 4] = [
        (fixture!("statement_pending"), State::Pending),
        (fixture!("statement_running"), State::Running),
        (fixture!("statement_closed"), State::Closed),
        (fixture!("statement_succeeded_select"), State::Succeeded),
    ];
    for (statement, state) in states {
        assert_eq!(statement.status.state, state);
        assert!(!statement.statement_id.is_empty() && statement.status.error.is_none());
    }
}

#[test]
fn results_are_read_as_text_and_null_and_counts_by_their_names() {
    let select: Statement = fixture!("statement_succeeded_select");
    let rows = &select.result.as_ref().unwrap().data_array;
    assert_eq!(rows[1][1].as_deref(), Some("-45.5000"), "every digit");
    assert_eq!((&rows[1][2], rows.len()), (&None, 2));
    assert_eq!(select.column_names().len(), rows[0].len());
    let insert: Statement = fixture!("statement_succeeded_insert");
    assert_eq!((insert.count("num_affected_rows"), insert.count("num_inserted_rows")), (Some(3), Some(3)));
    assert_eq!(insert.count("num_updated_rows"), None);
}

#[test]
fn what_is_in_the_workspace_is_read() {
    let warehouse: Warehouse = fixture!("warehouse_get_200");
    assert!(warehouse.state == WarehouseState::Stopped && !warehouse.is_read_only());
    let table: Table = fixture!("table_get_200");
    assert_eq!(table.table_type.as_deref(), Some("MANAGED"));
    assert_eq!((&*table.columns[1].type_text, table.columns[0].nullable), ("decimal(18,4)", Some(false)));
    let volume: Named = fixture!("volume_get_200");
    assert!(volume.owner.is_some());
    let permissions: Permissions = fixture!("effective_permissions_200");
    let held: Vec<_> =
        permissions.privilege_assignments[0].privileges.iter().map(|it| &*it.privilege).collect();
    assert_eq!(held, ["MODIFY", "SELECT", "USE_CATALOG", "USE_SCHEMA"]);
    let listing: Listing = fixture!("files_list_200");
    let found: Vec<_> =
        listing.contents.iter().flatten().map(|it| (it.is_directory, it.last_modified)).collect();
    assert_eq!(found, [(false, Some(1_772_442_927_104)), (true, Some(1_772_440_000_123))]);
    assert_eq!(listing.next_page_token.as_deref(), Some("bWFkZS11cA"));
}
