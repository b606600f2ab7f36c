//! Expressions, loosest operator first.

use super::{
    super::{
        ast::{Call, Expr, Operator, Order, Window},
        decimal::Written,
        types::Value,
    },
    DataType, Parser, Sql, SqlError, Token,
};

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Sql<Expr> {
        self.deeper(Self::or)
    }

    fn boxed(&mut self, one: impl FnOnce(&mut Self) -> Sql<Expr>) -> Sql<Box<Expr>> {
        one(self).map(Box::new)
    }

    fn or(&mut self) -> Sql<Expr> {
        let mut left = self.and()?;
        while self.keywords("OR") {
            left = Expr::Binary(Operator::Or, Box::new(left), self.boxed(Self::and)?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Sql<Expr> {
        let mut left = self.not()?;
        while self.keywords("AND") {
            left = Expr::Binary(Operator::And, Box::new(left), self.boxed(Self::not)?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Sql<Expr> {
        if self.keywords("NOT") {
            return self.deeper(|parser| Ok(Expr::Not(parser.boxed(Self::not)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Sql<Expr> {
        let mut left = self.sum()?;
        loop {
            let operator = match self.token() {
                Token::Symbol("=" | "==") => Operator::Equal,
                Token::Symbol("<=>") => Operator::SameAs,
                Token::Symbol("<>" | "!=") => Operator::NotEqual,
                Token::Symbol("<") => Operator::Less,
                Token::Symbol("<=") => Operator::LessOrEqual,
                Token::Symbol(">") => Operator::Greater,
                Token::Symbol(">=") => Operator::GreaterOrEqual,
                _ => match self.predicate(left)? {
                    (predicate, true) => {
                        left = predicate;
                        continue;
                    }
                    (left, false) => return Ok(left),
                },
            };
            self.advance();
            left = Expr::Binary(operator, Box::new(left), self.boxed(Self::sum)?);
        }
    }

    /// IS, IN, BETWEEN, LIKE behind an expression; whether there was one.
    fn predicate(&mut self, left: Expr) -> Sql<(Expr, bool)> {
        let expr = Box::new(left);
        if self.keywords("IS") {
            let negated = self.keywords("NOT");
            let found = if self.keywords("NULL") {
                Expr::IsNull { expr, negated }
            } else if self.keywords("DISTINCT FROM") {
                let same = Expr::Binary(Operator::SameAs, expr, self.boxed(Self::sum)?);
                if negated { same } else { Expr::Not(Box::new(same)) }
            } else if self.keywords("TRUE") {
                Expr::IsTrue { expr, truth: true, negated }
            } else if self.keywords("FALSE") {
                Expr::IsTrue { expr, truth: false, negated }
            } else {
                return Err(self.wrong());
            };
            return Ok((found, true));
        }
        let behind = usize::from(self.is_keyword("NOT"));
        let negated = behind == 1;
        if self.is_keyword_ahead(behind, "IN") {
            (0..=behind).for_each(|_| self.advance());
            if self.is_keyword_ahead(1, "SELECT") {
                return Err(SqlError::unsupported("IN with a subquery"));
            }
            let list = self.parenthesized(|parser| parser.comma_separated(Self::expr))?;
            return Ok((Expr::In { expr, list, negated }, true));
        }
        if self.is_keyword_ahead(behind, "BETWEEN") {
            (0..=behind).for_each(|_| self.advance());
            let low = self.boxed(Self::sum)?;
            self.expect_keywords("AND")?;
            let high = self.boxed(Self::sum)?;
            let at_least = Expr::Binary(Operator::GreaterOrEqual, expr.clone(), low);
            let at_most = Expr::Binary(Operator::LessOrEqual, expr, high);
            let between = Expr::Binary(Operator::And, Box::new(at_least), Box::new(at_most));
            return Ok((if negated { Expr::Not(Box::new(between)) } else { between }, true));
        }
        if self.is_keyword_ahead(behind, "LIKE") {
            (0..=behind).for_each(|_| self.advance());
            let pattern = self.boxed(Self::sum)?;
            return Ok((Expr::Like { expr, pattern, negated }, true));
        }
        Ok((*expr, false))
    }

    fn sum(&mut self) -> Sql<Expr> {
        let mut left = self.product()?;
        loop {
            let operator = match self.token() {
                Token::Symbol("+") => Operator::Add,
                Token::Symbol("-") => Operator::Subtract,
                Token::Symbol("||") => Operator::Concat,
                _ => return Ok(left),
            };
            self.advance();
            left = Expr::Binary(operator, Box::new(left), self.boxed(Self::product)?);
        }
    }

    fn product(&mut self) -> Sql<Expr> {
        let mut left = self.sign()?;
        loop {
            let operator = match self.token() {
                Token::Symbol("*") => Operator::Multiply,
                Token::Symbol("/") => Operator::Divide,
                Token::Symbol("%") => Operator::Remainder,
                _ => return Ok(left),
            };
            self.advance();
            left = Expr::Binary(operator, Box::new(left), self.boxed(Self::sign)?);
        }
    }

    fn sign(&mut self) -> Sql<Expr> {
        if self.eat("-") {
            return self.deeper(|parser| Ok(Expr::Negative(parser.boxed(Self::sign)?)));
        }
        self.eat("+");
        self.postfix()
    }

    fn postfix(&mut self) -> Sql<Expr> {
        let mut expr = self.primary()?;
        loop {
            let at = self.position();
            if self.eat("::") {
                let ty = self.data_type()?;
                expr = Expr::Cast { expr: Box::new(expr), ty, tolerant: false };
            } else if self.eat(".") {
                expr = Expr::Field(Box::new(expr), self.identifier()?, at);
            } else if self.eat("[") {
                let index = self.boxed(Self::expr)?;
                self.expect("]")?;
                expr = Expr::Element(Box::new(expr), index);
            } else if self.token() == &Token::Symbol(":") {
                return Err(SqlError::unsupported("paths into VARIANT or JSON"));
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Sql<Expr> {
        let at = self.position();
        match self.token().clone() {
            Token::Text(text) => {
                self.advance();
                Ok(Expr::Literal(Value::text(text), DataType::String))
            }
            Token::Number(number) => {
                self.advance();
                self.number(&number)
            }
            Token::Parameter(name) => {
                self.advance();
                Ok(Expr::Parameter(name, at))
            }
            Token::Symbol("(") => {
                if self.is_keyword_ahead(1, "SELECT") || self.is_keyword_ahead(1, "WITH") {
                    return Err(SqlError::unsupported("a subquery inside an expression"));
                }
                self.parenthesized(Self::expr)
            }
            Token::Quoted(_) => self.column_or_call(),
            Token::Word(word) => self.word(&word.to_ascii_uppercase()),
            _ => Err(self.wrong()),
        }
    }

    fn number(&mut self, number: &str) -> Sql<Expr> {
        if number.contains(['e', 'E']) {
            let value = number.parse().map_err(|_| self.wrong())?;
            return Ok(Expr::Literal(Value::Double(value), DataType::Double));
        }
        if let Ok(value) = number.parse::<i64>() {
            let ty = if i32::try_from(value).is_ok() { DataType::Int } else { DataType::BigInt };
            return Ok(Expr::Literal(Value::Integer(value), ty));
        }
        match Written::parse(number).and_then(|written| written.exact()) {
            Some(decimal) => {
                let digits = decimal.units.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
                let precision = digits.max(u32::from(decimal.scale));
                let ty = DataType::decimal(precision, u32::from(decimal.scale));
                Ok(Expr::Literal(Value::Decimal(decimal), ty))
            }
            None => Err(SqlError::new(
                "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION",
                "22003",
                format!("The number {number} exceeds the maximum precision 38."),
            )),
        }
    }

    fn word(&mut self, word: &str) -> Sql<Expr> {
        let followed_by_text = matches!(self.ahead(1), Token::Text(_));
        match word {
            "NULL" => self.literal(Value::Null, DataType::Void),
            "TRUE" => self.literal(Value::Boolean(true), DataType::Boolean),
            "FALSE" => self.literal(Value::Boolean(false), DataType::Boolean),
            "DATE" | "TIMESTAMP" if followed_by_text => {
                self.advance();
                let text = self.text()?;
                let ty = if word == "DATE" { DataType::Date } else { DataType::Timestamp };
                let expr = Box::new(Expr::Literal(Value::text(text), DataType::String));
                Ok(Expr::Cast { expr, ty, tolerant: false })
            }
            "CASE" => self.case(),
            "CAST" | "TRY_CAST" if self.ahead(1) == &Token::Symbol("(") => {
                self.advance();
                self.parenthesized(|parser| {
                    let expr = parser.boxed(Self::expr)?;
                    parser.expect_keywords("AS")?;
                    Ok(Expr::Cast { expr, ty: parser.data_type()?, tolerant: word == "TRY_CAST" })
                })
            }
            "EXISTS" | "INTERVAL" | "EXTRACT" => Err(SqlError::unsupported(format_args!("{word}"))),
            word if RESERVED.contains(&word) => Err(self.wrong()),
            _ => self.column_or_call(),
        }
    }

    fn literal(&mut self, value: Value, ty: DataType) -> Sql<Expr> {
        self.advance();
        Ok(Expr::Literal(value, ty))
    }

    fn case(&mut self) -> Sql<Expr> {
        self.expect_keywords("CASE")?;
        let operand = if self.is_keyword("WHEN") { None } else { Some(self.boxed(Self::expr)?) };
        let mut branches = Vec::new();
        while self.keywords("WHEN") {
            let condition = self.expr()?;
            self.expect_keywords("THEN")?;
            branches.push((condition, self.expr()?));
        }
        let otherwise = if self.keywords("ELSE") { Some(self.boxed(Self::expr)?) } else { None };
        if branches.is_empty() {
            return Err(self.wrong());
        }
        self.expect_keywords("END")?;
        Ok(Expr::Case { operand, branches, otherwise })
    }

    fn column_or_call(&mut self) -> Sql<Expr> {
        let at = self.position();
        if self.ahead(1) == &Token::Symbol("(") {
            let function = self.identifier()?.to_ascii_lowercase();
            return self.call(function, at);
        }
        let mut parts = vec![self.identifier()?];
        while self.token() == &Token::Symbol(".")
            && matches!(self.ahead(1), Token::Word(_) | Token::Quoted(_))
        {
            self.advance();
            parts.push(self.identifier()?);
        }
        Ok(Expr::Column(parts, at))
    }

    fn call(&mut self, function: String, at: super::Position) -> Sql<Expr> {
        self.expect("(")?;
        let star = self.eat("*");
        let distinct = !star && self.keywords("DISTINCT");
        let args = if star || self.token() == &Token::Symbol(")") {
            Vec::new()
        } else {
            self.comma_separated(Self::expr)?
        };
        self.expect(")")?;
        if self.is_keyword("FILTER") {
            return Err(SqlError::unsupported("FILTER of an aggregate"));
        }
        let over = if self.keywords("OVER") { Some(self.parenthesized(Self::window)?) } else { None };
        Ok(Expr::Call(Call { function, args, star, distinct, over, at }))
    }

    fn window(&mut self) -> Sql<Window> {
        let partition_by =
            if self.keywords("PARTITION BY") { self.comma_separated(Self::expr)? } else { Vec::new() };
        let order_by =
            if self.keywords("ORDER BY") { self.comma_separated(Self::order)? } else { Vec::new() };
        if self.is_keyword("ROWS") || self.is_keyword("RANGE") {
            return Err(SqlError::unsupported("window frames"));
        }
        Ok(Window { partition_by, order_by })
    }

    /// Ascending with NULLs first, or descending with NULLs last, unless it is said.
    pub(super) fn order(&mut self) -> Sql<Order> {
        let expr = self.expr()?;
        let descending = self.keywords("DESC");
        if !descending {
            self.keywords("ASC");
        }
        let nulls_first = if self.keywords("NULLS FIRST") {
            true
        } else if self.keywords("NULLS LAST") {
            false
        } else {
            !descending
        };
        Ok(Order { expr, descending, nulls_first })
    }
}

/// Words that end an expression, and that are no alias without AS.
pub(super) const RESERVED: [&str; 32] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "ON",
    "USING",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "SET",
    "VALUES",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "CROSS",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "LATERAL",
    "AS",
    "AND",
    "OR",
    "NOT",
    "SELECT",
    "WINDOW",
];
