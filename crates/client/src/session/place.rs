//! Where a client is on the way down.

use std::fmt;
use std::str::FromStr;

/// How far a client has got in both lanes: what it goes on with after a cut.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The number of the last control message.
    pub control: u64,
    /// The position that was said last; empty where none was.
    pub position: String,
}

/// Whether a server may say this for a position: it goes into addresses as it is.
pub(super) fn check_position(position: &str) -> Result<(), &'static str> {
    match position.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        true => Ok(()),
        false => Err("a position is letters, digits and dots"),
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Place, &'static str> {
        let (control, position) = text.split_once('.').ok_or("a place is a number, a dot and a position")?;
        let control = if control.bytes().all(|b| b.is_ascii_digit()) { control.parse().ok() } else { None };
        let control = control.ok_or("a place does not begin with a number")?;
        check_position(position)?;
        Ok(Place { control, position: position.to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.control, self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_place_is_two_places() {
        for (text, control, position) in [("0.4Jm0", 0, "4Jm0"), ("17.a1.b2", 17, "a1.b2"), ("3.", 3, "")] {
            let place: Place = text.parse().unwrap();
            assert_eq!((place.control, place.position.as_str()), (control, position));
            assert_eq!(place.to_string(), text);
        }
        for foul in ["", ".", "1", ".a", "x.a", "-1.a", "+1.a", "99999999999999999999.a", "1.a b", "1.a&c=d", "1.é"] {
            assert!(foul.parse::<Place>().is_err(), "{foul}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_taken(text in ".{0,12}|[0-9]{1,3}\\.[0-9a-z.]{0,9}") {
            if let Ok(place) = text.parse::<Place>() {
                prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
            }
        }
    }
}
