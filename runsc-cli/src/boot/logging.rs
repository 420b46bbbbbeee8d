//! The debug log of our long-lived processes: standard error, if the command line has opened one.

use tracing::Level;

/// Starts to log. `None`: there is no log. `Some(true)`: at debug level.
pub(crate) fn start(log: Option<bool>) {
    let Some(debug) = log else { return };
    let level = if debug { Level::DEBUG } else { Level::INFO };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).finish();
    // Fails only if there is one already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
