use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// What a walk comes by.
pub(crate) enum Piece<'a> {
    /// An element begins.
    Start,
    /// A text that is not blank, its escapes resolved.
    Text(&'a str),
}

/// How deep elements may lie in each other.
pub(crate) const DEEPEST: usize = 200;

/// Walks through a document from top to bottom, telling the local names of the elements around each piece.
/// `None`: it is not well-formed, too deep, or declares or uses entities of its own.
pub(crate) fn walk(body: &str, mut on: impl FnMut(&[String], Piece<'_>)) -> Option<()> {
    let mut reader = Reader::from_str(body.trim_start());
    let mut path = Vec::new();
    let mut text = String::new();
    loop {
        let event = reader.read_event().ok()?;
        let is_tag = matches!(event, Event::Start(_) | Event::Empty(_) | Event::End(_));
        if is_tag && !text.trim().is_empty() {
            on(&path, Piece::Text(text.trim()));
        }
        if is_tag {
            text.clear();
        }
        match event {
            Event::Start(tag) if path.len() < DEEPEST => {
                path.push(local_name(&tag));
                on(&path, Piece::Start);
            }
            Event::Empty(tag) => {
                path.push(local_name(&tag));
                on(&path, Piece::Start);
                path.pop();
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(part) => resolve(&part, &mut text)?,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Start(_) | Event::DocType(_) => return None,
            Event::Eof => return path.is_empty().then_some(()),
        }
    }
}

fn local_name(tag: &BytesStart<'_>) -> String {
    tag.local_name().as_ref().to_owned()
}

fn resolve(reference: &BytesRef<'_>, text: &mut String) -> Option<()> {
    match reference.resolve_char_ref().ok()? {
        Some(letter) => text.push(letter),
        None => text.push_str(resolve_predefined_entity(reference)?),
    }
    Some(())
}
