//! What can be said on the command line. The commands of the operations are generated from their table.

use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;

use crate::{api::Table, domain::sim::Mistake};

use super::generated::{self, KEY};

const AFTER_HELP: &str = "\
Examples:
  link register --email ada@example.org --name Ada --password-stdin
  link workspace create --name Lab
  link task list PROJECT_ID --output json
  link api tasks.get --input '{\"task_id\":\"…\"}'

Exit codes:
  0  done
  1  failed: the server said no, or no server answered
  2  wrong usage: nothing was sent
  3  needs a human, to answer or to review

Output: with --output json, standard output holds one JSON document, and standard error the problem as JSON when
there is one. `link events` prints one document per event.

Environment:
  LINK_CONTEXT      the context to use, as --context does
  LINK_SERVER       the server to use, as --server does
  LINK_TOKEN        an API key or access token that speaks instead of the login
  LINK_CONTEXT_DIR  where contexts are kept [default: ~/.config/link]
  NO_COLOR          no colours
The settings of a node are listed by `link config`.";

/// Returns the whole command line.
pub(super) fn command(table: &Table) -> Command {
    let everywhere = |name| text(name).global(true).help_heading("Options of every command");
    let server = everywhere("server").value_name("URL");
    let context = everywhere("context").value_name("NAME");
    let output = everywhere("output").short('o').value_name("FORMAT").default_value("table");
    Command::new("link")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The backend where people and AI agents work together as equals. Without a command it starts a node.")
        .after_help("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 needs a human. More with --help.")
        .after_long_help(AFTER_HELP)
        .arg(server.help("The server; by default that of the context, or http://127.0.0.1:7070"))
        .arg(context.help("The context to use instead of the current one: see `link context --help`"))
        .arg(output.value_parser(["table", "json"]).help("How answers are printed"))
        .subcommands([
            node(Command::new("serve").about("Starts a node")),
            demo(),
            node(Command::new("config").about("Prints the settings, secrets masked")),
            node(Command::new("migrate").about("Brings the database up to date")),
            node(Command::new("rebuild-projections").about("Makes the read models again from the log"))
                .arg(text("workspace").help("Only this workspace")),
            Command::new("openapi")
                .about("Prints the OpenAPI description of all operations")
                .arg(switch("errors").help("Prints the page of all error codes instead, as in docs/errors.md"))
                .arg(
                    text("changes-since")
                        .value_name("FILE")
                        .help("Prints what changed since an older description; fails when it breaks clients"),
                ),
            node(Command::new("doctor").about("Says of every promise that the database shows whether it is kept"))
                .arg(text("workspace").value_name("ID").help("Only this one")),
            node(Command::new("verify").about("Checks the hash chain of every workspace's log")),
            keys(),
            Command::new("typescript")
                .about("Prints the types of the TypeScript client, made from the operation table")
                .arg(text("write").value_name("FILE").help("Writes them to this file instead")),
            sim(),
        ])
        .subcommands([
            login(),
            password(Command::new("register").about("Makes an account and remembers the login"))
                .arg(text("email").required(true))
                .arg(text("name").required(true)),
            Command::new("logout").about("Ends the login and forgets it"),
            context_command(),
            completions(),
            events(),
            raw(),
        ])
        .subcommands(generated::routers(table))
}

/// Returns a flag with a value.
pub(super) fn text(name: &'static str) -> Arg {
    Arg::new(name).long(name)
}

fn switch(name: &'static str) -> Arg {
    text(name).action(ArgAction::SetTrue)
}

/// Flags that win over the environment and `cluster.toml`.
fn node(command: Command) -> Command {
    command.args([
        text("http-addr").value_name("ADDR").help("Where HTTP and WebSocket listen [env: LINK_HTTP_ADDR]"),
        text("data-dir").value_name("DIR").help("Where the own database and keys are [env: LINK_DATA_DIR]"),
        text("database-url").value_name("URL").help("Another database than the own one [env: DATABASE_URL]"),
        text("node").value_name("NAME").help("This node's name [env: LINK_NODE]"),
    ])
}

fn demo() -> Command {
    Command::new("demo")
        .about("Starts a node with people, a project and scripted agents, and shows a delegation live")
        .arg(switch("exit").help("Ends when the work is done; exit code 0 only if it is"))
}

/// The signing keys in the data directory; a node that runs on it notices.
fn keys() -> Command {
    let list = Command::new("list").about("Lists the signing keys by their `kid`; the first one signs");
    let rotate = Command::new("rotate").about("Makes a new key that signs from now on; the others still verify");
    let retire = Command::new("retire")
        .about("Takes a key out; what it signed or sealed is worthless then")
        // One name in 64 begins with a hyphen: it is base64url (RFC 7638).
        .arg(Arg::new("kid").required(true).value_name("KID").allow_hyphen_values(true));
    Command::new("keys").about("The keys that sign tokens").subcommand_required(true).subcommands([
        node(list),
        node(rotate),
        node(retire),
    ])
}

