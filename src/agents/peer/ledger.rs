//! The bookkeeping of one attempt's frames: which is next, which is known, and up to where everything is durable. Pure:
//! cut, sent again and restarted in any order, each frame is taken once, and none is forgotten before it is kept.

/// What to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is the next one.
    Next,
    /// It was taken before.
    Known,
    /// One before it is missing: the agent has to send again from there.
    Gap,
}

/// The frames of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    taken: u64,
    settled: u64,
}

impl Ledger {
    /// Goes on where an earlier life of the same attempt wrote down that everything is durable.
    pub fn restored(settled: u64) -> Self {
        Self { taken: settled, settled }
    }

    /// The agent is back, and keeps everything from `first` on: what is before was acknowledged, perhaps by an earlier
    /// life that did not come to write that down.
    pub fn resumed(&mut self, first: u64) {
        let acknowledged = first.saturating_sub(1);
        self.settled = self.settled.max(acknowledged);
        self.taken = self.taken.max(acknowledged);
    }

    /// Takes a frame, if it is the next one.
    pub fn take(&mut self, seq: u64) -> Verdict {
        match seq.cmp(&(self.taken.saturating_add(1))) {
            std::cmp::Ordering::Less => Verdict::Known,
            std::cmp::Ordering::Greater => Verdict::Gap,
            std::cmp::Ordering::Equal => {
                self.taken = seq;
                Verdict::Next
            }
        }
    }

    /// Everything up to here is durable. Never more than was taken.
    pub fn settle(&mut self, seq: u64) {
        self.settled = self.settled.max(seq.min(self.taken));
    }

    /// Returns the last frame that was taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the last frame up to which everything is durable.
    pub fn settled(&self) -> u64 {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// An agent as the protocol wants it: it keeps what is not acknowledged, and sends it again when it comes back.
    struct Agent {
        kept: VecDeque<u64>,
        next: u64,
    }

    /// What Link holds: a ledger in memory, and a log and a bookmark that survive.
    #[derive(Default)]
    struct Link {
        ledger: Ledger,
        /// Taken and on its way to the log.
        pending: VecDeque<u64>,
        log: Vec<u64>,
        bookmark: u64,
    }

    #[derive(Clone, Copy, Debug)]
    enum Move {
        Say,
        Deliver,
        Commit,
        Bookmark,
        Ack,
        Cut,
        Kill,
    }

    impl Link {
        fn hear(&mut self, seq: u64) {
            if self.ledger.take(seq) == Verdict::Next {
                self.pending.push_back(seq);
            }
        }

        fn commit(&mut self) {
            let Some(seq) = self.pending.pop_front() else { return };
            // The log knows its keys: what was committed before says nothing new.
            if !self.log.contains(&seq) {
                self.log.push(seq);
            }
            self.ledger.settle(seq);
        }
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            4 => Just(Move::Say),
            4 => Just(Move::Deliver),
            4 => Just(Move::Commit),
            2 => Just(Move::Ack),
            1 => Just(Move::Bookmark),
            1 => Just(Move::Cut),
            1 => Just(Move::Kill),
        ];
        vec(one, 1..200)
    }

    proptest! {
        #[test]
        fn whatever_is_cut_or_killed_every_frame_is_kept_once_and_in_order(moves in moves()) {
            let mut agent = Agent { kept: VecDeque::new(), next: 1 };
            let mut link = Link::default();
            let mut wire: VecDeque<u64> = VecDeque::new();
            for step in moves.into_iter().chain([Move::Cut]) {
                match step {
                    Move::Say => {
                        agent.kept.push_back(agent.next);
                        wire.push_back(agent.next);
                        agent.next += 1;
                    }
                    Move::Deliver => if let Some(seq) = wire.pop_front() { link.hear(seq) },
                    Move::Commit => link.commit(),
                    Move::Bookmark => link.bookmark = link.ledger.settled(),
                    Move::Ack => agent.kept.retain(|seq| *seq > link.ledger.settled()),
                    Move::Cut | Move::Kill => {
                        if matches!(step, Move::Kill) {
                            link.pending.clear();
                            link.ledger = Ledger::restored(link.bookmark);
                        }
                        link.ledger.resumed(agent.kept.front().copied().unwrap_or(agent.next));
                        wire = agent.kept.clone();
                    }
                }
                prop_assert!(link.ledger.settled() <= link.ledger.taken());
                prop_assert!(agent.kept.front().is_none_or(|seq| *seq <= link.ledger.settled() + 1), "nothing is missing");
            }
            while let Some(seq) = wire.pop_front() {
                link.hear(seq);
            }
            while !link.pending.is_empty() {
                link.commit();
            }
            prop_assert_eq!(link.log, (1..agent.next).collect::<Vec<_>>());
        }

        #[test]
        fn a_frame_before_its_turn_changes_nothing(taken in 0_u64..50, ahead in 2_u64..50) {
            let mut ledger = Ledger::restored(taken);
            prop_assert_eq!(ledger.take(taken + ahead), Verdict::Gap);
            prop_assert_eq!(ledger, Ledger::restored(taken));
            prop_assert_eq!(ledger.take(taken + 1), Verdict::Next);
            prop_assert_eq!(ledger.take(taken + 1), Verdict::Known);
        }
    }

    #[test]
    fn the_greatest_number_there_is_does_no_harm() {
        let mut ledger = Ledger::restored(u64::MAX);
        assert_eq!(ledger.take(u64::MAX), Verdict::Next);
        ledger.resumed(0);
        ledger.settle(u64::MAX);
        assert_eq!((ledger.taken(), ledger.settled()), (u64::MAX, u64::MAX));
    }
}
