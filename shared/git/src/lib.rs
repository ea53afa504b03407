//! Git over HTTP and SSH in process: clone, fetch, checkout, verify.
