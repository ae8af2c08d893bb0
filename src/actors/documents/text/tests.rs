//! What updates come to, in any order, and where changes find their place.

use proptest::prelude::*;
use yrs::{Array, ArrayPrelim, XmlElementPrelim, XmlFragment, XmlTextPrelim, encoding::write::Write};

use super::*;

fn text(words: &str) -> Text {
    let mut text = Text::default();
    text.splice(&[Splice::Append(words.into())]).unwrap();
    text
}

#[test]
fn words_that_are_there_once_are_replaced_and_others_are_refused() {
    let mut text = text("a cat and a dog 🐧.");
    let replace = |find: &str, with: &str| Splice::Replace { find: find.into(), with: with.into() };
    assert_eq!(text.splice(&[replace("a ", "the ")]), Err(TextError::Ambiguous(2)));
    assert_eq!(text.splice(&[replace("cow", "bull")]), Err(TextError::Ambiguous(0)));
    assert_eq!(text.splice(&[replace("cat", "fox"), replace("cow", "bull")]), Err(TextError::Ambiguous(0)));
    assert_eq!(text.words(), "a cat and a dog 🐧.", "all or none");
    text.splice(&[replace("cat", "fox"), replace("🐧", "🦭"), Splice::Append("!".into())]).unwrap();
    assert_eq!(text.words(), "a fox and a dog 🦭.!");
    let half = Splice::At { at: 17, delete: 1, insert: String::new() };
    assert_eq!(text.splice(&[half]), Err(TextError::Outside(20)));
}

#[test]
fn a_proposed_change_finds_its_place_while_others_write_and_notices_when_it_is_gone() {
    let mut text = text("salt and pepper");
    let proposed = text.describe(&[Splice::Replace { find: "salt".into(), with: "sugar".into() }]).unwrap();
    text.splice(&[Splice::At { at: 0, delete: 0, insert: "Take ".into() }, Splice::Append(".".into())]).unwrap();
    let splice = text.found(&proposed[0]).unwrap();
    text.splice(&[splice]).unwrap();
    assert_eq!(text.words(), "Take sugar and pepper.");
    assert_eq!(text.found(&proposed[0]).err(), Some(TextError::Changed));
}

#[test]
fn what_is_no_update_is_refused_and_what_is_known_is_nothing_new() {
    let mut here = text("hello");
    assert_eq!(here.merge(&[255, 1, 2]), Err(TextError::Unreadable));
    assert_eq!(here.merge(&here.whole()).unwrap(), None);
    assert_eq!(here.merge(&[0, 0]).unwrap(), None);
    let mut there = Text::default();
    assert!(there.merge(&here.whole()).unwrap().is_some());
    assert_eq!(there.words(), "hello");
}

#[test]
fn an_update_that_waits_for_another_is_kept_until_that_one_comes() {
    let mut from = Text::default();
    let updates: Vec<Vec<u8>> =
        ["a", "b", "c"].iter().map(|word| from.splice(&[Splice::Append((*word).into())]).unwrap()).collect();
    let mut to = Text::default();
    let kept: Vec<Vec<u8>> = [2, 1, 0].iter().filter_map(|n: &usize| to.merge(&updates[*n]).unwrap()).collect();
    assert_eq!((to.words().as_str(), kept.len()), ("abc", 3));
    let mut again = Text::default();
    kept.iter().for_each(|update| drop(again.merge(update).unwrap()));
    assert_eq!(again.words(), "abc", "what was kept is enough to come to the same");
}

