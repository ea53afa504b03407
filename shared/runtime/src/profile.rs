//! Profiles at `/debug/pprof/` in the format of `go tool pprof`.
//!
//! They come from what the kernel counts: processor time by thread, resident memory by mapping. Nothing is
//! interrupted or slowed down while they are taken.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    time::{Duration, SystemTime},
};

/// Nanoseconds in one of the kernel's clock ticks.
const TICK: i64 = 10_000_000;

/// The longest processor profile.
pub(crate) const MAX_SECONDS: u64 = 300;

/// Processor time of each thread of this process over a while.
pub(crate) async fn processor(seconds: u64) -> io::Result<Vec<u8>> {
    let length = Duration::from_secs(seconds.min(MAX_SECONDS));
    let before = threads()?;
    tokio::time::sleep(length).await;
    let mut profile = Profile::new(&[("samples", "count"), ("cpu", "nanoseconds")]);
    for (thread, now) in threads()? {
        let then = before.get(&thread);
        for (mode, ticks) in [
            ("user", now.user - then.map_or(0, |t| t.user)),
            ("system", now.system - then.map_or(0, |t| t.system)),
        ] {
            if ticks > 0 {
                profile.add(&[mode, &now.name], &[ticks, ticks * TICK]);
            }
        }
    }
    Ok(profile.encode(length))
}

/// Resident memory of this process by what it is mapped from.
pub(crate) fn memory() -> io::Result<Vec<u8>> {
    let mut profile = Profile::new(&[("resident_space", "bytes"), ("anonymous_space", "bytes")]);
    for (name, size) in mappings(&fs::read_to_string("/proc/self/smaps")?) {
        profile.add(&[&name], &[size.resident, size.anonymous]);
    }
    Ok(profile.encode(Duration::ZERO))
}

struct Thread {
    name: String,
    user: i64,
    system: i64,
}

fn threads() -> io::Result<BTreeMap<String, Thread>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let id = entry?.file_name().to_string_lossy().into_owned();
        // A thread may end meanwhile.
        if let Ok(stat) = fs::read_to_string(format!("/proc/self/task/{id}/stat"))
            && let Some(thread) = thread(&stat)
        {
            threads.insert(id, thread);
        }
    }
    Ok(threads)
}

/// Name, user and system time of a line of `stat`; the name may contain anything.
fn thread(stat: &str) -> Option<Thread> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut times = tail.split_whitespace().skip(11).map_while(|field| field.parse().ok());
    Some(Thread { name: name.to_owned(), user: times.next()?, system: times.next()? })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    resident: i64,
    anonymous: i64,
}

/// The sizes in a table of mappings, by name.
fn mappings(smaps: &str) -> BTreeMap<String, Size> {
    let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
    let mut name = String::new();
    for line in smaps.lines() {
        let mut fields = line.split_whitespace();
        let Some(first) = fields.next() else { continue };
        let kibibytes = |fields: std::str::SplitWhitespace<'_>| {
            fields.clone().next().and_then(|number| number.parse::<i64>().ok()).unwrap_or(0) * 1024
        };
        match first {
            "Rss:" => sizes.entry(name.clone()).or_default().resident += kibibytes(fields),
            "Anonymous:" => sizes.entry(name.clone()).or_default().anonymous += kibibytes(fields),
            range if !range.ends_with(':') => {
                let path: Vec<&str> = fields.skip(4).collect();
                name = if path.is_empty() { "anonymous".to_owned() } else { path.join(" ") };
            }
            _ => {}
        }
    }
    sizes.retain(|_, size| *size != Size::default());
    sizes
}

/// A profile while it is put together: every frame is a name.
struct Profile {
    strings: Vec<String>,
    indices: HashMap<String, u64>,
    types: Vec<(u64, u64)>,
    /// Names of frames; position plus one is the id of function and location.
    frames: Vec<u64>,
    samples: Vec<(Vec<u64>, Vec<i64>)>,
}

impl Profile {
    fn new(types: &[(&str, &str)]) -> Self {
        let mut profile = Self {
            strings: vec![String::new()],
            indices: HashMap::from([(String::new(), 0)]),
            types: Vec::new(),
            frames: Vec::new(),
            samples: Vec::new(),
        };
        profile.types =
            types.iter().map(|(kind, unit)| (profile.string(kind), profile.string(unit))).collect();
        profile
    }

