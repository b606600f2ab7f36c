//! Whether the log is what was written.

use std::path::Path;

use ml_connector_core::{
    Error, ErrorKind, Result,
    audit::{ChainHead, ChainedLog},
};

use crate::look;

/// Checks the chain, and keeps where it ends.
///
/// # Errors
/// [`ErrorKind::Unexpected`] when something is broken, which is printed before; [`ErrorKind::Unavailable`] when the file of
/// heads cannot be read or written.
pub(crate) async fn verify(log: &dyn ChainedLog, heads: Option<&Path>, json: bool) -> Result<()> {
    let kept = heads.map(read).transpose()?.unwrap_or_default();
    // What is kept next was there before the check, which covers it.
    let now = log.heads().await?;
    let verified = log.verify(&kept).await?;
    if json {
        look::print(&verified)?;
    } else {
        verified.broken.iter().for_each(|broken| println!("{broken}"));
        println!("{} links were checked, {} heads compared.", verified.links, kept.len());
    }
    if !verified.broken.is_empty() {
        let message = "the log was changed behind its back: compare it with a backup";
        return Err(Error::new(ErrorKind::Unexpected, message).with_context("places", verified.broken.len()));
    }
    heads.map_or(Ok(()), |path| write(path, &now))
}

fn read(path: &Path) -> Result<Vec<ChainHead>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(path).map_err(|source| of_file("the heads cannot be read", source))?;
    serde_json::from_slice(&text).map_err(|source| of_file("the heads cannot be understood", source))
}

fn write(path: &Path, heads: &[ChainHead]) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(heads).map_err(|source| of_file("the heads cannot be encoded", source))?;
    std::fs::write(path, text).map_err(|source| of_file("the heads cannot be written", source))
}

fn of_file(message: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_source(source)
}
