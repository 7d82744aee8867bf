use super::{TemplateFault, floor, refused};
use crate::nearest::nearest;
use crate::templates::names::{self, Names, Shape};
use crate::templates::{FILTERS, FUNCTIONS, TESTS};
use minijinja::machinery::Span;
use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CallType, CompareOpKind, Expr, Stmt};
use quench_findings::Severity;

/// Finds the faults of a template that parses, in the order they stand there.
pub(super) fn faults(source: &str, template: &Stmt<'_>, known: &Names) -> Vec<TemplateFault> {
    let mut walk = Walk {
        source,
        scopes: vec![known.roots()],
        faults: Vec::new(),
    };
    walk.statement(template);
    walk.faults.sort_by_key(|fault| fault.offset);
    walk.faults.dedup();
    walk.faults
}

struct Walk<'s> {
    source: &'s str,
    scopes: Vec<Vec<(String, Shape)>>,
    faults: Vec<TemplateFault>,
}

impl<'s> Walk<'s> {
    fn fault(&mut self, offset: usize, len: usize, message: String, help: Option<String>) {
        self.faults.push(TemplateFault {
            offset,
            len,
            message,
            help,
        });
    }

    /// Reports a word that stands in `span`, not before `from`.
    fn fault_at_word(
        &mut self,
        word: &str,
        span: Span,
        from: usize,
        message: String,
        help: Option<String>,
    ) {
        let start = floor(self.source, from.max(span.start_offset as usize));
        let end = floor(self.source, span.end_offset as usize).max(start);
        let (offset, len) = self.source[start..end]
            .find(word)
            .map_or((start, end - start), |at| (start + at, word.len()));
        self.fault(offset, len, message, help);
    }

    fn declare(&mut self, name: &str, shape: Shape) {
        let scope = self
            .scopes
            .last_mut()
            .expect("the outermost scope is never left");
        scope.push((name.to_owned(), shape));
    }

    fn lookup(&self, name: &str) -> Option<Shape> {
        self.scopes.iter().rev().find_map(|scope| {
            scope
                .iter()
                .rev()
                .find_map(|(known, shape)| (known == name).then(|| shape.clone()))
        })
    }

