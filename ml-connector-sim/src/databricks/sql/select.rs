//! Queries executed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    ast::{Alias, Body, Expr, Item, JoinKind, Lateral, NameParts, Order, Query, Relation, Select},
    bind::{
        Binder, BoundOrder, BoundWindow, Scope, ScopeColumn, Session, common, converted, has_aggregate,
        is_aggregate,
    },
    cast::Kind,
    catalog::{Database, Row, same},
    error::{Sql, SqlError},
    eval::{Bound, Frame, Typed},
    generator::Generator,
    group,
    matching::Matcher,
    read,
    types::{DataType, Value},
};

/// Columns and rows: a result, or what a FROM clause gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<ResultColumn>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultColumn {
    /// What may stand before the name, inside the query.
    pub(crate) qualifier: Vec<String>,
    pub(crate) name: String,
    pub(crate) ty: DataType,
}

impl Rows {
    /// The columns as names an expression may use, lying in a row of the frame.
    pub(crate) fn scope(&self, row: u8) -> Vec<ScopeColumn> {
        let column = |(at, column): (usize, &ResultColumn)| ScopeColumn {
            row,
            at,
            qualifier: column.qualifier.clone(),
            name: column.name.clone(),
            ty: column.ty.clone(),
        };
        self.columns.iter().enumerate().map(column).collect()
    }

    fn aliased(mut self, alias: Option<&Alias>) -> Sql<Self> {
        let Some(Alias { name, columns }) = alias else { return Ok(self) };
        if !columns.is_empty() && columns.len() != self.columns.len() {
            let sentence =
                format!("Number of column aliases does not match number of columns: {}.", self.columns.len());
            return Err(SqlError::new("ASSIGNMENT_ARITY_MISMATCH", "42802", sentence));
        }
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.qualifier = vec![name.clone()];
            if let Some(alias) = columns.get(at) {
                column.name.clone_from(alias);
            }
        }
        Ok(self)
    }
}

/// One row on its way through a SELECT.
struct Stage {
    base: Row,
    aggregates: Row,
    windows: Row,
}

impl Stage {
    fn frame(&self) -> Frame<'_> {
        Frame([&self.base, &self.aggregates, &self.windows])
    }
}

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

/// One item of a SELECT list.
enum Output {
    One(Typed, String),
    Many(Generator, Option<String>),
}

impl Output {
    fn is_named(&self, name: &str) -> bool {
        match self {
            Self::One(_, own) => same(own, name),
            Self::Many(_, own) => own.as_deref().is_some_and(|own| same(own, name)),
        }
    }
}

/// `*` replaced by the columns it stands for.
fn expanded(items: &[Item], input: &Rows) -> Sql<Vec<(Expr, Option<String>)>> {
    let mut all = Vec::new();
    for item in items {
        match item {
            Item::Expr { expr, alias } => all.push((expr.clone(), alias.clone())),
            Item::All(qualifier, at) => {
                let before = all.len();
                for column in &input.columns {
                    let within = column.qualifier.len() >= qualifier.len()
                        && column.qualifier[column.qualifier.len() - qualifier.len()..]
                            .iter()
                            .zip(qualifier)
                            .all(|(left, right)| same(left, right));
                    if within {
                        let mut parts = column.qualifier.clone();
                        parts.push(column.name.clone());
                        all.push((Expr::Column(parts, *at), Some(column.name.clone())));
                    }
                }
                // `r.*` of a struct
                if all.len() == before
                    && let [name] = &qualifier[..]
                    && let Some(column) = input.columns.iter().find(|column| same(&column.name, name))
                    && let DataType::Struct(fields) = &column.ty
                {
                    let field = |field: &super::types::Field| {
                        (Expr::Column(vec![name.clone(), field.name.clone()], *at), Some(field.name.clone()))
                    };
                    all.extend(fields.iter().map(field));
                }
                if all.len() == before && !qualifier.is_empty() {
                    let name = super::error::quoted(qualifier);
                    let sentence = format!("Cannot resolve {name}.* given input columns.");
                    return Err(SqlError::new("CANNOT_RESOLVE_STAR_EXPAND", "42704", sentence).at(*at));
                }
            }
        }
    }
    Ok(all)
}

