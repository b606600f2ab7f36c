//! Documents with lines, and expenses.

use ml_connector_core::model::{Column, Columns, RecordKind};

use super::{NEXT_CHANGE, eastern, id, number, text, utc, visibility};

pub(super) fn invoices() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "Invoices of FreshBooks, with their lines")
        .whole_with("/lines")
        .with(id("invoiceid", "/invoiceid"))
        .with(text("invoice_number", "/invoice_number").commented("What people call it"))
        .with(text("po_number", "/po_number"))
        .with(
            text("v3_status", "/v3_status")
                .commented("FreshBooks' word; viewed and overdue come by themselves")
                .refreshed_by(NEXT_CHANGE),
        )
        .with(text("payment_status", "/payment_status").refreshed_by(NEXT_CHANGE))
        .with(text("dispute_status", "/dispute_status"))
        .with(text("deposit_status", "/deposit_status"))
        .with(text("autobill_status", "/autobill_status"))
        .with(text("customerid", "/customerid").commented("The client"))
        .with(text("organization", "/organization").commented("The client's name on the invoice"))
        .with(text("fname", "/fname"))
        .with(text("lname", "/lname"))
        .with(Column::date("create_date", "/create_date").commented("The invoice's date"))
        .with(Column::date("due_date", "/due_date"))
        .with(Column::date("date_paid", "/date_paid"))
        .with(Column::date("fulfillment_date", "/fulfillment_date"))
        .with(text("currency_code", "/currency_code").commented("ISO 4217, of all amounts"))
        .with(number("amount", "/amount/amount").commented("With taxes"))
        .with(number("outstanding", "/outstanding/amount"))
        .with(number("paid", "/paid/amount"))
        .with(number("net_paid_amount", "/net_paid_amount/amount").refreshed_by(NEXT_CHANGE))
        .with(number("discount_total", "/discount_total/amount"))
        .with(number("discount_value", "/discount_value").commented("Percent"))
        .with(number("deposit_amount", "/deposit_amount/amount"))
        .with(text("description", "/description"))
        .with(text("notes", "/notes"))
        .with(text("terms", "/terms"))
        .with(text("street", "/street"))
        .with(text("street2", "/street2"))
        .with(text("city", "/city"))
        .with(text("province", "/province"))
        .with(text("code", "/code").commented("The postal code"))
        .with(text("country", "/country"))
        .with(text("vat_number", "/vat_number"))
        .with(text("estimateid", "/estimateid").commented("0: none").refreshed_by(NEXT_CHANGE))
        .with(
            text("parent", "/parent").commented("The recurring template; 0: none").refreshed_by(NEXT_CHANGE),
        )
        .with(
            Column::list(
                "lines",
                "/lines",
                [
                    text("lineid", "/lineid"),
                    Column::big_int("type", "/type").commented("0 normal, 1 billed time or expense"),
                    text("name", "/name"),
                    text("description", "/description"),
                    number("qty", "/qty"),
                    number("unit_cost", "/unit_cost/amount"),
                    number("amount", "/amount/amount").commented("Without taxes"),
                    text("tax_name1", "/taxName1"),
                    number("tax_percent1", "/taxAmount1"),
                    text("tax_name2", "/taxName2"),
                    number("tax_percent2", "/taxAmount2"),
                    text("expenseid", "/expenseid").commented("0: none"),
                    Column::date("date", "/date"),
                ],
            )
            .in_detail(),
        )
        .with(visibility())
        .with(eastern("created_at", "/created_at"))
        .with(eastern("updated", "/updated"))
        .with(eastern("version", "/version"))
}

pub(super) fn bills() -> Columns {
    Columns::new(RecordKind::Bill, "bills", "Bills of vendors in FreshBooks, with their lines")
        .whole_with("/lines")
        .with(id("id", "/id"))
        .with(text("bill_number", "/bill_number").commented("The vendor's number"))
        .with(text("status", "/status").refreshed_by(NEXT_CHANGE))
        .with(text("vendorid", "/vendorid").commented("The bill vendor"))
        .with(Column::date("issue_date", "/issue_date"))
        .with(Column::date("due_date", "/due_date"))
        .with(text("currency_code", "/currency_code").commented("ISO 4217, of all amounts"))
        .with(number("amount", "/amount/amount").commented("Without taxes"))
        .with(number("tax_amount", "/tax_amount/amount"))
        .with(number("total_amount", "/total_amount/amount"))
        .with(number("paid", "/paid/amount"))
        .with(number("outstanding", "/outstanding/amount"))
        .with(text("overall_category", "/overall_category"))
        .with(text("overall_description", "/overall_description"))
        .with(
            Column::list(
                "lines",
                "/lines",
                [
                    text("id", "/id"),
                    text("description", "/description"),
                    number("quantity", "/quantity"),
                    number("unit_cost", "/unit_cost/amount"),
                    number("amount", "/amount/amount").commented("Without taxes"),
                    number("total_amount", "/total_amount/amount"),
                    text("categoryid", "/categoryid"),
                    text("tax_name1", "/tax_name1"),
                    number("tax_percent1", "/tax_percent1"),
                    number("tax_amount1", "/tax_amount1/amount"),
                    text("tax_name2", "/tax_name2"),
                    number("tax_percent2", "/tax_percent2"),
                    number("tax_amount2", "/tax_amount2/amount"),
                ],
            )
            .in_detail(),
        )
        .with(visibility())
        .with(utc("created_at", "/created_at"))
        .with(utc("updated_at", "/updated_at"))
}

pub(super) fn expenses() -> Columns {
    Columns::new(RecordKind::Expense, "expenses", "Expenses in FreshBooks")
        .with(id("expenseid", "/expenseid"))
        .with(
            Column::big_int("status", "/status")
                .commented("0 internal, 1 outstanding, 2 invoiced, 3 or 4 recouped"),
        )
        .with(text("vendor", "/vendor").commented("A free text, no bill vendor"))
        .with(text("categoryid", "/categoryid"))
        .with(text("clientid", "/clientid").commented("0: none"))
        .with(text("projectid", "/projectid").commented("0: none"))
        .with(text("staffid", "/staffid"))
        .with(Column::date("date", "/date"))
        .with(text("currency_code", "/amount/code").commented("ISO 4217, of all amounts"))
        .with(number("amount", "/amount/amount").commented("With taxes"))
        .with(text("tax_name1", "/taxName1"))
        .with(number("tax_percent1", "/taxPercent1"))
        .with(number("tax_amount1", "/taxAmount1/amount"))
        .with(text("tax_name2", "/taxName2"))
        .with(number("tax_percent2", "/taxPercent2"))
        .with(number("tax_amount2", "/taxAmount2/amount"))
        .with(text("notes", "/notes"))
        .with(Column::boolean("billable", "/billable"))
        .with(text("invoiceid", "/invoiceid"))
        .with(number("markup_percent", "/markup_percent"))
        .with(text("account_name", "/account_name"))
        .with(text("bank_name", "/bank_name"))
        .with(Column::boolean("has_receipt", "/has_receipt"))
        .with(Column::boolean("is_duplicate", "/isduplicate").commented("Suspected to be one"))
        .with(Column::boolean("is_cogs", "/is_cogs"))
        .with(
            Column::boolean("potential_bill_payment", "/potential_bill_payment")
                .commented("It may be counted among the payments of bills as well")
                .refreshed_by(NEXT_CHANGE),
        )
        .with(visibility())
        .with(eastern("updated", "/updated"))
        .with(eastern("version", "/version"))
}
