//! `$filter`: comparisons of properties with literals of their type, `and`, `or`, `not`, and a few functions.

use std::cmp::Ordering;

use ml_connector_core::model::Decimal;
use serde_json::value::RawValue;

use super::{
    answer::{self, Refusal},
    schema::{self, Edm},
    wall::Naive,
};
use crate::toolkit::json::Fields;

/// A value that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Number(Decimal),
    Naive(Naive),
    Guid(String),
    Text(String),
}

impl Value {
    /// A property as a record has it.
    pub(super) fn of(raw: Option<&RawValue>, edm: Edm) -> Self {
        let raw = raw.map_or("null", RawValue::get);
        let text = || serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
        match (raw, edm) {
            ("null", _) => Self::Null,
            ("true" | "false", _) => Self::Boolean(raw == "true"),
            (_, Edm::DateTime) => Naive::of_json(&text()).map_or(Self::Null, Self::Naive),
            (_, Edm::Guid) => Self::Guid(text().to_ascii_lowercase()),
            (_, Edm::Double | Edm::Int | Edm::Int64) => text().parse().map_or(Self::Null, Self::Number),
            _ => Self::Text(text()),
        }
    }

    /// A literal as it is written.
    pub(super) fn literal(text: &str) -> Option<Self> {
        let quoted = |prefix: &str| text.strip_prefix(prefix)?.strip_prefix('\'')?.strip_suffix('\'');
        if let Some(guid) = quoted("guid") {
            let is_one = guid.len() == 36 && guid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            return is_one.then(|| Self::Guid(guid.to_ascii_lowercase()));
        }
        if let Some(instant) = quoted("datetime") {
            return Naive::read(instant).map(Self::Naive);
        }
        if let Some(text) = quoted("") {
            return Some(Self::Text(text.replace("''", "'")));
        }
        match text {
            "null" => Some(Self::Null),
            "true" | "false" => Some(Self::Boolean(text == "true")),
            _ => text.strip_suffix(['L', 'l', 'd', 'm']).unwrap_or(text).parse().ok().map(Self::Number),
        }
    }

    /// How it is written in `$skiptoken`.
    pub(super) fn to_literal(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Naive(value) => format!("datetime'{}'", value.iso()),
            Self::Guid(value) => format!("guid'{value}'"),
            Self::Text(value) => format!("'{}'", value.replace('\'', "''")),
        }
    }

    fn fits(&self, edm: Edm) -> bool {
        match self {
            Self::Null => true,
            Self::Boolean(_) => edm == Edm::Boolean,
            Self::Number(_) => matches!(edm, Edm::Double | Edm::Int | Edm::Int64),
            Self::Naive(_) => edm == Edm::DateTime,
            Self::Guid(_) => edm == Edm::Guid,
            Self::Text(_) => edm == Edm::String,
        }
    }

    /// Null is before everything.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Boolean(one), Self::Boolean(two)) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::Naive(one), Self::Naive(two)) => one.cmp(two),
            (Self::Guid(one), Self::Guid(two)) | (Self::Text(one), Self::Text(two)) => one.cmp(two),
            _ => Ordering::Less,
        }
    }
}

/// What is done to a property before it is compared.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wrap {
    None,
    Trim,
    Lower,
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Compare { name: String, edm: Edm, wrap: Wrap, operator: Operator, literal: Value },
    Contains { name: String, text: String, at_start: bool },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

struct Parser<'a> {
    path: &'a str,
    tokens: &'a [String],
}

