use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use std::collections::HashMap;

/// How many values the value of one name may be put together from.
const LIMIT: usize = 500;

/// The first `set` or `with` whose value is put together from too many others.
///
/// `a ~ a`, set to `a` again and again, doubles each time, and neither fuel nor the limit of the output sees it. What a
/// loop sets is gone at its next turn, so nothing grows from turn to turn.
pub(super) fn too_large(statement: &Stmt<'_>) -> Option<Span> {
    within(std::slice::from_ref(statement), &HashMap::new())
}

type Weights<'s> = HashMap<&'s str, usize>;

fn within<'s>(body: &[Stmt<'s>], outer: &Weights<'s>) -> Option<Span> {
    let mut weights = outer.clone();
    for statement in body {
        let found = match statement {
            Stmt::Template(template) => within(&template.children, &weights),
            Stmt::ForLoop(each) => {
                let mut inner = weights.clone();
                let weight = weigh(&each.iter, &weights);
                declare(&each.target, weight, &mut inner);
                within(&each.body, &inner).or_else(|| within(&each.else_body, &weights))
            }
            Stmt::IfCond(branch) => {
                within(&branch.true_body, &weights).or_else(|| within(&branch.false_body, &weights))
            }
            Stmt::WithBlock(block) => {
                let mut inner = weights.clone();
                for (target, value) in &block.assignments {
                    let weight = weigh(value, &inner);
                    if weight > LIMIT {
                        return Some(value.span());
                    }
                    declare(target, weight, &mut inner);
                }
                within(&block.body, &inner)
            }
            Stmt::Set(set) => {
                let weight = weigh(&set.expr, &weights);
                declare(&set.target, weight, &mut weights);
                (weight > LIMIT).then(|| set.expr.span())
            }
            Stmt::EmitExpr(_)
            | Stmt::EmitRaw(_)
            | Stmt::SetBlock(_)
            | Stmt::AutoEscape(_)
            | Stmt::FilterBlock(_)
            | Stmt::Do(_) => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn declare<'s>(target: &Expr<'s>, weight: usize, weights: &mut Weights<'s>) {
    match target {
        Expr::Var(var) => {
            weights.insert(var.id, weight);
        }
        Expr::List(list) => list
            .items
            .iter()
            .for_each(|item| declare(item, weight, weights)),
        Expr::Tuple(tuple) => tuple
            .items
            .iter()
            .for_each(|item| declare(item, weight, weights)),
        _ => {}
    }
}

/// How many values an expression may hold at most, one for each name and constant that goes into it.
fn weigh(expression: &Expr<'_>, weights: &Weights<'_>) -> usize {
    let all = |parts: &[Expr<'_>]| sum(parts.iter().map(|part| weigh(part, weights)));
    let arguments = |arguments: &[CallArg<'_>]| {
        sum(arguments.iter().map(|argument| match argument {
            CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value) => weigh(value, weights),
        }))
    };
    match expression {
        Expr::Var(var) => weights.get(var.id).copied().unwrap_or(1),
        // A comparison, a test or a sum of numbers holds nothing; but `+` joins texts and lists as well.
        Expr::Const(_) | Expr::UnaryOp(_) | Expr::Compare(_) | Expr::Test(_) => 1,
        Expr::Slice(slice) => weigh(&slice.expr, weights),
        Expr::BinOp(operation) => {
            weigh(&operation.left, weights).saturating_add(weigh(&operation.right, weights))
        }
        Expr::IfExpr(choice) => {
            let otherwise = choice.false_expr.as_ref();
            weigh(&choice.true_expr, weights)
                .max(otherwise.map_or(1, |otherwise| weigh(otherwise, weights)))
        }
        Expr::Filter(filter) => {
            let base = filter.expr.as_ref().map_or(1, |base| weigh(base, weights));
            match filter.name {
                "length" | "count" | "int" | "float" | "bool" | "round" | "abs" => 1,
                _ => base.saturating_add(arguments(&filter.args)),
            }
        }
        Expr::GetAttr(attribute) => weigh(&attribute.expr, weights),
        Expr::GetItem(item) => weigh(&item.expr, weights),
        Expr::Call(call) => weigh(&call.expr, weights).saturating_add(arguments(&call.args)),
        Expr::List(list) => all(&list.items),
        Expr::Tuple(tuple) => all(&tuple.items),
        Expr::Map(map) => all(&map.keys).saturating_add(all(&map.values)),
    }
}

fn sum(weights: impl Iterator<Item = usize>) -> usize {
    weights.fold(0, usize::saturating_add)
}
