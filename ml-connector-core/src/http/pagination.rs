//! Lists in pages: by number, by the vendor's cursor or skip token, or by a link to the next page.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Error, ErrorKind, Result, model::Revision};

/// How many pages without a row may follow one another. Vendors that filter behind their cursors send some.
const MOST_EMPTY: u32 = 50;

/// Where a page of a list begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Position {
    /// The page with this number.
    Number(u32),
    /// What the vendor calls a cursor or a skip token.
    Token(String),
    /// The page behind this link.
    Link(Url),
}

/// Walks through the pages of a list. It is data, so that it can be stored in a checkpoint.
///
/// A list ends where the vendor says so, not where a page is short. It is not followed for ever:
/// - A vendor that leads back to a page which was there before is noticed, after at most four times as many pages as
///   there are different ones, in constant memory (Brent's algorithm).
/// - A page that shows the same rows as the one before it is an error.
/// - A page without rows ends a list whose pages have numbers, whatever the vendor says of more pages. Then the list
///   [is not complete](Self::is_complete): it proves the absence of nothing.
/// - Lists with cursors and links may have 50 pages without rows in a row. More are an error.
///
/// ```
/// use ml_connector_core::http::{Pages, Position};
/// use url::Url;
///
/// let list = Url::parse("https://api.example.com/invoices?per_page=200").expect("a URL");
/// let mut pages = Pages::default();
/// assert_eq!(pages.url(&list, "cursor"), list);
/// pages.advance(Some(Position::Token("a+b".to_owned())), ["invoice 1", "invoice 2"])?;
/// assert_eq!(pages.url(&list, "cursor").query(), Some("per_page=200&cursor=a%2Bb"));
/// assert!(pages.advance(Some(Position::Token("a+b".to_owned())), ["invoice 3"]).is_err());
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// The page to read; `None` = the first, by whatever the vendor takes for it.
    at: Option<Position>,
    /// An earlier page, and how many steps ago it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    landmark: Option<Position>,
    steps: u32,
    /// The digest of the rows of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<Revision>,
    /// How many pages without rows there were in a row.
    #[serde(default)]
    empty: u32,
    /// Whether a page without rows ended it although the vendor spoke of more.
    #[serde(default)]
    cut_short: bool,
}

impl Pages {
    /// Begins with page `first` of a list whose pages have numbers.
    #[must_use]
    pub fn numbered(first: u32) -> Self {
        Self { at: Some(Position::Number(first)), ..Self::default() }
    }

    /// The page to read; `None` = the first of a list that has no numbers.
    #[must_use]
    pub fn at(&self) -> Option<&Position> {
        self.at.as_ref()
    }

    /// The number of the page to read, where pages have numbers.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        match self.at {
            Some(Position::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// The page's URL: the link, or the list's URL with the number or token in the query parameter `parameter`,
    /// encoded.
    ///
    /// A link is as the vendor sent it. [`Client`](super::Client) refuses one that leads to another origin.
    #[must_use]
    pub fn url(&self, list: &Url, parameter: &str) -> Url {
        let mut url = list.clone();
        match &self.at {
            None => {}
            Some(Position::Number(number)) => {
                url.query_pairs_mut().append_pair(parameter, &number.to_string());
            }
            Some(Position::Token(token)) => {
                url.query_pairs_mut().append_pair(parameter, token);
            }
            Some(Position::Link(link)) => url = link.clone(),
        }
        url
    }

    /// Goes on to `next`, as the vendor says; `None` is its mark for the end. `rows` are the ids of the rows of the page
    /// that was read, in their order. Returns whether there is a next page.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResponse`] when the list leads back to where it was, shows the same rows again or has no end
    /// of pages without rows; then nothing moves.
    pub fn advance<I: AsRef<str>>(
        &mut self,
        next: Option<Position>,
        rows: impl IntoIterator<Item = I>,
    ) -> Result<bool> {
        let Some(next) = next else { return Ok(false) };
        let rows = digest(rows);
        let refused = |message| Err(Error::new(ErrorKind::InvalidResponse, message));
        let back = match (&self.at, &next) {
            (Some(Position::Number(here)), Position::Number(there)) => there <= here,
            (here, there) => here.as_ref() == Some(there) || self.landmark.as_ref() == Some(there),
        };
        if back {
            return refused("the list leads back to a page that was there")
                .map_err(|error| error.with_context("pages", self.steps));
        }
        if rows.is_none() && matches!(next, Position::Number(_)) {
            self.cut_short = true;
            return Ok(false);
        }
        if rows.is_some() && self.rows == rows {
            return refused("two pages of the list show the same rows")
                .map_err(|error| error.with_context("pages", self.steps));
        }
        let empty = if rows.is_none() { self.empty + 1 } else { 0 };
        if empty > MOST_EMPTY {
            return refused("the list has no end of pages without rows")
                .map_err(|error| error.with_context("pages", self.steps));
        }
        // The landmark moves whenever the number of steps is a power of two.
        if self.steps.is_power_of_two() {
            self.landmark.clone_from(&self.at);
        }
        self.steps = self.steps.saturating_add(1);
        (self.at, self.empty) = (Some(next), empty);
        if rows.is_some() {
            self.rows = rows;
        }
        Ok(true)
    }

    /// Goes on to the next number while the vendor says that there is `more`. `rows` as in [`advance`](Self::advance).
    ///
    /// # Errors
    /// As [`advance`](Self::advance); [`ErrorKind::InvalidResponse`] where pages have no numbers, or there are no more
    /// numbers.
    pub fn advance_number<I: AsRef<str>>(
        &mut self,
        more: bool,
        rows: impl IntoIterator<Item = I>,
    ) -> Result<bool> {
        let next = self.number().and_then(|number| number.checked_add(1)).map(Position::Number);
        match (more, next) {
            (false, _) => Ok(false),
            (true, Some(next)) => self.advance(Some(next), rows),
            (true, None) => Err(Error::new(ErrorKind::InvalidResponse, "the list's pages have no numbers")),
        }
    }

    /// Whether the vendor itself has ended the list, as far as it was read. Only then a record that it did not show can
    /// be taken for absent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.cut_short
    }
}

