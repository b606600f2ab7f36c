//! Whether everything is there that rows need, before the first one comes.

use std::time::Duration;

use ml_connector_core::{CheckStep, Context, Error, ErrorKind, Result, Scope, model::DeliveryId};

use super::Databricks;
use crate::{error::Repair, tables::inspect};

impl Databricks {
    /// Looks at the warehouse, the schema, every table and the volume. It starts a warehouse that is stopped, and writes
    /// nothing but a file of no use, which it deletes.
    pub(super) async fn look(&self, ctx: &Context) -> Vec<CheckStep> {
        let parts = &*self.parts;
        let mut checked = Vec::new();
        let mut note = |step: &str, what: String, result: Result<()>| {
            checked.push(CheckStep::of(format!("{step} {what}").trim_end().to_owned(), result.as_ref()));
        };
        let warehouse = match parts.client.get_warehouse(ctx).await {
            Ok(warehouse) if warehouse.is_read_only() => {
                Err(Error::new(ErrorKind::ConfigInvalid, Repair::ReadOnly.message())
                    .with_scope(Scope::Connection))
            }
            Ok(_) => Ok(()),
            // Who may use it need not be allowed to see it: the statement tells.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        };
        note("warehouse", parts.client.warehouse_id().to_owned(), warehouse);
        note("statement", String::new(), self.query(ctx, "SELECT 1", &[]).await.map(drop));

        let names = &parts.tables.names;
        let schema = match parts.client.has_schema(ctx, &names.catalog, &names.schema).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(ErrorKind::ConfigInvalid, Repair::MissingSchema.message())),
            Err(error) => Err(error),
        };
        note("schema", format!("{}.{}", names.catalog, names.schema), schema);

        let mut seen = std::collections::BTreeSet::new();
        for feeding in parts.feeding.values() {
            for columns in &feeding.columns {
                let Ok(name) = names.table(feeding.system, columns) else { continue };
                if !seen.insert(name.clone()) {
                    continue;
                }
                let table = match parts.client.get_table(ctx, &name).await {
                    Ok(Some(table)) => inspect(&parts.tables, &name, &table, columns)
                        .map(|found| parts.tables.report(&name, found.drift)),
                    Ok(None) if parts.tables.create => Ok(()),
                    Ok(None) => Err(Error::new(ErrorKind::ConfigInvalid, Repair::MissingTable.message())),
                    Err(error) => Err(error),
                };
                note("table", name.to_string(), table);
            }
        }
        if let Some(volume) = &parts.volume {
            let volume_is_there = match parts.client.has_volume(ctx, volume).await {
                Ok(true) => {
                    // Two checks at once must not delete each other's file.
                    let name = format!("check-{}", DeliveryId::generate(ctx.now()));
                    let ctx = ctx.within(Duration::from_secs(30));
                    let table = names.called(name.into());
                    match parts.stage(&ctx, volume, &table, "{}\n".to_owned()).await {
                        Ok(staged) => {
                            parts.unstage(&ctx, volume, &staged).await;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                Ok(false) => Err(Error::new(ErrorKind::ConfigInvalid, Repair::MissingVolume.message())),
                Err(error) => Err(error),
            };
            note("volume", volume.to_string(), volume_is_there);
        }
        checked
    }
}
