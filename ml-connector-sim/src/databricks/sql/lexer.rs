//! A statement cut into tokens.

use super::{
    error::{Sql, SqlError},
    position::Position,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword or an identifier without quotes.
    Word(String),
    /// An identifier in backticks.
    Quoted(String),
    Text(String),
    /// Digits, with a point or an exponent if it has one.
    Number(String),
    /// `:name`
    Parameter(String),
    Symbol(&'static str),
    End,
}

impl Token {
    /// The token as an error message shows it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Number(text) => text.clone(),
            Self::Quoted(name) => format!("`{name}`"),
            Self::Text(text) => format!("'{text}'"),
            Self::Parameter(name) => format!(":{name}"),
            Self::Symbol(symbol) => (*symbol).to_owned(),
            Self::End => String::new(),
        }
    }
}

/// Longer symbols first. `>>` is left out: it ends two nested types.
const SYMBOLS: [&str; 26] = [
    "<=>", "=>", "->", "<=", ">=", "<>", "!=", "==", "||", "::", "(", ")", ",", ".", ";", "=", "<", ">", "+",
    "-", "*", "/", "%", "[", "]", ":",
];

struct Lexer<'a> {
    statement: &'a str,
    rest: &'a str,
    at: Position,
}

/// Cuts a statement. The last token is [`Token::End`].
pub(crate) fn tokens(statement: &str) -> Sql<Vec<(Token, Position)>> {
    let mut lexer = Lexer { statement, rest: statement, at: Position { line: 1, column: 0 } };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank()?;
        let at = lexer.at;
        let token = lexer.token()?;
        if let (Token::Text(_), Some((Token::Text(_), _))) = (&token, tokens.last()) {
            return Err(SqlError::unsupported(
                "two string literals side by side: runtimes differ in what '' means",
            ));
        }
        let end = token == Token::End;
        tokens.push((token, at));
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer<'_> {
    fn token(&mut self) -> Sql<Token> {
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        let second = self.rest[first.len_utf8()..].chars().next();
        match (first, second) {
            ('\'' | '"', _) => self.text(first).map(Token::Text),
            ('r' | 'R', Some(quote @ ('\'' | '"'))) => self.raw_text(quote).map(Token::Text),
            ('`', _) => self.quoted().map(Token::Quoted),
            (':', Some(next)) if next.is_alphabetic() || next == '_' => {
                self.bump(1);
                Ok(Token::Parameter(self.take_while(is_word)))
            }
            ('0'..='9', _) | ('.', Some('0'..='9')) => Ok(Token::Number(self.number())),
            _ if first.is_alphabetic() || first == '_' => Ok(Token::Word(self.take_while(is_word))),
            _ => match SYMBOLS.iter().find(|symbol| self.rest.starts_with(**symbol)) {
                Some(symbol) => {
                    self.bump(symbol.len());
                    Ok(Token::Symbol(symbol))
                }
                None => Err(SqlError::syntax(&first.to_string(), self.at, self.statement)),
            },
        }
    }

    fn skip_blank(&mut self) -> Sql<()> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.bump(blank);
            if self.rest.starts_with("--") {
                let line = self.rest.find('\n').unwrap_or(self.rest.len());
                self.bump(line);
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else {
                    return Err(self.unclosed("UNCLOSED_BRACKETED_COMMENT"));
                };
                self.bump(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// A literal with escapes: a backslash before any other character is dropped.
    fn text(&mut self, quote: char) -> Sql<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 'b')) => text.push('\u{8}'),
                    Some((_, '0')) => text.push('\0'),
                    Some((_, 'Z')) => text.push('\u{1a}'),
                    Some((at, 'u')) => {
                        let digits = self.rest.get(at + 1..at + 5);
                        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                        match code.and_then(char::from_u32) {
                            Some(c) => {
                                text.push(c);
                                chars.nth(3);
                            }
                            None => text.push('u'),
                        }
                    }
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c if c == quote => {
                    self.bump(i + 1);
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(SqlError::syntax(&quote.to_string(), self.at, self.statement))
    }

    fn raw_text(&mut self, quote: char) -> Sql<String> {
        match self.rest[2..].find(quote) {
            Some(end) => {
                let text = self.rest[2..2 + end].to_owned();
                self.bump(end + 3);
                Ok(text)
            }
            None => Err(SqlError::syntax(&quote.to_string(), self.at, self.statement)),
        }
    }

    fn quoted(&mut self) -> Sql<String> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            if c != '`' {
                name.push(c);
            } else if chars.next_if(|(_, next)| *next == '`').is_some() {
                name.push('`');
            } else {
                self.bump(i + 1);
                return if name.is_empty() {
                    Err(SqlError::syntax("``", self.at, self.statement))
                } else {
                    Ok(name)
                };
            }
        }
        Err(SqlError::syntax("`", self.at, self.statement))
    }

    fn number(&mut self) -> String {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut end = digits(self.rest);
        if self.rest[end..].starts_with('.') {
            end += 1 + digits(&self.rest[end + 1..]);
        }
        if self.rest[end..].starts_with(['e', 'E']) {
            let sign = usize::from(self.rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(&self.rest[end + 1 + sign..]);
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let number = self.rest[..end].to_owned();
        self.bump(end);
        number
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.bump(end);
        word
    }

    fn bump(&mut self, bytes: usize) {
        for c in self.rest[..bytes].chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line + 1, column: 0 };
            } else {
                self.at.column += 1;
            }
        }
        self.rest = &self.rest[bytes..];
    }

    fn unclosed(&self, class: &str) -> SqlError {
        SqlError::new(class, "42601", "Found an unclosed bracketed comment.").at(self.at)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
