//! How an update gets into the log: merged, committed, and only then told.

use yrs::sync::{Message, SyncMessage};

use crate::{
    actors::{
        documents::{SocketId, Work, WorkError, outbox::Farewell, text::TextError},
        request::{CommandError, Meta, Receipt},
    },
    domain::{
        access::Viewer,
        document::{Blob, DocumentCommand, UPDATE_BYTES_MAX},
        ids::Subject,
        model::Command,
        principal::Principal,
        rejection::Rejection,
    },
    persistence::documents::{self, TextSnapshot},
};

use super::{Pending, SNAPSHOT_EVERY, State};

impl State {
    /// Merges an update.
    pub(super) async fn take(&mut self, socket: SocketId, update: Vec<u8>) -> Result<(), sqlx::Error> {
        // What is merged cannot be taken out again.
        self.check_rights().await?;
        let Some(known) = self.sockets.get(&socket) else { return Ok(()) };
        let (author, writes) = (known.viewer.principal, known.writes);
        if !writes {
            // A reader's client says what it has, too; only what is new is refused.
            if update != [0, 0] {
                self.answer(socket, &Message::Auth(Some("you may read this document, not change it".into())));
            }
            return Ok(());
        }
        if update.len() > UPDATE_BYTES_MAX {
            self.dismiss(socket, Farewell::Unreadable);
            return Ok(());
        }
        match self.text.merge_message(&update) {
            Ok(None) => Ok(()),
            Ok(Some(new)) => {
                self.wait(author, socket, new);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(document = %self.id, %error, "an update was refused");
                self.dismiss(socket, Farewell::Unreadable);
                if error == TextError::Broken {
                    self.start_over().await?;
                }
                Ok(())
            }
        }
    }

    fn wait(&mut self, author: Principal, socket: SocketId, update: Vec<u8>) {
        match self.pending.iter_mut().find(|pending| pending.author == author) {
            Some(pending) => {
                pending.updates.push(update);
                if !pending.sockets.contains(&socket) {
                    pending.sockets.push(socket);
                }
            }
            None => self.pending.push(Pending { author, sockets: vec![socket], updates: vec![update] }),
        }
    }

    /// Forgets what is not committed: whoever said it has to say it again.
    async fn start_over(&mut self) -> Result<(), sqlx::Error> {
        for Pending { sockets, .. } in std::mem::take(&mut self.pending) {
            sockets.into_iter().for_each(|socket| self.dismiss(socket, Farewell::NotKept));
        }
        self.load().await
    }

    /// Commits what was merged, tells it, and then answers those who asked what they lack.
    pub(super) async fn settle(&mut self) -> Result<(), sqlx::Error> {
        while !self.pending.is_empty() {
            let Pending { author, sockets, updates } = self.pending.remove(0);
            for update in joined(updates) {
                let command = DocumentCommand::Edit { after: self.seq, update: Blob(update.clone()) };
                let meta = self.handle.meta(author, None);
                if let Err(error) = self.commit(meta, command, Some((update, &sockets))).await? {
                    tracing::warn!(document = %self.id, %error, "updates were not committed");
                    let refused = matches!(error, CommandError::Rejected(Rejection::Busy(_)));
                    let why = if refused { Farewell::Forbidden } else { Farewell::NotKept };
                    sockets.iter().for_each(|socket| self.dismiss(*socket, why));
                    return self.start_over().await;
                }
            }
        }
        for (socket, known) in std::mem::take(&mut self.asked) {
            let missing = self.text.missing(&known);
            self.answer(socket, &Message::Sync(SyncMessage::SyncStep2(missing)));
        }
        self.keep();
        Ok(())
    }

    /// Has a command committed whose update, if there is one, is merged already.
    async fn commit(
        &mut self,
        meta: Meta,
        command: DocumentCommand,
        update: Option<(Vec<u8>, &[SocketId])>,
    ) -> Result<Result<Receipt, CommandError>, sqlx::Error> {
        let done = self.handle.execute(Subject::Document(self.id), Command::Document(command), meta).await;
        let receipt = match done {
            Ok(receipt) => receipt,
            Err(error) => return Ok(Err(error)),
        };
        // One that was carried out earlier under the same key is in the text already.
        if let Some((update, from)) = update.filter(|_| receipt.offset > self.offset) {
            (self.seq, self.offset) = (self.seq + 1, receipt.offset);
            metrics::counter!("link_document_updates_total").increment(1);
            self.check_rights().await?;
            // It comes from one socket alone, which has it.
            let but = match from {
                [one] => Some(*one),
                _ => None,
            };
            self.tell(&Message::Sync(SyncMessage::Update(update)), but);
        }
        Ok(Ok(receipt))
    }

