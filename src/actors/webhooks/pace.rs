//! When to try again, when to leave an endpoint alone, and when to give it up. Pure: time and luck arrive as values.

use chrono::{DateTime, TimeDelta, Utc};

use crate::persistence::deliveries::{Cursor, DeliveryStatus, Tried};

use super::post::Answer;

/// Attempts of one delivery.
pub(super) const ATTEMPTS_MAX: u32 = 9;
/// The longest pause before the second attempt; each further one is four times as long.
const PAUSE_FIRST: TimeDelta = TimeDelta::seconds(5);
/// The longest pause of all.
const PAUSE_MAX: TimeDelta = TimeDelta::hours(24);
/// The shortest.
const PAUSE_MIN: TimeDelta = TimeDelta::seconds(1);
/// Failures in a row after which the endpoint is left alone for a while.
const BREAK_AFTER: u32 = 5;
/// The longest that it is left alone.
const REST_MAX: TimeDelta = TimeDelta::minutes(10);
/// An endpoint that took nothing for this long is switched off …
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(3);
/// … when it was tried this often meanwhile.
const GIVE_UP_FAILURES: u32 = 10;

/// What follows from an attempt.
#[derive(Debug)]
pub(super) struct Next {
    /// For the delivery.
    pub tried: Tried,
    /// For the endpoint.
    pub cursor: Cursor,
    /// Why the webhook has to be switched off.
    pub disable: Option<String>,
}

/// Decides what follows from an attempt; `luck` is anything from 0 to 1.
pub(super) fn after(answer: Answer, attempts: u32, cursor: Cursor, now: DateTime<Utc>, luck: f64) -> Next {
    let Answer { code, response, error, retry_after } = answer;
    if error.is_none() {
        let tried = Tried { status: DeliveryStatus::Delivered, next_at: None, code, response, error };
        return Next {
            tried,
            cursor: Cursor { failures: 0, failing_since: None, rest_until: None, ..cursor },
            disable: None,
        };
    }
    let (attempts, failures) = (attempts + 1, cursor.failures.saturating_add(1));
    let failing_since = cursor.failing_since.unwrap_or(now);
    let asked = retry_after.map(|pause| now + pause.min(PAUSE_MAX));
    let next_at = (now + pause(attempts, luck)).max(asked.unwrap_or(now));
    let open = failures >= BREAK_AFTER;
    let rest_until = open.then(|| now + rest(failures, luck)).max(asked);
    let gone = code == Some(410);
    let over = gone || attempts >= ATTEMPTS_MAX;
    let status = if over { DeliveryStatus::Failed } else { DeliveryStatus::Pending };
    let disable = if gone {
        Some("the endpoint answered 410 Gone".to_owned())
    } else {
        let long = now - failing_since >= GIVE_UP_AFTER && failures >= GIVE_UP_FAILURES;
        long.then(|| format!("the endpoint took nothing for {} days", (now - failing_since).num_days()))
    };
    let tried = Tried { status, next_at: (!over).then_some(next_at), code, response, error };
    Next { tried, cursor: Cursor { failures, failing_since: Some(failing_since), rest_until, ..cursor }, disable }
}

/// Exponential, with full jitter: many that failed together do not come back together.
fn pause(attempts: u32, luck: f64) -> TimeDelta {
    let longest = PAUSE_FIRST * 4i32.pow(attempts.saturating_sub(1).min(8));
    jittered(longest.min(PAUSE_MAX), luck)
}

fn rest(failures: u32, luck: f64) -> TimeDelta {
    let longest = PAUSE_FIRST * 2i32.pow((failures - BREAK_AFTER).min(10));
    jittered(longest.min(REST_MAX), luck)
}

fn jittered(longest: TimeDelta, luck: f64) -> TimeDelta {
    let milliseconds = longest.num_milliseconds() as f64 * luck.clamp(0.0, 1.0);
    TimeDelta::milliseconds(milliseconds as i64).max(PAUSE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const NEW: Cursor = Cursor { offset: 7, failures: 0, failing_since: None, rest_until: None };

    fn answer(code: u16) -> Answer {
        let error = (!(200..300).contains(&code)).then(|| format!("answered {code}"));
        Answer { code: Some(code), response: None, error, retry_after: None }
    }

    #[test]
    fn pauses_grow_to_about_a_day_and_then_it_is_given_up() {
        let (mut now, mut cursor, mut pauses) = (NOW, NEW, vec![]);
        for attempts in 0.. {
            let next = after(answer(500), attempts, cursor, now, 1.0);
            cursor = next.cursor;
            let Some(at) = next.tried.next_at else {
                assert_eq!(next.tried.status, DeliveryStatus::Failed);
                break;
            };
            pauses.push((at - now).num_seconds());
            now = at;
        }
        assert_eq!(pauses, [5, 20, 80, 320, 1_280, 5_120, 20_480, 81_920]);
    }

    #[test]
    fn jitter_is_full_and_never_nothing() {
        assert_eq!(pause(1, 0.0), PAUSE_MIN);
        assert_eq!(pause(3, 0.5), TimeDelta::seconds(40));
        assert_eq!(pause(60, 1.0), PAUSE_MAX);
    }

    #[test]
    fn an_endpoint_that_fails_again_and_again_is_left_alone_and_a_success_forgives_all() {
        let mut cursor = NEW;
        for _ in 0..BREAK_AFTER - 1 {
            cursor = after(answer(503), 0, cursor, NOW, 1.0).cursor;
            assert_eq!(cursor.rest_until, None);
        }
        cursor = after(answer(503), 0, cursor, NOW, 1.0).cursor;
        assert_eq!(cursor.rest_until, Some(NOW + TimeDelta::seconds(5)));
        let far = Cursor { failures: 1_000, ..cursor };
        assert_eq!(after(answer(503), 0, far, NOW, 1.0).cursor.rest_until, Some(NOW + REST_MAX));
        assert_eq!(after(answer(204), 0, cursor, NOW, 1.0).cursor, NEW);
    }

    #[test]
    fn a_wish_to_wait_is_respected_within_reason() {
        let wish = |seconds| Answer { retry_after: Some(TimeDelta::seconds(seconds)), ..answer(429) };
        let next = after(wish(600), 0, NEW, NOW, 0.0);
        assert_eq!(next.tried.next_at, Some(NOW + TimeDelta::seconds(600)));
        assert_eq!(next.cursor.rest_until, next.tried.next_at);
        assert_eq!(after(wish(i64::from(u32::MAX)), 0, NEW, NOW, 0.0).tried.next_at, Some(NOW + PAUSE_MAX));
    }

    #[test]
    fn gone_is_gone_and_days_of_failure_switch_off() {
        let gone = after(answer(410), 0, NEW, NOW, 0.0);
        assert!(gone.disable.is_some() && gone.tried.status == DeliveryStatus::Failed);
        let failing = Cursor { failures: 9, failing_since: Some(NOW - TimeDelta::days(3)), ..NEW };
        assert!(after(answer(500), 0, failing, NOW, 0.0).disable.is_some());
        let seldom = Cursor { failures: 3, ..failing };
        assert!(after(answer(500), 0, seldom, NOW, 0.0).disable.is_none());
    }
}