/// The digest of a page's rows; `None` = there are none.
fn digest<I: AsRef<str>>(rows: impl IntoIterator<Item = I>) -> Option<Revision> {
    let mut text = String::new();
    for row in rows {
        let row = row.as_ref();
        text.push_str(&format!("{} {row} ", row.len()));
    }
    (!text.is_empty()).then(|| Revision::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(n: usize) -> Option<Position> {
        Some(Position::Token(n.to_string()))
    }

    proptest! {
        #[test]
        fn a_list_without_a_loop_is_read_to_its_end_also_from_its_stored_form(length in 0_usize..200) {
            let mut pages = Pages::default();
            for n in 0..length {
                prop_assert!(pages.advance(token(n), [n.to_string()]).unwrap());
                pages = serde_json::from_slice(&serde_json::to_vec(&pages).unwrap()).unwrap();
                prop_assert_eq!(pages.at().cloned(), token(n));
            }
            prop_assert!(!pages.advance(None, [""; 0]).unwrap());
        }

        #[test]
        fn a_loop_is_noticed_wherever_it_begins(before in 0_usize..60, around in 1_usize..60) {
            let mut pages = Pages::default();
            let mut read = 0;
            let at = |read| token(if read < before { read } else { before + (read - before) % around });
            while pages.advance(at(read), [read.to_string()]).is_ok() {
                read += 1;
                prop_assert!(read <= 4 * (before + around) + 2, "{} pages", read);
            }
            prop_assert!(read >= before + around, "every page was read once");
        }

        #[test]
        fn a_token_arrives_as_the_vendor_sent_it(text in any::<String>()) {
            let mut pages = Pages::default();
            pages.advance(Some(Position::Token(text.clone())), ["1"]).unwrap();
            let url = pages.url(&Url::parse("https://a.example/list?x=1").unwrap(), "after");
            let sent = url.query_pairs().find(|(key, _)| key == "after").map(|(_, value)| value.into_owned());
            prop_assert_eq!(sent, Some(text));
        }
    }

    #[test]
    fn numbers_only_grow_and_a_short_page_is_no_end() {
        let list = Url::parse("https://a.example/list").unwrap();
        let mut pages = Pages::numbered(1);
        assert_eq!(pages.url(&list, "page").as_str(), "https://a.example/list?page=1");
        assert!(pages.advance_number(true, ["1"]).unwrap());
        assert_eq!(pages.number(), Some(2));
        assert!(pages.advance(Some(Position::Number(2)), ["2"]).is_err());
        assert!(pages.advance(Some(Position::Number(1)), ["2"]).is_err());
        assert!(!pages.advance_number(false, ["2"]).unwrap());
        let mut last = Pages::numbered(u32::MAX);
        assert!(last.advance_number(true, ["1"]).is_err());
    }

    #[test]
    fn a_link_is_followed_as_it_is() {
        let link = Url::parse("https://a.example/list?$skiptoken=X%2B1").unwrap();
        let mut pages = Pages::default();
        pages.advance(Some(Position::Link(link.clone())), ["1"]).unwrap();
        assert_eq!(pages.url(&Url::parse("https://a.example/list").unwrap(), "unused"), link);
        assert!(pages.advance(Some(Position::Link(link)), ["2"]).is_err());
    }

    #[test]
    fn a_page_without_rows_ends_a_numbered_list_which_is_then_not_complete() {
        let mut pages = Pages::numbered(1);
        assert!(pages.advance_number(true, ["1"]).unwrap() && pages.is_complete());
        assert!(!pages.advance_number(true, [""; 0]).unwrap());
        assert!(!pages.is_complete());
        let mut whole = Pages::numbered(1);
        assert!(!whole.advance_number(false, [""; 0]).unwrap() && whole.is_complete());
    }

    #[test]
    fn the_same_rows_again_are_an_error_also_behind_pages_without_rows() {
        let mut pages = Pages::numbered(1);
        pages.advance_number(true, ["1", "2"]).unwrap();
        assert!(pages.advance_number(true, ["1", "2"]).is_err());
        assert!(pages.advance_number(true, ["12"]).unwrap(), "rows are told apart");
        let mut pages = Pages::default();
        pages.advance(token(1), ["1"]).unwrap();
        pages.advance(token(2), [""; 0]).unwrap();
        assert!(pages.advance(token(3), ["1"]).is_err());
    }

    #[test]
    fn pages_without_rows_are_followed_by_their_cursors_for_a_while() {
        let mut pages = Pages::default();
        for n in 0..50 {
            assert!(pages.advance(token(n), [""; 0]).unwrap());
        }
        assert!(pages.clone().advance(token(50), ["1"]).unwrap());
        assert!(pages.advance(token(50), [""; 0]).is_err());
    }
}
