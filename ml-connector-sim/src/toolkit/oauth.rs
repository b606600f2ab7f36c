//! One OAuth 2.0 server for all vendors: codes, refresh tokens of every kind, client credentials.
//!
//! A vendor says its [`Rules`], registers its clients, and turns [`Issued`] and [`Refused`] into its own answers. The
//! server keeps no HTTP: [`TokenRequest::read`] reads a form, a query, JSON and HTTP Basic, and a vendor refuses what
//! it does not take. Answers get lost by a [`Fault`](crate::Fault) on the path of the token endpoint, after the server
//! has rotated.

mod request;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use ml_connector_core::Timestamp;

pub(crate) use self::request::TokenRequest;
use super::{
    seed::Seed,
    windows::{Period, Window},
};

/// What a token is minted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mint {
    Code,
    Access,
    Refresh,
}

/// What becomes of a refresh token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshTokens {
    /// There are none.
    None,
    /// It stays, and refreshing gives no other.
    Lasting,
    /// It is dead at once; its successor comes with the answer.
    OneUse,
    /// It works so long after its first use; every use gives a successor.
    Grace(Duration),
    /// It works until its successor, or the access token that came with it, is used for the first time. Used again, it
    /// replaces the pair that nobody has used.
    UntilSuccessorIsUsed,
}

/// How a vendor's token endpoint behaves.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Makes a token's text of 64 hexadecimal digits.
    pub(crate) mint: fn(Mint, &str) -> String,
    pub(crate) code_life: Duration,
    /// How long an access token lives; `None` for ever.
    pub(crate) access_life: Option<Duration>,
    pub(crate) refresh: RefreshTokens,
    /// A refresh token that is not used for so long is dead.
    pub(crate) idle_life: Option<Duration>,
    /// A refresh so soon after the last access token is refused.
    pub(crate) earliest: Option<Duration>,
    /// Access tokens of one grant that live at once; one more ends the oldest.
    pub(crate) live_tokens: Option<usize>,
    /// Grants of one owner to one client; one more ends the oldest.
    pub(crate) grants_per_owner: Option<usize>,
    /// Access tokens of one grant within periods.
    pub(crate) quotas: Vec<(u32, Period)>,
    /// Whether a code needs the `redirect_uri` of its consent.
    pub(crate) checks_redirect: bool,
    /// Whether a client gets tokens for itself.
    pub(crate) client_credentials: bool,
}

/// What somebody has allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consent {
    pub(crate) client_id: String,
    /// Where the grant is known: a data center, a region, a tenant. Empty where there is one.
    pub(crate) realm: String,
    /// Who allowed it. Empty where there is one.
    pub(crate) owner: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) redirect_uri: Option<String>,
}

/// Tokens that were handed out.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    /// The one to use next; `None` where refreshing gives no other.
    pub(crate) refresh_token: Option<String>,
    pub(crate) owner: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) issued: Timestamp,
    /// Whole seconds; `None` for ever.
    pub(crate) expires_in: Option<u64>,
    /// Whether this answers a code, and not a refresh.
    pub(crate) is_first: bool,
}

/// Why no token is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    UnknownClient,
    WrongSecret,
    UnsupportedGrant,
    /// A code that was never issued, was used, is too old, or belongs elsewhere.
    InvalidCode,
    WrongRedirect,
    /// A refresh token that was never issued, was withdrawn, or belongs elsewhere.
    UnknownRefreshToken,
    /// A refresh token whose successor counts.
    UsedRefreshToken,
    /// A refresh token that nobody used for too long.
    IdleRefreshToken,
    TooEarly {
        left: Duration,
    },
    /// Too many tokens in a period.
    Throttled {
        until: Timestamp,
    },
}

impl Refused {
    /// The error word of RFC 6749, for vendors that have no other.
    pub(crate) fn standard(&self) -> &'static str {
        match self {
            Self::UnknownClient | Self::WrongSecret => "invalid_client",
            Self::UnsupportedGrant => "unsupported_grant_type",
            Self::InvalidCode
            | Self::WrongRedirect
            | Self::UnknownRefreshToken
            | Self::UsedRefreshToken
            | Self::IdleRefreshToken => "invalid_grant",
            Self::TooEarly { .. } | Self::Throttled { .. } => "access_denied",
        }
    }
}

/// Why an access token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    Unknown,
    Revoked,
    Expired,
}

