//! The fields of each entity set, in the order of the wire.

use crate::toolkit::json::Fields;

/// An unset reference.
pub(super) const NO_ID: &str = "00000000-0000-0000-0000-000000000000";
/// An unset date.
pub(super) const NO_DATE: &str = "0001-01-01";
/// An unset instant: of records that were never modified.
pub(super) const NO_INSTANT: &str = "0001-01-01T00:00:00Z";

/// An entity set of one company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Set {
    /// Bills, posted and unposted together.
    PurchaseInvoices,
    /// Invoices, posted and unposted together.
    SalesInvoices,
    /// Orders to vendors.
    PurchaseOrders,
    /// Orders of customers.
    SalesOrders,
    /// Vendors.
    Vendors,
    /// Customers.
    Customers,
    /// Employees.
    Employees,
    /// The chart of accounts.
    Accounts,
    /// Items.
    Items,
    /// Currencies.
    Currencies,
    /// Dimensions.
    Dimensions,
    /// Requests for approval, from version 29 on.
    ApprovalEntries,
    /// Who may approve how much, from version 29 on.
    ApprovalUserSetups,
    /// The company itself.
    CompanyInformation,
    /// Files attached to documents.
    DocumentAttachments,
}

impl Set {
    /// Every set.
    pub const ALL: [Self; 15] = [
        Self::PurchaseInvoices,
        Self::SalesInvoices,
        Self::PurchaseOrders,
        Self::SalesOrders,
        Self::Vendors,
        Self::Customers,
        Self::Employees,
        Self::Accounts,
        Self::Items,
        Self::Currencies,
        Self::Dimensions,
        Self::ApprovalEntries,
        Self::ApprovalUserSetups,
        Self::CompanyInformation,
        Self::DocumentAttachments,
    ];

