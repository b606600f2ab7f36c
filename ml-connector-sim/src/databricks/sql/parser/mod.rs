//! The closed grammar. What the vendor knows beyond it is refused by name.

mod ddl;
mod dml;
mod expr;
mod query;
mod types;

use super::{
    ast::{Name, NameParts, Statement},
    error::{Sql, SqlError},
    lexer::{Token, tokens},
    position::Position,
    types::{DataType, Field},
};

/// Expressions and queries nested deeper are refused.
const MAX_DEPTH: u32 = 48;

/// Parses one statement, which may end with one semicolon.
pub(crate) fn statement(text: &str) -> Sql<Statement> {
    let mut parser = Parser::new(text)?;
    let statement = parser.statement()?;
    parser.eat(";");
    parser.end()?;
    Ok(statement)
}

/// Parses a type such as `DECIMAL(18,4)`.
pub(crate) fn data_type(text: &str) -> Sql<DataType> {
    let mut parser = Parser::new(text)?;
    let ty = parser.data_type()?;
    parser.end()?;
    Ok(ty)
}

/// Parses a schema: a type, or columns such as `id STRING, total DECIMAL(18,4)`.
pub(crate) fn schema(text: &str) -> Sql<DataType> {
    let whole = Parser::new(text).and_then(|mut parser| {
        let ty = parser.data_type()?;
        parser.end().map(|()| ty)
    });
    match whole {
        Ok(ty) => Ok(ty),
        Err(error) => match columns(text) {
            Ok(fields) if !fields.is_empty() => Ok(DataType::Struct(fields)),
            _ => Err(error),
        },
    }
}

/// Parses columns such as `id STRING, total DECIMAL(18,4)`.
pub(crate) fn columns(text: &str) -> Sql<Vec<Field>> {
    let mut parser = Parser::new(text)?;
    let fields = parser.comma_separated(Parser::field)?;
    parser.end()?;
    Ok(fields)
}

/// Parses a name such as `` `main`.`finance`.`invoices` ``.
pub(crate) fn name_parts(text: &str) -> Sql<Vec<String>> {
    let mut parser = Parser::new(text)?;
    let parts = parser.dotted()?;
    parser.end()?;
    Ok(parts)
}

/// Parses an expression.
pub(crate) fn expression(text: &str) -> Sql<super::ast::Expr> {
    let mut parser = Parser::new(text)?;
    let expr = parser.expr()?;
    parser.end()?;
    Ok(expr)
}

struct Parser<'a> {
    statement: &'a str,
    tokens: Vec<(Token, Position)>,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn new(statement: &'a str) -> Sql<Self> {
        Ok(Self { statement, tokens: tokens(statement)?, at: 0, depth: 0 })
    }

    fn statement(&mut self) -> Sql<Statement> {
        let Token::Word(first) = self.token().clone() else {
            return if self.token() == &Token::Symbol("(") {
                self.query().map(Statement::Query)
            } else {
                Err(self.wrong())
            };
        };
        match first.to_ascii_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" => self.query().map(Statement::Query),
            "CREATE" => self.create(),
            "DROP" => self.drop_statement(),
            "ALTER" => self.alter(),
            "INSERT" => self.insert(),
            "UPDATE" => self.update(),
            "DELETE" => self.delete(),
            "MERGE" => self.merge(),
            "DESCRIBE" | "DESC" => self.describe(),
            "SHOW" => self.show(),
            known @ ("COPY" | "OPTIMIZE" | "VACUUM" | "GRANT" | "REVOKE" | "TRUNCATE" | "USE" | "SET"
            | "BEGIN" | "EXPLAIN" | "ANALYZE" | "REFRESH" | "RESTORE" | "CALL" | "EXECUTE"
            | "DECLARE" | "COMMENT" | "MSCK" | "CACHE" | "LIST" | "PUT" | "GET" | "REMOVE"
            | "TABLE" | "FROM") => Err(SqlError::unsupported(format_args!("{known}"))),
            _ => Err(self.wrong()),
        }
    }

    fn token(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> &Token {
        self.tokens.get(self.at + by).map_or(&Token::End, |(token, _)| token)
    }

    fn position(&self) -> Position {
        self.tokens.get(self.at).or(self.tokens.last()).map_or_else(Position::default, |(_, at)| *at)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    /// The error for a token that does not belong here.
    fn wrong(&self) -> SqlError {
        SqlError::syntax(&self.token().shown(), self.position(), self.statement)
    }

    fn is_keyword_ahead(&self, by: usize, keyword: &str) -> bool {
        matches!(self.ahead(by), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        self.is_keyword_ahead(0, keyword)
    }

    /// Takes all these keywords in a row, or none.
    fn keywords(&mut self, keywords: &str) -> bool {
        let found = keywords.split(' ').enumerate().all(|(i, keyword)| self.is_keyword_ahead(i, keyword));
        if found {
            keywords.split(' ').for_each(|_| self.advance());
        }
        found
    }

    fn expect_keywords(&mut self, keywords: &str) -> Sql<()> {
        for keyword in keywords.split(' ') {
            if !self.keywords(keyword) {
                return Err(self.wrong());
            }
        }
        Ok(())
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.token(), Token::Symbol(found) if *found == symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, symbol: &str) -> Sql<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.wrong()) }
    }

    fn end(&self) -> Sql<()> {
        if self.token() == &Token::End { Ok(()) } else { Err(self.wrong()) }
    }

    fn comma_separated<T>(&mut self, mut one: impl FnMut(&mut Self) -> Sql<T>) -> Sql<Vec<T>> {
        let mut all = vec![one(self)?];
        while self.eat(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn parenthesized<T>(&mut self, inner: impl FnOnce(&mut Self) -> Sql<T>) -> Sql<T> {
        self.expect("(")?;
        let value = inner(self)?;
        self.expect(")")?;
        Ok(value)
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Sql<T>) -> Sql<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SqlError::unsupported("a statement nested this deep"));
        }
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn identifier(&mut self) -> Sql<String> {
        match self.token() {
            Token::Word(name) | Token::Quoted(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => Err(self.wrong()),
        }
    }

    fn text(&mut self) -> Sql<String> {
        match self.token() {
            Token::Text(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.wrong()),
        }
    }

    fn small_number(&mut self) -> Sql<u8> {
        match self.token() {
            Token::Number(digits) => {
                let number = digits.parse().map_err(|_| self.wrong())?;
                self.advance();
                Ok(number)
            }
            _ => Err(self.wrong()),
        }
    }

    fn dotted(&mut self) -> Sql<Vec<String>> {
        let mut parts = vec![self.identifier()?];
        while self.eat(".") {
            parts.push(self.identifier()?);
        }
        Ok(parts)
    }

    fn name(&mut self) -> Sql<Name> {
        let at = self.position();
        let parts = if self.is_keyword("IDENTIFIER") && self.ahead(1) == &Token::Symbol("(") {
            self.advance();
            NameParts::Computed(Box::new(self.parenthesized(Self::expr)?))
        } else {
            NameParts::Written(self.dotted()?)
        };
        Ok(Name { parts, at })
    }
}