    /// Adds a sample with its frames, the innermost first.
    fn add(&mut self, frames: &[&str], values: &[i64]) {
        let locations = frames.iter().map(|frame| self.frame(frame)).collect();
        self.samples.push((locations, values.to_vec()));
    }

    fn frame(&mut self, name: &str) -> u64 {
        let name = self.string(name);
        let known = self.frames.iter().position(|frame| *frame == name);
        let index = known.unwrap_or_else(|| {
            self.frames.push(name);
            self.frames.len() - 1
        });
        index as u64 + 1
    }

    fn string(&mut self, text: &str) -> u64 {
        if let Some(index) = self.indices.get(text) {
            return *index;
        }
        let index = self.strings.len() as u64;
        self.strings.push(text.to_owned());
        self.indices.insert(text.to_owned(), index);
        index
    }

    /// The protocol buffer `perftools.profiles.Profile`.
    fn encode(&self, length: Duration) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, unit) in &self.types {
            message(&mut out, 1, |out| value_type(out, *kind, *unit));
        }
        for (locations, values) in &self.samples {
            message(&mut out, 2, |out| {
                locations.iter().for_each(|id| number(out, 1, *id));
                values.iter().for_each(|value| number(out, 2, *value as u64));
            });
        }
        for id in 1..=self.frames.len() as u64 {
            message(&mut out, 4, |out| {
                number(out, 1, id);
                message(out, 4, |out| number(out, 1, id));
            });
        }
        for (index, name) in self.frames.iter().enumerate() {
            message(&mut out, 5, |out| {
                number(out, 1, index as u64 + 1);
                number(out, 2, *name);
                number(out, 3, *name);
            });
        }
        for text in &self.strings {
            bytes(&mut out, 6, text.as_bytes());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        number(&mut out, 9, now.as_nanos() as u64);
        number(&mut out, 10, length.as_nanos() as u64);
        if let Some((kind, unit)) = self.types.last() {
            message(&mut out, 11, |out| value_type(out, *kind, *unit));
            number(&mut out, 12, TICK as u64);
        }
        out
    }
}

fn value_type(out: &mut Vec<u8>, kind: u64, unit: u64) {
    number(out, 1, kind);
    number(out, 2, unit);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn message(out: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, field, &inner);
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let found = thread("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0").unwrap();
        assert_eq!((found.name.as_str(), found.user, found.system), ("a ) b", 150, 50));
        let smaps = "\
            55d0-55d1 r--p 00000000 fe:00 1  /bin/source-controller\nRss:  8 kB\nAnonymous: 4 kB\n\
            7f00-7f01 rw-p 00000000 00:00 0 \nRss:  16 kB\nAnonymous: 16 kB\n\
            7f02-7f03 rw-p 00000000 00:00 0 \nRss:  4 kB\nAnonymous: 4 kB\n\
            7f04-7f05 ---p 00000000 00:00 0 [guard]\nRss:  0 kB\nAnonymous: 0 kB\n";
        let expected = BTreeMap::from([
            ("/bin/source-controller".to_owned(), Size { resident: 8192, anonymous: 4096 }),
            ("anonymous".to_owned(), Size { resident: 20480, anonymous: 20480 }),
        ]);
        assert_eq!(mappings(smaps), expected);
    }

    #[test]
    fn a_profile_is_a_protocol_buffer() {
        let mut profile = Profile::new(&[("cpu", "nanoseconds")]);
        profile.add(&["user", "main"], &[300]);
        profile.add(&["user", "worker"], &[1]);
        let encoded = profile.encode(Duration::from_nanos(5));
        let start = [
            0x0a, 4, 0x08, 1, 0x10, 2, // type cpu, unit nanoseconds
            0x12, 7, 0x08, 1, 0x08, 2, 0x10, 0xac, 0x02, // user in main, 300
            0x12, 6, 0x08, 1, 0x08, 3, 0x10, 1, // user in worker, 1
            0x22, 6, 0x08, 1, 0x22, 2, 0x08, 1, // the first location is the first function
        ];
        assert_eq!(encoded[..start.len()], start);
        let names = b"\x32\x04user\x32\x04main\x32\x06worker";
        assert!(encoded.windows(names.len()).any(|window| window == names));
    }

    #[tokio::test]
    async fn this_process_has_profiles() {
        assert!(memory().unwrap().len() > 100);
        assert!(!processor(0).await.unwrap().is_empty());
    }
}
