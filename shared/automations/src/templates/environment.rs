use super::escape::Escape;
use super::filters as own;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, filters, functions, tests};

const FUEL: u64 = 100_000;
const DEPTH: usize = 100;

macro_rules! offered {
    ($(#[$about:meta])* $list:ident, $fill:ident, $add:ident: $($name:literal => $item:path),+ $(,)?) => {
        $(#[$about])*
        pub const $list: &[&str] = &[$($name),+];

        fn $fill(environment: &mut Environment<'static>) {
            $(environment.$add($name, $item);)+
        }
    };
}

offered! {
    /// The filters that templates may use.
    FILTERS, fill_filters, add_filter:
    "abs" => filters::abs,
    "bool" => filters::bool,
    "capitalize" => own::capitalize,
    "count" => own::length,
    "d" => own::default,
    "date" => own::date,
    "default" => own::default,
    "dictsort" => filters::dictsort,
    "first" => filters::first,
    "float" => filters::float,
    "get" => own::get,
    "groupby" => filters::groupby,
    "int" => filters::int,
    "items" => filters::items,
    "join" => own::join,
    "last" => filters::last,
    "length" => own::length,
    "lines" => own::lines,
    "list" => filters::list,
    "lower" => own::lower,
    "map" => filters::map,
    "max" => filters::max,
    "min" => filters::min,
    "reject" => filters::reject,
    "rejectattr" => filters::rejectattr,
    "replace" => own::replace,
    "reverse" => filters::reverse,
    "round" => filters::round,
    "select" => filters::select,
    "selectattr" => filters::selectattr,
    "sort" => filters::sort,
    "split" => own::split,
    "string" => own::string,
    "sum" => filters::sum,
    "title" => own::title,
    "tojson" => own::tojson,
    "trim" => own::trim,
    "truncate" => own::truncate,
    "unique" => filters::unique,
    "upper" => own::upper,
}

offered! {
    /// The tests that templates may use after `is`.
    TESTS, fill_tests, add_test:
    "at_least" => own::at_least,
    "boolean" => tests::is_boolean,
    "defined" => tests::is_defined,
    "divisibleby" => tests::is_divisibleby,
    "endingwith" => tests::is_endingwith,
    "eq" => tests::is_eq,
    "even" => tests::is_even,
    "false" => tests::is_false,
    "float" => tests::is_float,
    "ge" => tests::is_ge,
    "gt" => tests::is_gt,
    "in" => tests::is_in,
    "integer" => tests::is_integer,
    "iterable" => tests::is_iterable,
    "le" => tests::is_le,
    "lower" => tests::is_lower,
    "lt" => tests::is_lt,
    "mapping" => tests::is_mapping,
    "ne" => tests::is_ne,
    "none" => tests::is_none,
    "number" => tests::is_number,
    "odd" => tests::is_odd,
    "sequence" => tests::is_sequence,
    "startingwith" => tests::is_startingwith,
    "string" => tests::is_string,
    "true" => tests::is_true,
    "undefined" => tests::is_undefined,
    "upper" => tests::is_upper,
}

offered! {
    /// The functions that templates may call.
    FUNCTIONS, fill_functions, add_function:
    "dict" => functions::dict,
    "range" => functions::range,
}

/// The environment that renders for one destination, without any template.
pub(super) fn build(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    // Without it an undefined value does not know its name.
    environment.set_debug(true);
    fill_filters(&mut environment);
    fill_tests(&mut environment);
    fill_functions(&mut environment);
    // No value is exempt from escaping, whatever a filter claims of it.
    environment.set_formatter(move |out, _, value| {
        let text = own::printed(value)?;
        escape
            .write(&text, out)
            .map_err(|error| Error::new(ErrorKind::WriteFailure, "output").with_source(error))
    });
    environment
}
