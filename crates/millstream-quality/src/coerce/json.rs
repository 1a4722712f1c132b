//! Whether a JSON text holds nothing beyond what its target takes in.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Target;

/// Whether the text is JSON in which no object holds a key twice and every member that the target's struct lacks is null.
/// Values of another shape than the target's are left to the conversion.
pub(super) fn is_whole_json(text: &str, target: &Target) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Place(target).deserialize(&mut deserializer).and_then(|()| deserializer.end()).is_ok()
}

/// A place in the JSON, with the target of the value that stands there.
#[derive(Clone, Copy)]
struct Place<'t>(&'t Target);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Target::List(..) | Target::Struct(..) => deserializer.deserialize_any(self),
            // Numbers are not looked at here: they may be longer than any number of this machine.
            _ => deserializer.deserialize_ignored_any(IgnoredAny).map(|IgnoredAny| ()),
        }
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Target::List(element, _) = self.0 else { return Err(A::Error::custom("a list")) };
        while elements.next_element_seed(Place(element))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Target::Struct(targets, fields) = self.0 else { return Err(A::Error::custom("an object")) };
        let mut keys: Vec<Cow<'de, str>> = Vec::with_capacity(fields.len());
        while let Some(key) = members.next_key_seed(Key)? {
            match fields.find(&key).and_then(|(index, _)| targets.get(index)) {
                Some(target) => members.next_value_seed(Place(target))?,
                None if members.next_value::<Option<IgnoredAny>>()?.is_none() => {}
                None => return Err(A::Error::custom("a further member")),
            }
            keys.push(key);
        }
        keys.sort_unstable();
        if keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(A::Error::custom("a key twice"));
        }
        Ok(())
    }
}

/// A key, borrowed from the text where it holds no escape.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
