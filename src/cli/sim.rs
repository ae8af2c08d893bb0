//! `link sim`: what the learned routing is worth in made-up workspaces whose truth is known; and whether Link's promises
//! hold in workspaces in which everything goes wrong. Needs no node.

use std::fmt::Write as _;

use clap::ArgMatches;

use crate::domain::{
    routing::sim::{self, Interval, Report, Setting},
    sim::{self as lives, Mistake},
};

use super::{
    Ending,
    error::Error,
    output::{self, Format},
};

pub(super) fn run(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    if let Some(("invariants", given)) = given.subcommand() {
        return invariants(given, format);
    }
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

/// Fails when a promise is broken; the same seed breaks it again.
fn invariants(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let mistake = given.get_one::<String>("mistake");
    let report = lives::run(lives::Setting {
        seed: given.get_one::<u64>("seed").copied().unwrap_or(1),
        delegations: given.get_one::<u32>("delegations").copied().unwrap_or(1),
        mistake: Mistake::ALL.into_iter().find(|known| mistake.is_some_and(|name| name == known.name())),
    });
    match format {
        Format::Json => output::answer(&serde_json::json!(report), format)?,
        Format::Table => output::write(&promises(&report))?,
    }
    Ok(if report.found.is_empty() { Ending::Done } else { Ending::Failed })
}

fn promises(report: &lives::Report) -> String {
    let lives::Report { setting, ends, recovery, .. } = report;
    let mut text = format!(
        "{} delegations, and {} of parts of them, with {} attempts in {} worlds, seeds from {};\n{} events, {} simulated hours\n\
         {} completed, {} cancelled, {} rejected\n\n",
        report.delegations,
        report.parts,
        report.attempts,
        report.worlds,
        setting.seed,
        report.events,
        report.hours,
        ends.completed,
        ends.cancelled,
        ends.failed
    );
    let _ = writeln!(text, "{:<50} {:>7}", "FAULT", "TIMES");
    for (name, times) in &report.faults {
        let _ = writeln!(text, "{name:<50} {times:>7}");
    }
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let _ = writeln!(
        text,
        "\nfrom one fault until something moved a stopped delegation on, {} times: mean {:.1} s, 95 % {:.1} s, longest \
         {:.1} s\n",
        recovery.count,
        seconds(recovery.mean_ms),
        seconds(recovery.p95_ms),
        seconds(recovery.max_ms)
    );
    let _ = writeln!(text, "{:<5} {:>9} {:>6}  PROMISE", "", "CHECKS", "BROKEN");
    for checked in &report.invariants {
        let lives::Checked { invariant, promise, checks, violations, elsewhere } = checked;
        let _ = match elsewhere {
            Some(elsewhere) => writeln!(text, "{invariant:<5} {:>16}  {promise}; see {elsewhere}", "not here"),
            None => writeln!(text, "{invariant:<5} {checks:>9} {violations:>6}  {promise}"),
        };
    }
    for found in &report.found {
        let lives::Found { invariant, detail, seed, delegations } = found;
        let mistake = setting.mistake.map_or(String::new(), |mistake| format!(" --mistake {}", mistake.name()));
        let again = format!("link sim invariants --seed {seed} --delegations {delegations}{mistake}");
        let _ = writeln!(text, "\n{invariant} is broken: {detail}\n    {again}");
    }
    text
}
