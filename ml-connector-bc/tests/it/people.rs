//! Who is responsible for a document, and the files beside it.

use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    PollRequest, Source,
    model::{Decimal, EntityRef, Person, PollMode, Record},
};
use ml_connector_sim::{
    Fault,
    bc::{BusinessCentralConfig, NewDocument, Set},
};
use serde_json::{Value, json};

use crate::support::{World, read, record};

fn employee(world: &World, number: &str, name: &str, email: &str, status: &str) {
    let values: [(&str, Value); 5] = [
        ("number", number.into()),
        ("displayName", name.into()),
        ("email", email.into()),
        ("personalEmail", "planted@private.example".into()),
        ("status", status.into()),
    ];
    drop(world.erp.create_master(Set::Employees, &values));
}

fn setup(world: &World, user: &str, purchaser: &str, approver: &str, limit: Option<i64>) {
    let values: [(&str, Value); 6] = [
        ("userId", user.into()),
        ("userFullName", format!("{user} in full").into()),
        ("salesPersonPurchaser", purchaser.into()),
        ("approverId", approver.into()),
        ("email", format!("{}@harbor.example", user.to_lowercase()).into()),
        ("unlimitedPurchaseApproval", limit.is_none().into()),
    ];
    let limit = ("purchaseAmountApprovalLimit", json!(limit.unwrap_or_default()));
    let values: Vec<_> = values.into_iter().chain([limit]).collect();
    drop(world.erp.create_master(Set::ApprovalUserSetups, &values));
}

fn draft(world: &World, purchaser: &str, total: i64) -> EntityRef {
    let new = NewDocument::new("Northline Packaging", Decimal::from(total)).purchaser(purchaser);
    EntityRef::new("bill", world.erp.create(Set::PurchaseInvoices, &new))
}

async fn responsible(world: &World, erp: &BusinessCentral, entity: &EntityRef) -> Option<Person> {
    record(&read(world, erp, entity).await).assignee.clone()
}

fn person(code: &str, name: &str, email: Option<&str>) -> Option<Person> {
    Person::known(Some(code.into()), Some(name.into()), email.map(Into::into))
}

/// What the check says of people.
async fn warnings(world: &World, erp: &BusinessCentral) -> Vec<String> {
    let steps = Source::check(erp, &world.ctx()).await;
    steps.into_iter().filter(|step| step.step == "people").filter_map(|step| step.found).collect()
}

#[tokio::test(start_paused = true)]
async fn a_purchaser_s_documents_are_their_employee_s_in_pages_too() {
    let world = World::new();
    employee(&world, "E1", "Lena Kaya", "lena@harbor.example", "Active");
    employee(&world, "E2", "Max Vos", "max@harbor.example", "Terminated");
    employee(&world, "E3", "Nora Pell", "", "Active");
    let builder = world.builder().purchaser("LK", "E1").purchaser("MV", "E2").purchaser("NP", "E3");
    let erp = builder.purchaser("XX", "E9").build().unwrap();
    for (code, expected) in [
        ("LK", person("LK", "Lena Kaya", Some("lena@harbor.example"))),
        // Nobody falls back to a private address.
        ("MV", person("MV", "Max Vos", None)),
        ("NP", person("NP", "Nora Pell", None)),
        ("XX", person("XX", "XX", None)),
        ("ZZ", Person::known(Some("ZZ".into()), None, None)),
        ("", None),
    ] {
        assert_eq!(responsible(&world, &erp, &draft(&world, code, 100)).await, expected, "{code}");
    }
    world.sleep(60).await;
    let page = erp.poll(&world.ctx(), PollRequest::new("purchaseInvoices", PollMode::Live)).await.unwrap();
    let named = |seen: &Record| seen.assignee.as_ref().is_some_and(|one| one.email.is_some());
    assert_eq!(page.observations.iter().filter(|seen| named(record(seen))).count(), 1);
    let asked = world.erp.received().into_iter().filter(|call| call.path.ends_with("/employees")).count();
    assert_eq!(asked, 1, "people are read once in a quarter of an hour");
    let warnings = warnings(&world, &erp).await;
    for (code, why) in
        [("MV", "is not active"), ("NP", "has no company e-mail"), ("XX", "there is no such employee")]
    {
        let says =
            |warning: &String| warning.contains(&format!("purchaser {code} ")) && warning.contains(why);
        assert!(warnings.iter().any(says), "{code}: {warnings:?}");
    }
    assert!(!warnings.iter().any(|warning| warning.contains("purchaser LK")));
}

