//! What every controller is made of: options, manager, conditions, events, metrics, probes.
