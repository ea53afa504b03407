//! How `fluxide dev` shows what happens: one line for each change, coloured on a terminal.

use super::progress::{Change, Progress, State};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Writes to standard output.
pub struct View {
    colour: bool,
}

impl View {
    /// With `colour` for a terminal, without for files and pipes.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Prints a line of our own.
    pub fn line(&self, text: &str) {
        println!("{text}");
    }

    /// Prints what an object has come to, and how many of all are Ready.
    pub fn change(&self, change: &Change, progress: &Progress) {
        let (symbol, colour, message) = match &change.state {
            Some(State::Ready(message)) => ("✔", GREEN, message.as_str()),
            Some(State::Failed(message)) => ("✗", RED, message.as_str()),
            Some(State::Working(message)) => ("◎", DIM, message.as_str()),
            Some(State::Suspended) => ("⏸", DIM, "suspended"),
            None => ("✂", DIM, "deleted"),
        };
        let ready = progress.rows().filter(|(_, state)| matches!(state, State::Ready(_))).count();
        let count = format!("{ready}/{}", progress.len());
        let message = first_line(message);
        if self.colour {
            println!("{colour}{symbol}{RESET} {:<44} {message} {DIM}{count}{RESET}", change.object);
        } else {
            println!("{symbol} {:<44} {message} ({count} ready)", change.object);
        }
    }
}

/// Messages may have many lines and be long; the first line says what it is about.
fn first_line(message: &str) -> String {
    const WIDTH: usize = 160;
    let line = message.lines().next().unwrap_or_default();
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(first_line("a\nb"), "a");
        assert_eq!(first_line(&"é".repeat(200)).chars().count(), 160);
    }
}
