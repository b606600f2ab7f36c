//! Files in volumes.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ml_connector_core::{Context, ErrorKind, Result};
use url::Url;

use super::Client;
use crate::{models::Listing, sql::VolumeName};

/// How long a file of some megabytes may take over a slow line.
const UPLOAD: Duration = Duration::from_secs(120);

impl Client {
    /// Writes a file, in place of what is there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the volume is gone; [`ErrorKind::PermissionDenied`] without WRITE VOLUME.
    pub(crate) async fn put_file(
        &self,
        ctx: &Context,
        volume: &VolumeName,
        path: &[&str],
        body: Bytes,
    ) -> Result<()> {
        let mut url = self.volume_url("files", volume, path);
        url.set_query(Some("overwrite=true"));
        let operation = "databricks.put_file";
        let call = self.repeatable(operation, Method::PUT, &url, body)?.within(UPLOAD);
        self.http.send(ctx, call).await.map(drop)
    }

    /// Deletes a file. One that is not there is deleted already.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without WRITE VOLUME.
    pub(crate) async fn delete_file(&self, ctx: &Context, volume: &VolumeName, path: &[&str]) -> Result<()> {
        let url = self.volume_url("files", volume, path);
        let call = self.repeatable("databricks.delete_file", Method::DELETE, &url, Bytes::new())?;
        match self.http.send(ctx, call).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Makes a directory with those above it. One that is there stays.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the volume is gone; [`ErrorKind::PermissionDenied`] without WRITE VOLUME.
    pub(crate) async fn create_directory(
        &self,
        ctx: &Context,
        volume: &VolumeName,
        path: &[&str],
    ) -> Result<()> {
        let url = self.volume_url("directories", volume, path);
        let call = self.repeatable("databricks.create_directory", Method::PUT, &url, Bytes::new())?;
        self.http.send(ctx, call).await.map(drop)
    }

    /// A page of a directory. An empty volume may say that its root is not there: then there is nothing in it.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] without READ VOLUME.
    pub(crate) async fn list_directory(
        &self,
        ctx: &Context,
        volume: &VolumeName,
        path: &[&str],
        page_token: Option<&str>,
    ) -> Result<Listing> {
        let mut url = self.volume_url("directories", volume, path);
        if let Some(token) = page_token {
            url.query_pairs_mut().append_pair("page_token", token);
        }
        let operation = "databricks.list_directory";
        match self.get(ctx, operation, &url).await {
            Ok(answer) => answer.json().map_err(|error| error.with_operation(operation)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Listing { contents: None, next_page_token: None })
            }
            Err(error) => Err(error),
        }
    }

    fn volume_url(&self, api: &str, volume: &VolumeName, path: &[&str]) -> Url {
        let root = ["api", "2.0", "fs", api, "Volumes", &volume.catalog, &volume.schema, &volume.volume];
        let all: Vec<&str> = root.into_iter().chain(path.iter().copied()).collect();
        self.http.url(&all)
    }
}
