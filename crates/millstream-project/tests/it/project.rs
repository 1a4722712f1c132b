//! Finding the project.

use millstream_project::find_root;

use crate::scratch::{PROJECT, folder, write};

#[test]
fn the_root_is_found_from_any_folder_inside() {
    let project = folder(&[PROJECT]);
    write(project.path(), "tables/silver/a.sql", b"SELECT 1");
    let expected = std::path::absolute(project.path()).unwrap();
    assert_eq!(find_root(project.path()), Some(expected.clone()));
    assert_eq!(find_root(&project.path().join("tables/silver")), Some(expected));
    assert_eq!(find_root(folder(&[]).path()), None);
}