    /// Lets those go who may not read any more, before they say or hear anything else, once somebody's rights may have
    /// changed.
    pub(super) async fn check_rights(&mut self) -> Result<(), sqlx::Error> {
        let changes = self.handle.context.feed.known.changes(self.handle.id);
        // Where nothing is known nobody has written here since the node began: nothing has changed.
        if changes == self.rights_of {
            return Ok(());
        }
        let all: Vec<(SocketId, Viewer)> = self.sockets.iter().map(|(id, socket)| (*id, socket.viewer)).collect();
        for (id, viewer) in all {
            match self.rights(viewer).await? {
                None => self.dismiss(id, Farewell::Forbidden),
                Some(writes) => self.let_write(id, writes),
            }
        }
        self.rights_of = changes;
        Ok(())
    }

    fn let_write(&mut self, id: SocketId, writes: bool) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if !std::mem::replace(&mut socket.writes, writes) && writes {
            // What they wrote before was refused: they have to say it again.
            let ask = Message::Sync(SyncMessage::SyncStep1(self.text.known()));
            self.answer(id, &ask);
        }
    }

    /// Keeps a snapshot now and then, beside the work; never of what is not committed.
    fn keep(&mut self) {
        if !self.pending.is_empty() || self.seq < self.snapshot_seq + SNAPSHOT_EVERY {
            return;
        }
        self.snapshot_seq = self.seq;
        let snapshot = TextSnapshot { seq: self.seq, offset: self.offset, state: self.text.whole() };
        let (context, workspace, id) = (self.handle.context.clone(), self.handle.id, self.id);
        tokio::spawn(async move {
            if let Err(error) = documents::keep_snapshot(&context.pool, workspace, id, &snapshot).await {
                tracing::warn!(document = %id, %error, "snapshot not kept; the log still has everything");
            }
        });
    }

    /// Carries out an operation. An error of the database ends the host: what it has in memory may be told to nobody.
    pub(super) async fn work(&mut self, meta: Meta, work: Work) -> Result<Result<Receipt, WorkError>, sqlx::Error> {
        let (command, update) = match self.prepared(&meta, work).await {
            Ok(Prepared::Command(command, update)) => (command, update),
            Ok(Prepared::Done(receipt)) => return Ok(Ok(receipt)),
            Err(error) => return Ok(Err(error)),
        };
        let (before, edits) = (self.offset, update.is_some());
        let done = self.commit(meta, command, update.map(|update| (update, &[][..]))).await?;
        // The change is in memory. Refused, or carried out earlier under the same key, it must not stay there.
        if edits && done.as_ref().map_or(true, |receipt| receipt.offset <= before) {
            self.load().await?;
        }
        self.keep();
        Ok(done.map_err(WorkError::from))
    }

    /// Makes an operation's changes in memory, and the command that has them committed.
    async fn prepared(&mut self, meta: &Meta, work: Work) -> Result<Prepared, WorkError> {
        let (command, update) = match work {
            Work::Suggest { suggestion, note, splices } => {
                let changes = self.text.describe(&splices)?;
                (DocumentCommand::Suggest { suggestion, note, changes }, None)
            }
            Work::Edit(splices) => {
                let update = match self.text.splice(&splices) {
                    Ok(update) => update,
                    Err(error) => return self.heard(meta, error).await,
                };
                (DocumentCommand::Edit { after: self.seq, update: Blob(update.clone()) }, Some(update))
            }
            Work::Accept { suggestion, number, change } => {
                let splice = match self.text.found(&change) {
                    Ok(splice) => splice,
                    // It may be in the text already: the same request is answered as before.
                    Err(error) => return self.heard(meta, error).await,
                };
                let update = self.text.splice(&[splice])?;
                let accepted = Some((self.seq, Blob(update.clone())));
                (DocumentCommand::Resolve { suggestion, change: number, accepted }, Some(update))
            }
        };
        Ok(Prepared::Command(command, update))
    }

    /// Returns what the same request was answered before, if it was.
    async fn heard(&self, meta: &Meta, error: TextError) -> Result<Prepared, WorkError> {
        let answered = match &meta.key {
            Some(key) => self.handle.remembered(key).await?.transpose()?,
            None => None,
        };
        answered.map(Prepared::Done).ok_or(WorkError::Text(error))
    }
}

/// What an operation comes to.
enum Prepared {
    /// This is to be committed; the update, if there is one, is merged already.
    Command(DocumentCommand, Option<Vec<u8>>),
    /// The same request was answered before.
    Done(Receipt),
}

/// Joins updates into one, as long as it is small enough to be one.
fn joined(updates: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let bytes: usize = updates.iter().map(Vec::len).sum();
    match (updates.len(), bytes <= UPDATE_BYTES_MAX) {
        (0 | 1, _) | (_, false) => updates,
        (_, true) => match yrs::merge_updates_v1(&updates) {
            Ok(one) => vec![one],
            Err(_) => updates,
        },
    }
}
