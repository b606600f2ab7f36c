//! What Business Central refuses, as the vendor sheet has it: the simulator is as strict, so that no test is kinder than the
//! vendor.

use ml_connector_core::model::Decimal;
use ml_connector_sim::bc::{NewDocument, Set};
use serde_json::Value;

use crate::support::{Api, World};

/// What is bad about it, method, URL, headers, body, and the answer's status and code.
type BadRequest<'a> = (&'a str, &'a str, String, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test(start_paused = true)]
async fn every_bad_request_of_the_sheet_is_refused_as_it_says() {
    let world = World::new();
    let id = world.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::TEN));
    let posted =
        world.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::TEN));
    world.erp.post(Set::PurchaseInvoices, &posted).unwrap();
    let api = Api::open(&world).await;
    let tenant = world.erp.credentials().tenant;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let own = |below: &str| api.own(below);
    let list = |query: &str| api.own(&format!("purchaseInvoices?{query}"));
    let stale = [("if-match", "W/\"JzE=\"")];
    let any = [("if-match", "*")];
    let bad_token = [("authorization", "Bearer planted")];
    let elsewhere =
        format!("https://api.businesscentral.dynamics.com/v2.0/{tenant}/Nowhere/api/v2.0/companies");
    let (draft, done) = (format!("purchaseInvoices({id})"), format!("purchaseInvoices({posted})"));
    let cases: Vec<BadRequest<'_>> = vec![
        ("no token", "GET", own(&draft), &bad_token, "", 401, "Authentication_InvalidCredentials"),
        ("no environment", "GET", elsewhere, &[], "", 404, "NoEnvironment"),
        (
            "no company",
            "GET",
            api.url(&format!("companies({nobody})/vendors")),
            &[],
            "",
            404,
            "Internal_CompanyNotFound",
        ),
        ("no segment", "GET", own("purchaseInvoyces"), &[], "", 404, "BadRequest_ResourceNotFound"),
        (
            "no record",
            "GET",
            own(&format!("purchaseInvoices({nobody})")),
            &[],
            "",
            404,
            "Internal_RecordNotFound",
        ),
        ("no property", "GET", list("$filter=foo eq 1"), &[], "", 400, "BadRequest"),
        (
            "or over fields",
            "GET",
            list("$filter=number eq 'a' or status eq 'Draft'"),
            &[],
            "",
            400,
            "BadRequest",
        ),
        (
            "no function",
            "GET",
            list("$filter=not (number eq 'a')"),
            &[],
            "",
            501,
            "BadRequest_MethodNotImplemented",
        ),
        ("no verb", "POST", own(&draft), &[], "{}", 405, "BadRequest_MethodNotAllowed"),
        ("no etag", "PATCH", own(&draft), &[], "{}", 400, "BadRequest_InvalidToken"),
        ("old etag", "PATCH", own(&draft), &stale, "{}", 409, "Request_EntityChanged"),
        ("no body", "PATCH", own(&draft), &any, "", 400, "BadRequest"),
        ("posted", "PATCH", own(&done), &any, "{}", 400, "Application_DialogException"),
        (
            "posted before",
            "POST",
            own(&format!("{done}/Microsoft.NAV.post")),
            &[],
            "",
            400,
            "Application_DialogException",
        ),
        (
            "old etag of a draft",
            "POST",
            own(&format!("{draft}/Microsoft.NAV.post")),
            &stale,
            "",
            409,
            "Request_EntityChanged",
        ),
        (
            "gone",
            "POST",
            own(&format!("purchaseInvoices({nobody})/Microsoft.NAV.post")),
            &[],
            "",
            400,
            "Application_DialogException",
        ),
        (
            "no such action",
            "POST",
            own(&format!("{draft}/Microsoft.NAV.send")),
            &[],
            "",
            404,
            "BadRequest_ResourceNotFound",
        ),
        ("no URL", "POST", api.url("subscriptions"), &[], "{}", 400, "BadRequest_RequiredParamNotProvided"),
        ("no quotes", "PATCH", api.url("subscriptions(x)"), &any, "{}", 404, "BadRequest_ResourceNotFound"),
        ("no subscription", "DELETE", api.url("subscriptions('x')"), &any, "", 404, "BadRequest_NotFound"),
    ];
    for (what, method, url, headers, body, status, code) in &cases {
        let url = url.replace(' ', "%20").replace('\'', "%27");
        let answer = api.send(method, &url, headers, body).await;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(answer.status().as_u16(), *status, "{what}: {text}");
        match serde_json::from_str::<Value>(&text) {
            Ok(json) => assert_eq!(json["error"]["code"], **code, "{what}"),
            Err(_) => assert!(text.contains(&format!("<code>{code}</code>")), "{what}: {text}"),
        }
    }
    assert_eq!(world.erp.postings().len(), 1, "nothing of it has happened");
}
