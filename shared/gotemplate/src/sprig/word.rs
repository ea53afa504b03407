//! Upper and lower case of words: `title`, `camelcase`, `snakecase` and their kin.

use crate::text::{decode_rune, is_invalid_rune, runes};
use fluxide_gotext::unicode::{
    is_digit, is_letter, is_lower, is_number, is_punctuation, is_space, is_title, is_upper, to_lower,
    to_title, to_upper,
};

/// `strings.Title`: the first letter of each word, words being what separators leave.
pub(super) fn title(text: &[u8]) -> Vec<u8> {
    let mut previous = ' ';
    each_rune(text, |rune| {
        let starts = is_separator(previous);
        previous = rune;
        if starts { to_title(rune) } else { rune }
    })
}

fn is_separator(rune: char) -> bool {
    if rune.is_ascii() {
        return !(rune.is_ascii_alphanumeric() || rune == '_');
    }
    !is_letter(rune) && !is_digit(rune) && is_space(rune)
}

/// Lowers the first letter of each word.
pub(super) fn untitle(text: &[u8]) -> Vec<u8> {
    let mut first = true;
    each_rune(text, |rune| {
        if is_space(rune) {
            first = true;
            rune
        } else if std::mem::take(&mut first) {
            to_lower(rune)
        } else {
            rune
        }
    })
}

/// Upper to lower, lower to upper, and lower at the start of a word to title case.
pub(super) fn swap_case(text: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    each_rune(text, |rune| {
        if is_upper(rune) || is_title(rune) {
            after_space = false;
            to_lower(rune)
        } else if is_lower(rune) {
            if std::mem::take(&mut after_space) { to_title(rune) } else { to_upper(rune) }
        } else {
            after_space = is_space(rune);
            rune
        }
    })
}