#[tokio::test(start_paused = true)]
async fn the_first_in_the_chain_of_approvers_whose_limit_covers_it_is_responsible() {
    let world = World::new();
    setup(&world, "LENA", "LK", "MAX", Some(100));
    setup(&world, "MAX", "MV", "CFO", Some(1_000));
    setup(&world, "CFO", "", "", None);
    // Two who approve each other's, up to nothing.
    setup(&world, "TWIN1", "T1", "TWIN2", Some(0));
    setup(&world, "TWIN2", "T2", "TWIN1", Some(0));
    let erp = world.builder().approval_user_setups(true).build().unwrap();
    let found = |code: &str, user: &str| {
        person(code, &format!("{user} in full"), Some(&format!("{}@harbor.example", user.to_lowercase())))
    };
    for (code, total, expected) in [
        ("LK", 100, found("LK", "LENA")),
        ("LK", 101, found("LK", "MAX")),
        ("LK", 1_001, found("LK", "CFO")),
        ("MV", 50, found("MV", "MAX")),
        ("T1", 50, Person::known(Some("T1".into()), None, None)),
        ("??", 50, Person::known(Some("??".into()), None, None)),
    ] {
        assert_eq!(responsible(&world, &erp, &draft(&world, code, total)).await, expected, "{code} {total}");
    }
    // Limits are in local currency: of another one only those without a limit are sure.
    let new = NewDocument::new("Northline Packaging", Decimal::from(50)).purchaser("LK").currency("EUR");
    let foreign = EntityRef::new("bill", world.erp.create(Set::PurchaseInvoices, &new));
    assert_eq!(responsible(&world, &erp, &foreign).await, found("LK", "CFO"));
}

#[tokio::test(start_paused = true)]
async fn a_version_without_approval_user_setups_says_so_and_documents_are_read_all_the_same() {
    let mut config = BusinessCentralConfig::default();
    config.version = 28;
    let world = World::with(config);
    let erp = world.builder().approval_user_setups(true).build().unwrap();
    let warnings = warnings(&world, &erp).await;
    assert!(warnings.iter().any(|warning| warning.contains("has no approvalUserSetups")));
    let seen = responsible(&world, &erp, &draft(&world, "LK", 100)).await;
    assert_eq!(seen, Person::known(Some("LK".into()), None, None));
}

#[tokio::test(start_paused = true)]
async fn people_that_must_not_be_read_keep_no_document_waiting() {
    let world = World::new();
    let erp = world.builder().purchaser("LK", "E1").build().unwrap();
    let forbidden = || Fault::status(http::StatusCode::FORBIDDEN).on("/employees").times(9);
    world.erp.plant(forbidden());
    let seen = responsible(&world, &erp, &draft(&world, "LK", 100)).await;
    assert_eq!(seen, person("LK", "LK", None), "the card says that nobody is mentioned");
}

#[tokio::test(start_paused = true)]
async fn the_files_beside_a_draft_are_named_where_they_are_asked_for() {
    let world = World::new();
    let erp = world.builder().attachments(true).build().unwrap();
    let entity = draft(&world, "LK", 100);
    let values = [("fileName", "scan <1>.pdf".into()), ("parentId", (*entity.id).into())];
    drop(world.erp.create_master(Set::DocumentAttachments, &values));
    let seen = read(&world, &erp, &entity).await;
    let [file] = &record(&seen).attachments[..] else { panic!("one file") };
    assert_eq!(file.name, "scan <1>.pdf");
    // The page of the document, where people see them: the file's own link wants a token.
    assert_eq!(file.url, record(&seen).url);
    world.sleep(60).await;
    let request = || PollRequest::new("purchaseInvoices", PollMode::Live);
    let page = erp.poll(&world.ctx(), request()).await.unwrap();
    assert_eq!((page.observations.len(), page.signals.len()), (0, 1), "a poll has it read by itself");
    let plain = world.connect();
    assert!(record(&read(&world, &plain, &entity).await).attachments.is_empty());
    assert_eq!(plain.poll(&world.ctx(), request()).await.unwrap().observations.len(), 1);
    world.erp.plant(Fault::status(http::StatusCode::FORBIDDEN).on("documentAttachments").times(9));
    assert!(record(&read(&world, &erp, &entity).await).attachments.is_empty(), "and costs no document");
}
