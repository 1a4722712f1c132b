//! Keys go to the partitions that Kafka's clients choose.

use millstream_log::partition_of;

/// Hashes from the tests of Kafka's own client (`UtilsTest.testMurmur2`).
#[test]
fn hashes_are_those_of_kafka() {
    let hashes: [(&[u8], i32); 6] = [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        (b"abc", 479_470_107),
    ];
    for (key, hash) in hashes {
        // 2^31 partitions show all the bits that count.
        let positive = hash.cast_unsigned() & 0x7fff_ffff;
        assert_eq!(partition_of(key, 1 << 31), positive, "{}", String::from_utf8_lossy(key));
        assert_eq!(partition_of(key, 12), positive % 12);
    }
    assert_eq!(partition_of(b"x", 1), 0);
    assert_eq!(partition_of(b"x", 0), 0);
}