proptest! {
    #[test]
    fn any_bytes_are_merged_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = text("hello").merge(&bytes);
    }

    #[test]
    fn texts_that_heard_the_same_say_the_same(
        edits in proptest::collection::vec((0..3usize, any::<u32>(), 0..4u32, "[a-z🐧]{0,4}"), 0..40),
    ) {
        let mut texts = [Text::default(), Text::default(), Text::default()];
        let mut updates: Vec<(usize, Vec<u8>)> = vec![];
        for (who, at, delete, insert) in edits {
            let length = to_index(texts[who].words().encode_utf16().count());
            let at = at % (length + 1);
            let splice = Splice::At { at, delete: delete.min(length - at), insert };
            if let Ok(update) = texts[who].splice(&[splice]) {
                updates.push((who, update));
            }
        }
        let mut kept = Text::default();
        for (n, (who, update)) in updates.iter().enumerate() {
            let others = texts.iter_mut().enumerate().filter(|(other, _)| other != who);
            others.for_each(|(_, text)| drop(text.merge(update).unwrap()));
            // Another order, and twice.
            let (_, other) = &updates[updates.len() - 1 - n];
            kept.merge(other).unwrap();
            kept.merge(other).unwrap();
        }
        prop_assert_eq!(texts[0].words(), texts[1].words());
        prop_assert_eq!(texts[1].words(), texts[2].words());
        prop_assert_eq!(kept.words(), texts[0].words());
    }
}

/// What a client would say that is its first: one value in the list `c`.
fn one_value(value: &[u8]) -> Vec<u8> {
    [&[1, 1, 1, 0, 8, 1, 1, 99, 1], value, &[0]].concat()
}

fn nested(depth: usize, maps: bool) -> Vec<u8> {
    let level: &[u8] = if maps { &[118, 1, 1, 97] } else { &[117, 1] };
    [level.repeat(depth), vec![127]].concat()
}

#[test]
fn values_that_are_too_deep_or_say_to_be_larger_than_they_are_reach_no_stack() {
    for maps in [false, true] {
        assert!(text("hello").merge(&one_value(&nested(64, maps))).unwrap().is_some());
        for depth in [65, 20_000, 200_000] {
            assert_eq!(text("hello").merge(&one_value(&nested(depth, maps))), Err(TextError::Unreadable), "{depth}");
        }
    }
    let huge = [vec![118], vec![0xff; 4], vec![0x7f]].concat();
    assert_eq!(text("hello").merge(&one_value(&huge)), Err(TextError::Unreadable));
    // A picture is JSON in a string.
    let json = [b'['].repeat(60_000);
    let embed = [&[1, 1, 1, 0, 5, 1, 7][..], b"content", &[0xe0, 0xd4, 0x03], &json, &[0]].concat();
    assert_eq!(text("hello").merge(&embed), Err(TextError::Unreadable));
}

/// Types within each other, one more with each update.
fn types_within_each_other(count: usize) -> Vec<Vec<u8>> {
    let doc = Doc::new();
    let mut inner = doc.get_or_insert_array("list");
    let deeper = |_| {
        let mut tx = doc.transact_mut();
        inner = inner.insert(&mut tx, 0, ArrayPrelim::default());
        tx.encode_update_v1()
    };
    (0..count).map(deeper).collect()
}

#[test]
fn types_that_are_too_deep_within_each_other_are_refused_in_one_piece_or_many_and_in_any_order() {
    let updates = types_within_each_other(3_000);
    let at_once = yrs::merge_updates_v1(&updates).unwrap();
    assert_eq!(text("hello").merge(&at_once), Err(TextError::TooDeep));

    let mut one_by_one = text("hello");
    let most = TYPE_DEPTH_MAX as usize;
    assert!(updates[..most].iter().all(|update| one_by_one.merge(update).is_ok()));
    assert_eq!(one_by_one.merge(&updates[most]), Err(TextError::TooDeep));
    updates[most + 1..300].iter().for_each(|update| drop(one_by_one.merge(update)));
    assert_eq!(one_by_one.merge(&updates[most]), Err(TextError::TooDeep), "what waits for it would come with it");
    assert!(bounded::read(&one_by_one.whole()).unwrap().types <= TYPE_DEPTH_MAX);
    one_by_one.splice(&[Splice::Append(" you".into())]).unwrap();
    assert_eq!(one_by_one.words(), "hello you");
    let list = one_by_one.doc.get_or_insert_array("list");
    list.remove(&mut one_by_one.doc.transact_mut(), 0);

    let mut backwards = text("hello");
    updates[..300].iter().rev().for_each(|update| drop(backwards.merge(update)));
    assert!(bounded::read(&backwards.whole()).unwrap().types <= TYPE_DEPTH_MAX);
}

