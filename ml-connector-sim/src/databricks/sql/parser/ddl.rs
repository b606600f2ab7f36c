//! CREATE, ALTER, DROP, DESCRIBE, SHOW.

use super::{
    super::ast::{Alteration, Check, ColumnDefinition, CreateTable, Dropped, Name, Statement},
    Parser, Sql, SqlError, Token,
};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Sql<Statement> {
        self.expect_keywords("CREATE")?;
        let replace = self.keywords("OR REPLACE");
        let kind = self.identifier()?.to_ascii_uppercase();
        let if_not_exists = self.keywords("IF NOT EXISTS");
        match kind.as_str() {
            "TABLE" if !replace => self.create_table(if_not_exists),
            "SCHEMA" | "DATABASE" if !replace => {
                let name = self.name()?;
                Ok(Statement::CreateSchema { name, if_not_exists, comment: self.comment()? })
            }
            "VOLUME" if !replace => {
                let name = self.name()?;
                Ok(Statement::CreateVolume { name, if_not_exists, comment: self.comment()? })
            }
            "VIEW" => {
                let name = self.name()?;
                self.comment()?;
                self.expect_keywords("AS")?;
                Ok(Statement::CreateView { name, replace, if_not_exists, query: self.query()? })
            }
            _ => Err(SqlError::unsupported(format_args!(
                "CREATE{} {kind}",
                if replace { " OR REPLACE" } else { "" }
            ))),
        }
    }

    fn comment(&mut self) -> Sql<Option<String>> {
        if self.keywords("COMMENT") { self.text().map(Some) } else { Ok(None) }
    }

    fn create_table(&mut self, if_not_exists: bool) -> Sql<Statement> {
        let mut table = CreateTable {
            name: self.name()?,
            if_not_exists,
            columns: Vec::new(),
            checks: Vec::new(),
            cluster_by: Vec::new(),
            comment: None,
            properties: Vec::new(),
        };
        if self.is_keyword("AS") || self.token() == &Token::End {
            return Err(SqlError::unsupported("CREATE TABLE without columns"));
        }
        self.expect("(")?;
        loop {
            if self.keywords("CONSTRAINT") {
                let name = self.identifier()?;
                if self.is_keyword("PRIMARY") || self.is_keyword("FOREIGN") {
                    return Err(SqlError::unsupported("PRIMARY KEY and FOREIGN KEY"));
                }
                let check = self.check(name)?;
                table.checks.push(check);
            } else {
                table.columns.push(self.column_definition()?);
            }
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        loop {
            if self.keywords("USING") {
                let format = self.identifier()?;
                if !format.eq_ignore_ascii_case("delta") {
                    return Err(SqlError::unsupported(format_args!("tables in the format {format}")));
                }
            } else if self.is_keyword("CLUSTER") {
                table.cluster_by = self.cluster_by()?;
            } else if self.keywords("COMMENT") {
                table.comment = Some(self.text()?);
            } else if self.keywords("TBLPROPERTIES") {
                table.properties = self.properties()?;
            } else if ["PARTITIONED", "LOCATION", "OPTIONS", "WITH", "AS"]
                .iter()
                .any(|word| self.is_keyword(word))
            {
                return Err(SqlError::unsupported(format_args!("CREATE TABLE ... {}", self.token().shown())));
            } else {
                return Ok(Statement::CreateTable(table));
            }
        }
    }

    fn cluster_by(&mut self) -> Sql<Vec<String>> {
        self.expect_keywords("CLUSTER BY")?;
        if self.keywords("AUTO") || self.keywords("NONE") {
            return Ok(Vec::new());
        }
        self.parenthesized(|parser| parser.comma_separated(Self::identifier))
    }

    fn check(&mut self, name: String) -> Sql<Check> {
        self.expect_keywords("CHECK")?;
        self.expect("(")?;
        let start = self.at;
        let condition = self.expr()?;
        let shown: Vec<_> = self.tokens[start..self.at].iter().map(|(token, _)| token.shown()).collect();
        self.expect(")")?;
        Ok(Check { name, condition, text: shown.join(" ") })
    }

    fn column_definition(&mut self) -> Sql<ColumnDefinition> {
        let mut within = vec![self.identifier()?];
        while self.eat(".") {
            within.push(self.identifier()?);
        }
        let mut column = ColumnDefinition {
            name: within.pop().unwrap_or_default(),
            within,
            ty: self.data_type()?,
            not_null: false,
            comment: None,
        };
        loop {
            if self.keywords("NOT NULL") {
                column.not_null = true;
            } else if self.keywords("COMMENT") {
                column.comment = Some(self.text()?);
            } else if ["DEFAULT", "GENERATED", "MASK", "COLLATE", "PRIMARY", "CONSTRAINT"]
                .iter()
                .any(|word| self.is_keyword(word))
            {
                return Err(SqlError::unsupported(format_args!("{} in a column", self.token().shown())));
            } else {
                return Ok(column);
            }
        }
    }

    fn properties(&mut self) -> Sql<Vec<(String, String)>> {
        self.parenthesized(|parser| {
            parser.comma_separated(|parser| {
                let key = parser.property_key()?;
                parser.eat("=");
                let value = match parser.token() {
                    Token::Text(_) => parser.text()?,
                    Token::Word(word) | Token::Number(word) => {
                        let word = word.clone();
                        parser.advance();
                        word
                    }
                    _ => return Err(parser.wrong()),
                };
                Ok((key, value))
            })
        })
    }

    fn property_key(&mut self) -> Sql<String> {
        if matches!(self.token(), Token::Text(_)) {
            self.text()
        } else {
            self.dotted().map(|parts| parts.join("."))
        }
    }

    pub(super) fn drop_statement(&mut self) -> Sql<Statement> {
        self.expect_keywords("DROP")?;
        let kind = match self.identifier()?.to_ascii_uppercase().as_str() {
            "TABLE" => Dropped::Table,
            "VIEW" => Dropped::View,
            "SCHEMA" | "DATABASE" => Dropped::Schema,
            "VOLUME" => Dropped::Volume,
            kind => return Err(SqlError::unsupported(format_args!("DROP {kind}"))),
        };
        let if_exists = self.keywords("IF EXISTS");
        Ok(Statement::Drop { kind, name: self.name()?, if_exists })
    }

    pub(super) fn alter(&mut self) -> Sql<Statement> {
        self.expect_keywords("ALTER")?;
        if !self.keywords("TABLE") {
            return Err(SqlError::unsupported(format_args!("ALTER {}", self.token().shown())));
        }
        let table = self.name()?;
        Ok(Statement::Alter { table, action: self.alteration()? })
    }

    fn alteration(&mut self) -> Sql<Alteration> {
        if self.keywords("ADD CONSTRAINT") {
            let name = self.identifier()?;
            return self.check(name).map(Alteration::AddCheck);
        }
        if self.keywords("ADD COLUMNS") || self.keywords("ADD COLUMN") {
            let if_not_exists = self.keywords("IF NOT EXISTS");
            let list = |parser: &mut Self| parser.comma_separated(Self::column_definition);
            let columns =
                if self.token() == &Token::Symbol("(") { self.parenthesized(list)? } else { list(self)? };
            return Ok(Alteration::AddColumns { columns, if_not_exists });
        }
        if self.keywords("DROP CONSTRAINT") {
            let if_exists = self.keywords("IF EXISTS");
            return Ok(Alteration::DropConstraint { name: self.identifier()?, if_exists });
        }
        if self.keywords("DROP COLUMNS") || self.keywords("DROP COLUMN") {
            let list = |parser: &mut Self| parser.comma_separated(Self::identifier);
            let columns =
                if self.token() == &Token::Symbol("(") { self.parenthesized(list)? } else { list(self)? };
            return Ok(Alteration::DropColumns(columns));
        }
        if self.keywords("RENAME COLUMN") {
            let from = self.identifier()?;
            self.expect_keywords("TO")?;
            return Ok(Alteration::RenameColumn(from, self.identifier()?));
        }
        if self.keywords("ALTER COLUMN") || self.keywords("CHANGE COLUMN") {
            return self.column_alteration();
        }
        if self.keywords("SET TBLPROPERTIES") {
            return self.properties().map(Alteration::SetProperties);
        }
        if self.keywords("UNSET TBLPROPERTIES") {
            self.keywords("IF EXISTS");
            let keys = self.parenthesized(|parser| parser.comma_separated(Self::property_key))?;
            return Ok(Alteration::UnsetProperties(keys));
        }
        if self.is_keyword("CLUSTER") {
            return self.cluster_by().map(Alteration::ClusterBy);
        }
        Err(SqlError::unsupported(format_args!("ALTER TABLE ... {}", self.token().shown())))
    }

    fn column_alteration(&mut self) -> Sql<Alteration> {
        let column = self.identifier()?;
        if self.keywords("TYPE") {
            Ok(Alteration::ColumnType(column, self.data_type()?))
        } else if self.keywords("SET NOT NULL") {
            Ok(Alteration::ColumnNotNull(column, true))
        } else if self.keywords("DROP NOT NULL") {
            Ok(Alteration::ColumnNotNull(column, false))
        } else if self.keywords("COMMENT") {
            Ok(Alteration::ColumnComment(column, self.text()?))
        } else {
            Err(SqlError::unsupported(format_args!("ALTER COLUMN ... {}", self.token().shown())))
        }
    }

    pub(super) fn describe(&mut self) -> Sql<Statement> {
        self.advance();
        if ["SCHEMA", "CATALOG", "VOLUME", "HISTORY", "DETAIL", "QUERY"]
            .iter()
            .any(|word| self.is_keyword(word))
        {
            return Err(SqlError::unsupported(format_args!("DESCRIBE {}", self.token().shown())));
        }
        self.keywords("TABLE");
        let extended = self.keywords("EXTENDED");
        Ok(Statement::Describe { table: self.name()?, extended })
    }

    pub(super) fn show(&mut self) -> Sql<Statement> {
        self.expect_keywords("SHOW")?;
        let within = |parser: &mut Self| -> Sql<Option<Name>> {
            if parser.keywords("IN") || parser.keywords("FROM") { parser.name().map(Some) } else { Ok(None) }
        };
        match self.identifier()?.to_ascii_uppercase().as_str() {
            "TABLES" => Ok(Statement::ShowTables { schema: within(self)? }),
            "SCHEMAS" | "DATABASES" => Ok(Statement::ShowSchemas { catalog: within(self)? }),
            "VOLUMES" => Ok(Statement::ShowVolumes { schema: within(self)? }),
            "COLUMNS" => match within(self)? {
                Some(table) => Ok(Statement::ShowColumns { table }),
                None => Err(self.wrong()),
            },
            kind => Err(SqlError::unsupported(format_args!("SHOW {kind}"))),
        }
    }
}
