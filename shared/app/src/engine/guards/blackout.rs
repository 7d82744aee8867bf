use crate::clock::after;
use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use quench_automations::{Blackout, Day};
use std::time::Duration;

/// Blackouts that follow one another for longer than this leave no time in which anything could be done.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// When the blackouts end that hold now, one after the other; none if none holds.
///
/// # Errors
/// Nobody can tell, or they never end: nothing may be changed then.
pub(super) fn end(blackouts: &[Blackout], now: Timestamp) -> Result<Option<Timestamp>, String> {
    let limit = after(now, LONGEST);
    let mut end = now;
    loop {
        let mut later = end;
        for blackout in blackouts {
            if let Some(until) = holds(blackout, end)? {
                later = later.max(until);
            }
        }
        if later == end {
            return Ok((end > now).then_some(end));
        }
        end = later;
        if end > limit {
            return Err(
                "the blackouts leave no time in which anything could be changed".to_owned(),
            );
        }
    }
}

/// When a blackout ends that holds at this time.
fn holds(blackout: &Blackout, at: Timestamp) -> Result<Option<Timestamp>, String> {
    match blackout {
        Blackout::Once { from, until } => Ok((*from <= at && at < *until).then_some(*until)),
        Blackout::Weekly {
            days,
            from,
            until,
            zone,
        } => {
            let zone = TimeZone::get(zone).map_err(|_| {
                format!(
                    "the time zone `{zone}` of a blackout is not known to this machine, so nobody can tell if it holds"
                )
            })?;
            let today = at.to_zoned(zone.clone()).date();
            let unclear =
                |_| format!("nobody can tell when a blackout holds that begins at {from}");
            // One that began yesterday may not have ended.
            let mut end = None;
            for begins in [today.yesterday().map_err(unclear)?, today] {
                if !days.iter().any(|day| weekday(*day) == begins.weekday()) {
                    continue;
                }
                let ends = match until > from {
                    true => begins,
                    false => begins.tomorrow().map_err(unclear)?,
                };
                let moment = |date: Date, time: Time| -> Result<Timestamp, String> {
                    let zoned = zone.to_zoned(date.to_datetime(time)).map_err(unclear)?;
                    Ok(zoned.timestamp())
                };
                let (begin, until) = (moment(begins, *from)?, moment(ends, *until)?);
                if begin <= at && at < until {
                    end = end.max(Some(until));
                }
            }
            Ok(end)
        }
    }
}

fn weekday(day: Day) -> Weekday {
    match day {
        Day::Monday => Weekday::Monday,
        Day::Tuesday => Weekday::Tuesday,
        Day::Wednesday => Weekday::Wednesday,
        Day::Thursday => Weekday::Thursday,
        Day::Friday => Weekday::Friday,
        Day::Saturday => Weekday::Saturday,
        Day::Sunday => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn weekly(days: &[Day], from: &str, until: &str, zone: &str) -> Blackout {
        Blackout::Weekly {
            days: days.to_vec(),
            from: from.parse().unwrap(),
            until: until.parse().unwrap(),
            zone: zone.to_owned(),
        }
    }

    fn ends(blackouts: &[Blackout], now: &str) -> Option<String> {
        end(blackouts, at(now)).unwrap().map(|end| end.to_string())
    }

    #[test]
    fn one_that_holds_once_ends_when_it_says() {
        let once = Blackout::Once {
            from: at("2026-12-20T00:00:00Z"),
            until: at("2027-01-04T00:00:00Z"),
        };
        let blackouts = [once];
        assert_eq!(ends(&blackouts, "2026-12-19T23:59:59Z"), None);
        let end = Some("2027-01-04T00:00:00Z".to_owned());
        assert_eq!(ends(&blackouts, "2026-12-20T00:00:00Z"), end);
        assert_eq!(ends(&blackouts, "2027-01-04T00:00:00Z"), None);
    }

    #[test]
    fn weekly_ones_follow_the_clocks_of_their_zone() {
        let vienna = [weekly(&[Day::Saturday], "08:00", "20:00", "Europe/Vienna")];
        // In summer Vienna is two hours ahead, in winter one.
        let summer = Some("2026-07-04T18:00:00Z".to_owned());
        assert_eq!(ends(&vienna, "2026-07-04T06:00:00Z"), summer);
        assert_eq!(ends(&vienna, "2026-07-04T05:59:59Z"), None);
        let winter = Some("2026-12-05T19:00:00Z".to_owned());
        assert_eq!(ends(&vienna, "2026-12-05T07:00:00Z"), winter);
        assert_eq!(ends(&vienna, "2026-12-06T10:00:00Z"), None);
    }

    #[test]
    fn one_over_midnight_ends_on_the_next_day() {
        let nightly = [weekly(&[Day::Friday], "22:00", "06:00", "UTC")];
        let end = Some("2026-11-28T06:00:00Z".to_owned());
        assert_eq!(ends(&nightly, "2026-11-27T22:00:00Z"), end);
        assert_eq!(ends(&nightly, "2026-11-28T05:59:59Z"), end);
        assert_eq!(ends(&nightly, "2026-11-28T22:30:00Z"), None);
    }

    #[test]
    fn those_that_meet_are_one() {
        let weekend = [
            weekly(&[Day::Saturday, Day::Sunday], "00:00", "00:00", "UTC"),
            Blackout::Once {
                from: at("2026-11-29T23:00:00Z"),
                until: at("2026-11-30T09:00:00Z"),
            },
        ];
        let end = Some("2026-11-30T09:00:00Z".to_owned());
        assert_eq!(ends(&weekend, "2026-11-28T12:00:00Z"), end);
    }

    #[test]
    fn what_nobody_can_tell_or_never_ends_is_refused() {
        let unknown = [weekly(&[Day::Monday], "08:00", "20:00", "Europe/Wien")];
        let told = end(&unknown, at("2026-11-25T12:00:00Z")).unwrap_err();
        assert!(told.contains("`Europe/Wien`"), "{told}");
        let all = [
            Day::Monday,
            Day::Tuesday,
            Day::Wednesday,
            Day::Thursday,
            Day::Friday,
            Day::Saturday,
            Day::Sunday,
        ];
        let always = [weekly(&all, "00:00", "00:00", "UTC")];
        let told = end(&always, at("2026-11-25T12:00:00Z")).unwrap_err();
        assert!(told.contains("no time"), "{told}");
    }
}
