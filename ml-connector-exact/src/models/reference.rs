//! What documents refer to: customers and suppliers, the chart of accounts, cost centres and cost units.

use ml_connector_core::{
    Result,
    decode::Object,
    model::{Address, Record, RecordKind},
};

use super::{Resource, Site, status, value};

/// Customers and suppliers.
pub(crate) static ACCOUNTS: Resource = Resource {
    kind: "contact",
    feed: "accounts",
    path: "crm/Accounts",
    get: "exact_online.get_account",
    list: "exact_online.list_accounts",
    scope: "Crm accounts",
    topic: Some("Accounts"),
    select: &[
        "ID",
        "Code",
        "Name",
        "Status",
        "Type",
        "Blocked",
        "IsSupplier",
        "IsSales",
        "AddressLine1",
        "AddressLine2",
        "Postcode",
        "City",
        "State",
        "Country",
        "Email",
        "Phone",
        "VATNumber",
        "ChamberOfCommerce",
        "Created",
        "Modified",
        "Division",
    ],
    meaningful: &[
        "Code",
        "Name",
        "Status",
        "Type",
        "Blocked",
        "IsSupplier",
        "IsSales",
        "AddressLine1",
        "AddressLine2",
        "Postcode",
        "City",
        "State",
        "Country",
        "Email",
        "Phone",
        "VATNumber",
        "ChamberOfCommerce",
    ],
    read: read_account,
    ..REFERENCE
};

/// The chart of accounts.
pub(crate) static GL_ACCOUNTS: Resource = Resource {
    kind: "account",
    feed: "gl_accounts",
    path: "financial/GLAccounts",
    get: "exact_online.get_gl_account",
    list: "exact_online.list_gl_accounts",
    scope: "Financial generalledgers",
    topic: Some("GLAccounts"),
    select: &[
        "ID",
        "Code",
        "Description",
        "Type",
        "TypeDescription",
        "BalanceSide",
        "BalanceType",
        "UseCostcenter",
        "UseCostunit",
        "IsBlocked",
        "Created",
        "Modified",
        "Division",
    ],
    meaningful: &[
        "Code",
        "Description",
        "Type",
        "BalanceSide",
        "BalanceType",
        "UseCostcenter",
        "UseCostunit",
        "IsBlocked",
    ],
    read: |account, site| read_coded(account, site, RecordKind::Account, !account.flag("IsBlocked")),
    ..REFERENCE
};

/// Cost centres.
pub(crate) static COST_CENTERS: Resource = Resource {
    kind: "cost_center",
    feed: "cost_centers",
    path: "hrm/Costcenters",
    get: "exact_online.get_cost_center",
    list: "exact_online.list_cost_centers",
    read: |center, site| read_coded(center, site, RecordKind::CostCenter, is_active(center)),
    ..REFERENCE
};

/// Cost units.
pub(crate) static COST_UNITS: Resource = Resource {
    kind: "cost_unit",
    feed: "cost_units",
    path: "hrm/Costunits",
    get: "exact_online.get_cost_unit",
    list: "exact_online.list_cost_units",
    read: |unit, site| read_coded(unit, site, RecordKind::CostUnit, is_active(unit)),
    ..REFERENCE
};

const REFERENCE: Resource = Resource {
    kind: "",
    feed: "",
    path: "",
    key: "ID",
    get: "",
    list: "",
    scope: "Financial costcenters",
    topic: None,
    select: &["ID", "Code", "Description", "Active", "EndDate", "Created", "Modified", "Division"],
    lines: None,
    meaningful: &["Code", "Description", "Active", "EndDate"],
    open: None,
    read: |object, site| read_coded(object, site, RecordKind::CostCenter, true),
};

fn is_active(object: &Object<'_>) -> bool {
    object.flag("Active") || !object.has("Active")
}

fn read_account(account: &Object<'_>, site: &Site) -> Result<Record> {
    let mut record = read_coded(account, site, RecordKind::Contact, !account.flag("Blocked"))?;
    record.name = value::text(account, "Name");
    let of = |name| value::text(account, name);
    let mut address = Address::default();
    address.lines = ["AddressLine1", "AddressLine2"].into_iter().filter_map(of).collect();
    (address.city, address.region) = (of("City"), of("State"));
    (address.postal_code, address.country) = (of("Postcode"), of("Country"));
    record.billing_address = address.unless_empty();
    Ok(record)
}

fn read_coded(object: &Object<'_>, site: &Site, kind: RecordKind, active: bool) -> Result<Record> {
    let (status, word) = status::of_reference(active);
    let mut record = Record::new(kind, object.id("ID")?, status);
    word.clone_into(&mut record.vendor_status);
    record.number = value::text(object, "Code");
    record.name = value::text(object, "Description");
    record.created_at = value::instant(object, "Created", &site.zone);
    record.modified_at = value::instant(object, "Modified", &site.zone);
    Ok(record)
}
