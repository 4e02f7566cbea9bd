//! The server's edge: what is let in from the wire, and how much of it.

mod bounds;
mod ends;
mod headers;
mod media;
mod shapes;
mod surface;
mod timers;
