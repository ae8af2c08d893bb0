//! The commands of the operations, one per operation of the table, with a flag for each field of its input.

use clap::{Arg, ArgAction, Command, builder::PossibleValuesParser};

use crate::api::{Kind, Operation, Table};

use super::{
    arguments::text,
    fields::{self, Field, Shape},
};

/// The name of the positional argument that stands for the last id of an operation's path.
pub(super) const ID: &str = "ID";
/// The flag for an idempotency key.
pub(super) const KEY: &str = "idempotency-key";
/// Flags that mean the same at every command; a field of such a name is said as `--field-NAME`.
pub(super) const RESERVED: &[&str] = &["server", "context", "output", "help", "version", KEY];
/// The place of what is listed after the fields.
const LAST: usize = 1_000;

/// Returns the name of an operation's router in the singular, as in `link task`.
pub(super) fn router(operation: &Operation) -> &'static str {
    let router = plural(operation);
    router.strip_suffix('s').filter(|singular| !singular.ends_with('s')).unwrap_or(router)
}

fn plural(operation: &Operation) -> &'static str {
    operation.name.split_once('.').map_or(operation.name, |(router, _)| router)
}

/// Returns the name of an operation's verb, as in `link task add-dependency`.
pub(super) fn verb(operation: &Operation) -> String {
    operation.name.split_once('.').map_or(operation.name, |(_, verb)| verb).replace('_', "-")
}

/// Returns one command per router, with one subcommand per operation.
pub(super) fn routers(table: &Table) -> Vec<Command> {
    let mut commands: Vec<Command> = vec![];
    for operation in table.operations() {
        let name = router(operation);
        let position = commands.iter().position(|command| command.get_name() == name).unwrap_or_else(|| {
            let command = Command::new(name).about(about(table, name)).subcommand_required(true);
            commands.push(match plural(operation) {
                same if same == name => command.alias(format!("{name}s")),
                plural => command.visible_alias(plural),
            });
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

/// Says what a router can do, by its verbs.
fn about(table: &Table, name: &str) -> String {
    let verbs = table.operations().iter().filter(|operation| router(operation) == name).map(verb);
    verbs.collect::<Vec<_>>().join(", ")
}

fn generated(operation: &Operation) -> Command {
    let mut command = Command::new(verb(operation)).about(operation.doc);
    if let Some(last) = operation.path_fields().last() {
        let help = format!("The same as --{}", fields::flag(last));
        command = command.arg(Arg::new(ID).value_name(last.to_uppercase()).help(help));
    }
    if operation.kind == Kind::Mutation {
        let key = Arg::new(KEY).long(KEY).value_name("KEY");
        command = command.arg(key.display_order(LAST).help("The same key never does the same thing twice"));
    }
    let fields = fields::of(operation);
    command.args(fields.iter().map(|field| argument(field, &fields)))
}

fn argument(field: &Field, all: &[Field]) -> Arg {
    let long = field.flag();
    let mut arg = Arg::new(field.id()).long(long.clone());
    let free = |alias: &String| {
        *alias != long && !RESERVED.contains(&alias.as_str()) && all.iter().all(|other| other.flag() != *alias)
    };
    arg = arg.aliases(Some(field.name.clone()).filter(free));
    arg = arg.visible_aliases(field.name.strip_suffix("_id").map(fields::flag).filter(free));
    let items = match &field.shape {
        Shape::List(items) => {
            arg = arg.action(ArgAction::Append);
            &**items
        }
        plain => plain,
    };
    arg = match items {
        Shape::Choice(choices) => arg.value_name("WORD").value_parser(PossibleValuesParser::new(choices.clone())),
        Shape::Text => arg.value_name("TEXT"),
        Shape::Json("NUMBER") => arg.value_name("NUMBER").allow_negative_numbers(true),
        Shape::Json(kind) => arg.value_name(*kind),
        Shape::Any | Shape::List(_) => arg.value_name("JSON"),
    };
    let note = match (field.required, field.name.as_str()) {
        (true, "workspace_id") => "(by default that of the context, or the only one)",
        (true, _) => "(needed)",
        (false, _) => "",
    };
    arg.help([note, field.doc.as_str()].join(" ").trim().to_owned())
}

/// A command above the operations: it watches too.
fn delegate() -> Command {
    Command::new("delegate")
        .about("Hands a task to an agent and shows the work until it ends or needs a human")
        .arg(text("task").alias("task-id").required(true).help("The task's id"))
        .arg(text("agent").alias("agent-id").help("The agent's id or name; without it Link chooses"))
        .arg(text("instructions").help("What to do beyond the task's own words"))
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;
    use crate::cli::arguments::command;

    #[test]
    fn every_operation_can_be_said_with_a_flag_for_each_field() {
        let table = crate::api::table();
        let command = command(&table);
        command.clone().debug_assert();
        for operation in table.operations() {
            let (name, verb) = (operation.name, verb(operation));
            let router = command.find_subcommand(router(operation)).unwrap();
            assert_eq!(command.find_subcommand(plural(operation)).unwrap().get_name(), router.get_name());
            let said = router.find_subcommand(&verb).unwrap_or_else(|| panic!("{name} cannot be said"));
            for word in [router.get_name(), plural(operation)] {
                let help = command.clone().try_get_matches_from(["link", word, &verb, "--help"]).unwrap_err();
                assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{name}: {help}");
                assert!(help.to_string().contains(operation.doc.split('.').next().unwrap()), "{help}");
            }
            for field in fields::of(operation) {
                let long = field.flag();
                let argument = said.get_arguments().find(|argument| argument.get_long() == Some(long.as_str()));
                assert!(argument.is_some_and(|argument| argument.get_id() == field.id().as_str()), "{name} --{long}");
                assert!(field.name != "key" || long == "key", "a field of that name is no idempotency key");
            }
            let positional = said.get_positionals().count();
            assert_eq!(positional, usize::from(operation.path_fields().next().is_some()), "{name}");
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
            assert_eq!(matches.get_one::<String>("field:task_id").unwrap(), "x");
        }
    }

    #[test]
    fn a_field_may_be_called_like_a_flag_of_every_command() {
        let field = |name: &str| Field {
            name: name.into(),
            ..fields::of(crate::api::table().find("auth.login").unwrap())[0].clone()
        };
        let fields = ["output", "server_id", "task", "task_id"].map(field);
        let given = Command::new("x").args(fields.iter().map(|field| argument(field, &fields)));
        let words = ["x", "--field-output", "1", "--server-id", "2", "--task", "3", "--task-id", "4"];
        let matches = given.try_get_matches_from(words).unwrap();
        let values = fields.each_ref().map(|field| matches.get_one::<String>(&field.id()).unwrap().as_str());
        assert_eq!(values, ["1", "2", "3", "4"]);
    }
}
