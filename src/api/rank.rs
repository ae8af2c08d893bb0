//! Sort keys of cards: text between two texts, so that moving one card writes one row.

const LOW: u8 = b'0';
const HIGH: u8 = b'z';

/// Returns a card's own key where that is between the two, else one that is: a card that is put where it is already
/// takes nothing of the room there.
pub fn within(own: &str, before: Option<&str>, after: Option<&str>) -> String {
    let fits = before.is_none_or(|before| before < own) && after.is_none_or(|after| own < after);
    if fits { own.to_owned() } else { between(before, after) }
}

/// Returns a key that sorts after `before` and before `after`; either end may be open.
pub fn between(before: Option<&str>, after: Option<&str>) -> String {
    let (low, high) = (before.unwrap_or_default().as_bytes(), after.map(str::as_bytes));
    let mut key = Vec::new();
    let mut bounded = high.is_some();
    for place in 0.. {
        let floor = low.get(place).copied().unwrap_or(LOW).clamp(LOW, HIGH);
        let ceiling = high.filter(|_| bounded).map_or(HIGH + 1, |high| high.get(place).copied().unwrap_or(LOW));
        if ceiling > floor + 1 {
            key.push(floor + (ceiling - floor) / 2);
            break;
        }
        key.push(floor);
        bounded = bounded && floor == ceiling;
    }
    String::from_utf8_lossy(&key).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_is_always_room_between_two_cards(places in prop::collection::vec(any::<prop::sample::Index>(), 1..60)) {
            let mut ranks: Vec<String> = (1..=3).map(|n| format!("n{n:010}")).collect();
            for place in places {
                let at = place.index(ranks.len() + 1);
                let before = at.checked_sub(1).map(|n| ranks[n].as_str());
                let rank = between(before, ranks.get(at).map(String::as_str));
                prop_assert!(before.is_none_or(|before| before < rank.as_str()), "{before:?} < {rank}");
                prop_assert!(ranks.get(at).is_none_or(|after| rank.as_str() < after.as_str()), "{rank} < {:?}", ranks.get(at));
                ranks.insert(at, rank);
            }
        }
    }
}