    fn within(&mut self, body: &[Stmt<'s>], declared: Vec<(String, Shape)>) {
        self.scopes.push(declared);
        for statement in body {
            self.statement(statement);
        }
        self.scopes.pop();
    }

    fn statement(&mut self, statement: &Stmt<'s>) {
        if let Some((word, span)) = (!matches!(statement, Stmt::Template(_)))
            .then(|| refused_here(statement))
            .flatten()
        {
            let help = (word == "set").then(|| "write `{% set name = … %}`".to_owned());
            self.fault_at_word(
                word,
                span,
                0,
                format!("`{word}` block is not allowed"),
                help,
            );
            return;
        }
        match statement {
            Stmt::Template(template) => {
                for child in &template.children {
                    self.statement(child);
                }
            }
            Stmt::EmitExpr(emit) => {
                self.expression(&emit.expr);
            }
            Stmt::ForLoop(each) => {
                let item = self.expression(&each.iter).item();
                let mut declared = targets(&each.target, &item);
                if let Some(filter) = &each.filter_expr {
                    self.scopes.push(declared.clone());
                    self.expression(filter);
                    self.scopes.pop();
                }
                declared.push(("loop".to_owned(), loop_shape()));
                self.within(&each.body, declared);
                self.within(&each.else_body, Vec::new());
            }
            Stmt::IfCond(branch) => {
                self.expression(&branch.expr);
                // What one branch sets is not there after the other.
                self.within(&branch.true_body, Vec::new());
                self.within(&branch.false_body, Vec::new());
            }
            Stmt::WithBlock(block) => {
                let mut declared = Vec::new();
                for (target, value) in &block.assignments {
                    let shape = self.expression(value);
                    declared.extend(targets(target, &shape));
                }
                self.within(&block.body, declared);
            }
            Stmt::Set(set) => {
                let shape = self.expression(&set.expr);
                for (name, shape) in targets(&set.target, &shape) {
                    self.declare(&name, shape);
                }
            }
            Stmt::Do(call) => {
                self.call(&call.call, call.span());
            }
            Stmt::EmitRaw(_) | Stmt::SetBlock(_) | Stmt::AutoEscape(_) | Stmt::FilterBlock(_) => {}
        }
    }

    fn expression(&mut self, expression: &Expr<'s>) -> Shape {
        match expression {
            Expr::Var(var) => self.variable(var.id, var.span()),
            Expr::Const(_) => Shape::Scalar,
            Expr::GetAttr(attr) => {
                let base = self.expression(&attr.expr);
                self.attribute(&base, &attr.expr, attr.name, attr.span())
            }
            Expr::GetItem(item) => {
                let base = self.expression(&item.expr);
                if let Expr::Const(constant) = &item.subscript_expr
                    && let Some(name) = constant.value.as_str()
                {
                    let name = name.to_owned();
                    return self.attribute(&base, &item.expr, &name, item.span());
                }
                self.expression(&item.subscript_expr);
                match base {
                    Shape::List(item) => *item,
                    _ => Shape::Any,
                }
            }
            Expr::Slice(slice) => {
                let base = self.expression(&slice.expr);
                for part in [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .flatten()
                {
                    self.expression(part);
                }
                base
            }
            Expr::UnaryOp(operation) => {
                self.expression(&operation.expr);
                Shape::Any
            }
            Expr::BinOp(operation) => {
                self.expression(&operation.left);
                self.expression(&operation.right);
                if matches!(operation.op, BinOpKind::Eq | BinOpKind::Ne) {
                    self.comparison(&operation.left, &operation.right);
                    self.comparison(&operation.right, &operation.left);
                } else if matches!(operation.op, BinOpKind::In) {
                    self.comparison(&operation.left, &operation.right);
                    self.searched(&operation.right);
                } else if matches!(operation.op, BinOpKind::Concat) {
                    self.joined(&operation.left);
                    self.joined(&operation.right);
                }
                Shape::Any
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                let mut left = &compare.expr;
                for next in &compare.ops {
                    self.expression(&next.expr);
                    match next.op {
                        CompareOpKind::Eq | CompareOpKind::Ne => {
                            self.comparison(left, &next.expr);
                            self.comparison(&next.expr, left);
                        }
                        CompareOpKind::In | CompareOpKind::NotIn => {
                            self.comparison(left, &next.expr);
                            self.searched(&next.expr);
                        }
                        _ => {}
                    }
                    left = &next.expr;
                }
                Shape::Any
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                let one = self.expression(&choice.true_expr);
                let other = choice
                    .false_expr
                    .as_ref()
                    .map(|other| self.expression(other));
                if other.is_none_or(|other| other == one) {
                    one
                } else {
                    Shape::Any
                }
            }
            Expr::Filter(filter) => {
                let base = match &filter.expr {
                    Some(inner) => self.expression(inner),
                    None => Shape::Any,
                };
                let after = filter
                    .expr
                    .as_ref()
                    .map_or(0, |inner| inner.span().end_offset as usize);
                self.known("filter", filter.name, FILTERS, filter.span(), after);
                self.arguments(&filter.args);
                self.named_by_argument(filter.name, &filter.args);
                match filter.name {
                    "first" | "last" | "min" | "max" => match base {
                        Shape::List(item) => *item,
                        _ => Shape::Any,
                    },
                    "sort" | "reverse" | "unique" | "list" | "select" | "reject" | "selectattr"
                    | "rejectattr"
                        if matches!(base, Shape::List(_)) =>
                    {
                        base
                    }
                    _ => Shape::Any,
                }
            }
            Expr::Test(test) => {
                self.expression(&test.expr);
                let after = test.expr.span().end_offset as usize;
                self.known("test", test.name, TESTS, test.span(), after);
                self.arguments(&test.args);
                if test.name == "at_least"
                    && let Some(CallArg::Pos(Expr::Const(least))) = test.args.first()
                    && let Some(word) = least.value.as_str()
                {
                    let known: Vec<&str> = Severity::ALL.iter().map(|one| one.as_str()).collect();
                    self.word("severity", &known, word, least.span());
                }
                Shape::Scalar
            }
            Expr::Call(call) => self.call(call, call.span()),
            Expr::List(list) => {
                for item in &list.items {
                    self.expression(item);
                }
                Shape::List(Box::new(Shape::Any))
            }
            Expr::Tuple(tuple) => {
                for item in &tuple.items {
                    self.expression(item);
                }
                Shape::List(Box::new(Shape::Any))
            }
            Expr::Map(map) => {
                for part in map.keys.iter().chain(&map.values) {
                    self.expression(part);
                }
                Shape::Any
            }
        }
    }

    /// Refuses `~` of a field that may be null, which it would write as `None`.
    fn joined(&mut self, part: &Expr<'s>) {
        self.not_null(part, "`~` writes null as `None`");
    }

    /// Refuses a search in a field that may be null, which fails.
    fn searched(&mut self, whole: &Expr<'s>) {
        self.not_null(whole, "`in` fails on null");
    }

    fn not_null(&mut self, part: &Expr<'s>, why: &str) {
        if let Some(path) = dotted(part)
            && names::may_be_null(&path)
        {
            self.fault_at_word(
                &path,
                part.span(),
                0,
                format!("{why}, and `{path}` may be null"),
                Some(format!("write `({path} | default(\"\"))`")),
            );
        }
    }

    fn variable(&mut self, name: &str, span: Span) -> Shape {
        if let Some(shape) = self.lookup(name) {
            return shape;
        }
        let known: Vec<String> = self
            .scopes
            .iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        let whole_finding = self.lookup("finding").unwrap_or(Shape::Any);
        let help = if FUNCTIONS.contains(&name) {
            Some(format!("`{name}` is a function: write `{name}(…)`"))
        } else if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
            Some(format!("did you mean `{near}`?"))
        } else {
            ["finding", "params", "vars", "steps", "run"]
                .into_iter()
                .find(|root| {
                    *root == "finding" && whole_finding.field(name).is_some()
                        || self
                            .lookup(root)
                            .is_some_and(|shape| shape.field(name).is_some())
                })
                .map(|root| format!("did you mean `{root}.{name}`?"))
                .or_else(|| {
                    (name == "loop_index").then(|| "it is known only within `for_each`".to_owned())
                })
        };
        self.fault_at_word(name, span, 0, format!("`{name}` is not defined here"), help);
        Shape::Any
    }

    fn attribute(&mut self, base: &Shape, of: &Expr<'s>, name: &str, span: Span) -> Shape {
        let after = of.span().end_offset as usize;
        let path = dotted(of);
        let quoted = path
            .as_ref()
            .map_or_else(|| "the value".to_owned(), |path| format!("`{path}`"));
        let (message, help) = match base {
            Shape::Any => return Shape::Any,
            Shape::Fields(_) => {
                if let Some(shape) = base.field(name) {
                    return shape.clone();
                }
                let fields = base.field_names();
                let prefix = path
                    .as_ref()
                    .map_or_else(String::new, |path| format!("{path}."));
                let help = match (path.as_deref(), name) {
                    (Some("finding"), "raw" | "defender") => Some(format!("write `{name}`")),
                    _ => nearest(name, fields.iter().copied())
                        .map(|near| format!("did you mean `{prefix}{near}`?"))
                        .or_else(|| listed(&quoted, &fields)),
                };
                (format!("{quoted} has no `{name}`"), help)
            }
            Shape::List(_) => (
                format!("{quoted} is a list and has no `{name}`"),
                Some(match &path {
                    Some(path) => format!("write `({path} | first).{name}`, or loop over it"),
                    None => "take its `first`, or loop over it".to_owned(),
                }),
            ),
            Shape::Scalar => (
                format!("{quoted} is a plain value and has no `{name}`"),
                None,
            ),
        };
        self.fault_at_word(name, span, after, message, help);
        Shape::Any
    }

    fn call(&mut self, call: &Call<'s>, span: Span) -> Shape {
        match call.identify_call() {
            CallType::Function(name) => {
                if !FUNCTIONS.contains(&name) {
                    let help = if FILTERS.contains(&name) {
                        Some(format!("`{name}` is a filter: write `… | {name}`"))
                    } else {
                        suggestion(name, FUNCTIONS)
                    };
                    self.fault_at_word(
                        name,
                        span,
                        0,
                        format!("function `{name}` is not known"),
                        help,
                    );
                }
            }
            CallType::Method(of, name) => {
                self.expression(of);
                let of_loop = matches!(of, Expr::Var(var) if var.id == "loop");
                if !(of_loop && matches!(name, "cycle" | "changed")) {
                    let help = if FILTERS.contains(&name) {
                        Some(format!("`{name}` is a filter: write `… | {name}`"))
                    } else {
                        None
                    };
                    let after = of.span().end_offset as usize;
                    self.fault_at_word(
                        name,
                        span,
                        after,
                        format!("values have no method `{name}`"),
                        help,
                    );
                }
            }
            CallType::Object(of) => {
                self.expression(of);
                self.fault(
                    span.start_offset as usize,
                    (span.end_offset - span.start_offset) as usize,
                    "only functions can be called".to_owned(),
                    None,
                );
            }
        }
        self.arguments(&call.args);
        Shape::Any
    }

    fn arguments(&mut self, arguments: &[CallArg<'s>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => {
                    self.expression(value);
                }
            }
        }
    }

    /// Checks the filter or test that `map`, `select` and their like are told by name.
    fn named_by_argument(&mut self, filter: &str, arguments: &[CallArg<'s>]) {
        let (what, list, place) = match filter {
            "map" => ("filter", FILTERS, 0),
            "select" | "reject" => ("test", TESTS, 0),
            "selectattr" | "rejectattr" => ("test", TESTS, 1),
            _ => return,
        };
        if let Some(CallArg::Pos(Expr::Const(constant))) = arguments.get(place)
            && let Some(name) = constant.value.as_str()
        {
            let name = name.to_owned();
            self.known(what, &name, list, constant.span(), 0);
        }
    }

    fn known(&mut self, what: &str, name: &str, list: &[&str], span: Span, from: usize) {
        // Operators such as `==` are tests by another name.
        if !list.contains(&name) {
            let help = match name {
                "safe" | "escape" | "e" => Some("values are escaped for where they go".to_owned()),
                _ => suggestion(name, list),
            };
            self.fault_at_word(
                name,
                span,
                from,
                format!("{what} `{name}` is not known"),
                help,
            );
        }
    }

    /// Checks the words that severities, statuses and the like are compared with.
    fn comparison(&mut self, field: &Expr<'s>, with: &Expr<'s>) {
        let Some((what, known)) = dotted(field).and_then(|path| names::words(&path)) else {
            return;
        };
        let constants: &[Expr<'s>] = match with {
            Expr::Const(_) => std::slice::from_ref(with),
            Expr::List(list) => &list.items,
            Expr::Tuple(tuple) => &tuple.items,
            _ => &[],
        };
        for constant in constants {
            if let Expr::Const(word) = constant
                && let Some(text) = word.value.as_str()
            {
                self.word(what, &known, text, word.span());
            }
        }
    }

    fn word(&mut self, what: &str, known: &[&str], word: &str, span: Span) {
        if !known.contains(&word) {
            let help =
                suggestion(word, known).unwrap_or_else(|| format!("it can be {}", quoted(known)));
            self.fault_at_word(
                word,
                span,
                0,
                format!("{what} `{word}` is not known"),
                Some(help),
            );
        }
    }
}

