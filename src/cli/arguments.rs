//! What can be said on the command line. The commands of the operations are generated from their table.

use clap::{Arg, ArgAction, Command, builder::PossibleValuesParser};

use crate::api::{Kind, Operation, Table};

use super::fields::{self, Field, Shape};

/// The name of the positional argument that stands for the last id of an operation's path.
pub(super) const ID: &str = "ID";
/// The flag for an idempotency key.
pub(super) const KEY: &str = "idempotency-key";

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 needs a human.
Environment: LINK_SERVER and LINK_TOKEN instead of a login; LINK_CONTEXT_DIR for the file that keeps logins;
the settings of a node are listed by `link config`.";

/// Returns the whole command line.
pub(super) fn command(table: &Table) -> Command {
    let server = Arg::new("server").long("server").value_name("URL").global(true);
    let output = Arg::new("output").long("output").short('o').global(true).default_value("table");
    Command::new("link")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The backend where people and AI agents work together as equals. Without a command it starts a node.")
        .after_help(AFTER_HELP)
        .arg(server.help("The server; by default the one of the last login, or http://127.0.0.1:7070"))
        .arg(output.value_parser(["table", "json"]).help("How answers are printed"))
        .subcommands([
            node(Command::new("serve").about("Starts a node")),
            demo(),
            node(Command::new("config").about("Prints the settings, secrets masked")),
            node(Command::new("migrate").about("Brings the database up to date")),
            node(Command::new("rebuild-projections").about("Makes the read models again from the log"))
                .arg(text("workspace").help("Only this workspace")),
            node(Command::new("verify").about("Checks the hash chain of every workspace's log")),
        ])
        .subcommands([
            password(Command::new("login").about("Logs in and remembers the login")).arg(text("email").required(true)),
            password(Command::new("register").about("Makes an account and remembers the login"))
                .arg(text("email").required(true))
                .arg(text("name").required(true)),
            Command::new("logout").about("Ends the login and forgets it"),
            events(),
            raw(),
        ])
        .subcommands(routers(table))
}

fn text(name: &'static str) -> Arg {
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

fn password(command: Command) -> Command {
    command
        .arg(text("password").required_unless_present("password-stdin"))
        .arg(switch("password-stdin").conflicts_with("password").help("Reads the password from standard input"))
}

fn events() -> Command {
    Command::new("events")
        .about("Prints a workspace's events, one per line")
        .arg(text("workspace").visible_alias("workspace-id").help("Not needed by members of only one"))
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

/// Returns the name of an operation's router in the singular, as in `link task`.
pub(super) fn router(operation: &Operation) -> &'static str {
    let router = plural(operation);
    router.strip_suffix('s').unwrap_or(router)
}

fn plural(operation: &Operation) -> &'static str {
    operation.name.split_once('.').map_or(operation.name, |(router, _)| router)
}

/// Returns the name of an operation's verb, as in `link task add-dependency`.
pub(super) fn verb(operation: &Operation) -> String {
    operation.name.split_once('.').map_or(operation.name, |(_, verb)| verb).replace('_', "-")
}

fn routers(table: &Table) -> Vec<Command> {
    let mut commands: Vec<Command> = vec![];
    for operation in table.operations() {
        let name = router(operation);
        let position = commands.iter().position(|command| command.get_name() == name).unwrap_or_else(|| {
            let both = if name == plural(operation) { format!("{name}s") } else { plural(operation).to_owned() };
            let about = format!("Operations of the router `{}`", plural(operation));
            commands.push(Command::new(name).alias(both).about(about).subcommand_required(true));
            commands.len() - 1
        });
        let command = commands.remove(position).subcommand(generated(operation));
        commands.insert(position, command);
    }
    let delegate = |command: Command| match command.get_name() {
        "agent" => command.subcommand(delegate()),
        _ => command,
    };
    commands.into_iter().map(delegate).collect()
}

fn generated(operation: &Operation) -> Command {
    let mut command = Command::new(verb(operation)).about(operation.doc);
    if let Some(last) = operation.path_fields().last() {
        let help = format!("The same as --{}", last.replace('_', "-"));
        command = command.arg(Arg::new(ID).value_name(last.to_uppercase()).help(help));
    }
    if operation.kind == Kind::Mutation {
        command = command.arg(text(KEY).value_name("KEY").help("The same key never does the same thing twice"));
    }
    command.args(fields::of(operation).into_iter().map(flag))
}

fn flag(field: Field) -> Arg {
    let long = field.name.replace('_', "-");
    let mut arg = Arg::new(field.name.clone()).long(long.clone());
    if long != field.name {
        arg = arg.alias(field.name.clone());
    }
    if let Some(short) = field.name.strip_suffix("_id") {
        arg = arg.visible_alias(short.to_owned());
    }
    let items = match &field.shape {
        Shape::List(items) => {
            arg = arg.action(ArgAction::Append);
            &**items
        }
        plain => plain,
    };
    arg = match items {
        Shape::Choice(choices) => arg.value_parser(PossibleValuesParser::new(choices.clone())),
        Shape::Text => arg.value_name("TEXT"),
        Shape::Any | Shape::Json | Shape::List(_) => arg.value_name("JSON"),
    };
    let needed = if field.required && field.name != "workspace_id" { "(needed) " } else { "" };
    arg.help(format!("{needed}{}", field.doc))
}

fn delegate() -> Command {
    Command::new("delegate")
        .about("Hands a task to an agent and shows the work until it ends or needs a human")
        .arg(text("task").alias("task-id").required(true).help("The task's id"))
        .arg(text("agent").alias("agent-id").help("The agent's id or name; without it Link chooses"))
        .arg(text("instructions").help("What to do beyond the task's own words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_says_every_operation() {
        let table = crate::api::table();
        let command = command(&table);
        command.clone().debug_assert();
        for operation in table.operations() {
            let router = command.find_subcommand(router(operation)).unwrap();
            assert!(router.find_subcommand(verb(operation)).is_some(), "{} cannot be said", operation.name);
            assert_eq!(command.find_subcommand(plural(operation)).unwrap().get_name(), router.get_name());
        }
    }

    #[test]
    fn a_flag_has_its_short_forms() {
        let command = command(&crate::api::table());
        for flag in ["--task-id", "--task_id", "--task"] {
            let matches = command.clone().try_get_matches_from(["link", "tasks", "get", flag, "x"]).unwrap();
            let (router, matches) = matches.subcommand().unwrap();
            let (verb, matches) = matches.subcommand().unwrap();
            assert_eq!((router, verb), ("task", "get"));
            assert_eq!(matches.get_one::<String>("task_id").unwrap(), "x");
        }
    }
}
