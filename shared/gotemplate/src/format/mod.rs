//! Go's `fmt`: every verb and flag, and the texts for operands that do not fit.

mod float;
mod printf;
mod verb;

pub(crate) use float::format_float;
pub(crate) use printf::sprintf;

use crate::text::Text;
use crate::value::Value;
use verb::Printer;

/// `fmt.Sprint`: a space between two operands only when neither is a string.
pub(crate) fn sprint(values: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new();
    let mut after_string = true;
    for value in values {
        let is_string = matches!(value, Value::String(_));
        if !is_string && !after_string {
            printer.out.push(b' ');
        }
        printer.print_argument(value, 'v');
        after_string = is_string;
    }
    printer.out
}

/// `fmt.Sprintln`: spaces always, and a newline.
pub(crate) fn sprintln(values: &[Value]) -> Vec<u8> {
    let mut printer = Printer::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            printer.out.push(b' ');
        }
        printer.print_argument(value, 'v');
    }
    printer.out.push(b'\n');
    printer.out
}

/// `fmt.Sprintf("%v", value)`, without copying a string.
pub(crate) fn display(value: &Value) -> Text {
    match value {
        Value::String(text) => text.clone(),
        other => Text::from(sprint(std::slice::from_ref(other))),
    }
}

/// Appends a value as Go's `%v` prints it.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => out.extend_from_slice(text),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Float(number) => {
            out.extend_from_slice(fluxide_goyaml::number::format_float(*number).as_bytes())
        }
        other => out.extend_from_slice(&sprint(std::slice::from_ref(other))),
    }
}
