//! What a statement may say.

use super::{
    position::Position,
    types::{DataType, Value},
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Statement {
    Query(Query),
    CreateSchema { name: Name, if_not_exists: bool, comment: Option<String> },
    CreateVolume { name: Name, if_not_exists: bool, comment: Option<String> },
    CreateTable(CreateTable),
    CreateView { name: Name, replace: bool, if_not_exists: bool, query: Query },
    Drop { kind: Dropped, name: Name, if_exists: bool },
    Alter { table: Name, action: Alteration },
    Insert { table: Name, columns: Option<Vec<String>>, source: Query },
    Update { table: Target, set: Vec<Assignment>, filter: Option<Expr> },
    Delete { table: Target, filter: Option<Expr> },
    Merge(Box<Merge>),
    Describe { table: Name, extended: bool },
    ShowTables { schema: Option<Name> },
    ShowSchemas { catalog: Option<Name> },
    ShowVolumes { schema: Option<Name> },
    ShowColumns { table: Name },
}

/// The name of a table, a schema or a volume.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) parts: NameParts,
    pub(crate) at: Position,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NameParts {
    Written(Vec<String>),
    /// `IDENTIFIER(:name)`
    Computed(Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    Table,
    View,
    Schema,
    Volume,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CreateTable {
    pub(crate) name: Name,
    pub(crate) if_not_exists: bool,
    pub(crate) columns: Vec<ColumnDefinition>,
    pub(crate) checks: Vec<Check>,
    pub(crate) cluster_by: Vec<String>,
    pub(crate) comment: Option<String>,
    pub(crate) properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnDefinition {
    /// Where it is, if it is a field of a column: `lines`, `element`.
    pub(crate) within: Vec<String>,
    pub(crate) name: String,
    pub(crate) ty: DataType,
    pub(crate) not_null: bool,
    pub(crate) comment: Option<String>,
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) condition: Expr,
    /// The condition as it was written.
    pub(crate) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Alteration {
    AddColumns { columns: Vec<ColumnDefinition>, if_not_exists: bool },
    DropColumns(Vec<String>),
    RenameColumn(String, String),
    ColumnType(String, DataType),
    ColumnNotNull(String, bool),
    ColumnComment(String, String),
    SetProperties(Vec<(String, String)>),
    UnsetProperties(Vec<String>),
    ClusterBy(Vec<String>),
    AddCheck(Check),
    DropConstraint { name: String, if_exists: bool },
}

/// A table that is written to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: Name,
    pub(crate) alias: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) column: Vec<String>,
    pub(crate) value: Expr,
    pub(crate) at: Position,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merge {
    pub(crate) target: Target,
    pub(crate) source: Relation,
    pub(crate) on: Expr,
    pub(crate) clauses: Vec<MergeClause>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MergeClause {
    pub(crate) when: When,
    pub(crate) condition: Option<Expr>,
    pub(crate) action: MergeAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Matched,
    NotMatched,
    NotMatchedBySource,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MergeAction {
    Update(Vec<Assignment>),
    UpdateAll,
    Delete,
    Insert { columns: Vec<Assignment> },
    InsertAll,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) with: Vec<(String, Self)>,
    pub(crate) body: Body,
    pub(crate) order_by: Vec<Order>,
    pub(crate) limit: Option<Expr>,
    pub(crate) offset: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Nested(Box<Query>),
    Union { left: Box<Self>, right: Box<Self>, all: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Select {
    pub(crate) distinct: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Option<Relation>,
    pub(crate) laterals: Vec<Lateral>,
    pub(crate) filter: Option<Expr>,
    pub(crate) group_by: Vec<Expr>,
    pub(crate) having: Option<Expr>,
    pub(crate) qualify: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    /// `*` or `t.*`
    All(Vec<String>, Position),
    Expr {
        expr: Expr,
        alias: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Relation {
    Table { name: Name, alias: Option<Alias> },
    Query { query: Box<Query>, alias: Option<Alias> },
    ReadFiles { path: Expr, options: Vec<(String, Expr)>, alias: Option<Alias>, at: Position },
    Join { left: Box<Self>, right: Box<Self>, kind: JoinKind, on: Option<Expr> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
}

/// `LATERAL VIEW [OUTER] explode(...) table AS columns`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lateral {
    pub(crate) outer: bool,
    pub(crate) generator: Expr,
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) expr: Expr,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Literal(Value, DataType),
    Parameter(String, Position),
    Column(Vec<String>, Position),
    Field(Box<Self>, String, Position),
    Element(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    IsNull { expr: Box<Self>, negated: bool },
    IsTrue { expr: Box<Self>, truth: bool, negated: bool },
    In { expr: Box<Self>, list: Vec<Self>, negated: bool },
    Like { expr: Box<Self>, pattern: Box<Self>, negated: bool },
    Case { operand: Option<Box<Self>>, branches: Vec<(Self, Self)>, otherwise: Option<Box<Self>> },
    Cast { expr: Box<Self>, ty: DataType, tolerant: bool },
    Call(Call),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// In lower case.
    pub(crate) function: String,
    pub(crate) args: Vec<Expr>,
    /// `count(*)`
    pub(crate) star: bool,
    pub(crate) distinct: bool,
    pub(crate) over: Option<Window>,
    pub(crate) at: Position,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) partition_by: Vec<Expr>,
    pub(crate) order_by: Vec<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    And,
    Or,
    Equal,
    /// `<=>`: NULL equals NULL.
    SameAs,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Concat,
}
