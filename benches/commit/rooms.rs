//! Where the callers of a cell post their messages.

use link::{
    actors::{
        Directory,
        request::{Key, Meta},
    },
    domain::{
        conversation::{ConversationCommand, ConversationKind, Part},
        ids::{ConversationId, MessageId, Subject, UserId, WorkspaceId},
        model::Command,
        principal::Principal,
        text::{Title, Words},
        workspace::WorkspaceCommand,
    },
};

/// What is posted, about as long as a chat message.
const WORDS: &str = "The review is done: two findings, both in the retry path. I have put them into the task, with the \
                     lines they are about.";

/// How commands are spread over workspaces and entities.
#[derive(Clone, Copy)]
pub enum Layout {
    /// One workspace; each caller has a conversation of its own.
    OneWorkspace,
    /// One workspace; all callers share one conversation.
    OneEntity,
    /// A hundred workspaces with three conversations each; each caller goes from one to the next.
    ManyWorkspaces,
}

impl Layout {
    /// Returns what the table is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::OneWorkspace => "One workspace, a conversation per caller",
            Self::OneEntity => "One workspace, one conversation for all callers",
            Self::ManyWorkspaces => "100 workspaces, 300 conversations",
        }
    }

    fn workspaces(self) -> usize {
        match self {
            Self::OneWorkspace | Self::OneEntity => 1,
            Self::ManyWorkspaces => 100,
        }
    }

    fn rooms(self) -> usize {
        match self {
            Self::OneWorkspace => 256,
            Self::OneEntity => 1,
            Self::ManyWorkspaces => 300,
        }
    }
}

/// One conversation.
#[derive(Clone, Copy)]
pub struct Room {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its id.
    pub conversation: ConversationId,
}

/// The conversations of a layout, and who posts.
pub struct Rooms {
    layout: Layout,
    /// All of them.
    pub all: Vec<Room>,
    /// Who posts.
    pub user: UserId,
}

impl Rooms {
    /// Makes workspaces and conversations, through Link.
    pub async fn make(directory: &Directory, layout: Layout) -> Self {
        let clock = &directory.context().clock;
        let mut rooms = Self { layout, all: vec![], user: clock.id() };
        let workspaces: Vec<WorkspaceId> = (0..layout.workspaces()).map(|_| clock.id()).collect();
        let name = Title::fitted("Bench");
        for id in &workspaces {
            let create = WorkspaceCommand::Create { name: name.clone(), owner: rooms.user };
            rooms.execute(directory, *id, Subject::Workspace(*id), Command::Workspace(create)).await;
        }
        for nth in 0..layout.rooms() {
            let room = Room { workspace: workspaces[nth % workspaces.len()], conversation: clock.id() };
            let create = ConversationCommand::Create {
                kind: ConversationKind::Channel,
                title: Some(name.clone()),
                project: None,
                task: None,
                participants: Default::default(),
                turn_policy: Default::default(),
            };
            let subject = Subject::Conversation(room.conversation);
            rooms.execute(directory, room.workspace, subject, Command::Conversation(create)).await;
            rooms.all.push(room);
        }
        rooms
    }

    /// Returns where a caller's `nth` message goes.
    pub fn room(&self, caller: usize, nth: usize) -> Room {
        let step = match self.layout {
            Layout::OneWorkspace | Layout::OneEntity => 0,
            Layout::ManyWorkspaces => nth,
        };
        self.all[(caller + step) % self.all.len()]
    }

    /// Posts a message, through Link: actors, decision, group commit.
    pub async fn post(&self, directory: &Directory, caller: usize, nth: usize) {
        let room = self.room(caller, nth);
        let message: MessageId = directory.context().clock.id();
        let post = ConversationCommand::Post { message, parts: parts(), parent: None, mentions: Default::default() };
        let subject = Subject::Conversation(room.conversation);
        self.execute(directory, room.workspace, subject, Command::Conversation(post)).await;
    }

    /// Every command has a key, as those of clients that retry do.
    async fn execute(&self, directory: &Directory, workspace: WorkspaceId, subject: Subject, command: Command) {
        let clock = &directory.context().clock;
        let id: uuid::Uuid = clock.id();
        let meta = Meta {
            by: Principal::User(self.user),
            on_behalf_of: None,
            now: clock.now(),
            key: Some(Key { text: id.to_string(), request_hash: vec![7; 32] }),
            trace: id.simple().to_string(),
            made: None,
            cause: None,
        };
        let handle = directory.workspace(workspace).await.expect("the workspace runs");
        handle.execute(subject, command, meta).await.expect("the command is committed");
    }
}

/// Returns what a message says.
pub fn parts() -> Vec<Part> {
    vec![Part::Text { text: Words::fitted(WORDS) }]
}
