//! Data types and values.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::decimal::{Decimal, MAX_PRECISION};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataType {
    /// The type of a bare NULL.
    Void,
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Binary,
    Date,
    Timestamp,
    TimestampNtz,
    Array(Box<Self>),
    Map(Box<Self>, Box<Self>),
    Struct(Vec<Field>),
    Variant,
}

/// A field of a STRUCT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: DataType,
}

impl DataType {
    /// A decimal type, cut to 38 digits as the vendor cuts results: decimals give way, but not below six.
    pub(crate) fn decimal(precision: u32, scale: u32) -> Self {
        let max = u32::from(MAX_PRECISION);
        let (precision, scale) = if precision <= max {
            (precision, scale)
        } else {
            (max, max.saturating_sub(precision - scale).max(scale.min(6)))
        };
        let small = |value: u32| u8::try_from(value).unwrap_or(MAX_PRECISION);
        Self::Decimal { precision: small(precision), scale: small(scale) }
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.integer_bits().is_some()
    }

    pub(crate) fn integer_bits(&self) -> Option<u32> {
        match self {
            Self::TinyInt => Some(8),
            Self::SmallInt => Some(16),
            Self::Int => Some(32),
            Self::BigInt => Some(64),
            _ => None,
        }
    }

    pub(crate) fn is_numeric(&self) -> bool {
        self.is_integer() || matches!(self, Self::Double | Self::Decimal { .. })
    }

    /// An integer type's digits as a decimal, or the decimal itself.
    pub(crate) fn as_decimal(&self) -> Option<(u8, u8)> {
        match self {
            Self::TinyInt => Some((3, 0)),
            Self::SmallInt => Some((5, 0)),
            Self::Int => Some((10, 0)),
            Self::BigInt => Some((20, 0)),
            Self::Decimal { precision, scale } => Some((*precision, *scale)),
            _ => None,
        }
    }

    /// The vendor's `type_name`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Void => "NULL",
            Self::Boolean => "BOOLEAN",
            Self::TinyInt => "BYTE",
            Self::SmallInt => "SHORT",
            Self::Int => "INT",
            Self::BigInt => "LONG",
            Self::Double => "DOUBLE",
            Self::Decimal { .. } => "DECIMAL",
            Self::String => "STRING",
            Self::Binary => "BINARY",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::TimestampNtz => "TIMESTAMP_NTZ",
            Self::Array(_) => "ARRAY",
            Self::Map(..) => "MAP",
            Self::Struct(_) => "STRUCT",
            Self::Variant => "VARIANT",
        }
    }

    /// As Unity Catalog and DESCRIBE write it: lower case, no blanks, names as they are.
    pub(crate) fn lower(&self) -> String {
        match self {
            Self::Array(of) => format!("array<{}>", of.lower()),
            Self::Map(key, value) => format!("map<{},{}>", key.lower(), value.lower()),
            Self::Struct(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|field| format!("{}:{}", field.name, field.ty.lower())).collect();
                format!("struct<{}>", fields.join(","))
            }
            scalar => scalar.to_string().to_ascii_lowercase(),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Void => f.write_str("VOID"),
            Self::TinyInt => f.write_str("TINYINT"),
            Self::SmallInt => f.write_str("SMALLINT"),
            Self::BigInt => f.write_str("BIGINT"),
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            Self::Array(of) => write!(f, "ARRAY<{of}>"),
            Self::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            Self::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    write!(f, "{}{}: {}", if i > 0 { ", " } else { "" }, field.name, field.ty)?;
                }
                f.write_str(">")
            }
            scalar => f.write_str(scalar.type_name()),
        }
    }
}

/// One cell. Its type stands beside it: in the table, or in the expression that made it.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// All four integer types.
    Integer(i64),
    Double(f64),
    Decimal(Decimal),
    String(Arc<str>),
    Binary(Arc<[u8]>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970: of an instant, or of a local time.
    Timestamp(i64),
    /// The elements of an array or the fields of a struct.
    List(Arc<[Self]>),
    Map(Arc<[(Self, Self)]>),
    /// JSON text in the vendor's normal form.
    Variant(Arc<str>),
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Three-valued truth.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        self.truth() == Some(true)
    }

    /// The order of ORDER BY and of comparisons between values of one type. NULL comes first.
    pub(crate) fn compared(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Boolean(left), Self::Boolean(right)) => left.cmp(right),
            (Self::Integer(left), Self::Integer(right)) => left.cmp(right),
            (Self::Double(left), Self::Double(right)) => left.total_cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => left.compared(*right),
            (Self::String(left), Self::String(right)) | (Self::Variant(left), Self::Variant(right)) => {
                left.cmp(right)
            }
            (Self::Binary(left), Self::Binary(right)) => left.cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => {
                let unequal = left
                    .iter()
                    .zip(&**right)
                    .map(|(left, right)| left.compared(right))
                    .find(|order| order.is_ne());
                unequal.unwrap_or_else(|| left.len().cmp(&right.len()))
            }
            (Self::Map(left), Self::Map(right)) => {
                let pair = |(left, right): (&(Self, Self), &(Self, Self))| {
                    left.0.compared(&right.0).then_with(|| left.1.compared(&right.1))
                };
                let unequal = left.iter().zip(&**right).map(pair).find(|order| order.is_ne());
                unequal.unwrap_or_else(|| left.len().cmp(&right.len()))
            }
            // The binder brings both sides to one type.
            (left, right) => left.kind().cmp(&right.kind()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Boolean(_) => 1,
            Self::Integer(_) => 2,
            Self::Double(_) => 3,
            Self::Decimal(_) => 4,
            Self::String(_) => 5,
            Self::Binary(_) => 6,
            Self::Date(_) => 7,
            Self::Timestamp(_) => 8,
            Self::List(_) => 9,
            Self::Map(_) => 10,
            Self::Variant(_) => 11,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.compared(other).is_eq()
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, to: &mut H) {
        self.kind().hash(to);
        match self {
            Self::Null => {}
            Self::Boolean(truth) => truth.hash(to),
            Self::Integer(value) => value.hash(to),
            Self::Double(value) => value.to_bits().hash(to),
            Self::Decimal(value) => value.normalized().hash(to),
            Self::String(text) | Self::Variant(text) => text.hash(to),
            Self::Binary(bytes) => bytes.hash(to),
            Self::Date(days) => days.hash(to),
            Self::Timestamp(micros) => micros.hash(to),
            Self::List(items) => items.hash(to),
            Self::Map(pairs) => pairs.hash(to),
        }
    }
}
