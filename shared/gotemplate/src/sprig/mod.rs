//! The functions of the [sprig](https://masterminds.github.io/sprig/) library, in the version that Helm builds in.

mod argument;
mod convert;
mod date;
mod decimal;
mod default;
mod dict;
mod encoding;
pub(crate) mod json;
mod list;
mod merge;
mod number;
mod path;
mod random;
mod regex;
mod semver;
mod string;
pub(crate) mod url;
mod word;
mod wrap;

pub(crate) use argument::{integer, item, text};
pub(crate) use encoding::decode_base64;
pub(crate) use json::{check_json, first_json_error};
pub(crate) use path::base;
pub(crate) use string::trim_space;

use crate::function::Functions;

/// Every function of sprig that is pure, which leaves out `env`, `expandenv` and `getHostByName`.
pub fn functions() -> Functions {
    let mut functions = Functions::new();
    string::register(&mut functions);
    number::register(&mut functions);
    list::register(&mut functions);
    dict::register(&mut functions);
    default::register(&mut functions);
    encoding::register(&mut functions);
    json::register(&mut functions);
    path::register(&mut functions);
    url::register(&mut functions);
    date::register(&mut functions);
    random::register(&mut functions);
    regex::register(&mut functions);
    semver::register(&mut functions);
    crate::crypto::register(&mut functions);
    functions
}
