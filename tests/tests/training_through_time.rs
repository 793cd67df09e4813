//! Training through time: tapes that are kept, truncated and checkpointed back-propagation, traces.

mod training_through_time {
    mod case;
    mod keep;
    mod memory;
    mod no_memory;
    mod observed;
    mod packed;
    mod trace;
    mod truncated;
    mod truncated_resets;
    mod whose;
}
