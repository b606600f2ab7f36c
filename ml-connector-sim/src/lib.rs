//! Local simulators of the vendor APIs that ml-connector talks to.
//!
//! Each simulates what the vendor *enforces*: credentials, regions, limits with the vendor's own answers, shapes,
//! signatures. All time comes from a [`Clock`](ml_connector_core::Clock), all ids and tokens from a seed, so that a
//! test sees the same run every time. A simulator is used
//! - in process: [`SimTransport`] calls it without a socket, and works under tokio's paused clock;
//! - on a port: [`serve`] any of the routers, or run the program of this crate.
//!
//! ```
//! # use std::sync::Arc;
//! use ml_connector_core::{SystemClock, model::Decimal};
//! use ml_connector_sim::{SimTransport, SlackSim, ZohoBooksSim, zoho::NewDocument};
//!
//! # fn main() -> ml_connector_core::Result<()> {
//! let books = ZohoBooksSim::new(Arc::new(SystemClock));
//! let slack = SlackSim::new(Arc::new(SystemClock));
//! let transport = SimTransport::new().with_zoho_books(&books).with_slack(&slack);
//!
//! let invoice = books.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(125_050, 2)))?;
//! books.mark_sent(&invoice)?;
//! books.pay_invoice(&invoice, Decimal::new(125_050, 2))?;
//! # let _ = transport;
//! # Ok(())
//! # }
//! ```
//!
//! What is and what is not enforced is listed in the crate's README.

pub mod bc;
pub mod databricks;
pub mod exact;
pub mod freshbooks;
pub mod slack;
mod toolkit;
pub mod zoho;

pub use bc::BusinessCentralSim;
pub use databricks::DatabricksSim;
pub use exact::ExactOnlineSim;
pub use freshbooks::FreshBooksSim;
pub use slack::SlackSim;
pub use toolkit::{
    conditions::Conditions,
    exchange::Received,
    faults::Fault,
    outbox::{Attempt, Delivery, DeliveryTuning},
    serve::{Served, serve},
    transport::SimTransport,
};
pub use zoho::ZohoBooksSim;