/// The name of an output column without an alias.
fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Column(parts, _) => parts.last().cloned().unwrap_or_default(),
        Expr::Field(_, name, _) => name.clone(),
        Expr::Cast { expr, .. } => shown(expr),
        Expr::Parameter(name, _) => format!(":{name}"),
        Expr::Literal(value, ty) => super::cast::text(value, ty, &super::time::SessionZone::UTC),
        Expr::Call(call) if call.star => format!("{}(1)", call.function),
        Expr::Call(call) => {
            let args: Vec<_> = call.args.iter().map(shown).collect();
            let distinct = if call.distinct && is_aggregate(&call.function) { "DISTINCT " } else { "" };
            format!("{}({distinct}{})", call.function, args.join(", "))
        }
        _ => "expression".to_owned(),
    }
}

/// The column that `ORDER BY 2` means.
fn ordinal(expr: &Expr, columns: usize) -> Sql<Option<usize>> {
    match expr {
        Expr::Literal(Value::Integer(at), _) => match usize::try_from(*at) {
            Ok(at) if (1..=columns).contains(&at) => Ok(Some(at - 1)),
            _ => {
                let sentence =
                    format!("ORDER BY position {at} is not in select list (valid range is [1, {columns}]).");
                Err(SqlError::new("ORDER_BY_POS_OUT_OF_RANGE", "42805", sentence))
            }
        },
        _ => Ok(None),
    }
}

fn positional(order: &Order, at: usize) -> BoundOrder {
    BoundOrder { expr: Bound::Column(0, at), descending: order.descending, nulls_first: order.nulls_first }
}

fn filtered(rows: Vec<Row>, filter: &Bound, session: &Session) -> Sql<Vec<Row>> {
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        if filter.eval(Frame::of(&row), &session.zone)?.is_true() {
            kept.push(row);
        }
    }
    Ok(kept)
}

fn kept(stages: Vec<Stage>, filter: &Bound, session: &Session) -> Sql<Vec<Stage>> {
    let mut kept = Vec::with_capacity(stages.len());
    for stage in stages {
        if filter.eval(stage.frame(), &session.zone)?.is_true() {
            kept.push(stage);
        }
    }
    Ok(kept)
}

fn windowed(stages: &mut [Stage], windows: &[BoundWindow], session: &Session) -> Sql<()> {
    if windows.is_empty() {
        return Ok(());
    }
    let mut values = vec![vec![Value::Null; windows.len()]; stages.len()];
    for (column, window) in windows.iter().enumerate() {
        let mut partitions: HashMap<Vec<Value>, Vec<usize>> = HashMap::new();
        for (at, stage) in stages.iter().enumerate() {
            let key: Sql<Vec<_>> =
                window.partition_by.iter().map(|expr| expr.eval(stage.frame(), &session.zone)).collect();
            partitions.entry(key?).or_default().push(at);
        }
        for mut members in partitions.into_values() {
            let keys = sort(&mut members, &window.order_by, |at, expr| {
                expr.eval(stages[*at].frame(), &session.zone)
            })?;
            let (mut rank, mut dense) = (0_i64, 0_i64);
            for (number, at) in (1_i64..).zip(&members) {
                let place = usize::try_from(number - 1).unwrap_or_default();
                if number == 1 || keys[place] != keys[place - 1] {
                    rank = number;
                    dense += 1;
                }
                values[*at][column] = Value::Integer(match window.function.as_str() {
                    "rank" => rank,
                    "dense_rank" => dense,
                    _ => number,
                });
            }
        }
    }
    stages.iter_mut().zip(values).for_each(|(stage, values)| stage.windows = values.into());
    Ok(())
}

/// Sorts and keeps the order of equals. Returns the keys in the new order.
fn sort<T>(
    items: &mut Vec<T>,
    orders: &[BoundOrder],
    key: impl Fn(&T, &Bound) -> Sql<Value>,
) -> Sql<Vec<Vec<Value>>> {
    if orders.is_empty() {
        return Ok(vec![Vec::new(); items.len()]);
    }
    let mut keyed = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let key: Sql<Vec<_>> = orders.iter().map(|order| key(&item, &order.expr)).collect();
        keyed.push((key?, item));
    }
    keyed.sort_by(|(left, _), (right, _)| by(orders.iter(), left, right));
    let mut keys = Vec::with_capacity(keyed.len());
    for (key, item) in keyed {
        keys.push(key);
        items.push(item);
    }
    Ok(keys)
}

