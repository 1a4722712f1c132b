//! Connections: checked, opened once for all that share them, and silent about what they know.

use crate::harness::{
    Call, Definition, Harm, Line, Script, Step, Step::*, World, block_on, check, diagnostics,
};

/// Two sources of one connection, one of another, and one that nothing uses.
const SHARED: &str = "
=== connections/shelf.yaml
type: scripted
description: Where the first two are
password: hunter-of-shelves
=== connections/other.yaml
{type: scripted, password: hunter-of-others}
=== connections/idle.yaml
{type: scripted, password: hunter-of-nothing}
=== sources/a.yaml
connector: {type: scripted, connection: shelf, place: a}
contract: {columns: {id: {type: int64}}}
=== sources/b.yaml
connector: {type: scripted, connection: shelf, place: b}
contract: {columns: {id: {type: int64}}}
=== sources/c.yaml
connector: {type: scripted, connection: other, place: c}
contract: {columns: {id: {type: int64}}}
";

const PARTS: [Step; 3] = [Put("a/x", "id\n1"), Put("b/x", "id\n2"), Put("c/x", "id\n3")];

#[test]
fn a_connection_is_opened_once_for_all_that_share_it() {
    block_on(async {
        let script = Script::default();
        let world = World::new(Definition::with_script(SHARED, script.clone()));
        assert!(script.connections().is_empty(), "a check opens nothing");
        world.engine(&Line::quiet()).await;
        // The first two sources share a connection, the third has its own, and the last connection is not used.
        assert_eq!(script.connections(), ["ScriptedConnection { password: \"***\" }"; 2]);
    });
}

#[test]
fn a_library_that_repeats_a_secret_is_covered() {
    check(
        SHARED,
        &[&PARTS[..], &[Fail("b", Call::Read, Harm::Lasting, 1), Run]].concat(),
        "
        ! bronze.a built +1
        ! bronze.b failed: MS-0302 source `b` cannot be read: the script says so to `***`
        ! bronze.c built +1
    ",
    );
}

#[test]
fn what_is_wrong_with_connections_is_said() {
    let said = diagnostics(
        "
=== connections/shelf.yaml
{type: scripted, passwort: x}
=== connections/tray.yaml
{type: scriptet, password: x}
=== sources/a.yaml
connector: {type: scripted, connection: shelve, place: a}
contract: {columns: {id: {type: int64}}}
",
    );
    assert_eq!(
        said,
        [
            "MS-0712 `password` is missing",
            "MS-0712 unknown option `passwort`",
            "MS-0711 no connection of type `scriptet`",
            "MS-0123 `password` stands in the file",
            "MS-0164 there is no connection `shelve`",
        ]
    );
}
