//! Queries.

use super::{
    super::ast::{Alias, Body, Expr, Item, JoinKind, Lateral, Query, Relation, Select},
    Parser, Sql, SqlError, Token,
    expr::RESERVED,
};

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Sql<Query> {
        self.deeper(Self::whole_query)
    }

    fn whole_query(&mut self) -> Sql<Query> {
        let with = if self.keywords("WITH") { self.comma_separated(Self::named_query)? } else { Vec::new() };
        let mut body = self.body()?;
        loop {
            if ["INTERSECT", "EXCEPT", "MINUS"].iter().any(|word| self.is_keyword(word)) {
                return Err(SqlError::unsupported(self.token().shown()));
            }
            if !self.keywords("UNION") {
                break;
            }
            let all = self.keywords("ALL");
            body = Body::Union { left: Box::new(body), right: Box::new(self.body()?), all };
        }
        let order_by =
            if self.keywords("ORDER BY") { self.comma_separated(Self::order)? } else { Vec::new() };
        let limit = if self.keywords("LIMIT") { Some(self.expr()?) } else { None };
        let offset = if self.keywords("OFFSET") { Some(self.expr()?) } else { None };
        Ok(Query { with, body, order_by, limit, offset })
    }

    fn named_query(&mut self) -> Sql<(String, Query)> {
        let name = self.identifier()?;
        self.expect_keywords("AS")?;
        Ok((name, self.parenthesized(Self::query)?))
    }

    fn body(&mut self) -> Sql<Body> {
        if self.token() == &Token::Symbol("(") {
            return self.parenthesized(Self::query).map(|query| Body::Nested(Box::new(query)));
        }
        if self.keywords("VALUES") {
            return self.comma_separated(Self::values_row).map(Body::Values);
        }
        self.select().map(|select| Body::Select(Box::new(select)))
    }

    pub(super) fn values_row(&mut self) -> Sql<Vec<Expr>> {
        if self.token() == &Token::Symbol("(") {
            self.parenthesized(|parser| parser.comma_separated(Self::expr))
        } else {
            Ok(vec![self.expr()?])
        }
    }

    fn select(&mut self) -> Sql<Select> {
        self.expect_keywords("SELECT")?;
        let distinct = self.keywords("DISTINCT");
        if !distinct {
            self.keywords("ALL");
        }
        let items = self.comma_separated(Self::item)?;
        let from = if self.keywords("FROM") { Some(self.relations()?) } else { None };
        let mut laterals = Vec::new();
        while self.keywords("LATERAL VIEW") {
            laterals.push(self.lateral()?);
        }
        let filter = self.clause("WHERE")?;
        let group_by = if self.keywords("GROUP BY") {
            if self.is_keyword("ALL") {
                return Err(SqlError::unsupported("GROUP BY ALL"));
            }
            self.comma_separated(Self::expr)?
        } else {
            Vec::new()
        };
        let having = self.clause("HAVING")?;
        let qualify = self.clause("QUALIFY")?;
        Ok(Select { distinct, items, from, laterals, filter, group_by, having, qualify })
    }

    pub(super) fn clause(&mut self, keyword: &str) -> Sql<Option<Expr>> {
        if self.keywords(keyword) { self.expr().map(Some) } else { Ok(None) }
    }

    fn item(&mut self) -> Sql<Item> {
        let at = self.position();
        if self.eat("*") {
            return if self.is_keyword("EXCEPT") {
                Err(SqlError::unsupported("* EXCEPT"))
            } else {
                Ok(Item::All(Vec::new(), at))
            };
        }
        // `t.*` and `catalog.schema.t.*`
        let mut names = 0;
        while matches!(self.ahead(2 * names), Token::Word(_) | Token::Quoted(_))
            && self.ahead(2 * names + 1) == &Token::Symbol(".")
        {
            names += 1;
            if self.ahead(2 * names) == &Token::Symbol("*") {
                let mut parts = Vec::new();
                for _ in 0..names {
                    parts.push(self.identifier()?);
                    self.expect(".")?;
                }
                self.expect("*")?;
                return Ok(Item::All(parts, at));
            }
        }
        let expr = self.expr()?;
        let alias = if self.keywords("AS") || self.is_alias() { Some(self.identifier()?) } else { None };
        Ok(Item::Expr { expr, alias })
    }

    /// Whether the next token is an alias without AS.
    pub(super) fn is_alias(&self) -> bool {
        match self.token() {
            Token::Quoted(_) => true,
            Token::Word(word) => {
                let word = word.to_ascii_uppercase();
                !RESERVED.contains(&word.as_str()) && word != "MINUS"
            }
            _ => false,
        }
    }

    fn relations(&mut self) -> Sql<Relation> {
        let mut left = self.relation()?;
        loop {
            let (kind, has_condition) = if self.eat(",") || self.keywords("CROSS JOIN") {
                (JoinKind::Inner, false)
            } else if self.keywords("LEFT OUTER JOIN") || self.keywords("LEFT JOIN") {
                (JoinKind::Left, true)
            } else if self.keywords("INNER JOIN") || self.keywords("JOIN") {
                (JoinKind::Inner, true)
            } else if ["LEFT", "RIGHT", "FULL"].iter().any(|word| self.is_keyword(word)) {
                return Err(SqlError::unsupported(format_args!(
                    "{} joins of this kind",
                    self.token().shown()
                )));
            } else {
                return Ok(left);
            };
            let right = Box::new(self.relation()?);
            if self.is_keyword("USING") {
                return Err(SqlError::unsupported("JOIN ... USING"));
            }
            let on = if has_condition {
                self.expect_keywords("ON")?;
                Some(self.expr()?)
            } else {
                None
            };
            left = Relation::Join { left: Box::new(left), right, kind, on };
        }
    }

    /// One relation: a table, a subquery, VALUES, or files.
    pub(super) fn relation(&mut self) -> Sql<Relation> {
        let at = self.position();
        if self.token() == &Token::Symbol("(") {
            let query = Box::new(self.parenthesized(Self::query)?);
            return Ok(Relation::Query { query, alias: self.alias()? });
        }
        if self.keywords("VALUES") {
            let body = self.comma_separated(Self::values_row).map(Body::Values)?;
            let query = Query { with: Vec::new(), body, order_by: Vec::new(), limit: None, offset: None };
            return Ok(Relation::Query { query: Box::new(query), alias: self.alias()? });
        }
        if self.is_keyword("LATERAL") {
            return Err(SqlError::unsupported("LATERAL subqueries"));
        }
        if self.is_keyword("READ_FILES") && self.ahead(1) == &Token::Symbol("(") {
            self.advance();
            self.expect("(")?;
            let path = self.expr()?;
            let mut options = Vec::new();
            while self.eat(",") {
                let name = self.identifier()?.to_ascii_lowercase();
                self.expect("=>")?;
                options.push((name, self.expr()?));
            }
            self.expect(")")?;
            return Ok(Relation::ReadFiles { path, options, alias: self.alias()?, at });
        }
        let name = self.name()?;
        if self.token() == &Token::Symbol("(") {
            return Err(SqlError::unsupported("this table function"));
        }
        if ["VERSION", "TIMESTAMP", "TABLESAMPLE"].iter().any(|word| self.is_keyword(word)) {
            return Err(SqlError::unsupported("time travel and samples"));
        }
        Ok(Relation::Table { name, alias: self.alias()? })
    }

    fn alias(&mut self) -> Sql<Option<Alias>> {
        if !self.keywords("AS") && !self.is_alias() {
            return Ok(None);
        }
        let name = self.identifier()?;
        let columns = if self.token() == &Token::Symbol("(") {
            self.parenthesized(|parser| parser.comma_separated(Self::identifier))?
        } else {
            Vec::new()
        };
        Ok(Some(Alias { name, columns }))
    }

    fn lateral(&mut self) -> Sql<Lateral> {
        let outer = self.keywords("OUTER");
        let generator = self.expr()?;
        let table = if self.is_keyword("AS") { String::new() } else { self.identifier()? };
        self.keywords("AS");
        let columns = self.comma_separated(Self::identifier)?;
        Ok(Lateral { outer, generator, table, columns })
    }
}
