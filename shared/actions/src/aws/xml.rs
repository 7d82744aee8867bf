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
