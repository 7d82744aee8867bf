use roxmltree::{Document, Node, ParsingOptions};

/// Most elements and texts of an answer in XML.
const NODES: u32 = 200_000;
/// How deep elements may stand in each other.
const DEPTH: usize = 64;

/// An element of an answer in XML; names are without their namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Name.
    pub name: String,
    /// Text that stands in it, not in its children, without white space around.
    pub text: String,
    /// Elements in it, in their order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document; one that defines entities is refused.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: NODES,
            ..ParsingOptions::default()
        };
        let document =
            Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
        Self::of(document.root_element(), DEPTH)
    }

    fn of(node: Node<'_, '_>, depth: usize) -> Result<Self, String> {
        let depth = depth.checked_sub(1).ok_or("it is nested too deep")?;
        let text: String = node
            .children()
            .filter(Node::is_text)
            .filter_map(|child| child.text())
            .collect();
        Ok(Self {
            name: node.tag_name().name().to_owned(),
            text: text.trim().to_owned(),
            children: node
                .children()
                .filter(Node::is_element)
                .map(|child| Self::of(child, depth))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The first child of a name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// What a path of names, such as `AssumeRoleResult/Credentials`, leads to.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Element> {
        path.split('/')
            .try_fold(self, |element, name| element.child(name))
    }

    /// The text that a path of names leads to.
    #[must_use]
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).map(|element| element.text.as_str())
    }

    /// The items of the list that a path of names leads to; `item`, `member` or whatever they are called.
    pub fn items(&self, path: &str) -> impl Iterator<Item = &Element> {
        self.at(path).into_iter().flat_map(|list| &list.children)
    }

    /// The text of the first element of a name, however deep.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        if self.name == name {
            return Some(&self.text);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_paths() {
        let text = r#"<R xmlns="https://example.com/"><Result><List><member><Id>1</Id></member><member>
            <Id> 2 </Id></member></List><Empty/><Text>a &amp; <![CDATA[<b>]]></Text></Result></R>"#;
        let root = Element::read(text).unwrap();
        assert_eq!(root.name, "R");
        assert_eq!(root.text_at("Result/Text"), Some("a & <b>"));
        assert_eq!(root.text_at("Result/Empty"), Some(""));
        assert_eq!(root.text_at("Result/Nothing"), None);
        let ids: Vec<_> = root
            .items("Result/List")
            .filter_map(|item| item.text_at("Id"))
            .collect();
        assert_eq!(ids, ["1", "2"]);
    }

    #[test]
    fn entities_and_depths_that_hurt_are_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>"#;
        assert!(Element::read(bomb).is_err());
        for depth in [DEPTH + 1, 100_000] {
            let deep = "<a>".repeat(depth) + &"</a>".repeat(depth);
            assert!(Element::read(&deep).is_err(), "{depth}");
        }
        let fine = "<a>".repeat(DEPTH) + &"</a>".repeat(DEPTH);
        assert!(Element::read(&fine).is_ok());
        for broken in ["", "<a>", "{}", "<a></b>"] {
            assert!(Element::read(broken).is_err(), "{broken}");
        }
    }
}
