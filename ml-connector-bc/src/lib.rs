//! Microsoft Dynamics 365 Business Central: a source of documents, and a sink that posts them.
