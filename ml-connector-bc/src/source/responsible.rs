//! Who is responsible for a document: named by the host for a purchaser, or found in Business Central's approval user setup.

use std::{collections::BTreeMap, time::Duration};

use ml_connector_core::{Context, Error, Remembered, Result, Retry, Scope, decode, model::Person};

use crate::{
    BusinessCentral, Config,
    client::{ApiClient, Detail, Employee, UserSetup},
    models::{Set, is_unset},
};

/// People change their names and addresses seldom.
const KEEP: Duration = Duration::from_secs(15 * 60);
/// No chain of approvers is that long; one that leads back to itself ends.
const CHAIN: usize = 10;

/// How whoever is responsible is found. `Debug` shows no address.
#[derive(Debug)]
pub(crate) struct Responsible {
    /// From codes to the numbers of employees.
    purchasers: BTreeMap<String, String>,
    by_setups: bool,
    employees: Remembered<Vec<Employee>>,
    setups: Remembered<Option<Vec<UserSetup>>>,
}

impl Responsible {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            purchasers: config.purchasers.clone(),
            by_setups: config.approval_user_setups,
            employees: Remembered::new(KEEP, 1),
            setups: Remembered::new(KEEP, 1),
        }
    }

    /// The employees that the host names, if it names any.
    async fn employees(&self, ctx: &Context, client: &ApiClient) -> Result<Vec<Employee>> {
        if self.purchasers.is_empty() {
            return Ok(Vec::new());
        }
        self.employees.get(ctx, "all", client.employees(ctx)).await
    }

    /// The setups, if they are asked for and this version has them.
    async fn setups(&self, ctx: &Context, client: &ApiClient) -> Result<Option<Vec<UserSetup>>> {
        if !self.by_setups {
            return Ok(None);
        }
        self.setups.get(ctx, "all", client.user_setups(ctx)).await
    }

    fn is_of_interest(&self) -> bool {
        self.by_setups || !self.purchasers.is_empty()
    }
}

impl BusinessCentral {
    /// Adds to a document who is responsible for it. The record knows the code of its purchaser or salesperson.
    ///
    /// # Errors
    /// What passes. Where people cannot be read for good, nobody is named: documents do not wait for that.
    pub(super) async fn name_responsible(&self, ctx: &Context, set: Set, detail: &mut Detail) -> Result<()> {
        let Some(code) = detail.record.assignee.as_ref().and_then(|person| person.id.clone()) else {
            return Ok(());
        };
        if !self.responsible.is_of_interest() {
            return Ok(());
        }
        let employees = or_none(self.responsible.employees(ctx, &self.client).await)?.unwrap_or_default();
        let mut found = self.responsible.purchasers.get(&*code).map(|number| {
            let employee = employees.iter().find(|employee| employee.number == *number);
            let name = employee.and_then(|employee| employee.name.clone());
            let email = employee.filter(|employee| employee.is_active).and_then(|found| found.email.clone());
            (name, email)
        });
        if found.is_none() {
            let setups =
                or_none(self.responsible.setups(ctx, &self.client).await)?.flatten().unwrap_or_default();
            found =
                approver(&setups, &code, set, detail).map(|setup| (setup.name.clone(), setup.email.clone()));
        }
        let Some((name, email)) = found else { return Ok(()) };
        let name = name.or_else(|| Some(code.to_string()));
        detail.record.assignee = Person::known(Some(code), name, email);
        Ok(())
    }

    /// What keeps people from being found, in words for the operator.
    ///
    /// # Errors
    /// As the calls.
    pub(super) async fn people_missing(&self, ctx: &Context) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        if self.responsible.by_setups && self.responsible.setups(ctx, &self.client).await?.is_none() {
            warnings.push(
                "this version has no approvalUserSetups (29 and later have): nobody is found by them, so name purchasers, \
                 or people in the policy"
                    .to_owned(),
            );
        }
        let employees = self.responsible.employees(ctx, &self.client).await?;
        for (code, number) in &self.responsible.purchasers {
            let why = match employees.iter().find(|employee| employee.number == *number) {
                None => "there is no such employee",
                Some(employee) if !employee.is_active => "the employee is not active",
                Some(employee) if employee.email.is_none() => "the employee has no company e-mail",
                Some(_) => continue,
            };
            warnings.push(format!("purchaser {code} is nobody that can be mentioned: {why} ({number})"));
        }
        Ok(warnings)
    }
}

/// Nothing where reading is refused for good.
fn or_none<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_refused(&error) => {
            tracing::warn!(%error, "who is responsible for a document cannot be read: nobody is named");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_refused(error: &Error) -> bool {
    error.retry() == Retry::Never && error.scope() != &Scope::Connection
}

/// The purchaser, or the first above them, whose limit covers the document. Limits are in local currency: a document in
/// another one is covered by those without a limit only.
fn approver<'s>(setups: &'s [UserSetup], code: &str, set: Set, detail: &Detail) -> Option<&'s UserSetup> {
    let total = detail.record.total.filter(|_| is_local(detail)).map(|total| total.amount.abs());
    let mut setup = setups.iter().find(|setup| setup.purchaser == code)?;
    for _ in 0..CHAIN {
        let limit = if set.is_purchase() { setup.purchases } else { setup.sales };
        if limit.unlimited || total.is_some_and(|total| total <= limit.amount) {
            return Some(setup);
        }
        setup = setups.iter().find(|above| !setup.approver.is_empty() && above.user == setup.approver)?;
    }
    None
}

/// Whether a document is in the company's own currency: then it has no currency's id.
fn is_local(detail: &Detail) -> bool {
    let read = decode::object(&detail.raw, |object| Ok(is_unset(&object.text("currencyId"))));
    read.is_ok_and(|read| read.value)
}