/// As [`refused`], of the statement itself and not of those within.
fn refused_here(statement: &Stmt<'_>) -> Option<(&'static str, Span)> {
    match statement {
        Stmt::SetBlock(_) | Stmt::AutoEscape(_) | Stmt::FilterBlock(_) => refused(statement),
        _ => None,
    }
}

fn targets(target: &Expr<'_>, shape: &Shape) -> Vec<(String, Shape)> {
    match target {
        Expr::Var(var) => vec![(var.id.to_owned(), shape.clone())],
        Expr::List(list) => list
            .items
            .iter()
            .flat_map(|item| targets(item, &Shape::Any))
            .collect(),
        Expr::Tuple(tuple) => tuple
            .items
            .iter()
            .flat_map(|item| targets(item, &Shape::Any))
            .collect(),
        _ => Vec::new(),
    }
}

fn loop_shape() -> Shape {
    Shape::Fields(
        [
            "index",
            "index0",
            "revindex",
            "revindex0",
            "first",
            "last",
            "length",
            "depth",
            "depth0",
        ]
        .into_iter()
        .map(|name| (name.to_owned(), Shape::Scalar))
        .collect(),
    )
}

/// The path that an expression of names only spells.
fn dotted(expression: &Expr<'_>) -> Option<String> {
    match expression {
        Expr::Var(var) => Some(var.id.to_owned()),
        Expr::GetAttr(attr) => Some(format!("{}.{}", dotted(&attr.expr)?, attr.name)),
        _ => None,
    }
}

fn suggestion(name: &str, list: &[&str]) -> Option<String> {
    nearest(name, list.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}

fn listed(owner: &str, fields: &[&str]) -> Option<String> {
    (!fields.is_empty() && fields.len() <= 12).then(|| format!("{owner} has {}", quoted(fields)))
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
