use super::environment::build;
use super::escape::Escape;
use super::{RenderError, check};
use minijinja::{Environment, Error};
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};

/// Templates that are kept ready for one destination, in bytes of their sources.
const KEPT: usize = 128 * 1024;

/// What renders for one destination, and the templates that it rendered before.
pub(super) struct Destination {
    /// Its templates are named by their sources.
    pub(super) environment: Environment<'static>,
    /// Bytes of the sources.
    kept: usize,
}

impl Destination {
    fn new(escape: Escape) -> RwLock<Self> {
        RwLock::new(Self {
            environment: build(escape),
            kept: 0,
        })
    }

    /// The one of the process.
    fn of(escape: Escape) -> &'static RwLock<Self> {
        static PLAIN: LazyLock<RwLock<Destination>> =
            LazyLock::new(|| Destination::new(Escape::None));
        static HTML: LazyLock<RwLock<Destination>> =
            LazyLock::new(|| Destination::new(Escape::Html));
        static SLACK: LazyLock<RwLock<Destination>> =
            LazyLock::new(|| Destination::new(Escape::Slack));
        static MARKDOWN: LazyLock<RwLock<Destination>> =
            LazyLock::new(|| Destination::new(Escape::Markdown));
        match escape {
            Escape::None => &PLAIN,
            Escape::Html => &HTML,
            Escape::Slack => &SLACK,
            Escape::Markdown => &MARKDOWN,
        }
    }

    fn keep(&mut self, source: &str) -> Result<(), Error> {
        if self.kept + source.len() > KEPT {
            self.environment.clear_templates();
            self.kept = 0;
        }
        self.kept += source.len();
        self.environment
            .add_template_owned(source.to_owned(), source.to_owned())
    }
}

/// What renders for one destination.
pub(super) fn of(escape: Escape) -> RwLockReadGuard<'static, Destination> {
    let destination = Destination::of(escape).read();
    destination.unwrap_or_else(PoisonError::into_inner)
}

/// The same with a template in it that has its source as its name.
///
/// The same few templates are rendered again and again, so they are checked and compiled but once.
pub(super) fn with(
    source: &str,
    escape: Escape,
) -> Result<RwLockReadGuard<'static, Destination>, RenderError> {
    loop {
        let destination = of(escape);
        if destination.environment.get_template(source).is_ok() {
            return Ok(destination);
        }
        drop(destination);
        check::acceptable(source)?;
        let destination = Destination::of(escape).write();
        let mut destination = destination.unwrap_or_else(PoisonError::into_inner);
        destination
            .keep(source)
            .map_err(|error| super::render_error(&error))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut destination = Destination::new(Escape::None).into_inner().unwrap();
        let source = |number: usize| format!("{{{{ {number} }}}}{}", " ".repeat(10_000));
        for number in 0..50 {
            destination.keep(&source(number)).unwrap();
            assert!(destination.kept <= KEPT);
            let template = destination.environment.get_template(&source(number));
            assert_eq!(
                template.unwrap().render(()).unwrap().trim(),
                number.to_string()
            );
        }
        assert!(destination.environment.get_template(&source(0)).is_err());
        assert!(destination.environment.get_template(&source(40)).is_ok());
    }

    #[test]
    fn a_template_renders_again_what_is_asked_anew_and_where_it_goes() {
        // As a name it would tell to what end it is escaped.
        let source = "{{ text }}.html";
        let render =
            |text: &str, escape| super::super::render(source, &json!({ "text": text }), escape);
        for _ in 0..2 {
            assert_eq!(render("<a>", Escape::Html).unwrap(), "&lt;a&gt;.html");
            assert_eq!(render("<a>", Escape::None).unwrap(), "<a>.html");
            assert_eq!(render("b", Escape::None).unwrap(), "b.html");
            assert!(super::super::render(source, &json!({}), Escape::None).is_err());
        }
    }
}