/// An access token.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) client_id: String,
    pub(crate) realm: String,
    pub(crate) owner: String,
    pub(crate) scopes: Vec<String>,
    /// `None`: never.
    pub(crate) expires: Option<Timestamp>,
    revoked: bool,
    /// The grant and which of its refresh tokens came with it.
    of: Option<(u64, usize)>,
}

#[derive(Debug)]
struct Grant {
    id: u64,
    consent: Consent,
    refresh: Vec<RefreshToken>,
    /// Access tokens that live, oldest first.
    live: VecDeque<String>,
    last_issued: Option<Timestamp>,
    quotas: Vec<Window>,
}

#[derive(Debug)]
struct RefreshToken {
    value: String,
    /// When it was issued or last used.
    touched: Timestamp,
    used: bool,
    /// When it was used for the first time.
    first_used: Option<Timestamp>,
    dead: bool,
}

/// The state of a vendor's token endpoint.
#[derive(Debug)]
pub(crate) struct OAuthServer {
    rules: Rules,
    seed: Seed,
    clients: HashMap<String, String>,
    codes: HashMap<String, (Consent, Timestamp)>,
    grants: Vec<Grant>,
    access: HashMap<String, Access>,
    issued: u64,
    last_id: u64,
}

impl OAuthServer {
    pub(crate) fn new(rules: Rules, seed: Seed) -> Self {
        Self {
            rules,
            seed,
            clients: HashMap::new(),
            codes: HashMap::new(),
            grants: Vec::new(),
            access: HashMap::new(),
            issued: 0,
            last_id: 0,
        }
    }

    /// Registers a client, or gives it another secret.
    pub(crate) fn register(&mut self, client_id: &str, secret: &str) {
        self.clients.insert(client_id.to_owned(), secret.to_owned());
    }

    /// How many access tokens were handed out.
    pub(crate) fn issued(&self) -> u64 {
        self.issued
    }

    /// A one-time code, as the redirect after the consent carries it.
    pub(crate) fn code(&mut self, consent: Consent, now: Timestamp) -> String {
        let code = self.mint(Mint::Code);
        self.codes.insert(code.clone(), (consent, now + self.rules.code_life));
        code
    }

    /// A grant without a code, for a test that begins after the consent. Returns its refresh token, which is empty
    /// where there are none.
    pub(crate) fn grant(&mut self, consent: Consent, now: Timestamp) -> String {
        let at = self.add_grant(consent, now);
        self.grants[at].refresh.last().map(|token| token.value.clone()).unwrap_or_default()
    }

    /// As if a code had been exchanged.
    pub(crate) fn install(&mut self, consent: Consent, now: Timestamp) -> Issued {
        let at = self.add_grant(consent, now);
        self.issue(at, now, true)
    }

    /// Answers the token endpoint of a realm.
    pub(crate) fn token(
        &mut self,
        request: &TokenRequest,
        realm: &str,
        now: Timestamp,
    ) -> Result<Issued, Refused> {
        let (client_id, secret) = request.client();
        let known = self.clients.get(client_id).ok_or(Refused::UnknownClient)?;
        if known != secret {
            return Err(Refused::WrongSecret);
        }
        match request.grant_type() {
            "authorization_code" => self.exchange(request, client_id, realm, now),
            "refresh_token" => self.refresh(request, client_id, realm, now),
            "client_credentials" if self.rules.client_credentials => {
                let consent = Consent {
                    client_id: client_id.to_owned(),
                    realm: realm.to_owned(),
                    owner: client_id.to_owned(),
                    scopes: request.scopes(),
                    redirect_uri: None,
                };
                Ok(self.hand_out(consent, None, now))
            }
            _ => Err(Refused::UnsupportedGrant),
        }
    }

    /// What an access token opens. Its first use ends the refresh tokens before its own, where the vendor waits for
    /// that.
    pub(crate) fn check(&mut self, token: &str, now: Timestamp) -> Result<&Access, Rejected> {
        let access = self.access.get(token).ok_or(Rejected::Unknown)?;
        if access.revoked {
            return Err(Rejected::Revoked);
        }
        if access.expires.is_some_and(|expires| expires <= now) {
            return Err(Rejected::Expired);
        }
        if let Some((grant, nth)) = access.of {
            self.confirm(grant, nth);
        }
        self.access.get(token).ok_or(Rejected::Unknown)
    }

    /// An access token as it was handed out, whether it still opens anything or not.
    pub(crate) fn find(&self, token: &str) -> Option<&Access> {
        self.access.get(token)
    }

