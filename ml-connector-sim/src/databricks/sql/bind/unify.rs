//! Types that meet: casts between them, and how many digits a calculation has.

use super::super::{
    ast::Operator,
    cast::Kind,
    error::{Sql, SqlError},
    eval::{Bound, Frame, Typed},
    time::SessionZone,
    types::{DataType, Value},
};

pub(crate) fn constant(value: Value, ty: DataType) -> Typed {
    Typed { expr: Bound::Constant(value), ty }
}

/// Computes what holds no column. What fails is left to fail when it runs.
pub(super) fn folded(expr: Bound, zone: &SessionZone) -> Bound {
    let constant = match &expr {
        Bound::Cast { expr, .. } => matches!(**expr, Bound::Constant(_)),
        Bound::Arithmetic(_, left, right, _) => {
            matches!((&**left, &**right), (Bound::Constant(_), Bound::Constant(_)))
        }
        _ => false,
    };
    match constant.then(|| expr.eval(Frame::default(), zone)) {
        Some(Ok(value)) => Bound::Constant(value),
        _ => expr,
    }
}

/// With a cast if the types differ. Whether the cast is possible has been checked.
pub(crate) fn converted(of: Typed, to: &DataType, kind: Kind) -> Typed {
    if of.ty == *to {
        return of;
    }
    let cast = Bound::Cast { expr: Box::new(of.expr), from: of.ty, to: to.clone(), kind };
    Typed { expr: cast, ty: to.clone() }
}

/// Brings expressions to one type.
pub(crate) fn unified(all: Vec<Typed>) -> Sql<(Vec<Bound>, DataType)> {
    let ty = all.iter().try_fold(DataType::Void, |ty, item| common(&ty, &item.ty))?;
    let all = all.into_iter().map(|item| converted(item, &ty, Kind::Ansi).expr).collect();
    Ok((all, ty))
}

/// The type two types meet in.
pub(crate) fn common(left: &DataType, right: &DataType) -> Sql<DataType> {
    use DataType as T;
    Ok(match (left, right) {
        (left, right) if left == right => left.clone(),
        (T::Void, other) | (other, T::Void) => other.clone(),
        (T::Double, other) | (other, T::Double) if other.is_numeric() => T::Double,
        (left, right) if left.is_integer() && right.is_integer() => {
            if left.integer_bits() > right.integer_bits() { left.clone() } else { right.clone() }
        }
        (left, right) if left.is_numeric() && right.is_numeric() => {
            let (Some(left), Some(right)) = (left.as_decimal(), right.as_decimal()) else {
                return Err(apart(left, right));
            };
            let scale = left.1.max(right.1);
            let whole = (left.0 - left.1).max(right.0 - right.1);
            T::decimal(u32::from(whole) + u32::from(scale), u32::from(scale))
        }
        (T::String, other) | (other, T::String)
            if !matches!(other, T::Array(_) | T::Map(..) | T::Struct(_) | T::Variant) =>
        {
            // A text beside an integer is read as BIGINT.
            if other.is_integer() { T::BigInt } else { other.clone() }
        }
        (T::Date, T::Timestamp) | (T::Timestamp, T::Date) => T::Timestamp,
        (T::Date, T::TimestampNtz) | (T::TimestampNtz, T::Date) => T::TimestampNtz,
        (T::Array(left), T::Array(right)) => T::Array(Box::new(common(left, right)?)),
        (T::Struct(lefts), T::Struct(rights)) if lefts.len() == rights.len() => {
            let mut fields = lefts.clone();
            for (field, right) in fields.iter_mut().zip(rights) {
                field.ty = common(&field.ty, &right.ty)?;
            }
            T::Struct(fields)
        }
        (left, right) => return Err(apart(left, right)),
    })
}

fn apart(left: &DataType, right: &DataType) -> SqlError {
    SqlError::new(
        "DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES",
        "42K09",
        format!(
            "Cannot resolve due to data type mismatch: the types (\"{left}\" and \"{right}\") do not match."
        ),
    )
}

/// How many digits a calculation with decimals has.
pub(super) fn decimal_result(operator: Operator, left: (u8, u8), right: (u8, u8)) -> DataType {
    let (p1, s1, p2, s2) = (u32::from(left.0), u32::from(left.1), u32::from(right.0), u32::from(right.1));
    match operator {
        Operator::Multiply => DataType::decimal(p1 + p2 + 1, s1 + s2),
        Operator::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            DataType::decimal(p1 - s1 + s2 + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            DataType::decimal((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
    }
}
