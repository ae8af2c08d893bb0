//! An agent that does the same again and again: seen from its tool calls alone, without knowing what they are.

use std::collections::VecDeque;

/// So many equal calls in a row are a circle.
const SAME_MAX: usize = 4;
/// So many rounds of two calls that both fail are one, too. Two that work, as edit and test, are how work is done.
const ROUNDS_MAX: usize = 4;

/// The last calls of an agent.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    last: VecDeque<(String, bool)>,
}

impl Loops {
    /// Notes a call; tells whether the agent runs in circles.
    pub fn saw(&mut self, tool: &str, ok: bool, summary: &str) -> bool {
        self.last.push_back((format!("{tool} {summary}"), ok));
        if self.last.len() > ROUNDS_MAX * 2 {
            self.last.pop_front();
        }
        self.same() || self.rounds()
    }

    /// Something else happened: what comes now is not the same again.
    pub fn moved_on(&mut self) {
        self.last.clear();
    }

    fn same(&self) -> bool {
        let mut newest = self.last.iter().rev();
        let Some(last) = newest.next() else { return false };
        newest.take(SAME_MAX - 1).filter(|other| *other == last).count() == SAME_MAX - 1
    }

    fn rounds(&self) -> bool {
        self.last.len() == ROUNDS_MAX * 2
            && self.last.iter().all(|(_, ok)| !ok)
            && self.last.iter().zip(self.last.iter().skip(2)).all(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn looped(calls: &[(&str, bool)]) -> bool {
        let mut loops = Loops::default();
        calls.iter().any(|(call, ok)| loops.saw("bash", *ok, call))
    }

    #[test]
    fn the_same_call_four_times_in_a_row_is_a_circle() {
        assert!(!looped(&[("ls", true); 3]));
        assert!(looped(&[("ls", true); 4]));
        assert!(!looped(&[("ls", true), ("ls", true), ("ls", true), ("pwd", true), ("ls", true)]));
        assert!(!looped(&[("make", false), ("make", true), ("make", false), ("make", true)]));
    }

    #[test]
    fn two_calls_in_turns_are_a_circle_when_both_fail() {
        let turns = |ok: bool| [("edit", ok), ("test", false)].repeat(4);
        assert!(looped(&turns(false)));
        assert!(!looped(&turns(true)));
    }

    proptest! {
        #[test]
        fn calls_that_all_differ_are_none(calls in prop::collection::btree_set("[a-z]{1,8}", 0..40)) {
            let calls: Vec<(&str, bool)> = calls.iter().map(|call| (&**call, false)).collect();
            prop_assert!(!looped(&calls));
        }
    }
}
