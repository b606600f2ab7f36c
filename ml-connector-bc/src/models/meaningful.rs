//! Which members mean something to people or money, for each set. Nothing else makes a revision.
//!
//! Not in these lists, on purpose: etags and stamps, which change without anything else; the status, which the revision
//! has in the SDK's vocabulary; balances of vendors and customers, which their documents move; stock.

use super::Set;

pub(super) fn of(set: Set) -> &'static [&'static str] {
    match set {
        Set::PurchaseInvoices => PURCHASE_INVOICE,
        Set::SalesInvoices => SALES_INVOICE,
        Set::PurchaseOrders => PURCHASE_ORDER,
        Set::SalesOrders => SALES_ORDER,
        Set::Vendors | Set::Customers => PARTY,
        Set::Employees => &["number", "displayName", "email"],
        Set::Accounts => {
            &["number", "displayName", "category", "subCategory", "blocked", "accountType", "directPosting"]
        }
        Set::Items => &[
            "number",
            "displayName",
            "displayName2",
            "type",
            "itemCategoryCode",
            "blocked",
            "gtin",
            "unitPrice",
            "priceIncludesTax",
            "unitCost",
            "taxGroupCode",
            "baseUnitOfMeasureCode",
        ],
        Set::Dimensions => &["code", "displayName", "consolidationCode"],
        Set::Currencies => {
            &["code", "displayName", "symbol", "amountDecimalPlaces", "amountRoundingPrecision"]
        }
    }
}

/// The members of a document and of its lines.
macro_rules! document {
    ($lines:literal, $price:literal; $($own:literal),* $(,)?) => {
        &[
            "number", "postingDate", "shortcutDimension1Code", "shortcutDimension2Code", "currencyCode",
            "pricesIncludeTax", "discountAmount", "totalAmountExcludingTax", "totalTaxAmount",
            "totalAmountIncludingTax", "shipToName", "shipToAddressLine1", "shipToAddressLine2", "shipToCity",
            "shipToCountry", "shipToState", "shipToPostCode", $($own,)*
            concat!($lines, ".id"), concat!($lines, ".itemId"), concat!($lines, ".accountId"),
            concat!($lines, ".lineType"), concat!($lines, ".lineObjectNumber"), concat!($lines, ".description"),
            concat!($lines, ".description2"), concat!($lines, ".unitOfMeasureCode"), concat!($lines, ".quantity"),
            concat!($lines, ".", $price), concat!($lines, ".discountAmount"), concat!($lines, ".discountPercent"),
            concat!($lines, ".taxCode"), concat!($lines, ".taxPercent"), concat!($lines, ".netAmount"),
            concat!($lines, ".netTaxAmount"), concat!($lines, ".netAmountIncludingTax"),
        ]
    };
}

const PURCHASE_INVOICE: &[&str] = document!("purchaseInvoiceLines", "unitCost";
    "invoiceDate", "dueDate", "vendorInvoiceNumber", "vendorId", "vendorNumber", "vendorName", "payToVendorId",
    "payToName", "payToAddressLine1", "payToAddressLine2", "payToCity", "payToCountry", "payToState",
    "payToPostCode", "buyFromAddressLine1", "buyFromCity", "buyFromCountry", "buyFromPostCode", "orderNumber",
    "purchaser",
);
const SALES_INVOICE: &[&str] = document!("salesInvoiceLines", "unitPrice";
    "invoiceDate", "dueDate", "promisedPayDate", "externalDocumentNumber", "customerPurchaseOrderReference",
    "customerId", "customerNumber", "customerName", "billToCustomerId", "billToName", "billToAddressLine1",
    "billToCity", "billToCountry", "billToPostCode", "orderNumber", "paymentTermsId", "salesperson",
    "disputeStatus", "remainingAmount",
);
const PURCHASE_ORDER: &[&str] = document!("purchaseOrderLines", "directUnitCost";
    "orderDate", "vendorId", "vendorNumber", "vendorName", "payToVendorId", "payToName", "paymentTermsId",
    "purchaser", "requestedReceiptDate", "fullyReceived", "purchaseOrderLines.receivedQuantity",
    "purchaseOrderLines.invoicedQuantity",
);
const SALES_ORDER: &[&str] = document!("salesOrderLines", "unitPrice";
    "orderDate", "customerId", "customerNumber", "customerName", "billToCustomerId", "billToName",
    "paymentTermsId", "salesperson", "requestedDeliveryDate", "partialShipping", "fullyShipped",
    "salesOrderLines.shippedQuantity", "salesOrderLines.invoicedQuantity",
);
const PARTY: &[&str] = &[
    "number",
    "displayName",
    "type",
    "addressLine1",
    "addressLine2",
    "city",
    "state",
    "country",
    "postalCode",
    "phoneNumber",
    "email",
    "website",
    "taxRegistrationNumber",
    "currencyCode",
    "irs1099Code",
    "paymentTermsId",
    "paymentMethodId",
    "taxLiable",
    "taxAreaId",
    "blocked",
    "salespersonCode",
    "creditLimit",
];
