//! Reads the tree's Rust sources: which files there are, and their code without comments and literals.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every `.rs` file below `dir`, sorted; build output and hidden directories are left out.
pub fn rust_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    pending.push(entry.path());
                }
            } else if name.ends_with(".rs") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The code with comments, strings and character literals blanked; line breaks stay, so that line numbers hold.
#[must_use]
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let end = match (c, chars.get(at + 1)) {
            ('/', Some('/')) => line_end(&chars, at),
            ('/', Some('*')) => block_comment_end(&chars, at),
            ('"', _) => string_end(&chars, at + 1),
            ('r', Some('"' | '#')) if !continues_word(&chars, at) => raw_string_end(&chars, at).unwrap_or(at),
            ('b', Some('r')) if !continues_word(&chars, at) => raw_string_end(&chars, at + 1).unwrap_or(at),
            ('\'', _) => char_literal_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(c);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The numbers of the lines on which `word` stands as a word of the code, from 1.
#[must_use]
pub fn lines_with_word(source: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code_only(source)
        .lines()
        .enumerate()
        .filter(|(_, line)| line.split(|c| !is_word(c)).any(|w| w == word))
        .map(|(i, _)| i + 1)
        .collect()
}

fn continues_word(chars: &[char], at: usize) -> bool {
    at > 0 && chars.get(at - 1).is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while let Some(c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `at` is the `r`; `None` if this is a raw identifier.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let body = at + 1 + hashes;
    if chars.get(body) != Some(&'"') {
        return None;
    }
    let closes =
        |i: usize| chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    Some((body + 1..chars.len()).find(|i| closes(*i)).map_or(chars.len(), |i| i + 1 + hashes))
}

/// `None` if the quote starts a lifetime.
fn char_literal_end(chars: &[char], at: usize) -> Option<usize> {
    match (chars.get(at + 1)?, chars.get(at + 2)?) {
        ('\\', _) => chars[at + 3..].iter().position(|c| *c == '\'').map(|n| at + 4 + n),
        (_, '\'') => Some(at + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_hide_words() {
        let source = concat!(
            "// a beast\n/* beast /* beast */ beast */ fn f() {\n",
            "let s = \"beast \\\" beast\"; let r = r#\"beast \" beast\"#; let b = br\"beast\";\n",
            "let c = '\"'; let d = '\\''; let l: &'static str = \"x\"; beastly();\n",
            "beast { }\n"
        );
        assert_eq!(lines_with_word(source, "beast"), [5]);
    }

    #[test]
    fn raw_identifiers_and_lifetimes_are_code() {
        assert_eq!(lines_with_word("fn r#beast<'beast>() {}", "beast"), [1]);
        assert_eq!(code_only("r\"a\""), "    ");
    }
}