#[test]
fn many_types_beside_each_other_are_an_ordinary_document() {
    let doc = Doc::new();
    let page = doc.get_or_insert_xml_fragment("page");
    let mut here = text("hello");
    for n in 0..400 {
        let update = {
            let mut tx = doc.transact_mut();
            let paragraph = page.push_back(&mut tx, XmlElementPrelim::empty("p"));
            paragraph.push_back(&mut tx, XmlTextPrelim::new(format!("Line {n}")));
            tx.encode_update_v1()
        };
        assert!(here.merge_message(&update).unwrap().is_some());
    }
    assert_eq!(bounded::read(&here.whole()).unwrap().types, 2);
    assert!(text("").merge_message(&here.whole()).is_ok());
}

/// A text of so many clients, each of whom wrote one letter behind the one before.
fn letters_of(clients: u32) -> Vec<u8> {
    let mut update = vec![];
    update.write_var(clients);
    for client in (1..=clients).rev() {
        update.write_var(1u32);
        update.write_var(client);
        update.write_var(0u32);
        match client {
            1 => update.extend([4, 1, 7].into_iter().chain(*b"content")),
            _ => {
                update.push(0x84);
                update.write_var(client - 1);
                update.write_var(0u32);
            }
        }
        update.extend([1, b'a']);
    }
    update.push(0);
    update
}

#[test]
fn an_update_of_more_clients_than_can_be_walked_is_refused() {
    let mut many = Text::default();
    many.merge_message(&letters_of(2_048)).unwrap();
    assert_eq!(many.words().len(), 2_048);
    assert_eq!(Text::default().merge_message(&letters_of(2_049)), Err(TextError::TooDeep));
    // What is kept of a document may be of more in time.
    let mut kept = Text::default();
    kept.merge(&letters_of(30_000)).unwrap();
    assert_eq!(kept.words().len(), 30_000);
}

#[test]
fn what_waits_for_another_update_is_new_once() {
    let mut from = Text::default();
    let words = ["a", "b", "c"].map(|word| from.splice(&[Splice::Append(word.into())]).unwrap());
    let gone = from.splice(&[Splice::At { at: 1, delete: 2, insert: String::new() }]).unwrap();
    let mut to = Text::default();
    for orphan in [&words[2], &gone] {
        assert!(to.merge(orphan).unwrap().is_some());
        assert_eq!(to.merge(orphan).unwrap(), None, "it waits already");
        assert_eq!(to.merge(&to.whole()).unwrap(), None, "a client that has it, too, says nothing new");
    }
    let mut other = text("hello");
    let known = to.merge(&other.splice(&[Splice::Append("!".into())]).unwrap()).unwrap();
    assert!(known.is_some(), "its beginning is missing");
    assert!(to.merge(&text("hi").whole()).unwrap().is_some(), "what is new is new still");
    for update in [&words[1], &words[0]] {
        assert!(to.merge(update).unwrap().is_some());
    }
    assert_eq!(to.words().replace("hi", ""), "a");
}

#[test]
fn what_comes_after_a_hole_is_kept_as_it_came() {
    let doc = Doc::new();
    let (content, other) = (doc.get_or_insert_text(ROOT), doc.get_or_insert_text("other"));
    let said = |into: &TextRef, words: &str| {
        let mut tx = doc.transact_mut();
        into.push(&mut tx, words);
        tx.encode_update_v1()
    };
    let updates = [said(&content, "a"), said(&content, "b"), said(&other, "x")];
    let mut here = Text::default();
    let kept = [&updates[0], &updates[2]].map(|update| here.merge(update).unwrap().expect("it is new"));
    // Whoever is told what was kept, and hears the rest, has it all.
    let mut there = Text::default();
    for update in kept.iter().chain([&updates[1]]) {
        there.merge(update).unwrap();
    }
    let seen = there.doc.get_or_insert_text("other").get_string(&there.doc.transact());
    assert_eq!((there.words().as_str(), seen.as_str()), ("ab", "x"));
}