fn by<'a>(
    orders: impl Iterator<Item = &'a BoundOrder>,
    left: &[Value],
    right: &[Value],
) -> std::cmp::Ordering {
    let mut compared = orders.zip(left.iter().zip(right)).map(|(order, (left, right))| {
        match (left.is_null(), right.is_null()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) if order.nulls_first => std::cmp::Ordering::Less,
            (true, false) => std::cmp::Ordering::Greater,
            (false, true) if order.nulls_first => std::cmp::Ordering::Greater,
            (false, true) => std::cmp::Ordering::Less,
            (false, false) if order.descending => right.compared(left),
            (false, false) => left.compared(right),
        }
    });
    compared.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// What a sort key is computed from.
#[derive(Clone, Copy)]
enum Sorted {
    Projected,
    Before,
}

/// The SELECT list computed, sorted.
fn project(
    stages: &[Stage],
    outputs: &[Output],
    orders: &[(BoundOrder, Sorted)],
    only_distinct: bool,
    session: &Session,
) -> Sql<Rows> {
    let column = |name: String, ty: &DataType| ResultColumn { qualifier: Vec::new(), name, ty: ty.clone() };
    let mut columns = Vec::new();
    for output in outputs {
        match output {
            Output::One(typed, name) => columns.push(column(name.clone(), &typed.ty)),
            Output::Many(generator, alias) => match (&generator.columns[..], alias) {
                ([(_, ty)], Some(alias)) => columns.push(column(alias.clone(), ty)),
                (many, _) => columns.extend(many.iter().map(|(name, ty)| column((*name).to_owned(), ty))),
            },
        }
    }
    let mut projected: Vec<(usize, Row)> = Vec::with_capacity(stages.len());
    for (at, stage) in stages.iter().enumerate() {
        let mut lists: Vec<Vec<Value>> = vec![Vec::with_capacity(columns.len())];
        for output in outputs {
            match output {
                Output::One(typed, _) => {
                    let value = typed.expr.eval(stage.frame(), &session.zone)?;
                    lists.iter_mut().for_each(|list| list.push(value.clone()));
                }
                Output::Many(generator, _) => {
                    let made = generator.rows(stage.frame(), session)?;
                    let start = lists.pop().unwrap_or_default();
                    lists = made.into_iter().map(|row| start.iter().cloned().chain(row).collect()).collect();
                }
            }
        }
        projected.extend(lists.into_iter().map(|list| (at, Row::from(list))));
    }
    if !orders.is_empty() {
        let mut keyed = Vec::with_capacity(projected.len());
        for (at, row) in projected {
            let mut key = Vec::with_capacity(orders.len());
            for (order, sorted) in orders {
                let frame = match sorted {
                    Sorted::Projected => Frame::of(&row),
                    Sorted::Before => stages[at].frame(),
                };
                key.push(order.expr.eval(frame, &session.zone)?);
            }
            keyed.push((key, at, row));
        }
        keyed.sort_by(|(left, ..), (right, ..)| by(orders.iter().map(|(order, _)| order), left, right));
        projected = keyed.into_iter().map(|(_, at, row)| (at, row)).collect();
    }
    let mut rows = projected.into_iter().map(|(_, row)| row).collect();
    if only_distinct {
        distinct(&mut rows);
    }
    Ok(Rows { columns, rows })
}

fn distinct(rows: &mut Vec<Row>) {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.clone()));
}

fn union(left: Rows, right: Rows, session: &Session) -> Sql<Rows> {
    if left.columns.len() != right.columns.len() {
        let sentence = "UNION can only be performed on inputs with the same number of columns.";
        return Err(SqlError::new("NUM_COLUMNS_MISMATCH", "42826", sentence));
    }
    let mut columns = left.columns.clone();
    for (column, right) in columns.iter_mut().zip(&right.columns) {
        column.ty = common(&column.ty, &right.ty)?;
    }
    let mut rows = Vec::with_capacity(left.rows.len() + right.rows.len());
    for side in [left, right] {
        for row in side.rows {
            let cells = row.iter().zip(side.columns.iter().zip(&columns));
            let cells: Sql<Vec<_>> = cells
                .map(|(value, (from, to))| {
                    super::cast::cast(value, &from.ty, &to.ty, Kind::Ansi, &session.zone)
                })
                .collect();
            rows.push(cells?.into());
        }
    }
    Ok(Rows { columns, rows })
}
