//! The documentation: its pages, what stands in them, and the reference that is made from the code.

pub mod blocks;
pub mod links;
pub mod pages;
pub mod reference;
