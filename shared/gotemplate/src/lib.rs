//! Go text/template with the sprig and Helm functions.