#[test]
fn places_are_the_same_whatever_else_stands_in_the_text() {
    let mut text = text("ab 🐧 cd");
    let picture = Any::from(std::collections::HashMap::from([("image".to_owned(), Any::from("x.png"))]));
    text.root.insert_embed(&mut text.doc.transact_mut(), 1, picture.clone());
    text.root.insert_embed(&mut text.doc.transact_mut(), 0, picture);
    let replace = |find: &str, with: &str| Splice::Replace { find: find.into(), with: with.into() };
    text.splice(&[replace("cd", "ef")]).unwrap();
    assert_eq!(text.words(), "ab 🐧 ef");
    let proposed = text.describe(&[replace("🐧", "penguin")]).unwrap();
    let splice = text.found(&proposed[0]).unwrap();
    text.splice(&[splice, Splice::At { at: 3, delete: 1, insert: "B".into() }]).unwrap();
    assert_eq!(text.words(), "aB penguin ef");
    assert_eq!(text.splice(&[replace("aB", "")]), Err(TextError::Ambiguous(0)), "a picture stands between them");
    assert_eq!(text.splice(&[Splice::At { at: 0, delete: 99, insert: String::new() }]), Err(TextError::Outside(15)));
}

#[test]
fn a_proposal_that_could_never_be_accepted_is_refused() {
    let much = text(&"x".repeat(65_537));
    let take = |delete| much.describe(&[Splice::At { at: 0, delete, insert: String::new() }]);
    assert_eq!(take(65_537).err(), Some(TextError::TooMuch));
    assert!(much.found(&take(65_536).unwrap()[0]).is_ok());
    let with_nothing = text("a\0b").describe(&[Splice::At { at: 0, delete: 3, insert: String::new() }]);
    assert_eq!(with_nothing.err(), Some(TextError::TooMuch));
}

proptest! {
    #[test]
    fn deep_values_are_merged_or_refused(depth in 0..200usize, maps: bool) {
        prop_assert_eq!(text("hello").merge(&one_value(&nested(depth, maps))).is_ok(), depth <= 64);
    }

    #[test]
    fn what_a_client_writes_is_read_as_yrs_reads_it(edits in proptest::collection::vec((any::<usize>(), 0..6u8), 1..60)) {
        let doc = Doc::new();
        let words = doc.get_or_insert_text(ROOT);
        let mut lists = vec![(doc.get_or_insert_array("list"), 0)];
        let mut deepest = 0;
        let mut here = Text::default();
        for (pick, what) in edits {
            let (list, depth) = lists[pick % lists.len()].clone();
            let mut tx = doc.transact_mut();
            let place = to_index(pick) % (list.len(&tx) + 1);
            match what {
                0 => words.push(&mut tx, "Grüße 🐧"),
                1 => drop(words.insert_embed(&mut tx, 0, Any::from(vec![Any::from(1.5), Any::Null]))),
                2 => words.insert_with_attributes(&mut tx, 0, "bold", [("b".into(), true.into())].into()),
                3 => drop(list.insert(&mut tx, place, Any::from("value"))),
                _ => {
                    lists.push((list.insert(&mut tx, place, ArrayPrelim::default()), depth + 1));
                    deepest = deepest.max(depth + 1);
                }
            }
            let update = tx.encode_update_v1();
            prop_assert_eq!(&bounded::read(&update).unwrap().update, &Update::decode_v1(&update).unwrap());
            here.merge_message(&update).unwrap();
        }
        let whole = doc.transact().encode_state_as_update_v1(&StateVector::default());
        prop_assert_eq!(bounded::read(&whole).unwrap().types, deepest);
        prop_assert_eq!(here.words(), words.get_string(&doc.transact()));
    }
}
