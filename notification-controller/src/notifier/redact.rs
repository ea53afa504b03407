//! Keeps credentials out of what people see.

use url::Url;

/// What stands where a credential was.
const MASK: &str = "*****";
/// Shorter values are not credentials, and hiding them would garble every text.
const SHORTEST: usize = 4;

/// Replaces known credentials in texts.
#[derive(Clone, Default)]
pub struct Redactor {
    hidden: Vec<String>,
}

impl Redactor {
    /// Hides a value from now on; of several lines also each line.
    pub fn hide(&mut self, value: &str) {
        for part in std::iter::once(value).chain(value.lines()) {
            let part = part.trim();
            if part.len() >= SHORTEST && !self.hidden.iter().any(|known| known == part) {
                self.hidden.push(part.to_owned());
                let encoded: String = url::form_urlencoded::byte_serialize(part.as_bytes()).collect();
                if encoded != part {
                    self.hidden.push(encoded);
                }
            }
        }
        // The longest first, so that no part of one is left where another begins with it.
        self.hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Hides everything of an address but the server.
    pub fn hide_address(&mut self, address: &str) {
        let Ok(url) = Url::parse(address) else {
            self.hide(address);
            return;
        };
        let path = url[url::Position::BeforePath..].to_owned();
        self.hide(&path);
        self.hide(url.path());
        if let Some(query) = url.query() {
            self.hide(query);
        }
        if let Some(password) = url.password() {
            self.hide(password);
        }
    }

    /// The text without anything hidden.
    pub fn redact(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, hidden| text.replace(hidden.as_str(), MASK))
    }
}
