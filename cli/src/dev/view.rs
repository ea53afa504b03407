//! How `fluxide dev` shows what happens: on a terminal a table of all objects that is redrawn in place, below the lines
//! that scroll; elsewhere a line for each change.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::notifications::Message;
use super::progress::{Change, Progress, State};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Back to the first column, and nothing left from there to the end of the screen.
const CLEAR: &str = "\r\x1b[J";

/// Lines of the terminal that the table leaves to what scrolls.
const SCROLLING: usize = 4;

/// The longest message in a line for a change.
const WIDTH: usize = 160;

/// Writes to standard output.
pub struct View {
    /// The table on the screen; `None` where there is no terminal.
    table: Option<Mutex<Table>>,
}

/// What of the table is on the screen.
#[derive(Default)]
struct Table {
    /// Its rows, as they were drawn last.
    rows: Vec<String>,
}

impl View {
    /// With `terminal`, a table; without, lines alone.
    pub fn new(terminal: bool) -> Self {
        Self { table: terminal.then(Mutex::default) }
    }

    /// Prints a line of our own.
    pub fn line(&self, text: &str) {
        match self.table() {
            Some(mut table) => {
                let rows = std::mem::take(&mut table.rows);
                let erased = erase(rows.len());
                table.draw(format!("{erased}{text}\n"), rows);
            }
            None => write(&format!("{text}\n")),
        }
    }

    /// Prints a message that a provider was sent.
    pub fn message(&self, message: &Message) {
        let (about, text) = (&message.about, cut(&message.text, WIDTH));
        if self.table.is_some() {
            let colour = if message.is_bad { RED } else { GREEN };
            self.line(&format!("{colour}✉{RESET} {about}: {text}"));
        } else {
            self.line(&format!("✉ {about:<44} {text} (alert)"));
        }
    }

    /// Shows what an object has come to, and how many of all are Ready.
    pub fn change(&self, change: &Change, progress: &Progress) {
        if let Some(mut table) = self.table() {
            let (height, width) = screen();
            let erased = erase(table.rows.len());
            table.draw(erased, rows(progress, height.saturating_sub(SCROLLING).max(2), width));
            return;
        }
        let (symbol, _, message) = match &change.state {
            Some(state) => look(state),
            None => ("✂", DIM, "deleted"),
        };
        let count = format!("{}/{}", ready(progress), progress.len());
        write(&format!("{symbol} {:<44} {} ({count} ready)\n", change.object, cut(message, WIDTH)));
    }

