//! Types.

use super::{DataType, Field, Parser, Sql, SqlError, Token};

impl Parser<'_> {
    pub(super) fn data_type(&mut self) -> Sql<DataType> {
        self.deeper(Self::any_type)
    }

    fn any_type(&mut self) -> Sql<DataType> {
        let at = self.position();
        let Token::Word(word) = self.token().clone() else { return Err(self.wrong()) };
        self.advance();
        Ok(match word.to_ascii_uppercase().as_str() {
            "VOID" => DataType::Void,
            "BOOLEAN" => DataType::Boolean,
            "TINYINT" | "BYTE" => DataType::TinyInt,
            "SMALLINT" | "SHORT" => DataType::SmallInt,
            "INT" | "INTEGER" => DataType::Int,
            "BIGINT" | "LONG" => DataType::BigInt,
            "DOUBLE" => DataType::Double,
            "STRING" => DataType::String,
            "BINARY" => DataType::Binary,
            "DATE" => DataType::Date,
            "TIMESTAMP" => DataType::Timestamp,
            "TIMESTAMP_NTZ" => DataType::TimestampNtz,
            "VARIANT" => DataType::Variant,
            "DECIMAL" | "DEC" | "NUMERIC" => self.decimal()?,
            "ARRAY" => {
                self.expect("<")?;
                let of = self.data_type()?;
                self.expect(">")?;
                DataType::Array(Box::new(of))
            }
            "MAP" => {
                self.expect("<")?;
                let key = self.data_type()?;
                self.expect(",")?;
                let value = self.data_type()?;
                self.expect(">")?;
                DataType::Map(Box::new(key), Box::new(value))
            }
            "STRUCT" => {
                self.expect("<")?;
                let fields = self.comma_separated(Self::field)?;
                self.expect(">")?;
                DataType::Struct(fields)
            }
            "FLOAT" | "REAL" | "CHAR" | "VARCHAR" | "INTERVAL" | "GEOMETRY" | "GEOGRAPHY" | "OBJECT" => {
                return Err(SqlError::unsupported(format_args!("the type {word}")));
            }
            _ => {
                let sentence = format!("DataType \"{}\" is not supported.", word.to_ascii_uppercase());
                return Err(SqlError::new("UNSUPPORTED_DATATYPE", "0A000", sentence).at(at));
            }
        })
    }

    /// Bare DECIMAL holds no decimals at all.
    fn decimal(&mut self) -> Sql<DataType> {
        let (mut precision, mut scale) = (10, 0);
        let at = self.position();
        if self.eat("(") {
            precision = self.small_number()?;
            if self.eat(",") {
                scale = self.small_number()?;
            }
            self.expect(")")?;
        }
        if precision > 38 || precision == 0 {
            let sentence = format!("Decimal precision {precision} exceeds max precision 38.");
            return Err(SqlError::new("DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION", "22003", sentence).at(at));
        }
        if scale > precision {
            let sentence = format!("Decimal scale ({scale}) cannot be greater than precision ({precision}).");
            return Err(SqlError::new("INVALID_DECIMAL_SCALE", "42K0Y", sentence).at(at));
        }
        Ok(DataType::Decimal { precision, scale })
    }

    /// `name TYPE` or `name: TYPE`, with NOT NULL and a comment that are read over.
    pub(super) fn field(&mut self) -> Sql<Field> {
        let name = self.identifier()?;
        self.eat(":");
        let ty = self.data_type()?;
        self.keywords("NOT NULL");
        if self.keywords("COMMENT") {
            self.text()?;
        }
        Ok(Field { name, ty })
    }
}
