//! INSERT, UPDATE, DELETE, MERGE.

use super::{
    super::ast::{Assignment, Merge, MergeAction, MergeClause, Relation, Statement, Target, When},
    Parser, Sql, SqlError, Token,
};

impl Parser<'_> {
    pub(super) fn insert(&mut self) -> Sql<Statement> {
        self.expect_keywords("INSERT")?;
        if self.is_keyword("OVERWRITE") {
            return Err(SqlError::unsupported("INSERT OVERWRITE"));
        }
        self.expect_keywords("INTO")?;
        self.keywords("TABLE");
        let table = self.name()?;
        let columns = if self.token() == &Token::Symbol("(") && !self.is_keyword_ahead(1, "SELECT") {
            Some(self.parenthesized(|parser| parser.comma_separated(Self::identifier))?)
        } else {
            None
        };
        Ok(Statement::Insert { table, columns, source: self.query()? })
    }

    fn target(&mut self) -> Sql<Target> {
        let name = self.name()?;
        let alias = if self.keywords("AS") || self.is_alias() { Some(self.identifier()?) } else { None };
        Ok(Target { name, alias })
    }

    pub(super) fn update(&mut self) -> Sql<Statement> {
        self.expect_keywords("UPDATE")?;
        let table = self.target()?;
        self.expect_keywords("SET")?;
        let set = self.comma_separated(Self::assignment)?;
        Ok(Statement::Update { table, set, filter: self.clause("WHERE")? })
    }

    pub(super) fn delete(&mut self) -> Sql<Statement> {
        self.expect_keywords("DELETE FROM")?;
        Ok(Statement::Delete { table: self.target()?, filter: self.clause("WHERE")? })
    }

    fn assignment(&mut self) -> Sql<Assignment> {
        let at = self.position();
        let column = self.dotted()?;
        self.expect("=")?;
        Ok(Assignment { column, value: self.expr()?, at })
    }

    pub(super) fn merge(&mut self) -> Sql<Statement> {
        self.expect_keywords("MERGE")?;
        if self.is_keyword("WITH") {
            return Err(SqlError::unsupported("MERGE WITH SCHEMA EVOLUTION"));
        }
        self.expect_keywords("INTO")?;
        let target = self.target()?;
        self.expect_keywords("USING")?;
        let at = self.position();
        let source = self.relation()?;
        if let Relation::Table { alias: Some(alias), .. } | Relation::Query { alias: Some(alias), .. } =
            &source
            && !alias.columns.is_empty()
        {
            let sentence = "Column aliases are not allowed in MERGE.";
            return Err(SqlError::new("COLUMN_ALIASES_NOT_ALLOWED", "42601", sentence).at(at));
        }
        self.expect_keywords("ON")?;
        let on = self.expr()?;
        let mut clauses: Vec<MergeClause> = Vec::new();
        while self.keywords("WHEN") {
            let clause = self.merge_clause()?;
            // Only the last of each kind may come without a condition.
            if clauses.iter().any(|earlier| earlier.when == clause.when && earlier.condition.is_none()) {
                let (class, kind) = match clause.when {
                    When::Matched => ("NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION", "MATCHED"),
                    When::NotMatched => {
                        ("NON_LAST_NOT_MATCHED_BY_TARGET_CLAUSE_OMIT_CONDITION", "NOT MATCHED")
                    }
                    When::NotMatchedBySource => {
                        ("NON_LAST_NOT_MATCHED_BY_SOURCE_CLAUSE_OMIT_CONDITION", "NOT MATCHED BY SOURCE")
                    }
                };
                let sentence = format!(
                    "When there are more than one {kind} clauses in a MERGE statement, only the last {kind} clause can \
                     omit the condition."
                );
                return Err(SqlError::new(class, "42613", sentence));
            }
            clauses.push(clause);
        }
        if clauses.is_empty() {
            return Err(self.wrong());
        }
        Ok(Statement::Merge(Box::new(Merge { target, source, on, clauses })))
    }

    fn merge_clause(&mut self) -> Sql<MergeClause> {
        let when = if self.keywords("MATCHED") {
            When::Matched
        } else if self.keywords("NOT MATCHED BY SOURCE") {
            When::NotMatchedBySource
        } else if self.keywords("NOT MATCHED BY TARGET") || self.keywords("NOT MATCHED") {
            When::NotMatched
        } else {
            return Err(self.wrong());
        };
        let condition = self.clause("AND")?;
        self.expect_keywords("THEN")?;
        let action = match when {
            When::NotMatched => self.merge_insert()?,
            _ if self.keywords("DELETE") => MergeAction::Delete,
            _ => {
                self.expect_keywords("UPDATE SET")?;
                if when == When::Matched && self.eat("*") {
                    MergeAction::UpdateAll
                } else {
                    MergeAction::Update(self.comma_separated(Self::assignment)?)
                }
            }
        };
        Ok(MergeClause { when, condition, action })
    }

    fn merge_insert(&mut self) -> Sql<MergeAction> {
        self.expect_keywords("INSERT")?;
        if self.eat("*") {
            return Ok(MergeAction::InsertAll);
        }
        let names = self.parenthesized(|parser| {
            parser.comma_separated(|parser| Ok((parser.position(), parser.dotted()?)))
        })?;
        self.expect_keywords("VALUES")?;
        let values = self.values_row()?;
        if names.len() != values.len() {
            return Err(SqlError::new(
                "INSERT_COLUMN_ARITY_MISMATCH",
                "21S01",
                format!(
                    "Cannot write: {} columns are named, but {} values are given.",
                    names.len(),
                    values.len()
                ),
            ));
        }
        let assign = |((at, column), value)| Assignment { column, value, at };
        Ok(MergeAction::Insert { columns: names.into_iter().zip(values).map(assign).collect() })
    }
}
