//! Variable substitution with the expression dialect of Flux's post-build step.