fn sim() -> Command {
    let number = |name, default, most| {
        text(name).value_name("N").default_value(default).value_parser(clap::value_parser!(u32).range(1..=most))
    };
    Command::new("sim")
        .about("Simulates agents of known skill, and says how much the learned routing misses beside other policies")
        .arg(number("seeds", "200", 10_000).help("How many worlds"))
        .arg(number("days", "21", 365).help("How long each lasts"))
        .arg(
            text("seed")
                .value_name("N")
                .default_value("1")
                .value_parser(clap::value_parser!(u64))
                .help("The first world's seed; the same seed always says the same"),
        )
        .subcommand(invariants())
}

fn invariants() -> Command {
    Command::new("invariants")
        .about("Simulates workspaces in which everything goes wrong, and looks at Link's promises after each step")
        .arg(
            text("seed")
                .value_name("N")
                .default_value("1")
                .value_parser(clap::value_parser!(u64))
                .help("The first world's seed; a world of 100 delegations has one of its own"),
        )
        .arg(
            text("delegations")
                .value_name("N")
                .default_value("10000")
                .value_parser(clap::value_parser!(u32).range(1..=1_000_000))
                .help("How many delegations, over all worlds"),
        )
        .arg(
            text("mistake")
                .value_name("NAME")
                .value_parser(Mistake::ALL.map(Mistake::name))
                .help("Lets Link make a mistake, to see that it is found"),
        )
}

fn password(command: Command) -> Command {
    command
        .arg(text("password").required_unless_present("password-stdin"))
        .arg(switch("password-stdin").conflicts_with("password").help("Reads the password from standard input"))
}

fn login() -> Command {
    let command = Command::new("login")
        .about("Logs in and remembers the login")
        .long_about(
            "Logs in and remembers the login in a context, which becomes the current one. Without --context it is \
             named after its server.",
        )
        .arg(text("email").required_unless_present("token-stdin"))
        .arg(
            switch("token-stdin")
                .conflicts_with_all(["email", "password", "password-stdin"])
                .help("Remembers a token, such as an API key, that is read from standard input"),
        );
    password(command)
        .mut_arg("password", |password| password.required_unless_present_any(["password-stdin", "token-stdin"]))
}

fn context_command() -> Command {
    let name = || Arg::new("name").value_name("NAME").value_parser(context_name);
    Command::new("context")
        .alias("contexts")
        .about("Shows and changes contexts: a server, a login and a default workspace under one name")
        .subcommand_required(true)
        .subcommands([
            Command::new("list").about("Lists the contexts"),
            Command::new("show").about("Shows a context, by default the one in use").arg(name()),
            Command::new("use").about("Makes a context the current one").arg(name().required(true)),
            Command::new("set")
                .about("Changes a context, or makes one for --server URL")
                .arg(name().help("By default the one in use"))
                .arg(text("workspace").value_name("ID|NAME").help("Used where a command names no workspace"))
                .arg(switch("no-workspace").conflicts_with("workspace").help("Forgets the default workspace")),
            Command::new("remove")
                .about("Forgets a context with its login; `link logout` ends the login at the server too")
                .arg(name().required(true)),
        ])
}

fn context_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    let fits = (1..=100).contains(&text.len()) && text.chars().all(is_plain);
    if fits { Ok(text.to_owned()) } else { Err("a name is 1 to 100 characters without spaces") }
}

fn completions() -> Command {
    Command::new("completions")
        .about("Prints a shell's completions for `link`")
        .after_help(
            "To use them:\n  bash        source <(link completions bash)\n  zsh         source <(link completions zsh)\n  \
             fish        link completions fish | source\n  elvish      eval (link completions elvish | slurp)\n  \
             powershell  link completions powershell | Out-String | Invoke-Expression",
        )
        .arg(Arg::new("shell").required(true).value_parser(clap::value_parser!(Shell)))
}

fn events() -> Command {
    Command::new("events")
        .about("Prints a workspace's events, one per line")
        .arg(text("workspace").visible_alias("workspace-id").help("By default that of the context, or the only one"))
        .arg(
            text("after")
                .value_name("OFFSET")
                .value_parser(clap::value_parser!(u64))
                .help("Only later ones; default: all, or with --follow those from now on"),
        )
        .arg(switch("follow").short('f').help("Goes on with what happens, across restarts of the server"))
        .arg(
            text("topic")
                .value_name("KIND:ID")
                .action(ArgAction::Append)
                .help("Only events about this, as in task:ID; can be repeated"),
        )
}

fn raw() -> Command {
    Command::new("api")
        .about("Calls an operation by its name and prints the answer as JSON")
        .arg(Arg::new("operation").required(true).value_name("ROUTER.VERB"))
        .arg(text("input").value_name("JSON|@FILE|-").default_value("{}").help("The input; - reads standard input"))
        .arg(text(KEY).value_name("KEY").help("The same key never does the same thing twice"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_whose_name_begins_with_a_hyphen_can_be_retired() {
        let command = super::command(&crate::api::table());
        let said = command.get_matches_from(["link", "keys", "retire", "-hK3_x", "--output=json"]);
        let retire = said.subcommand_matches("keys").and_then(|keys| keys.subcommand_matches("retire"));
        let kid = retire.and_then(|retire| retire.get_one::<String>("kid")).map(String::as_str);
        assert_eq!(kid, Some("-hK3_x"));
        assert_eq!(retire.and_then(|retire| retire.get_one::<String>("output")).map(String::as_str), Some("json"));
    }
}