    /// The name in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PurchaseInvoices => "purchaseInvoices",
            Self::SalesInvoices => "salesInvoices",
            Self::PurchaseOrders => "purchaseOrders",
            Self::SalesOrders => "salesOrders",
            Self::Vendors => "vendors",
            Self::Customers => "customers",
            Self::Employees => "employees",
            Self::Accounts => "accounts",
            Self::Items => "items",
            Self::Currencies => "currencies",
            Self::Dimensions => "dimensions",
            Self::ApprovalEntries => "approvalEntries",
            Self::ApprovalUserSetups => "approvalUserSetups",
            Self::CompanyInformation => "companyInformation",
            Self::DocumentAttachments => "documentAttachments",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The navigation that holds a document's lines.
    pub(super) fn lines(self) -> Option<&'static str> {
        match self {
            Self::PurchaseInvoices => Some("purchaseInvoiceLines"),
            Self::SalesInvoices => Some("salesInvoiceLines"),
            Self::PurchaseOrders => Some("purchaseOrderLines"),
            Self::SalesOrders => Some("salesOrderLines"),
            _ => None,
        }
    }

    pub(super) fn is_invoice(self) -> bool {
        matches!(self, Self::PurchaseInvoices | Self::SalesInvoices)
    }

    pub(super) fn is_purchase(self) -> bool {
        matches!(self, Self::PurchaseInvoices | Self::PurchaseOrders)
    }

    /// The table's name in error texts.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::PurchaseInvoices => "Purchase Invoice",
            Self::SalesInvoices => "Sales Invoice",
            Self::PurchaseOrders => "Purchase Order",
            Self::SalesOrders => "Sales Order",
            Self::Vendors => "Vendor",
            Self::Customers => "Customer",
            _ => "Record",
        }
    }

    /// Whether changes of it can be told by webhook.
    pub(super) fn tells(self, order_webhooks: bool) -> bool {
        match self {
            Self::PurchaseOrders => order_webhooks,
            Self::DocumentAttachments | Self::ApprovalUserSetups => false,
            _ => true,
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::PurchaseInvoices => {
                "id:g number:s postingDate:D invoiceDate:D dueDate:D vendorInvoiceNumber:s vendorId:g vendorNumber:s \
                 vendorName:s payToName:s payToContact:s payToVendorId:g payToVendorNumber:s shipToName:s \
                 shipToContact:s buyFromAddressLine1:s buyFromAddressLine2:s buyFromCity:s buyFromCountry:s \
                 buyFromState:s buyFromPostCode:s shipToAddressLine1:s shipToAddressLine2:s shipToCity:s \
                 shipToCountry:s shipToState:s shipToPostCode:s payToAddressLine1:s payToAddressLine2:s payToCity:s \
                 payToCountry:s payToState:s payToPostCode:s shortcutDimension1Code:s shortcutDimension2Code:s \
                 currencyId:g currencyCode:s orderId:g orderNumber:s purchaser:s pricesIncludeTax:b discountAmount:d \
                 discountAppliedBeforeTax:b totalAmountExcludingTax:d totalTaxAmount:d totalAmountIncludingTax:d \
                 status:E lastModifiedDateTime:T"
            }
            Self::SalesInvoices => {
                "id:g number:s externalDocumentNumber:s invoiceDate:D postingDate:D dueDate:D promisedPayDate:D \
                 customerPurchaseOrderReference:s customerId:g customerNumber:s customerName:s billToName:s \
                 billToCustomerId:g billToCustomerNumber:s shipToName:s shipToContact:s currencyId:g \
                 shortcutDimension1Code:s shortcutDimension2Code:s currencyCode:s orderId:g orderNumber:s \
                 paymentTermsId:g shipmentMethodId:g salesperson:s disputeStatusId:g disputeStatus:s \
                 pricesIncludeTax:b remainingAmount:d discountAmount:d discountAppliedBeforeTax:b \
                 totalAmountExcludingTax:d totalTaxAmount:d totalAmountIncludingTax:d status:E \
                 lastModifiedDateTime:T phoneNumber:s email:s"
            }
            Self::PurchaseOrders => {
                "id:g number:s orderDate:D postingDate:D vendorId:g vendorNumber:s vendorName:s payToName:s \
                 payToVendorId:g payToVendorNumber:s shipToName:s shipToContact:s shortcutDimension1Code:s \
                 shortcutDimension2Code:s currencyId:g currencyCode:s pricesIncludeTax:b paymentTermsId:g \
                 shipmentMethodId:g purchaser:s requestedReceiptDate:D discountAmount:d discountAppliedBeforeTax:b \
                 totalAmountExcludingTax:d totalTaxAmount:d totalAmountIncludingTax:d fullyReceived:b status:E \
                 lastModifiedDateTime:T"
            }
            Self::SalesOrders => {
                "id:g number:s externalDocumentNumber:s orderDate:D postingDate:D customerId:g customerNumber:s \
                 customerName:s billToName:s billToCustomerId:g billToCustomerNumber:s shipToName:s shipToContact:s \
                 shortcutDimension1Code:s shortcutDimension2Code:s currencyId:g currencyCode:s pricesIncludeTax:b \
                 paymentTermsId:g shipmentMethodId:g salesperson:s partialShipping:b requestedDeliveryDate:D \
                 discountAmount:d discountAppliedBeforeTax:b totalAmountExcludingTax:d totalTaxAmount:d \
                 totalAmountIncludingTax:d fullyShipped:b status:E lastModifiedDateTime:T phoneNumber:s email:s"
            }
            Self::Vendors => {
                "id:g number:s displayName:s addressLine1:s addressLine2:s city:s state:s country:s postalCode:s \
                 phoneNumber:s email:s website:s taxRegistrationNumber:s currencyId:g currencyCode:s irs1099Code:s \
                 paymentTermsId:g paymentMethodId:g taxLiable:b blocked:E balance:d lastModifiedDateTime:T"
            }
            Self::Customers => {
                "id:g number:s displayName:s type:E addressLine1:s addressLine2:s city:s state:s country:s \
                 postalCode:s phoneNumber:s email:s website:s salespersonCode:s balanceDue:d creditLimit:d \
                 taxLiable:b taxAreaId:g taxAreaDisplayName:s taxRegistrationNumber:s currencyId:g currencyCode:s \
                 paymentTermsId:g shipmentMethodId:g paymentMethodId:g blocked:E lastModifiedDateTime:T"
            }
            Self::Employees => {
                "id:g number:s displayName:s givenName:s middleName:s surname:s jobTitle:s addressLine1:s \
                 addressLine2:s city:s state:s country:s postalCode:s phoneNumber:s mobilePhone:s email:s \
                 personalEmail:s employmentDate:D terminationDate:D status:E birthDate:D statisticsGroupCode:s \
                 bankBranchNumber:s bankAccountNumber:s iban:s lastModifiedDateTime:T"
            }
            Self::Accounts => {
                "id:g number:s displayName:s category:E subCategory:s blocked:b accountType:E directPosting:b \
                 netChange:d consolidationTranslationMethod:s consolidationDebitAccount:s \
                 consolidationCreditAccount:s excludeFromConsolidation:b lastModifiedDateTime:T"
            }
            Self::Items => {
                "id:g number:s displayName:s displayName2:s type:E itemCategoryId:g itemCategoryCode:s blocked:b \
                 gtin:s inventory:d unitPrice:d priceIncludesTax:b unitCost:d taxGroupId:g taxGroupCode:s \
                 baseUnitOfMeasureId:g baseUnitOfMeasureCode:s generalProductPostingGroupId:g \
                 generalProductPostingGroupCode:s inventoryPostingGroupId:g inventoryPostingGroupCode:s \
                 lastModifiedDateTime:T"
            }
            Self::Currencies => {
                "id:g code:s displayName:s symbol:s amountDecimalPlaces:s amountRoundingPrecision:d \
                 lastModifiedDateTime:T"
            }
            Self::Dimensions => "id:g code:s displayName:s consolidationCode:s lastModifiedDateTime:T",
            Self::ApprovalEntries => {
                "id:g entryNumber:i tableId:i documentType:E documentNumber:s sequenceNumber:i senderId:s \
                 senderName:s approvalCode:s salespersonPurchaserCode:s salespersonPurchaserName:s approverId:s \
                 approverName:s status:E dateTimeSentForApproval:T lastDateTimeModified:T comment:b dueDate:D \
                 amount:d amountLCY:d currencyCode:s approvalType:E limitType:E pendingApprovals:i \
                 lastModifiedDateTime:T"
            }
            Self::ApprovalUserSetups => {
                "id:g userId:s userFullName:s salesPersonPurchaser:s approverId:s salesAmountApprovalLimit:i \
                 unlimitedSalesApproval:b purchaseAmountApprovalLimit:i unlimitedPurchaseApproval:b substitute:s \
                 email:s phoneNumber:s approvalAdmin:b lastModifiedDateTime:T"
            }
            Self::CompanyInformation => {
                "id:g displayName:s addressLine1:s addressLine2:s city:s state:s country:s postalCode:s \
                 phoneNumber:s faxNumber:s email:s website:s taxRegistrationNumber:s currencyCode:s \
                 currentFiscalYearStartDate:D industry:s experience:s lastModifiedDateTime:T"
            }
            Self::DocumentAttachments => {
                "id:g fileName:s byteSize:i parentType:E parentId:g lineNumber:i documentFlowSales:b \
                 documentFlowPurchase:b lastModifiedDateTime:T"
            }
        }
    }

    /// A record of which nothing is set.
    pub(super) fn blank(self) -> Fields {
        blank(self.shape())
    }

    /// A line of which nothing is set.
    pub(super) fn blank_line(self) -> Fields {
        let price = match self {
            Self::PurchaseInvoices => "unitCost:d quantity:d",
            Self::PurchaseOrders => "quantity:d directUnitCost:d",
            _ => "quantity:d unitPrice:d",
        };
        let date = if self.is_purchase() { "expectedReceiptDate:D" } else { "shipmentDate:D" };
        blank(&format!(
            "id:g documentId:g sequence:i itemId:g accountId:g lineType:E lineObjectNumber:s description:s \
             description2:s unitOfMeasureId:g unitOfMeasureCode:s {price} discountAmount:d discountPercent:d \
             discountAppliedBeforeTax:b amountExcludingTax:d taxCode:s taxPercent:d totalTaxAmount:d \
             amountIncludingTax:d invoiceDiscountAllocation:d netAmount:d netTaxAmount:d netAmountIncludingTax:d \
             {date} itemVariantId:g locationId:g"
        ))
    }
}

/// `name:T` for each field: the letter says what unset looks like.
fn blank(shape: &str) -> Fields {
    let mut fields = Fields::default();
    for (name, kind) in shape.split_whitespace().filter_map(|field| field.split_once(':')) {
        match kind {
            "g" => fields.set(name, NO_ID),
            "D" => fields.set(name, NO_DATE),
            "T" => fields.set(name, NO_INSTANT),
            "E" => fields.set(name, " "),
            "b" => fields.set(name, false),
            "d" | "i" => fields.set(name, 0),
            _ => fields.set(name, ""),
        }
    }
    fields
}

/// A value as XML names are written: what no name may have becomes `_xHHHH_`.
pub(super) fn encoded(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, c| {
        match c.is_ascii_alphanumeric() || c == '_' {
            true => text.push(c),
            false => text.push_str(&format!("_x{:04X}_", u32::from(c))),
        }
        text
    })
}

/// The members that hold enum values.
pub(super) fn is_enum(set: Set, name: &str) -> bool {
    set.shape().split_whitespace().any(|field| field.strip_suffix(":E") == Some(name))
}
