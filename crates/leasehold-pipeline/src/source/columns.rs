//! The columns of a table, for errors.

/// The most columns that an error lists.
const LISTED: usize = 20;

/// The columns that there are.
pub(super) fn list(names: &[String]) -> String {
    let mut listed = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        listed.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    listed
}
