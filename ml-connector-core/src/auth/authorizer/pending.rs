//! Consents that were asked for and not given yet: in the token store, so that any host can finish them.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{
    Context, Error, ErrorKind, Result, Secret, Timestamp,
    model::ConnectionId,
    token::{Kept, Swap, TokenKey},
};

/// How long a person may take. Zoho's page itself waits no longer.
const LIFE: Duration = Duration::from_secs(600);
/// How many consents one connection waits for: people press the button twice. One more ends the oldest.
const MAX_PENDING: usize = 8;

/// What the browser and the token endpoint are given.
pub(super) struct Consent {
    pub(super) state: Secret,
    pub(super) verifier: Option<Secret>,
}

/// Remembers a new consent.
pub(super) async fn add(
    ctx: &Context,
    connection: &ConnectionId,
    session: Option<&str>,
    pkce: bool,
) -> Result<Consent> {
    let (proof, verifier) = (random(), pkce.then(random));
    let pending = PendingConsent {
        proof: digest(proof.expose()),
        session: session.map(digest),
        verifier: verifier.clone().map(Kept),
        until: ctx.now() + LIFE,
    };
    change(ctx, connection, |all| {
        all.retain(|pending| ctx.now() < pending.until);
        let excess = (all.len() + 1).saturating_sub(MAX_PENDING);
        all.drain(..excess);
        all.push(pending.clone());
        Ok(())
    })
    .await?;
    // The name in it leads to the connection's slot; that somebody began there is proven by the rest.
    let state = Secret::from(format!("{}.{connection}", proof.expose()));
    Ok(Consent { state, verifier })
}

/// Ends a consent that is waited for, whoever else tries at the same time. Returns its connection and verifier.
pub(super) async fn take(
    ctx: &Context,
    state: &Secret,
    session: Option<&str>,
) -> Result<(ConnectionId, Option<Secret>)> {
    let (proof, connection) = state.expose().split_once('.').ok_or_else(unknown)?;
    let connection = ConnectionId::from(connection);
    connection.validate().map_err(|_| unknown())?;
    let (proof, session) = (digest(proof), session.map(digest));
    let taken = change(ctx, &connection, |all| {
        let mut place = None;
        for (n, pending) in all.iter().enumerate() {
            if same(&pending.proof, &proof) {
                place = Some(n);
            }
        }
        let place = place.ok_or_else(unknown)?;
        let in_session = match (&all[place].session, &session) {
            (None, _) => true,
            (Some(wanted), Some(session)) => same(wanted, session),
            (Some(_), None) => false,
        };
        // Stays: whoever shows it elsewhere cannot end it for the person it belongs to.
        if !in_session {
            return Err(unknown());
        }
        Ok(all.remove(place))
    })
    .await?;
    if ctx.now() >= taken.until {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "the consent took longer than ten minutes: begin anew",
        ));
    }
    Ok((connection, taken.verifier.map(|verifier| verifier.0)))
}

/// `Debug` shows nothing that could be used.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PendingConsent {
    /// The digest of the random part of the state: who reads the store learns nothing to forge a callback with.
    proof: String,
    session: Option<String>,
    verifier: Option<Kept>,
    until: Timestamp,
}

/// Changes what a connection waits for. `change` is tried again when another host was quicker.
async fn change<T>(
    ctx: &Context,
    connection: &ConnectionId,
    change: impl Fn(&mut Vec<PendingConsent>) -> Result<T>,
) -> Result<T> {
    let key = TokenKey::consents(connection);
    let mut stored = ctx.tokens().load(&key).await?;
    loop {
        let mut all = stored.as_ref().map_or_else(|| Ok(Vec::new()), |stored| decode(&stored.bytes))?;
        let changed = change(&mut all)?;
        let value = if all.is_empty() { None } else { Some(encode(&all)?) };
        match ctx.tokens().swap(&key, stored.map(|stored| stored.version), value).await? {
            Swap::Stored { .. } => return Ok(changed),
            Swap::Conflict(current) => stored = current,
        }
    }
}

fn encode(all: &[PendingConsent]) -> Result<Bytes> {
    serde_json::to_vec(all)
        .map(Bytes::from)
        .map_err(|_| Error::new(ErrorKind::Unexpected, "the pending consents could not be encoded"))
}

/// The decoder's own message may quote what it read.
fn decode(bytes: &[u8]) -> Result<Vec<PendingConsent>> {
    serde_json::from_slice(bytes).map_err(|_| {
        Error::new(ErrorKind::Unexpected, "what is stored as pending consents is something else")
            .with_context("bytes", bytes.len())
    })
}

/// 244 random bits, in characters that a state and a PKCE verifier may have.
fn random() -> Secret {
    Secret::from(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Does not say what was wrong: whoever guesses shall not learn from it.
fn unknown() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "the callback's state is unknown, used or of another session: begin anew",
    )
}
