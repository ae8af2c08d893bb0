//! `documents`: texts that people and agents write together. Whoever writes live does so by the socket of the document
//! (docs/documents.md); these operations are for everybody else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    actors::{
        documents::{Gone, Splice, TextError, Work, WorkError},
        request::Receipt,
    },
    domain::{
        access::Verdict,
        document::{CHANGES_MAX, DocumentCommand},
        ids::{DocumentId, ProjectId, Subject, SuggestionId, WorkspaceId},
        model::Command,
        permission::Permission as P,
        text::{Prose, Text, Title},
    },
    persistence::{
        documents::{self, DocumentView, SuggestionView},
        queries::{self, Scope},
    },
};

use super::{
    Api, Identity,
    call::Call,
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{Limit, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Document, "document_id");
const IN_PROJECT: (Scope, &str) = (Scope::Project, "project_id");
/// How often another host is asked for when one has just gone.
const TRIES: usize = 3;

pub(super) fn operations() -> Vec<Operation> {
    let suggestions = "/documents/{document_id}/suggestions";
    let resolve = "/documents/{document_id}/suggestions/{suggestion_id}/resolve";
    vec![
        Operation::mutation("documents.create", Method::Post, "/projects/{project_id}/documents", create)
            .needs(P::Work, IN_PROJECT)
            .creates()
            .doc("Makes a shared document, empty."),
        Operation::query("documents.list", "/projects/{project_id}/documents", list)
            .needs(P::Read, IN_PROJECT)
            .doc("Lists a project's documents, archived ones too."),
        Operation::query("documents.get", "/documents/{document_id}", get)
            .needs(P::Read, SCOPE)
            .doc("Shows a document with its text."),
        Operation::mutation("documents.update", Method::Patch, "/documents/{document_id}", update)
            .needs(P::Work, SCOPE)
            .doc("Gives a document another title."),
        Operation::mutation("documents.archive", Method::Post, "/documents/{document_id}/archive", archive)
            .needs(P::Work, SCOPE)
            .doc("Lets nobody change a document any more; nothing is lost."),
        Operation::mutation("documents.edit", Method::Post, "/documents/{document_id}/edit", edit)
            .needs(P::Work, SCOPE)
            .refuses(&[problem::VERSION_CONFLICT])
            .doc("Changes the text, all changes or none; whoever is connected sees it at once."),
        Operation::mutation("documents.suggest", Method::Post, suggestions, suggest)
            .needs(P::Converse, SCOPE)
            .creates()
            .refuses(&[problem::VERSION_CONFLICT])
            .doc("Proposes changes of the text that a person accepts or declines one by one."),
        Operation::query("documents.list_suggestions", suggestions, list_suggestions)
            .needs(P::Read, SCOPE)
            .doc("Lists suggestions of which something waits for a person, or all."),
        Operation::mutation("documents.resolve_suggestion", Method::Post, resolve, resolve_suggestion)
            .needs(P::Work, SCOPE)
            .refuses(&[problem::VERSION_CONFLICT])
            .doc("Accepts a proposed change, which is then in the text, or declines it; only people can."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    project_id: ProjectId,
    title: Title,
}

async fn create(call: Call, input: Create) -> Result<DocumentView, Problem> {
    let id: DocumentId = call.clock().id();
    let command = DocumentCommand::Create { project: input.project_id, title: input.title };
    let receipt = call.execute(Subject::Document(id), Command::Document(command)).await?;
    view(&call, DocumentId(receipt.subject.id())).await
}

async fn view(call: &Call, id: DocumentId) -> Result<DocumentView, Problem> {
    documents::get(&call.tenant()?, id).await?.ok_or_else(|| Problem::not_found("document"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    project_id: ProjectId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: List) -> Result<Page<DocumentView>, Problem> {
    let rows = input.limit.rows()?;
    let items = documents::list(&call.tenant()?, input.project_id, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    document_id: DocumentId,
}

/// A document with its text.
#[derive(Serialize, JsonSchema)]
struct Written {
    #[serde(flatten)]
    document: DocumentView,
    /// What it says: the Yjs text `content`.
    text: String,
}

async fn get(call: Call, input: Named) -> Result<Written, Problem> {
    written(&call, input.document_id).await
}

async fn written(call: &Call, id: DocumentId) -> Result<Written, Problem> {
    let handle = call.services.directory.workspace(call.workspace()?).await?;
    for _ in 0..TRIES {
        if let Ok((text, seq)) = handle.document(id).await?.read().await {
            let document = DocumentView { seq, ..view(call, id).await? };
            return Ok(Written { document, text });
        }
    }
    Err(gone())
}

fn gone() -> Problem {
    Problem::new(problem::UNAVAILABLE, "the document cannot be reached right now")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    document_id: DocumentId,
    title: Title,
}

async fn update(call: Call, input: Update) -> Result<DocumentView, Problem> {
    change(&call, input.document_id, DocumentCommand::Rename(input.title)).await
}

async fn archive(call: Call, input: Named) -> Result<DocumentView, Problem> {
    change(&call, input.document_id, DocumentCommand::Archive).await
}

async fn change(call: &Call, id: DocumentId, command: DocumentCommand) -> Result<DocumentView, Problem> {
    call.execute(Subject::Document(id), Command::Document(command)).await?;
    view(call, id).await
}

/// One change of the text. Several are made one after another: places are those that the ones before left.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum TextChange {
    /// Adds words at the end.
    Append {
        /// The words.
        text: Text<1, 65_536>,
    },
    /// Puts words in the place of others, which must be there once.
    Replace {
        /// The words to replace.
        find: Text<1, 65_536>,
        /// What comes instead; nothing takes them out.
        with: Prose,
    },
    /// Takes out what is at a place, and puts words there.
    Splice {
        /// Where, in UTF-16 code units as Yjs counts.
        at: u32,
        /// How many code units go.
        #[serde(default)]
        delete: u32,
        /// What comes.
        #[serde(default)]
        insert: Prose,
    },
}

impl From<TextChange> for Splice {
    fn from(change: TextChange) -> Self {
        match change {
            TextChange::Append { text } => Self::Append(text.into()),
            TextChange::Replace { find, with } => Self::Replace { find: find.into(), with: with.into() },
            TextChange::Splice { at, delete, insert } => Self::At { at, delete, insert: insert.into() },
        }
    }
}

fn splices(changes: Vec<TextChange>) -> Result<Vec<Splice>, Problem> {
    if changes.is_empty() || changes.len() > CHANGES_MAX {
        return Err(Problem::field("changes", format!("must be 1 to {CHANGES_MAX} changes")));
    }
    Ok(changes.into_iter().map(Splice::from).collect())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    document_id: DocumentId,
    #[schemars(length(min = 1, max = 50))]
    changes: Vec<TextChange>,
}

async fn edit(call: Call, input: Edit) -> Result<Written, Problem> {
    work(&call, input.document_id, Work::Edit(splices(input.changes)?), None).await?;
    written(&call, input.document_id).await
}

/// Has the document's host do something.
async fn work(call: &Call, id: DocumentId, work: Work, made: Option<Uuid>) -> Result<Receipt, Problem> {
    let workspace = call.workspace()?;
    let handle = call.services.directory.workspace(workspace).await?;
    for _ in 0..TRIES {
        let meta = call.meta(made)?;
        let keyed = meta.key.is_some();
        match handle.document(id).await?.work(meta, work.clone()).await {
            Ok(Ok(receipt)) => {
                call.note(workspace, &receipt);
                return Ok(receipt);
            }
            Ok(Err(WorkError::Command(error))) => return Err(error.into()),
            Ok(Err(WorkError::Text(error))) => return Err(unfit(&error)),
            // It may or may not have been done: only a key makes a second try safe.
            Err(Gone) if keyed => {}
            Err(Gone) => break,
        }
    }
    Err(gone())
}

fn unfit(error: &TextError) -> Problem {
    Problem::new(problem::VERSION_CONFLICT, error.to_string())
        .then(&["Read the document again and send changes that fit it"])
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Suggest {
    document_id: DocumentId,
    /// Why.
    #[serde(default)]
    note: Prose,
    /// Each on the text as it is now; a person decides about each by itself.
    #[schemars(length(min = 1, max = 50))]
    changes: Vec<TextChange>,
}

async fn suggest(call: Call, input: Suggest) -> Result<SuggestionView, Problem> {
    let Suggest { document_id: id, note, changes } = input;
    let suggestion: SuggestionId = call.clock().id();
    let suggest = Work::Suggest { suggestion, note, splices: splices(changes)? };
    let receipt = work(&call, id, suggest, Some(suggestion.0)).await?;
    suggested(&call, id, receipt.made.map_or(suggestion, SuggestionId)).await
}

async fn suggested(call: &Call, id: DocumentId, suggestion: SuggestionId) -> Result<SuggestionView, Problem> {
    let known = documents::suggestion(&call.tenant()?, id, suggestion).await?;
    known.ok_or_else(|| Problem::not_found("suggestion"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Suggestions {
    document_id: DocumentId,
    /// Whether to list those too of which nothing waits any more.
    #[serde(default)]
    all: bool,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list_suggestions(call: Call, input: Suggestions) -> Result<Page<SuggestionView>, Problem> {
    let rows = input.limit.rows()?;
    let items = documents::suggestions(&call.tenant()?, input.document_id, input.all, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resolve {
    document_id: DocumentId,
    suggestion_id: SuggestionId,
    /// Which of its changes, counted from 0.
    #[serde(default)]
    #[schemars(range(max = 49))]
    change: u32,
    /// Whether the text shall have it.
    accept: bool,
}

async fn resolve_suggestion(call: Call, input: Resolve) -> Result<SuggestionView, Problem> {
    let Resolve { document_id: id, suggestion_id: suggestion, change: number, accept } = input;
    let known = documents::change(&call.tenant()?, id, suggestion, number).await?;
    let known = known.ok_or_else(|| Problem::not_found("change of a suggestion"))?;
    if accept {
        work(&call, id, Work::Accept { suggestion, number, change: known }, None).await?;
    } else {
        let decline = DocumentCommand::Resolve { suggestion, change: number, accepted: None };
        call.execute(Subject::Document(id), Command::Document(decline)).await?;
    }
    suggested(&call, id, suggestion).await
}

impl Api {
    /// Tells in which workspace a document is, to those who may read it.
    pub async fn document_home(&self, who: &Identity, id: DocumentId) -> Result<Option<WorkspaceId>, Problem> {
        let context = self.services().context();
        let found = queries::access(&context.pool, Scope::Document, id.0, who.viewer()).await?;
        let found = found.filter(|found| found.decision().verdict(P::Read) == Verdict::Granted);
        Ok(found.map(|found| found.workspace))
    }
}
