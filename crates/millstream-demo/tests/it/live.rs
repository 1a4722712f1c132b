//! Events of the shop's visitors: the same for the same seed and number, from wherever they are made.

use millstream_demo::ShopEvents;

const NOW_MS: i64 = 1_793_491_200_123;

fn event(seed: u64, number: u64) -> String {
    let mut text = Vec::new();
    ShopEvents::new(seed).write(number, NOW_MS, &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn an_event_is_a_function_of_seed_and_number() {
    let shop = ShopEvents::new(7);
    let mut forwards = Vec::new();
    (0..2_000).for_each(|number| shop.write(number, NOW_MS, &mut forwards));
    let apart: String = (0..2_000).map(|number| event(7, number)).collect();
    assert_eq!(String::from_utf8(forwards).unwrap(), apart);
    assert_ne!(event(7, 5), event(8, 5));
    assert_ne!(event(7, 5), event(7, 6));
}

#[test]
fn visits_go_through_the_shop_and_about_one_event_in_two_hundred_is_dirty() {
    let all: Vec<String> = (0..20_000).map(|number| event(1, number)).collect();
    let having = |text: &str| all.iter().filter(|event| event.contains(text)).count();
    for (step, least) in [("page_view", 5_000), ("search", 1_000), ("add_to_cart", 200), ("purchase", 50)] {
        assert!(having(&format!("\"event_type\":\"{step}\"")) > least, "{step}");
    }
    assert!(having("\"amount\":") >= having("\"event_type\":\"purchase\""));
    let dirty =
        having("\"undefined\"") + having("\"guest\"") + having("\"yesterday\"") + having("\"amount\":-");
    let dirty = dirty + all.iter().filter(|event| !event.contains("\"event_id\"")).count();
    assert!((50..200).contains(&dirty), "{dirty}");
    // At most two seconds late, and never of the future.
    let times = all.iter().filter_map(|event| event.split("\"occurred_at\":\"").nth(1)?.strip_suffix("\"}"));
    for time in times.filter(|time| *time != "yesterday") {
        assert!(("2026-10-31T23:59:58.123Z"..="2026-11-01T00:00:00.123Z").contains(&time), "{time}");
    }
}