    /// Ends all access tokens, as if their time were over.
    pub(crate) fn expire_access(&mut self, now: Timestamp) {
        self.access.values_mut().for_each(|access| access.expires = Some(now));
    }

    /// Withdraws one access token.
    pub(crate) fn revoke_access(&mut self, token: &str) {
        self.access.get_mut(token).into_iter().for_each(|access| access.revoked = true);
    }

    /// Withdraws a grant by any of its refresh tokens, with the access tokens it led to. Returns whether there is one.
    pub(crate) fn revoke_grant(&mut self, refresh_token: &str) -> bool {
        let has = |grant: &Grant| grant.refresh.iter().any(|token| token.value == refresh_token);
        let Some(at) = self.grants.iter().position(has) else { return false };
        let ended = self.grants.remove(at);
        ended.live.iter().for_each(|token| self.revoke_access(token));
        true
    }

    /// Whether this is a client's id and secret.
    pub(crate) fn is_client(&self, request: &TokenRequest) -> bool {
        let (id, secret) = request.client();
        self.clients.get(id).is_some_and(|known| known == secret)
    }

    /// Withdraws everything that was granted.
    pub(crate) fn revoke_all(&mut self) {
        self.access.values_mut().for_each(|access| access.revoked = true);
        self.grants.clear();
        self.codes.clear();
    }

    fn exchange(
        &mut self,
        request: &TokenRequest,
        client_id: &str,
        realm: &str,
        now: Timestamp,
    ) -> Result<Issued, Refused> {
        let code = request.get("code");
        let (consent, until) = self.codes.get(code).ok_or(Refused::InvalidCode)?;
        if consent.client_id != client_id || consent.realm != realm || *until <= now {
            return Err(Refused::InvalidCode);
        }
        let redirect_uri = Some(request.get("redirect_uri")).filter(|uri| !uri.is_empty());
        if self.rules.checks_redirect && consent.redirect_uri.as_deref() != redirect_uri {
            return Err(Refused::WrongRedirect);
        }
        let (consent, _) = self.codes.remove(code).ok_or(Refused::InvalidCode)?;
        let at = self.add_grant(consent, now);
        Ok(self.issue(at, now, true))
    }

    fn refresh(
        &mut self,
        request: &TokenRequest,
        client_id: &str,
        realm: &str,
        now: Timestamp,
    ) -> Result<Issued, Refused> {
        let given = request.get("refresh_token");
        let place = self.grants.iter().enumerate().find_map(|(at, grant)| {
            let nth = grant.refresh.iter().position(|token| token.value == given)?;
            (grant.consent.client_id == client_id && grant.consent.realm == realm).then_some((at, nth))
        });
        let (at, nth) = place.ok_or(Refused::UnknownRefreshToken)?;
        let grant = &mut self.grants[at];
        let token = &grant.refresh[nth];
        if self.rules.idle_life.is_some_and(|life| now.saturating_since(token.touched) >= life) {
            return Err(Refused::IdleRefreshToken);
        }
        let works = match (self.rules.refresh, token.first_used) {
            (RefreshTokens::None, _) => return Err(Refused::UnknownRefreshToken),
            (RefreshTokens::Lasting, _) | (_, None) => !token.dead,
            (RefreshTokens::OneUse, Some(_)) => false,
            (RefreshTokens::Grace(grace), Some(used)) => used + grace > now,
            (RefreshTokens::UntilSuccessorIsUsed, Some(_)) => !token.dead,
        };
        if !works {
            return Err(Refused::UsedRefreshToken);
        }
        // Asking again for an answer that was lost is not asking too early.
        if let (Some(earliest), Some(last), false) = (self.rules.earliest, grant.last_issued, token.used)
            && now < last + earliest
        {
            return Err(Refused::TooEarly { left: (last + earliest).saturating_since(now) });
        }
        let mut quotas = grant.quotas.iter_mut();
        let full = quotas.find_map(|window| (window.remaining(now) == 0).then(|| window.resets_at(now)));
        if let Some(until) = full {
            return Err(Refused::Throttled { until });
        }
        let repeated = token_used(&mut grant.refresh[nth], now);
        let id = grant.id;
        match self.rules.refresh {
            RefreshTokens::UntilSuccessorIsUsed => {
                self.confirm(id, nth);
                if repeated {
                    self.forget_after(at, nth);
                }
                self.add_refresh_token(at, now);
            }
            RefreshTokens::OneUse | RefreshTokens::Grace(_) => self.add_refresh_token(at, now),
            RefreshTokens::None | RefreshTokens::Lasting => {}
        }
        Ok(self.issue(at, now, false))
    }