impl Filter {
    /// Reads a filter over the properties of a resource.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Refusal> {
        let tokens = tokens(text);
        let mut parser = Parser { path, tokens: &tokens };
        let filter = parser.any()?;
        if !parser.tokens.is_empty() {
            return Err(syntax(&parser.tokens[0]));
        }
        Ok(filter)
    }

    /// The properties it looks at.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::names).collect(),
            Self::Not(part) => part.names(),
            Self::Compare { name, .. } | Self::Contains { name, .. } => vec![name],
        }
    }

    /// The number or instant that a property has to reach, if a condition that always counts says so. What is below holds
    /// nowhere; what is not may hold.
    pub(super) fn floor(&self, of: &str) -> Option<&Value> {
        match self {
            Self::And(parts) => parts.iter().find_map(|part| part.floor(of)),
            Self::Compare { name, operator: Operator::Gt | Operator::Ge, literal, .. } if name == of => {
                Some(literal)
            }
            _ => None,
        }
    }

    pub(super) fn holds(&self, fields: &Fields) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(fields)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(fields)),
            Self::Not(part) => !part.holds(fields),
            Self::Contains { name, text, at_start } => {
                let value = fields.text(name);
                if *at_start { value.starts_with(text.as_str()) } else { value.contains(text.as_str()) }
            }
            Self::Compare { name, edm, wrap, operator, literal } => {
                let mut value = Value::of(fields.get(name), *edm);
                if let Value::Text(text) = &mut value {
                    match wrap {
                        Wrap::None => {}
                        Wrap::Trim => *text = text.trim().to_owned(),
                        Wrap::Lower => *text = text.to_lowercase(),
                    }
                }
                let order = value.compare(literal);
                let is_null = value == Value::Null || *literal == Value::Null;
                match operator {
                    Operator::Eq => order.is_eq(),
                    Operator::Ne => order.is_ne(),
                    _ if is_null => false,
                    Operator::Gt => order.is_gt(),
                    Operator::Ge => order.is_ge(),
                    Operator::Lt => order.is_lt(),
                    Operator::Le => order.is_le(),
                }
            }
        }
    }
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.all()?];
        while self.takes("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn all(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.one()?];
        while self.takes("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn one(&mut self) -> Result<Filter, Refusal> {
        if self.takes("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.takes("(") {
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let first = self.next()?;
        let wrap = match first.as_str() {
            "substringof" | "startswith" => return self.contains(first == "startswith"),
            "trim" => Wrap::Trim,
            "tolower" => Wrap::Lower,
            _ => Wrap::None,
        };
        let name = match wrap {
            Wrap::None => first,
            _ => {
                self.expect("(")?;
                let name = self.next()?;
                self.expect(")")?;
                name
            }
        };
        let edm = self.property(&name)?;
        let operator = match self.next()?.as_str() {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            other => return Err(syntax(other)),
        };
        let text = self.next()?;
        let literal = Value::literal(&text).ok_or_else(|| syntax(&text))?;
        if !literal.fits(edm) {
            return Err(answer::bad(&format!(
                "Operator 'eq' incompatible with operand types 'Edm.{edm:?}' and that of {text}."
            )));
        }
        Ok(Filter::Compare { name, edm, wrap, operator, literal })
    }

    fn contains(&mut self, at_start: bool) -> Result<Filter, Refusal> {
        self.expect("(")?;
        let one = self.next()?;
        self.expect(",")?;
        let two = self.next()?;
        self.expect(")")?;
        let (name, text) = if at_start { (one, two) } else { (two, one) };
        self.property(&name)?;
        match Value::literal(&text) {
            Some(Value::Text(text)) => {
                // `eq true` may follow.
                if self.takes("eq") {
                    self.next()?;
                }
                Ok(Filter::Contains { name, text, at_start })
            }
            _ => Err(syntax(&text)),
        }
    }

    fn property(&self, name: &str) -> Result<Edm, Refusal> {
        match schema::edm(self.path, name) {
            Some(Edm::Navigation) | None if name.contains('/') => {
                Err(answer::bad("This $filter parameter is not supported for this resource."))
            }
            Some(edm) => Ok(edm),
            None => Err(answer::bad(&format!("No property '{name}' exists in type '{}'.", self.path))),
        }
    }

    fn next(&mut self) -> Result<String, Refusal> {
        let (first, rest) = self.tokens.split_first().ok_or_else(|| syntax("the end"))?;
        self.tokens = rest;
        Ok(first.clone())
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.tokens.first().is_some_and(|token| token == word);
        if is_it {
            self.tokens = &self.tokens[1..];
        }
        is_it
    }

    fn expect(&mut self, word: &str) -> Result<(), Refusal> {
        let found = self.next()?;
        if found == word { Ok(()) } else { Err(syntax(&found)) }
    }
}

fn syntax(at: &str) -> Refusal {
    answer::bad(&format!("Syntax error in the query at '{at}'."))
}

/// Words and literals, parentheses and commas.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.push(c);
            }
            _ if quoted => word.push(c),
            '(' | ')' | ',' | ' ' => {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
                if c != ' ' {
                    tokens.push(c.to_string());
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}
