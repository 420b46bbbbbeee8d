//! `list`: all containers under this root.

use anyhow::{Result, bail};
use clap::Args;

use crate::cli::Global;
use crate::state::Root;
use crate::state::record::PublicState;

/// How to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// table or json
    #[arg(short, long, default_value = "table")]
    format: String,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn main(global: &Global, args: &ListArgs) -> Result<u8> {
    let records = Root::new(global.root.as_deref())?.list()?;
    if args.quiet {
        return super::print(&records.iter().map(|record| format!("{}\n", record.id)).collect::<String>());
    }
    let states: Vec<_> = records
        .iter()
        .map(|record| PublicState { owner: record.owner_name(), ..record.public(record.status()) })
        .collect();
    match args.format.as_str() {
        "table" => {
            let rows: Vec<_> = states.iter().map(row).collect();
            super::print(&super::table(&["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], &rows))
        }
        // As runc: an empty list is null.
        "json" if states.is_empty() => super::print("null\n"),
        "json" => super::print(&format!("{}\n", serde_json::to_string(&states)?)),
        _ => bail!("invalid format option"),
    }
}

fn row(state: &PublicState) -> Vec<String> {
    vec![
        state.id.clone(),
        state.pid.to_string(),
        state.status.to_owned(),
        state.bundle.display().to_string(),
        state.created.clone(),
        state.owner.clone(),
    ]
}