    /// The `nth` pair of a grant is in use: what came before is dead, where the vendor waits for that.
    fn confirm(&mut self, grant: u64, nth: usize) {
        if self.rules.refresh != RefreshTokens::UntilSuccessorIsUsed {
            return;
        }
        let grant = self.grants.iter_mut().find(|known| known.id == grant);
        grant.into_iter().flat_map(|grant| &mut grant.refresh[..nth]).for_each(|token| token.dead = true);
    }

    /// Ends the pairs after the `nth`, which nobody has used.
    fn forget_after(&mut self, at: usize, nth: usize) {
        let grant = &mut self.grants[at];
        grant.refresh[nth + 1..].iter_mut().for_each(|token| token.dead = true);
        for access in self.access.values_mut() {
            access.revoked |= access.of.is_some_and(|(id, of)| id == grant.id && of > nth);
        }
    }

    fn add_grant(&mut self, consent: Consent, now: Timestamp) -> usize {
        let same = |grant: &Grant| {
            let known = &grant.consent;
            (&known.client_id, &known.realm, &known.owner)
                == (&consent.client_id, &consent.realm, &consent.owner)
        };
        let of_owner = self.grants.iter().filter(|grant| same(grant)).count();
        if self.rules.grants_per_owner.is_some_and(|most| of_owner >= most)
            && let Some(oldest) = self.grants.iter().position(same)
        {
            let ended = self.grants.remove(oldest);
            ended.live.iter().for_each(|token| self.revoke_access(token));
        }
        self.last_id += 1;
        self.grants.push(Grant {
            id: self.last_id,
            consent,
            refresh: Vec::new(),
            live: VecDeque::new(),
            last_issued: None,
            quotas: self
                .rules
                .quotas
                .iter()
                .map(|(limit, period)| Window::new(*limit, period.clone()))
                .collect(),
        });
        let at = self.grants.len() - 1;
        if self.rules.refresh != RefreshTokens::None {
            self.add_refresh_token(at, now);
        }
        at
    }

    fn add_refresh_token(&mut self, at: usize, now: Timestamp) {
        let value = self.mint(Mint::Refresh);
        self.grants[at].refresh.push(RefreshToken {
            value,
            touched: now,
            used: false,
            first_used: None,
            dead: false,
        });
    }

    /// Hands out an access token of a grant, with its newest refresh token.
    fn issue(&mut self, at: usize, now: Timestamp, is_first: bool) -> Issued {
        let grant = &mut self.grants[at];
        grant.last_issued = Some(now);
        grant.quotas.iter_mut().for_each(|window| {
            window.count(now);
        });
        let (id, consent) = (grant.id, grant.consent.clone());
        let nth = grant.refresh.len().saturating_sub(1);
        let newest = grant.refresh.last().map(|token| token.value.clone());
        let mut issued = self.hand_out(consent, Some((id, nth)), now);
        issued.is_first = is_first;
        issued.refresh_token = newest.filter(|_| is_first || self.rules.refresh != RefreshTokens::Lasting);
        let grant = &mut self.grants[at];
        grant.live.push_back(issued.access_token.clone());
        if self.rules.live_tokens.is_some_and(|most| grant.live.len() > most)
            && let Some(oldest) = grant.live.pop_front()
        {
            self.revoke_access(&oldest);
        }
        issued
    }

    fn hand_out(&mut self, consent: Consent, of: Option<(u64, usize)>, now: Timestamp) -> Issued {
        let access_token = self.mint(Mint::Access);
        let expires = self.rules.access_life.map(|life| now + life);
        self.issued += 1;
        let access = Access {
            client_id: consent.client_id,
            realm: consent.realm,
            owner: consent.owner.clone(),
            scopes: consent.scopes.clone(),
            expires,
            revoked: false,
            of,
        };
        self.access.insert(access_token.clone(), access);
        Issued {
            access_token,
            refresh_token: None,
            owner: consent.owner,
            scopes: consent.scopes,
            issued: now,
            expires_in: self.rules.access_life.map(|life| life.as_secs()),
            is_first: true,
        }
    }

    fn mint(&mut self, mint: Mint) -> String {
        (self.rules.mint)(mint, &self.seed.hex())
    }
}

/// Notes a use. Returns whether it was used before.
fn token_used(token: &mut RefreshToken, now: Timestamp) -> bool {
    token.touched = now;
    token.first_used.get_or_insert(now);
    std::mem::replace(&mut token.used, true)
}
