//! Who the login is, and which businesses it belongs to.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    config::{Business, Quirks},
    errors::JSON,
};
use crate::toolkit::exchange;

/// The login.
pub(super) const IDENTITY_ID: u64 = 4_820_017;
/// The login's number inside of an account: the owner.
pub(super) const USER_ID: u64 = 1;

/// `GET /auth/api/v1/users/me`.
pub(super) fn me<'a>(businesses: impl Iterator<Item = &'a Business>, quirks: &Quirks) -> Response<Bytes> {
    static RECORDED: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../fixtures/freshbooks/users_me.json")).unwrap_or_default()
    });
    let mut body = RECORDED.clone();
    let me = &mut body["response"];
    let (with_account, without) =
        (me["business_memberships"][0].clone(), me["business_memberships"][1].clone());
    let (role, client_role) = (me["roles"][0].clone(), me["roles"][1].clone());
    let (group, permissions) = (me["groups"][0].clone(), me["permissions"]["Zq84Xk"].clone());
    for list in ["business_memberships", "roles", "groups"] {
        me[list] = json!([]);
    }
    for map in ["permissions", "subscription_statuses", "business_statuses"] {
        me[map] = json!({});
    }
    for (business, nth) in businesses.zip(0_u64..) {
        let mut membership =
            if business.account_id.is_some() { with_account.clone() } else { without.clone() };
        membership["id"] = (40_610_001 + nth).into();
        membership["role"] = business.role.clone().into();
        let shown = &mut membership["business"];
        shown["id"] = business.business_id.into();
        shown["business_uuid"] = business.business_uuid.clone().into();
        shown["name"] = business.name.clone().into();
        shown["timezone"] = business.time_zone.clone().into();
        shown["account_id"] = business.account_id.clone().filter(|_| !quirks.null_account_ids).into();
        push(&mut me["business_memberships"], membership);

        let mut group = group.clone();
        group["id"] = (40_610_001 + nth).into();
        group["group_id"] = (28_410_001 + nth).into();
        group["business_id"] = business.business_id.into();
        group["role"] = business.role.clone().into();
        push(&mut me["groups"], group);

        let Some(account) = &business.account_id else { continue };
        let mut role = role.clone();
        role["id"] = (15_710_001 + 10 * nth).into();
        role["systemid"] = (10_520_001 + nth).into();
        role["accountid"] = account.clone().into();
        role["links"]["destroy"] =
            format!("/service/auth/api/v1/users/role/{}", 15_710_001 + 10 * nth).into();
        push(&mut me["roles"], role);
        let mut permissions = permissions.clone();
        permissions["accounts_payable.access"] = business.has_bills.into();
        me["permissions"][account] = permissions;
        me["subscription_statuses"][account] = "active".into();
        me["business_statuses"][account] = "active".into();
    }
    // The login is also somebody's client: no account of its own.
    push(&mut me["roles"], client_role);
    exchange::json(StatusCode::OK, JSON, body)
}

fn push(list: &mut Value, value: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(value);
    }
}
