//! The names in a directory, as the gofer listed them and as we changed them since.
//!
//! Every name has a number, given out in order and never again; readdir(3) positions are these numbers. So a name that
//! stays is told exactly once, whatever comes and goes meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use abi::stat::{S_IFDIR, S_IFMT};
use ninep::Stat;
use ninep::client::ListedEntry;
use sync::Mutex;

use crate::lock_order::Leaf;

/// A directory's names.
#[derive(Debug)]
pub(super) struct Listing {
    names: Mutex<Names, Leaf>,
}

#[derive(Debug, Default)]
struct Names {
    entries: BTreeMap<u64, Listed>,
    /// Kept only where the listing answers lookups.
    numbers: Option<HashMap<Arc<[u8]>, u64>>,
    last: u64,
    /// How many lookups it could not answer for want of attributes.
    unanswered: u32,
}

/// A name, and what is known of the file.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: Arc<[u8]>,
    pub(super) ino: u64,
    pub(super) kind: u8,
    /// Its attributes when the directory was listed; gone once the file has an inode, which knows better.
    pub(super) stat: Option<Box<Stat>>,
    /// The file may have an inode: attributes that are told from now on may be older than what that knows.
    used: bool,
}

/// After this many lookups without an answer the attributes of all files are worth a question.
const WORTH_ALL: u32 = 4;

/// What a listing says about a name.
#[derive(Debug)]
pub(super) enum Answer {
    /// There is no such name.
    Absent,
    /// There is, and these are its attributes.
    Known(Arc<[u8]>, Box<Stat>),
    /// There is, but the gofer must be asked.
    Unknown,
    /// As `Unknown`, and that not for the first time: better all are asked for, see [`Listing::tell`].
    WorthAll,
}

impl Listing {
    /// `index`: whether lookups will be answered from it.
    pub(super) fn new(entries: Vec<ListedEntry>, index: bool) -> Self {
        let mut names = Names { numbers: index.then(HashMap::new), ..Names::default() };
        for ListedEntry { name, ino, kind, stat } in entries {
            let stat = stat.filter(|stat| index && only_here(stat)).map(Box::new);
            names.add(Listed { name: name.into(), ino, kind, stat, used: false });
        }
        Self { names: Mutex::new(names) }
    }

    /// Adds the attributes that a later listing tells, of files that nobody has used since.
    pub(super) fn tell(&self, entries: Vec<ListedEntry>) {
        let mut names = self.names.lock();
        let Names { entries: known, numbers: Some(numbers), .. } = &mut *names else { return };
        for ListedEntry { name, stat, .. } in entries {
            let number = numbers.get(&*name);
            if let Some(entry) = number.and_then(|number| known.get_mut(number)).filter(|entry| !entry.used) {
                entry.stat = stat.filter(only_here).map(Box::new);
            }
        }
    }

    /// The first names after position `from`, at most `max`, with their positions.
    pub(super) fn after(&self, from: u64, max: usize) -> Vec<(u64, Listed)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let names = self.names.lock();
        let following = names.entries.range((Excluded(from), Unbounded)).take(max);
        // Attributes are not for readdir.
        following
            .map(|(at, e)| {
                (*at, Listed { name: Arc::clone(&e.name), ino: e.ino, kind: e.kind, stat: None, used: true })
            })
            .collect()
    }

    pub(super) fn lookup(&self, name: &[u8]) -> Answer {
        let mut names = self.names.lock();
        let Some(numbers) = &names.numbers else { return Answer::Unknown };
        let Some(number) = numbers.get(name).copied() else { return Answer::Absent };
        let Names { entries, unanswered, .. } = &mut *names;
        let Some(entry) = entries.get_mut(&number) else { return Answer::Unknown };
        if let Some(stat) = entry.stat.take() {
            entry.used = true;
            return Answer::Known(Arc::clone(&entry.name), stat);
        }
        if !entry.used {
            *unanswered += 1;
            if *unanswered == WORTH_ALL {
                return Answer::WorthAll;
            }
            entry.used = true;
        }
        Answer::Unknown
    }

    /// A name was made, or means another file now.
    pub(super) fn added(&self, name: &[u8], stat: &Stat) {
        let kind = u8::try_from((stat.mode & S_IFMT) >> 12).unwrap_or(0);
        let mut names = self.names.lock();
        names.remove(name);
        names.add(Listed { name: name.into(), ino: stat.ino, kind, stat: None, used: true });
    }

    /// A name was removed.
    pub(super) fn removed(&self, name: &[u8]) {
        self.names.lock().remove(name);
    }
}

/// A file with other names may be changed through them before the one that was listed is looked up.
fn only_here(stat: &Stat) -> bool {
    stat.nlink <= 1 || stat.mode & S_IFMT == S_IFDIR
}

impl Names {
    fn add(&mut self, entry: Listed) {
        self.last += 1;
        if let Some(numbers) = &mut self.numbers {
            numbers.insert(Arc::clone(&entry.name), self.last);
        }
        self.entries.insert(self.last, entry);
    }

    fn remove(&mut self, name: &[u8]) {
        let number = match &mut self.numbers {
            Some(numbers) => numbers.remove(name),
            None => self.entries.iter().find(|(_, e)| &*e.name == name).map(|(at, _)| *at),
        };
        if let Some(number) = number {
            self.entries.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_told_once_whatever_comes_and_goes() {
        let entry =
            |name: &str| ListedEntry { name: name.as_bytes().into(), ino: 1, kind: 8, stat: Some(Stat::default()) };
        let listing = Listing::new(vec![entry("a"), entry("b"), entry("c")], true);
        let [(at, first)] = &listing.after(0, 1)[..] else { panic!("one name") };
        assert_eq!(&*first.name, b"a");
        listing.removed(b"b");
        listing.added(b"d", &Stat::default());
        listing.added(b"a", &Stat::default());
        let rest: Vec<_> = listing.after(*at, 9).into_iter().map(|(_, e)| e.name.to_vec()).collect();
        assert_eq!(rest, [b"c", b"d", b"a"]);
        assert!(matches!(listing.lookup(b"b"), Answer::Absent));
        assert!(matches!(listing.lookup(b"c"), Answer::Known(..)));
        assert!(matches!(listing.lookup(b"c"), Answer::Unknown));
        assert!(matches!(listing.lookup(b"d"), Answer::Unknown));
    }

    #[test]
    fn attributes_told_later_are_not_for_files_in_use() {
        let entry = |name: &str, stat| ListedEntry { name: name.as_bytes().into(), ino: 1, kind: 8, stat };
        let names = ["a", "b", "c", "d", "e", "f"];
        let listing = Listing::new(names.map(|name| entry(name, None)).into(), true);
        assert!(names[..3].iter().all(|name| matches!(listing.lookup(name.as_bytes()), Answer::Unknown)));
        assert!(matches!(listing.lookup(b"a"), Answer::Unknown), "asked for again, which does not count");
        assert!(matches!(listing.lookup(b"d"), Answer::WorthAll));
        listing.added(b"e", &Stat::default());
        listing.tell(names.map(|name| entry(name, Some(Stat::default()))).into());
        assert!(matches!(listing.lookup(b"d"), Answer::Known(..)));
        assert!(matches!(listing.lookup(b"f"), Answer::Known(..)));
        for used in [b"a", b"d", b"e", b"f"] {
            assert!(matches!(listing.lookup(used), Answer::Unknown));
        }
    }
}