fn each_rune(text: &[u8], mut map: impl FnMut(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (_, rune, _) in runes(text) {
        push(&mut out, map(rune));
    }
    out
}

fn push(out: &mut Vec<u8>, rune: char) {
    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
}

fn is_connector(rune: char) -> bool {
    rune == '-' || rune == '_' || is_space(rune)
}

/// `camelcase`: connectors go, and the letter after each is upper-cased.
pub(super) fn pascal_case(text: &[u8]) -> Vec<u8> {
    let all: Vec<char> = runes(text).map(|(_, rune, _)| rune).collect();
    let mut out = Vec::with_capacity(text.len());
    let Some(start) = all.iter().position(|rune| !is_connector(*rune)) else {
        // The last connector is written once more when there is nothing else.
        all.iter().for_each(|rune| push(&mut out, *rune));
        if let Some(last) = all.last() {
            push(&mut out, *last);
        }
        return out;
    };
    all[..start].iter().for_each(|rune| push(&mut out, *rune));
    let mut in_upper = is_upper(all[start]);
    let mut current = to_upper(all[start]);
    for next in &all[start + 1..] {
        let previous = current;
        current = *next;
        if is_connector(current) && is_connector(previous) {
            push(&mut out, previous);
            continue;
        }
        if is_connector(previous) {
            in_upper = is_upper(current);
            current = to_upper(current);
        } else {
            if in_upper {
                if is_upper(current) {
                    current = to_lower(current);
                } else {
                    in_upper = false;
                }
            }
            push(&mut out, previous);
        }
    }
    push(&mut out, current);
    out
}

pub(super) fn snake_case(text: &[u8]) -> Vec<u8> {
    lower_case(text, '_')
}

pub(super) fn kebab_case(text: &[u8]) -> Vec<u8> {
    lower_case(text, '-')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

/// Lower-case words with a connector between them; numbers stay with the word they belong to.
fn lower_case(text: &[u8], connector: char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    if text.is_empty() {
        return out;
    }
    let joins = |word: Word| word != Word::Connector && word != Word::Punctuation;
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Word::Connector {
            push_word(&mut out, kind, word, connector);
        }
        let (previous, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match previous {
            Word::Number => {
                while matches!(kind, Word::Letters | Word::Number) {
                    push_word(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if kind != Word::Nothing && joins(kind) {
                    push(&mut out, connector);
                }
            }
            Word::Connector => push_word(&mut out, previous, last, connector),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if joins(kind) {
                    push(&mut out, connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                if kind != Word::Letters {
                    // The number is a part of the word before it.
                    push_word(&mut out, Word::Number, number, connector);
                    if joins(kind) {
                        push(&mut out, connector);
                    }
                } else {
                    push(&mut out, connector);
                    push_word(&mut out, Word::Number, number, connector);
                    while matches!(kind, Word::Letters | Word::Number) {
                        push_word(&mut out, kind, word, connector);
                        (kind, word, rest) = next_word(rest);
                    }
                    if kind != Word::Nothing && joins(kind) {
                        push(&mut out, connector);
                    }
                }
            }
        }
    }
    push_word(&mut out, kind, word, connector);
    out
}

fn push_word(out: &mut Vec<u8>, kind: Word, word: &[u8], connector: char) {
    if kind != Word::Upper && kind != Word::Connector {
        out.extend_from_slice(word);
        return;
    }
    for (_, rune, _) in runes(word) {
        push(
            out,
            if is_connector(rune) {
                connector
            } else if is_upper(rune) {
                to_lower(rune)
            } else {
                rune
            },
        );
    }
}

/// The first run of one kind, and what follows it.
fn next_word(text: &[u8]) -> (Word, &[u8], &[u8]) {
    let (first, width) = valid_rune(text, None);
    let Some(first) = first else {
        return (Word::Nothing, text, &[]);
    };
    let mut end = width;
    let mut take_while = |accepts: &dyn Fn(char) -> bool, mut previous: char| {
        while end < text.len() {
            let (rune, width) = valid_rune(&text[end..], Some(previous));
            let Some(rune) = rune else { break };
            if !accepts(rune) {
                break;
            }
            previous = rune;
            end += width;
        }
    };
    let kind = if is_connector(first) {
        take_while(&is_connector, first);
        Word::Connector
    } else if is_punctuation(first) {
        take_while(&is_punctuation, first);
        Word::Punctuation
    } else if is_upper(first) {
        end = upper_word(text, width, first);
        Word::Upper
    } else if is_alphabet(first) {
        take_while(&|rune| is_alphabet(rune) && !is_upper(rune), first);
        Word::Letters
    } else if is_number(first) {
        take_while(&is_number, first);
        Word::Number
    } else {
        take_while(
            &|rune| !(is_connector(rune) || is_alphabet(rune) || is_number(rune) || is_punctuation(rune)),
            first,
        );
        Word::Other
    };
    (kind, &text[..end], &text[end..])
}

/// The end of a word that begins with an upper-case letter: `HTTP` of `HTTPServer`, `Server` of `Server1`.
fn upper_word(text: &[u8], width: usize, first: char) -> usize {
    let mut end = width;
    let (Some(second), second_width) = valid_rune(&text[end..], Some(first)) else { return end };
    if end >= text.len() {
        return end;
    }
    if is_upper(second) {
        end += second_width;
        let mut last_width = second_width;
        let mut rune = second;
        while end < text.len() {
            let (Some(next), next_width) = valid_rune(&text[end..], Some(rune)) else { break };
            rune = next;
            if !is_upper(next) {
                break;
            }
            last_width = next_width;
            end += next_width;
        }
        if end < text.len() && is_alphabet(rune) {
            end -= last_width;
        }
    } else if is_alphabet(second) {
        end += second_width;
        let mut previous = second;
        while end < text.len() {
            let (Some(rune), width) = valid_rune(&text[end..], Some(previous)) else { break };
            if !is_alphabet(rune) || is_upper(rune) {
                break;
            }
            previous = rune;
            end += width;
        }
    }
    end
}

/// The next rune that is no damaged byte, with the bytes up to its end; at the end of the text, the previous one again.
fn valid_rune(text: &[u8], previous: Option<char>) -> (Option<char>, usize) {
    let mut size = 0;
    while size < text.len() {
        let (rune, width) = decode_rune(&text[size..]);
        size += width;
        if rune != char::REPLACEMENT_CHARACTER && !is_invalid_rune(rune, width) {
            return (Some(rune), size);
        }
    }
    (previous, size)
}

/// Letters but not ideographs, which have no case and make words of their own.
fn is_alphabet(rune: char) -> bool {
    if !is_letter(rune) {
        return false;
    }
    !matches!(u32::from(rune), 0x3400..=0x4d85 | 0x4e00..=0x9fcc | 0x20000..=0x2b81d)
}
