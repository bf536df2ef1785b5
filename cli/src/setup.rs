//! Tables that cannot be made: what to do about it.

/// What to do about a table that cannot be made.
pub fn setup_help(format: &str, cause: &generic_pt::Error) -> String {
    use generic_pt::Error;
    let more = format!("`genpt formats {format}` tells what it offers");
    match cause {
        // The levels are chosen by the number that was asked for.
        Error::ConfigRange { field: field @ "hw_max_vasz_lg2", lowest, highest, .. } => {
            format!(
                "give {} a number from {lowest} to {highest}, or one that more levels decode; {more}",
                as_option(field)
            )
        }
        Error::ConfigRange { field, lowest, highest, .. } => {
            format!("give {} a number from {lowest} to {highest}; {more}", as_option(field))
        }
        Error::Config { field, valid, .. } => format!("valid for {} is {valid}; {more}", as_option(field)),
        _ => more,
    }
}

/// The option by which the user sets a field of the configuration.
fn as_option(field: &str) -> String {
    match field {
        "hw_max_vasz_lg2" => "`--va-bits`".to_owned(),
        "hw_max_oasz_lg2" => "`--oa-bits`".to_owned(),
        field => format!("`--set {field}=NUMBER`"),
    }
}
