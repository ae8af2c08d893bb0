//! `link sim`: what the learned routing is worth in made-up workspaces whose truth is known. Needs no node.

use std::fmt::Write as _;

use clap::ArgMatches;

use crate::domain::routing::sim::{self, Interval, Report, Setting};

use super::{
    Ending,
    error::Error,
    output::{self, Format},
};

pub(super) fn run(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let number = |name: &str| given.get_one::<u32>(name).copied().unwrap_or(1);
    let seed = given.get_one::<u64>("seed").copied().unwrap_or(1);
    let report = sim::run(Setting { seeds: number("seeds"), days: number("days"), seed });
    match format {
        Format::Json => output::answer(&serde_json::json!(report), format)?,
        Format::Table => output::write(&tables(&report))?,
    }
    Ok(Ending::Done)
}

fn tables(report: &Report) -> String {
    let Setting { seeds, days, seed } = report.setting;
    let mut text = format!("{seeds} worlds of {days} days, seeds from {seed}; mean and 95 % bootstrap interval\n\n");
    let interval = |of: Interval| format!("{:7.1} [{:.1}, {:.1}]", of.mean, of.low, of.high);
    let _ = writeln!(text, "{:<14} {:<28} {:<28}", "POLICY", "REGRET", "ABOVE LEARNED");
    for outcome in &report.policies {
        let name = serde_json::json!(outcome.policy).as_str().unwrap_or_default().replace('_', " ");
        let _ = writeln!(text, "{name:<14} {:<28} {}", interval(outcome.regret), interval(outcome.above_learned));
    }
    let _ = writeln!(
        text,
        "\n{:<10} {:<20} {:>20} {:>9} {:>13} {:>10}",
        "DETECTOR", "CHANGE", "FALSE PER 1000", "NOTICED", "DELAY MEDIAN", "DELAY 95 %"
    );
    for row in &report.detector {
        let _ = writeln!(
            text,
            "{:<10} {:<20} {:>20.2} {:>8.1}% {:>13} {:>10}",
            row.signal,
            row.change,
            row.false_alarms_per_1000,
            row.noticed * 100.0,
            row.delay_median,
            row.delay_p95
        );
    }
    text
}
