//! Flags that are on or off, as Go's command lines have them: `--flag`, `--flag=true`, `--flag=F`.

use std::str::FromStr;

/// The value of such a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch(bool);

impl Switch {
    /// Whether the flag is on.
    pub fn is_on(self) -> bool {
        self.0
    }
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Switch, String> {
        crate::parse_bool(text).map(Switch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_as_go_reads_booleans() {
        assert!("T".parse::<Switch>().unwrap().is_on());
        assert!(!"0".parse::<Switch>().unwrap().is_on());
        let error = "yes".parse::<Switch>().unwrap_err();
        assert_eq!(error, "strconv.ParseBool: parsing \"yes\": invalid syntax");
    }
}
