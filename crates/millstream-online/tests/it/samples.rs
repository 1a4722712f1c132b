//! What version 1 of each layout stored: the samples stay readable, and today's code still writes the same.

use std::fmt::Write;

use bytes::Bytes;
use millstream_online::Append;

use crate::place::{Store, counts, entity, open_folder, put, texts};

/// The file of the copies of a log's entries.
const COPIES: &str = "
    4d5350555348310a
    0000001d 5d495a4c 0006 707573686573 0000000000000001 0000000000000000 6669727374
    0000001e 437d3665 0006 707573686573 0000000000000002 0000000000000000 7365636f6e64
";

const EMBEDDED: &str = include_str!("../samples/embedded-1.txt");

/// Everything that the samples hold.
async fn write(store: &Store) {
    put(store, 0x0102_0304_0506_0708, &[("a", "record a"), ("b", "")]).await;
    put(store, 9, &[("a", "another space")]).await;
    let entries = [Bytes::from_static(b"first"), Bytes::from_static(b"second")];
    let append = Append { log: "pushes", entries: &entries };
    let marks: [(&str, &[u8]); 1] = [("version", b"7")];
    crate::place::add_one(store, 9, &[entity("count")], &marks, Some(append), true).await.unwrap();
    assert_eq!(store.reserve("pushes", 3).await.unwrap(), 1);
}

async fn check(store: &Store) {
    let keys = [(0x0102_0304_0506_0708, "a"), (0x0102_0304_0506_0708, "b"), (9, "a"), (9, "b")];
    assert_eq!(texts(store, &keys).await, ["record a", "", "another space", "-"]);
    assert_eq!(counts(store, 9, &[entity("count")]).await, [1]);
    assert_eq!(store.mark(9, "version").await.unwrap().as_deref(), Some(&b"7"[..]));
    let log = store.log("pushes", 0, 10).await.unwrap();
    let log: Vec<_> = log.iter().map(|entry| (entry.position, &*entry.bytes)).collect();
    assert_eq!(log, [(1, &b"first"[..]), (2, &b"second"[..])]);
    assert!(store.reserve("pushes", 1).await.unwrap() > 3);
}

#[tokio::test]
async fn an_embedded_store_is_written_as_the_sample_says() {
    let folder = tempfile::TempDir::new().unwrap();
    let place = folder.path().join("store");
    let store = open_folder(&place).await.unwrap();
    write(&store).await;
    drop(store);
    let copies = hex(&std::fs::read(folder.path().join("store.pushed")).unwrap());
    assert_eq!(copies, COPIES.split_whitespace().collect::<String>());
    let database = fjall::Database::builder(&place).open().unwrap();
    let mut names = database.list_keyspace_names();
    names.sort();
    let mut found = String::new();
    for name in names {
        for entry in database.keyspace(&name, fjall::KeyspaceCreateOptions::default).unwrap().iter() {
            let (key, value) = entry.into_inner().unwrap();
            writeln!(found, "{}", format!("{} {} {}", &*name, hex(&key), hex(&value)).trim_end()).unwrap();
        }
    }
    assert_eq!(found, EMBEDDED);
}

#[tokio::test]
async fn the_sample_of_an_embedded_store_is_read() {
    // Stores of earlier versions do not say which keyspaces have to be there.
    let keyspace = hex(b"keyspace/");
    let earlier = |line: &&str| !line.contains(&keyspace);
    read(EMBEDDED.lines()).await;
    read(EMBEDDED.lines().filter(earlier)).await;
}

async fn read<'a>(lines: impl Iterator<Item = &'a str>) {
    let folder = tempfile::TempDir::new().unwrap();
    let database = fjall::Database::builder(folder.path()).open().unwrap();
    for line in lines {
        let mut words = line.split(' ');
        let (name, key) = (words.next().unwrap(), unhex(words.next().unwrap()));
        let keyspace = database.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap();
        keyspace.insert(key, unhex(words.next().unwrap_or_default())).unwrap();
    }
    drop(database);
    check(&open_folder(folder.path()).await.unwrap()).await;
}

#[cfg(feature = "redis")]
mod redis {
    use super::{check, hex, write};
    use crate::place::Place;

    const REDIS: &str = include_str!("../samples/redis-1.txt");

    /// Commands that make everything below the prefix, in order of the keys and fields.
    fn dump(url: &str, prefix: &str) -> String {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut keys: Vec<Vec<u8>> =
            redis::cmd("KEYS").arg(format!("{prefix}:*")).query(&mut connection).unwrap();
        keys.sort();
        let mut commands = Vec::new();
        for key in keys {
            let name = String::from_utf8(key[prefix.len()..].to_vec()).unwrap();
            let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).unwrap();
            let mut ask = |command: &str, arguments: &[&str]| -> redis::Value {
                redis::cmd(command).arg(&key).arg(arguments).query(&mut connection).unwrap()
            };
            match &*kind {
                "hash" => {
                    let fields: Vec<(Vec<u8>, Vec<u8>)> =
                        redis::from_redis_value(ask("HGETALL", &[])).unwrap();
                    let mut fields: Vec<_> = fields
                        .iter()
                        .map(|(field, value)| format!("HSET {name} {} {}", hex(field), hex(value)))
                        .collect();
                    fields.sort();
                    commands.extend(fields);
                }
                "set" => {
                    let mut members: Vec<Vec<u8>> = redis::from_redis_value(ask("SMEMBERS", &[])).unwrap();
                    members.sort();
                    commands.extend(members.iter().map(|member| format!("SADD {name} {}", hex(member))));
                }
                "stream" => {
                    let entries: Vec<(String, Vec<Vec<u8>>)> =
                        redis::from_redis_value(ask("XRANGE", &["-", "+"])).unwrap();
                    for (id, fields) in entries {
                        let fields: Vec<_> = fields.iter().map(|field| hex(field)).collect();
                        commands.push(format!("XADD {name} {} {}", hex(id.as_bytes()), fields.join(" ")));
                    }
                }
                _ => {
                    let value: Vec<u8> = redis::from_redis_value(ask("GET", &[])).unwrap();
                    commands.push(format!("SET {name} {}", hex(&value)));
                }
            }
        }
        commands.iter().map(|command| format!("{}\n", command.trim_end())).collect()
    }

    #[tokio::test]
    async fn a_redis_store_is_written_as_the_sample_says() {
        let Some(place) = Place::server("samples::redis::written") else { return };
        write(&place.open().await).await;
        let Place::Server { url, prefix } = &place else { return };
        assert_eq!(dump(url, prefix), REDIS);
    }

    #[tokio::test]
    async fn the_sample_of_a_redis_store_is_read() {
        let Some(place) = Place::server("samples::redis::read") else { return };
        let Place::Server { url, prefix } = &place else { return };
        let mut connection = redis::Client::open(&**url).unwrap().get_connection().unwrap();
        for line in REDIS.lines() {
            let mut words = line.split(' ');
            let mut command = redis::cmd(words.next().unwrap());
            command.arg(format!("{prefix}{}", words.next().unwrap()));
            command.arg(words.map(super::unhex).collect::<Vec<_>>());
            command.query::<redis::Value>(&mut connection).unwrap();
        }
        check(&place.open().await).await;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
