//! Queries executed.

mod items;
mod output;
mod stages;

use std::sync::Arc;

use self::{
    items::{Output, expanded, ordinal, positional, shown},
    output::{Sorted, distinct, project, union},
    stages::{Stage, filtered, kept, sort, windowed},
};
use super::{
    ast::{Body, Expr, JoinKind, Lateral, NameParts, Order, Query, Relation, Select},
    bind::{Binder, Scope, Session, common, converted, has_aggregate},
    cast::Kind,
    catalog::{Database, Row, same},
    error::{Sql, SqlError},
    eval::Frame,
    generator::Generator,
    group,
    matching::Matcher,
    read,
    rows::{ResultColumn, Rows},
    types::{DataType, Value},
};

/// Executes queries against the tables as they are.
pub(crate) struct Reader<'a> {
    pub(crate) database: &'a Database,
    pub(crate) session: &'a Session,
    /// Of WITH clauses, innermost last.
    named: Vec<(String, Rows)>,
    /// How many views deep.
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(database: &'a Database, session: &'a Session) -> Self {
        Self { database, session, named: Vec::new(), depth: 0 }
    }

    pub(crate) fn query(&mut self, query: &Query) -> Sql<Rows> {
        let outer = self.named.len();
        for (name, query) in &query.with {
            let rows = self.query(query)?;
            self.named.push((name.clone(), rows));
        }
        let rows = self.ordered(query);
        self.named.truncate(outer);
        let mut rows = rows?;
        if let Some(offset) = &query.offset {
            let offset = self.count(offset)?.min(rows.rows.len());
            rows.rows.drain(..offset);
        }
        if let Some(limit) = &query.limit {
            rows.rows.truncate(self.count(limit)?);
        }
        Ok(rows)
    }

    fn count(&self, expr: &Expr) -> Sql<usize> {
        let none = Scope::default();
        match Binder::new(&none, self.session).constant(expr)?.0 {
            Value::Integer(count) if count >= 0 => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            _ => Err(SqlError::new(
                "INVALID_LIMIT_LIKE_EXPRESSION.IS_NEGATIVE",
                "42K0E",
                "The limit like expression is invalid: it must be equal to or greater than 0.",
            )),
        }
    }

    fn ordered(&mut self, query: &Query) -> Sql<Rows> {
        if let Body::Select(select) = &query.body {
            return self.select(select, &query.order_by);
        }
        let mut rows = self.body(&query.body)?;
        let scope = Scope(rows.scope(0));
        let mut binder = Binder::new(&scope, self.session);
        let mut orders = Vec::new();
        for order in &query.order_by {
            orders.push(match ordinal(&order.expr, rows.columns.len())? {
                Some(at) => positional(order, at),
                None => binder.order(order)?,
            });
        }
        sort(&mut rows.rows, &orders, |row, expr| expr.eval(Frame::of(row), &self.session.zone))?;
        Ok(rows)
    }

    fn body(&mut self, body: &Body) -> Sql<Rows> {
        match body {
            Body::Select(select) => self.select(select, &[]),
            Body::Nested(query) => self.query(query),
            Body::Values(rows) => self.values(rows),
            Body::Union { left, right, all } => {
                let (left, right) = (self.body(left)?, self.body(right)?);
                let mut rows = union(left, right, self.session)?;
                if !all {
                    distinct(&mut rows.rows);
                }
                Ok(rows)
            }
        }
    }

    fn values(&mut self, rows: &[Vec<Expr>]) -> Sql<Rows> {
        let none = Scope::default();
        let mut binder = Binder::new(&none, self.session);
        let width = rows.first().map_or(0, Vec::len);
        let mut types = vec![DataType::Void; width];
        let mut bound = Vec::new();
        for row in rows {
            if row.len() != width {
                let sentence = "Invalid inline table: the number of columns differs between its rows.";
                return Err(SqlError::new("INVALID_INLINE_TABLE.NUM_COLUMNS_MISMATCH", "42000", sentence));
            }
            let mut values = Vec::new();
            for (expr, ty) in row.iter().zip(&mut types) {
                let value = binder.bind(expr)?;
                *ty = common(ty, &value.ty)?;
                values.push(value);
            }
            bound.push(values);
        }
        let column = |(at, ty): (usize, &DataType)| ResultColumn {
            qualifier: Vec::new(),
            name: format!("col{}", at + 1),
            ty: ty.clone(),
        };
        let columns = types.iter().enumerate().map(column).collect();
        let mut result = Rows { columns, rows: Vec::new() };
        for row in bound {
            let row: Sql<Vec<_>> = row
                .into_iter()
                .zip(&types)
                .map(|(value, ty)| {
                    converted(value, ty, Kind::Ansi).expr.eval(Frame::default(), &self.session.zone)
                })
                .collect();
            result.rows.push(row?.into());
        }
        Ok(result)
    }

    pub(crate) fn relation(&mut self, relation: &Relation) -> Sql<Rows> {
        match relation {
            Relation::Query { query, alias } => {
                let mut rows = self.query(query)?;
                rows.columns.iter_mut().for_each(|column| column.qualifier.clear());
                rows.aliased(alias.as_ref())
            }
            Relation::ReadFiles { path, options, alias, at } => {
                read::files(self.database, self.session, path, options, *at)?.aliased(alias.as_ref())
            }
            Relation::Table { name, alias } => {
                if let NameParts::Written(parts) = &name.parts
                    && let [single] = &parts[..]
                    && let Some((name, rows)) = self.named.iter().rev().find(|(name, _)| same(name, single))
                {
                    let mut rows = rows.clone();
                    rows.columns.iter_mut().for_each(|column| column.qualifier = vec![name.clone()]);
                    return rows.aliased(alias.as_ref());
                }
                let full = self.session.resolve(name)?;
                if full[1] == "information_schema" {
                    return read::information_schema(self.database, &full, name.at)?.aliased(alias.as_ref());
                }
                if let Some(view) = self
                    .database
                    .schema(&full[0], &full[1])
                    .ok()
                    .and_then(|schema| schema.views.get(&full[2]))
                {
                    if self.depth > 16 {
                        return Err(SqlError::unsupported("views nested this deep"));
                    }
                    self.database.grants.require_use(&full[0], &full[1])?;
                    self.database.grants.require("SELECT", "Table", &full.join("."))?;
                    let mut inner =
                        Reader { depth: self.depth + 1, ..Reader::new(self.database, self.session) };
                    let mut rows = inner.query(view)?;
                    rows.columns.iter_mut().for_each(|column| column.qualifier = full.to_vec());
                    return rows.aliased(alias.as_ref());
                }
                read::table(self.database, self.session, &full, name.at)?.aliased(alias.as_ref())
            }
            Relation::Join { left, right, kind, on } => {
                let (left, right) = (self.relation(left)?, self.relation(right)?);
                self.join(left, right, *kind, on.as_ref())
            }
        }
    }

    fn join(&self, left: Rows, right: Rows, kind: JoinKind, on: Option<&Expr>) -> Sql<Rows> {
        let mut scope = left.scope(0);
        scope.extend(right.scope(1));
        let scope = Scope(scope);
        let condition = on.map(|on| Binder::new(&scope, self.session).condition(on)).transpose()?;
        let matcher = Matcher::new(condition, &right.rows, self.session)?;
        let nothing = vec![Value::Null; right.columns.len()];
        let mut rows = Vec::new();
        for row in &left.rows {
            let matches = matcher.matches(row, &right.rows, self.session)?;
            for at in &matches {
                rows.push(row.iter().chain(&*right.rows[*at]).cloned().collect());
            }
            if matches.is_empty() && kind == JoinKind::Left {
                rows.push(row.iter().chain(&nothing).cloned().collect());
            }
        }
        let columns = left.columns.into_iter().chain(right.columns).collect();
        Ok(Rows { columns, rows })
    }

    fn lateral(&self, input: Rows, lateral: &Lateral) -> Sql<Rows> {
        let scope = Scope(input.scope(0));
        let Some(mut generator) =
            Generator::bind(&lateral.generator, &mut Binder::new(&scope, self.session))?
        else {
            return Err(SqlError::unsupported("LATERAL VIEW without explode or posexplode"));
        };
        generator.outer |= lateral.outer;
        if lateral.columns.len() != generator.columns.len() {
            return Err(SqlError::new(
                "UDTF_ALIAS_NUMBER_MISMATCH",
                "42802",
                format!("Expected {} aliases, but got {}.", generator.columns.len(), lateral.columns.len()),
            ));
        }
        let mut rows = Vec::new();
        for row in &input.rows {
            for made in generator.rows(Frame::of(row), self.session)? {
                rows.push(row.iter().cloned().chain(made).collect());
            }
        }
        let mut columns = input.columns;
        columns.extend(generator.columns.iter().zip(&lateral.columns).map(|((_, ty), name)| ResultColumn {
            qualifier: vec![lateral.table.clone()],
            name: name.clone(),
            ty: ty.clone(),
        }));
        Ok(Rows { columns, rows })
    }

    fn select(&mut self, select: &Select, order_by: &[Order]) -> Sql<Rows> {
        let session = self.session;
        let mut input = match &select.from {
            Some(from) => self.relation(from)?,
            None => Rows { columns: Vec::new(), rows: vec![Arc::from([])] },
        };
        for lateral in &select.laterals {
            input = self.lateral(input, lateral)?;
        }
        let scope = Scope(input.scope(0));
        if let Some(filter) = &select.filter {
            let filter = Binder::new(&scope, session).condition(filter)?;
            input.rows = filtered(input.rows, &filter, session)?;
        }
        let items = expanded(&select.items, &input)?;
        let aliases: Vec<_> =
            items.iter().filter_map(|(expr, alias)| Some((alias.clone()?, expr.clone()))).collect();
        let mut binder = Binder { aliases: &aliases, ..Binder::new(&scope, session) };
        let grouped = !select.group_by.is_empty()
            || select.having.is_some()
            || items.iter().any(|(expr, _)| has_aggregate(expr));
        if grouped {
            let mut groups = Vec::new();
            for expr in &select.group_by {
                groups.push(match ordinal(expr, items.len())? {
                    Some(at) => binder.bind(&items[at].0)?,
                    None => binder.bind(expr)?,
                });
            }
            binder.groups = Some(groups);
        }
        let having = select.having.as_ref().map(|having| binder.condition(having)).transpose()?;
        binder.windows = Some(Vec::new());
        let mut outputs = Vec::new();
        for (expr, alias) in &items {
            match Generator::bind(expr, &mut binder)? {
                Some(generator) if outputs.iter().any(|output| matches!(output, Output::Many(..))) => {
                    drop(generator);
                    let sentence =
                        "The generator is not supported: only one generator allowed per SELECT clause.";
                    return Err(SqlError::new("UNSUPPORTED_GENERATOR.MULTI_GENERATOR", "42K0E", sentence));
                }
                Some(generator) => outputs.push(Output::Many(generator, alias.clone())),
                None => {
                    let typed = binder.bind(expr)?;
                    outputs.push(Output::One(typed, alias.clone().unwrap_or_else(|| shown(expr))));
                }
            }
        }
        let qualify = select.qualify.as_ref().map(|qualify| binder.condition(qualify)).transpose()?;
        let mut orders = Vec::new();
        for order in order_by {
            let by_output = match (&order.expr, ordinal(&order.expr, outputs.len())?) {
                (_, Some(at)) => Some(at),
                (Expr::Column(parts, _), None) => match &parts[..] {
                    [name] => outputs.iter().position(|output| output.is_named(name)),
                    _ => None,
                },
                _ => None,
            };
            orders.push(match by_output {
                Some(at) => (positional(order, at), Sorted::Projected),
                None => (binder.order(order)?, Sorted::Before),
            });
        }
        let Binder { groups, aggregates, windows, .. } = binder;
        let empty: Row = Arc::from([]);
        let mut stages: Vec<Stage> = match &groups {
            None => input
                .rows
                .into_iter()
                .map(|base| Stage { base, aggregates: empty.clone(), windows: empty.clone() })
                .collect(),
            Some(groups) => group::grouped(&input.rows, groups, &aggregates, session)?
                .into_iter()
                .map(|(base, aggregates)| Stage { base, aggregates, windows: empty.clone() })
                .collect(),
        };
        if let Some(having) = &having {
            stages = kept(stages, having, session)?;
        }
        windowed(&mut stages, windows.as_deref().unwrap_or_default(), session)?;
        if let Some(qualify) = &qualify {
            stages = kept(stages, qualify, session)?;
        }
        project(&stages, &outputs, &orders, select.distinct, session)
    }
}
