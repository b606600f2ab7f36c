//! Unity Catalog over REST, and who is asking.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    State,
    answer::{denied, ok, refused},
    sql::{
        DataType,
        catalog::{Column, Table},
    },
};

/// Answers below `/api/2.1/unity-catalog`.
pub(super) fn answer(state: &State, method: &Method, path: &[&str]) -> Response<Bytes> {
    if *method != Method::GET {
        let message = format!("No API found for '{method} /unity-catalog/{}'", path.join("/"));
        return refused(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", &message);
    }
    match *path {
        ["catalogs", name] => catalog(state, &name.to_lowercase()),
        ["schemas", name] => schema(state, &name.to_lowercase()),
        ["tables", name] => table(state, &name.to_lowercase(), false),
        ["tables", name, "exists"] => table(state, &name.to_lowercase(), true),
        ["volumes", name] => volume(state, &name.to_lowercase()),
        ["effective-permissions", _, name] => permissions(state, &name.to_lowercase()),
        _ => {
            let message = format!("No API found for '{method} /unity-catalog/{}'", path.join("/"));
            refused(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", &message)
        }
    }
}

fn missing(kind: &str, name: &str) -> Response<Bytes> {
    let code = format!("{}_DOES_NOT_EXIST", kind.to_ascii_uppercase());
    refused(StatusCode::NOT_FOUND, &code, &format!("{kind} '{name}' does not exist."))
}

/// Why the principal may not reach into a schema.
fn out_of_reach(state: &State, catalog: &str, schema: &str) -> Option<Response<Bytes>> {
    state.database.grants.require_use(catalog, schema).err().map(|error| denied(&error.to_string()))
}

fn catalog(state: &State, name: &str) -> Response<Bytes> {
    if state.database.catalogs.contains_key(name) {
        ok(
            json!({ "name": name, "full_name": name, "catalog_type": "MANAGED_CATALOG", "owner": "admin@example.com" }),
        )
    } else {
        missing("Catalog", name)
    }
}

fn schema(state: &State, full: &str) -> Response<Bytes> {
    let Some((catalog, schema)) = full.split_once('.') else { return missing("Schema", full) };
    let Ok(found) = state.database.schema(catalog, schema) else { return missing("Schema", full) };
    if let Some(refusal) = out_of_reach(state, catalog, schema) {
        return refusal;
    }
    let mut shown =
        json!({ "name": schema, "catalog_name": catalog, "full_name": full, "owner": "admin@example.com" });
    if let Some(comment) = &found.comment {
        shown["comment"] = comment.as_str().into();
    }
    ok(shown)
}

fn parts(full: &str) -> Option<[&str; 3]> {
    let parts: Vec<_> = full.split('.').collect();
    <[&str; 3]>::try_from(parts).ok()
}

fn table(state: &State, full: &str, only_exists: bool) -> Response<Bytes> {
    let Some([catalog, schema, name]) = parts(full) else { return missing("Table", full) };
    let Ok(content) = state.database.schema(catalog, schema) else { return missing("Table", full) };
    if only_exists {
        return ok(
            json!({ "table_exists": content.tables.contains_key(name) || content.views.contains_key(name) }),
        );
    }
    let Some(found) = content.tables.get(name) else { return missing("Table", full) };
    if let Some(refusal) = out_of_reach(state, catalog, schema) {
        return refusal;
    }
    if !state.database.grants.has("SELECT", full) {
        return denied(&format!("User does not have SELECT on Table '{full}'."));
    }
    ok(shown(state, [catalog, schema, name], found))
}

fn shown(state: &State, [catalog, schema, name]: [&str; 3], table: &Table) -> Value {
    let full = format!("{catalog}.{schema}.{name}");
    let owner = match state.database.grants.owns(&full) {
        true => state.auth.credentials.client_id.as_str(),
        false => "admin@example.com",
    };
    let mut shown = json!({
        "name": name,
        "catalog_name": catalog,
        "schema_name": schema,
        "table_type": "MANAGED",
        "data_source_format": "DELTA",
        "columns": table.columns.iter().enumerate().map(|(at, column)| self::column(at, column)).collect::<Vec<_>>(),
        "owner": owner,
        "properties": table.properties,
        "full_name": full,
        "created_at": table.created_at,
        "created_by": owner,
        "updated_at": table.updated_at,
        "updated_by": owner,
        "enable_predictive_optimization": "INHERIT",
    });
    if let Some(comment) = &table.comment {
        shown["comment"] = comment.as_str().into();
    }
    if let Some(filter) = &table.row_filter {
        shown["row_filter"] =
            json!({ "function_name": filter.function, "input_column_names": filter.columns });
    }
    if !table.cluster_by.is_empty() {
        let columns: Vec<_> = table.cluster_by.iter().map(|column| vec![column]).collect();
        shown["properties"]["clusteringColumns"] = json!(columns).to_string().into();
    }
    shown
}

fn column(position: usize, column: &Column) -> Value {
    let mut shown = json!({
        "name": column.name,
        "type_text": column.ty.lower(),
        "type_name": column.ty.type_name(),
        "position": position,
        "type_json": json!({
            "name": column.name,
            "type": column.ty.lower(),
            "nullable": !column.not_null,
            "metadata": {},
        }).to_string(),
        "nullable": !column.not_null,
    });
    if let DataType::Decimal { precision, scale } = column.ty {
        shown["type_precision"] = precision.into();
        shown["type_scale"] = scale.into();
    }
    if let Some(comment) = &column.comment {
        shown["comment"] = comment.as_str().into();
    }
    if let Some(mask) = &column.mask {
        shown["mask"] = json!({ "function_name": mask.function });
    }
    shown
}

fn volume(state: &State, full: &str) -> Response<Bytes> {
    let Some([catalog, schema, name]) = parts(full) else { return missing("Volume", full) };
    let Some(found) = state.database.volume(catalog, schema, name) else { return missing("Volume", full) };
    if let Some(refusal) = out_of_reach(state, catalog, schema) {
        return refusal;
    }
    if !state.database.grants.has("READ VOLUME", full) {
        return denied(&format!("User does not have READ VOLUME on Volume '{full}'."));
    }
    let mut shown = json!({
        "catalog_name": catalog,
        "schema_name": schema,
        "name": name,
        "full_name": full,
        "volume_type": "MANAGED",
        "created_at": found.created_at,
        "updated_at": found.created_at,
    });
    if let Some(comment) = &found.comment {
        shown["comment"] = comment.as_str().into();
    }
    ok(shown)
}

fn permissions(state: &State, full: &str) -> Response<Bytes> {
    let privileges = state.database.grants.effective(full).into_iter().map(|(privilege, held)| {
        let mut shown = json!({ "privilege": privilege.replace(' ', "_") });
        if held != full {
            let kind = if held.contains('.') { "SCHEMA" } else { "CATALOG" };
            shown["inherited_from_type"] = kind.into();
            shown["inherited_from_name"] = held.into();
        }
        shown
    });
    let privileges: Vec<_> = privileges.collect();
    if privileges.is_empty() {
        return ok(json!({}));
    }
    let principal = &state.auth.credentials.client_id;
    ok(json!({ "privilege_assignments": [{ "principal": principal, "privileges": privileges }] }))
}
