//! Postures side by side.

use caps::Capability;

use super::filter::Calls;
use super::{Named, Posture};

/// One column for each process, one row for each property.
pub(crate) fn table(processes: &[Named]) -> String {
    let mut rows: Vec<Vec<String>> = vec![vec!["".to_owned()]];
    rows[0].extend(processes.iter().map(|named| match named.posture.pids.len() {
        1 => named.role.clone(),
        n => format!("{n} × {}", named.role),
    }));
    for (name, value) in ROWS {
        let mut row = vec![(*name).to_owned()];
        row.extend(processes.iter().map(|named| value(&named.posture)));
        rows.push(row);
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..=processes.len()).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join(" | ").trim_end())
    };
    rows.iter().map(line).collect()
}

type Row = (&'static str, fn(&Posture) -> String);

const ROWS: &[Row] = &[
    ("pid", |p| p.pids.first().map(ToString::to_string).unwrap_or_default()),
    ("host user", |p| p.user.clone()),
    ("own namespaces", |p| if p.own_namespaces.is_empty() { "none".to_owned() } else { p.own_namespaces.join(" ") }),
    ("root", |p| p.root.clone()),
    ("effective", |p| capabilities(p, "CapEff")),
    ("permitted", |p| capabilities(p, "CapPrm")),
    ("inheritable", |p| capabilities(p, "CapInh")),
    ("bounding", |p| capabilities(p, "CapBnd")),
    ("ambient", |p| capabilities(p, "CapAmb")),
    ("no_new_privs", |p| yes(p.no_new_privs)),
    ("core limit", |p| p.core_limit.clone()),
    ("threads", |p| p.threads.to_string()),
    ("descriptors", |p| p.descriptors.values().sum::<usize>().to_string()),
    ("  of which", |p| {
        let kinds: Vec<String> = p.descriptors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if kinds.len() > KINDS { format!("{} kinds", kinds.len()) } else { kinds.join(", ") }
    }),
    ("filters", |p| match &p.calls {
        Calls::All => "none".to_owned(),
        Calls::Unknown(_) => "yes".to_owned(),
        Calls::Counted { filters, .. } => filters.to_string(),
    }),
    ("host calls", |p| match &p.calls {
        Calls::All => "all".to_owned(),
        Calls::Unknown(why) => format!("not told: {why}"),
        Calls::Counted { allowed, .. } => allowed.len().to_string(),
    }),
    ("  by argument", |p| match &p.calls {
        Calls::Counted { by_argument, .. } => by_argument.to_string(),
        _ => String::new(),
    }),
    ("  others", |p| match &p.calls {
        Calls::Counted { otherwise, .. } => otherwise.clone(),
        _ => String::new(),
    }),
];

/// More kinds of descriptors are not listed.
const KINDS: usize = 12;

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn capabilities(posture: &Posture, set: &str) -> String {
    let bits = posture.capabilities.get(set).copied().unwrap_or(u64::MAX);
    let names: Vec<String> = caps::all()
        .into_iter()
        .filter(|capability: &Capability| bits & capability.bitmask() != 0)
        .map(|capability| capability.to_string().trim_start_matches("CAP_").to_ascii_lowercase())
        .collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n > 30 => format!("{n}, all but {}", caps::all().len() - n),
        n if n > 7 => n.to_string(),
        _ => {
            let mut names = names;
            names.sort_unstable();
            names.join(" ")
        }
    }
}