    fn table(&self) -> Option<MutexGuard<'_, Table>> {
        Some(self.table.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    /// Writes `before`, then the rows, in one piece: nothing flickers.
    fn draw(&mut self, before: String, rows: Vec<String>) {
        let mut text = before;
        for row in &rows {
            text.push_str(row);
            text.push('\n');
        }
        self.rows = rows;
        write(&text);
    }
}

/// Writes to standard output. When nobody reads any more, work goes on unseen.
fn write(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Removes the last `rows` lines from the screen.
fn erase(rows: usize) -> String {
    match rows {
        0 => CLEAR.to_owned(),
        rows => format!("\x1b[{rows}A{CLEAR}"),
    }
}

/// Height and width of the terminal.
fn screen() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

/// The table: a summary, then the objects, those that need attention first when there is no room for all.
fn rows(progress: &Progress, height: usize, width: usize) -> Vec<String> {
    let mut objects: Vec<_> = progress.rows().collect();
    let room = height - 1;
    let hidden = objects.len().saturating_sub(room);
    if hidden > 0 {
        objects.sort_by_key(|(_, state)| urgency(state));
        objects.truncate(room.saturating_sub(1));
    }
    let names = objects.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(width / 2);
    let mut rows = vec![format!("{DIM}{} of {} ready{RESET}", ready(progress), progress.len())];
    for (name, state) in &objects {
        let (symbol, colour, message) = look(state);
        let name = cut(name, names);
        let mut row = format!("{colour}{symbol}{RESET} {name:<names$} ");
        let room = width.saturating_sub(names + 4);
        let _ = write!(row, "{DIM}{}{RESET}", cut(message, room));
        rows.push(row);
    }
    if hidden > 0 {
        rows.push(format!("{DIM}… and {} more{RESET}", progress.len() - objects.len()));
    }
    rows
}

/// What comes first when not everything can be shown.
fn urgency(state: &State) -> u8 {
    match state {
        State::Failed(_) => 0,
        State::Working(_) => 1,
        State::Ready(_) => 2,
        State::Suspended => 3,
    }
}

fn look(state: &State) -> (&'static str, &'static str, &str) {
    match state {
        State::Ready(message) => ("✔", GREEN, message),
        State::Failed(message) => ("✗", RED, message),
        State::Working(message) => ("◎", DIM, message),
        State::Suspended => ("⏸", DIM, "suspended"),
    }
}

fn ready(progress: &Progress) -> usize {
    progress.rows().filter(|(_, state)| matches!(state, State::Ready(_))).count()
}

/// Messages may have many lines and be long: the first line says what it is about, at most `width` characters of it.
/// Characters that would move the cursor are left out, and hashes are as short as people write them.
fn cut(message: &str, width: usize) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line: Vec<char> = short_hashes(line).chars().filter(|c| !c.is_control()).collect();
    if line.len() <= width {
        return line.into_iter().collect();
    }
    line.into_iter().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Hashes of 40 to 128 digits as their first eight, as the `flux` command prints them.
fn short_hashes(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let run = &rest[start..];
        let end = run.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(run.len());
        let shown = if (40..=128).contains(&end) { 8 } else { end };
        short.push_str(&rest[..start + shown]);
        rest = &run[end..];
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Event;

    /// One Kustomization for each status of Ready.
    fn progress(statuses: &[&str]) -> Progress {
        let mut progress = Progress::default();
        for (number, status) in statuses.iter().enumerate() {
            let object = serde_json::json!({
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "metadata": {"name": format!("apps-{number}"), "namespace": "flux-system", "generation": 1},
                "status": {"conditions": [{"type": "Ready", "status": status, "observedGeneration": 1,
                    "message": format!("it is {status}")}]},
            });
            progress.record(5, &Event::Apply(serde_json::from_value(object).unwrap()));
        }
        progress
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        assert_eq!(cut("a\nb", WIDTH), "a");
        assert_eq!(cut(&"é".repeat(200), WIDTH).chars().count(), WIDTH);
        assert_eq!(cut("a\x1b[2Jb", WIDTH), "a[2Jb");
    }

    #[test]
    fn hashes_are_short_and_nothing_else_is() {
        let hash = "0123456789".repeat(4);
        assert_eq!(short_hashes(&format!("main@sha1:{hash} is new")), "main@sha1:01234567 is new");
        assert_eq!(short_hashes("abc é 0123 fed"), "abc é 0123 fed");
    }

    #[test]
    fn what_failed_stays_in_sight_when_there_is_no_room_for_all() {
        let progress = progress(&["True", "True", "Unknown", "True", "False"]);
        let all = rows(&progress, 20, 100);
        assert_eq!(all.len(), 6);
        assert!(all[0].contains("3 of 5 ready"), "{all:?}");
        let few = rows(&progress, 4, 100);
        assert_eq!(few.len(), 4);
        assert!(few[1].contains("apps-4") && few[1].contains("it is False"), "{few:?}");
        assert!(few[2].contains("apps-2"), "{few:?}");
        assert!(few[3].contains("and 3 more"), "{few:?}");
    }

    #[test]
    fn rows_fit_the_terminal() {
        let visible = |row: &str| {
            let plain =
                [GREEN, RED, DIM, RESET].iter().fold(row.to_owned(), |row, code| row.replace(code, ""));
            plain.chars().count()
        };
        let progress = progress(&["True", "False"]);
        for width in [20, 40, 80] {
            assert!(rows(&progress, 20, width).iter().skip(1).all(|row| visible(row) <= width));
        }
    }
}
