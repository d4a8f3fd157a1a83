//! Date-times: seven fractional digits and an offset (A2.5/52), in the time zone of `SO-TimeZone` (A2.2/11).

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp as Instant, Zoned};
use serde_json::{Map, Value};
use shared::model::Timestamp;

use super::carriers::{Carrier, Kind};

/// Time zones by country, and by state where a country has several: `NO`, `US-NY`. SuperOffice names them so. Each line
/// is a zone of the IANA database and its codes.
const ZONES: &str = include_str!("zones.txt");

/// In which zone an answer tells the time.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// None: times that were given stay as they are, ours are in UTC.
    zone: Option<TimeZone>,
}

impl Clock {
    /// `zone`: a country with or without its state, a name of the IANA database, or an offset. Any other is ignored, as
    /// if it had not been asked for: a time says its offset, so that it is right all the same.
    pub(super) fn new(zone: Option<&str>) -> Self {
        Self { zone: zone.and_then(|zone| named(zone.trim())) }
    }

    /// A time of ours.
    pub(super) fn tell(&self, at: Timestamp) -> String {
        let at = Instant::from_millisecond(at.0).unwrap_or(Instant::UNIX_EPOCH);
        written(&at.to_zoned(self.zone.clone().unwrap_or(TimeZone::UTC)))
    }

    /// Turns all times of a carrier.
    pub(super) fn turn(&self, carrier: &Carrier, properties: &mut Map<String, Value>) {
        let Some(zone) = &self.zone else { return };
        for (name, kind) in carrier.properties {
            match (kind, properties.get_mut(*name)) {
                (Kind::Time, Some(Value::String(given))) => *given = turned(given, zone),
                (Kind::One(inner), Some(Value::Object(properties))) => self.turn(inner, properties),
                (Kind::Many(inner), Some(Value::Array(items))) => {
                    items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| self.turn(inner, item));
                }
                _ => {}
            }
        }
    }
}

/// Whether it is a date-time, with or without an offset.
pub(super) fn is_time(text: &str) -> bool {
    text.parse::<Instant>().is_ok() || text.parse::<DateTime>().is_ok()
}

/// A time without an offset is in the zone that was asked for, as it is there.
fn turned(given: &str, zone: &TimeZone) -> String {
    let local = || given.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok();
    let at = given.parse::<Instant>().ok().map(|at| at.to_zoned(zone.clone())).or_else(local);
    at.map_or_else(|| given.to_owned(), |at| written(&at))
}

fn written(at: &Zoned) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%7f%:z").to_string()
}

fn named(zone: &str) -> Option<TimeZone> {
    if ["utc", "z", "gmt"].contains(&zone.to_ascii_lowercase().as_str()) {
        return Some(TimeZone::UTC);
    }
    let by_code = ZONES.lines().find_map(|line| {
        let (name, codes) = line.split_once(' ')?;
        codes.split(' ').any(|code| code.eq_ignore_ascii_case(zone)).then_some(name)
    });
    offset(zone).or_else(|| TimeZone::get(by_code.unwrap_or(zone)).ok())
}

/// `+02:00`.
fn offset(text: &str) -> Option<TimeZone> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (0..=14).contains(&hours).then_some(sign * (hours * 3600 + minutes * 60))?;
    (0..60).contains(&minutes).then(|| Offset::from_seconds(seconds).ok()).flatten().map(TimeZone::fixed)
}
