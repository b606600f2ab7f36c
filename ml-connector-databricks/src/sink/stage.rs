//! Batches that are too large for a parameter travel as files in a volume.

use std::time::Duration;

use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Scope, Timestamp,
    http::{Pages, Position},
};
use sha2::{Digest, Sha256};

use super::Parts;
use crate::{
    error::Repair,
    sql::{TableName, VolumeName},
};

/// Where staged files are. No name begins with a period or an underscore: readers pass over those.
const DIRECTORY: &str = "staged";
/// A file that old belongs to nobody: its statement has ended, or is forgotten.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// How often abandoned files are looked for.
const CLEAN_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// When the next are deleted, where there are many.
const CLEAN_ON: Duration = Duration::from_secs(60);
/// At most so many files are deleted at a time.
const MOST: usize = 50;

/// A staged file. Named by its content, so that the same rows are the same file.
pub(super) struct Staged {
    name: String,
    pub(super) path: String,
}

impl Parts {
    /// Stages lines of JSON.
    ///
    /// # Errors
    /// In the scope of the lane, with what the operator does, when the volume is gone or may not be written to.
    pub(super) async fn stage(
        &self,
        ctx: &Context,
        volume: &VolumeName,
        table: &TableName,
        body: Bytes,
    ) -> Result<Staged> {
        let digest = Sha256::new().chain_update(format!("{table}\n")).chain_update(&body).finalize();
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{digest}.json", table.table);
        let put = match self.client.put_file(ctx, volume, &[DIRECTORY, &name], body.clone()).await {
            // The directory may be missing, or the volume.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match self.client.create_directory(ctx, volume, &[DIRECTORY]).await {
                    Ok(()) => self.client.put_file(ctx, volume, &[DIRECTORY, &name], body).await,
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        put.map_err(|error| refused(error, volume))?;
        Ok(Staged { path: volume.path(&[DIRECTORY, &name]), name })
    }

    /// Deletes a file whose statement has ended. One that stays is found by the next clean-up.
    pub(super) async fn unstage(&self, ctx: &Context, volume: &VolumeName, staged: &Staged) {
        if let Err(error) = self.client.delete_file(ctx, volume, &[DIRECTORY, &staged.name]).await {
            tracing::debug!(%error, "a staged file stays until the next clean-up");
        }
    }

    /// Deletes what nobody came back for, and says when to look again.
    ///
    /// # Errors
    /// As those of the file calls, and [`ErrorKind::InvalidResponse`] for a list that does not end.
    pub(super) async fn clean_up(&self, ctx: &Context) -> Result<Option<Timestamp>> {
        let Some(volume) = &self.volume else { return Ok(None) };
        let before = (ctx.now() - ABANDONED).as_millis();
        let (mut pages, mut deleted) = (Pages::default(), 0);
        loop {
            let token = match pages.at() {
                Some(Position::Token(token)) => Some(token.as_str()),
                _ => None,
            };
            let listing = self.client.list_directory(ctx, volume, &[DIRECTORY], token).await?;
            let contents = listing.contents.unwrap_or_default();
            for entry in contents.iter().filter(|entry| !entry.is_directory) {
                if entry.last_modified.is_none_or(|at| at >= before) {
                    continue;
                }
                if deleted == MOST {
                    return Ok(Some(ctx.now() + CLEAN_ON));
                }
                deleted += 1;
                self.client.delete_file(ctx, volume, &[DIRECTORY, &entry.name]).await?;
            }
            let next = listing.next_page_token.filter(|token| !token.is_empty()).map(Position::Token);
            if !pages.advance(next, contents.iter().map(|entry| &entry.name))? {
                return Ok(Some(ctx.now() + CLEAN_EVERY));
            }
        }
    }
}

fn refused(error: Error, volume: &VolumeName) -> Error {
    let message = match error.kind() {
        ErrorKind::NotFound => Repair::MissingVolume.message(),
        ErrorKind::PermissionDenied => {
            "the service principal may not write to the volume: grant WRITE VOLUME"
        }
        _ => return error,
    };
    Error::new(error.kind(), message)
        .with_scope(Scope::Lane)
        .with_context("volume", volume)
        .with_source(error)
}
