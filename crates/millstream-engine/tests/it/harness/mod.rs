//! A world for the engine in memory: a project from text, stores that fail or die where a test wants, scripted sources, and
//! a clock and dice that the test holds.

mod act;
mod bucket;
mod connection;
mod connector;
mod contents;
mod definition;
mod events;
mod hands;
mod line;
mod script;
mod shelf;
mod story;
mod tamper;
mod wire;
mod world;
mod wound;

pub(crate) use act::{Act, Ended};
pub(crate) use connector::ScriptedFactory;
pub(crate) use contents::Contents;
pub(crate) use definition::{Definition, diagnostics};
pub(crate) use hands::Hands;
pub(crate) use line::{Harm, Injection, Line, Point};
pub(crate) use script::{Call, Script};
pub(crate) use story::{Step, check};
pub(crate) use tamper::Tamper;
pub(crate) use world::{World, block_on};
pub(crate) use wound::Wound;
