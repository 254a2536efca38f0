//! Folds conditions such as `'' IN ('', principal)`, by which reports are narrowed only if asked.
//!
//! An engine that evaluates them for every row would read the column for nothing, and would not
//! see that `'x' IN ('', principal)` is `principal = 'x'`, by which whole parts can be skipped.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};

/// The plan with such conditions folded, wherever rows are filtered.
pub fn fold(plan: LogicalPlan) -> Result<LogicalPlan> {
    let folded = plan.transform_up_with_subqueries(|plan| match plan {
        // Elsewhere a changed expression would change a column's name.
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) => {
            plan.map_expressions(|expression| expression.transform_up(|e| Ok(fold_one(e))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(folded.data)
}

fn fold_one(expression: Expr) -> Transformed<Expr> {
    let Expr::InList(InList {
        expr,
        list,
        negated: false,
    }) = &expression
    else {
        return Transformed::no(expression);
    };
    let Expr::Literal(value, _) = expr.as_ref() else {
        return Transformed::no(expression);
    };
    if value.is_null() {
        return Transformed::no(expression);
    }
    let mut others = Vec::new();
    for element in list {
        match element {
            Expr::Literal(other, _) if other == value => return Transformed::yes(lit(true)),
            // Another text is not this one; a NULL would make the condition NULL, not false.
            Expr::Literal(other, _)
                if !other.is_null() && other.data_type() == value.data_type() => {}
            other => others.push(other.clone().eq(expr.as_ref().clone())),
        }
    }
    let folded = others.into_iter().reduce(Expr::or);
    Transformed::yes(folded.unwrap_or_else(|| lit(false)))
}
