//! The limits of Block Kit (Slack docs: reference of blocks, block elements and composition objects).

pub(super) const HEADER_MAX: usize = 150;
pub(super) const BUTTON_TEXT_MAX: usize = 75;
pub(super) const CONFIRM_TITLE_MAX: usize = 100;
pub(super) const CONFIRM_TEXT_MAX: usize = 300;
pub(super) const CONFIRM_ANSWER_MAX: usize = 30;
pub(super) const LABEL_MAX: usize = 2000;
pub(super) const PLACEHOLDER_MAX: usize = 150;
pub(super) const VIEW_LABEL_MAX: usize = 24;
/// Ours: a title of a column says what stands below it.
pub(super) const CELL_TITLE_MAX: usize = 60;
pub(super) const BLOCKS_MAX: usize = 50;
pub(super) const VIEW_BLOCKS_MAX: usize = 100;
pub(super) const ID_MAX: usize = 255;
pub(super) const INPUT_MAX: usize = 3000;
pub(super) const PRIVATE_METADATA_MAX: usize = 3000;
pub(super) const VIEW_BYTES_MAX: usize = 250_000;
pub(super) const TEXT_MAX: usize = 3000;
pub(super) const FIELDS_MAX: usize = 10;
pub(super) const FIELD_MAX: usize = 2000;
pub(super) const CONTEXT_MAX: usize = 10;
pub(super) const ACTIONS_MAX: usize = 25;
pub(super) const VALUE_MAX: usize = 2000;
pub(super) const ROWS_MAX: usize = 100;
pub(super) const CELLS_MAX: usize = 20;
pub(super) const COLUMNS_MAX: usize = 20;
/// Unconfirmed by the vendor for this kind of table; documented for the newer one.
pub(super) const TABLE_TEXT_MAX: usize = 10_000;
/// The vendor publishes no number for all blocks together; this one is ours, on the safe side.
pub(super) const MESSAGE_BYTES_MAX: usize = 50_000;
/// What a table may take of it, so that the rest of a card has room.
pub(super) const TABLE_BYTES_MAX: usize = 30_000;
/// The longest URL of a button or a link.
pub(super) const URL_MAX: usize = 3000;
