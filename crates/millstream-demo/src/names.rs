//! The names, countries and products that the generated data is made of.

pub(super) const FIRST_NAMES: [&str; 48] = [
    "Amelia",
    "Noah",
    "Sofia",
    "Liam",
    "Mia",
    "Lucas",
    "Emma",
    "Leon",
    "Olivia",
    "Finn",
    "Hannah",
    "Elias",
    "Chloe",
    "Hugo",
    "Inès",
    "Louis",
    "Giulia",
    "Matteo",
    "Zofia",
    "Jakub",
    "Anna",
    "Lars",
    "Freja",
    "Oskar",
    "Yuki",
    "Haruto",
    "Priya",
    "Arjun",
    "Fatima",
    "Omar",
    "Aisha",
    "Kwame",
    "Camila",
    "Mateo",
    "Valentina",
    "Diego",
    "Grace",
    "Ethan",
    "Ava",
    "James",
    "Charlotte",
    "Benjamin",
    "Nora",
    "Jonas",
    "Clara",
    "Paul",
    "Ida",
    "Emil",
];

pub(super) const LAST_NAMES: [&str; 60] = [
    "Smith",
    "Müller",
    "García",
    "Rossi",
    "Nguyen",
    "Kowalski",
    "Novák",
    "Jansen",
    "Andersson",
    "Hansen",
    "Dubois",
    "Martin",
    "Silva",
    "Santos",
    "Kim",
    "Tanaka",
    "Sato",
    "Patel",
    "Sharma",
    "Khan",
    "Ali",
    "Okafor",
    "Mensah",
    "Johnson",
    "Brown",
    "Taylor",
    "Wilson",
    "Evans",
    "Walker",
    "Wright",
    "Schmidt",
    "Fischer",
    "Weber",
    "Wagner",
    "Becker",
    "Hoffmann",
    "Moreau",
    "Laurent",
    "Lefebvre",
    "Bianchi",
    "Ricci",
    "Fernández",
    "López",
    "Pérez",
    "Costa",
    "Almeida",
    "Nielsen",
    "Larsen",
    "Virtanen",
    "Korhonen",
    "Horváth",
    "Nagy",
    "Popescu",
    "Ivanova",
    "Petrov",
    "Yılmaz",
    "Demir",
    "Cohen",
    "Levy",
    "O'Connor",
];

pub(super) const MAIL_HOSTS: [&str; 6] =
    ["mail.example", "post.example", "inbox.example", "home.example", "work.example", "shop.example"];

/// ISO codes with their share of the customers.
pub(super) const COUNTRIES: [(&str, u32); 12] = [
    ("DE", 24),
    ("FR", 15),
    ("GB", 14),
    ("US", 12),
    ("NL", 7),
    ("IT", 7),
    ("ES", 6),
    ("PL", 5),
    ("SE", 4),
    ("AT", 3),
    ("CH", 2),
    ("JP", 1),
];

pub(super) const SEGMENTS: [(&str, u32); 4] = [("new", 30), ("regular", 50), ("loyal", 16), ("vip", 4)];

/// A category, its share of the orders, and the prices of its products in cents.
pub(super) struct Category {
    pub(super) name: &'static str,
    pub(super) weight: u32,
    pub(super) prices: [u32; 6],
}

pub(super) const CATEGORIES: [Category; 7] = [
    Category { name: "books", weight: 24, prices: [799, 999, 1_299, 1_599, 2_199, 3_499] },
    Category { name: "clothing", weight: 22, prices: [1_499, 1_999, 2_999, 3_999, 5_999, 8_999] },
    Category { name: "home", weight: 16, prices: [999, 1_999, 3_499, 4_999, 7_999, 14_900] },
    Category { name: "toys", weight: 12, prices: [999, 1_499, 1_999, 2_999, 4_999, 7_999] },
    Category { name: "beauty", weight: 10, prices: [499, 899, 1_499, 2_499, 3_999, 6_500] },
    Category { name: "sports", weight: 9, prices: [1_299, 2_499, 3_999, 6_999, 11_900, 24_900] },
    Category { name: "electronics", weight: 7, prices: [1_999, 4_999, 9_999, 19_900, 49_900, 129_900] },
];

pub(super) const STATUSES: [(&str, u32); 5] =
    [("paid", 86), ("pending", 4), ("cancelled", 5), ("refunded", 4), ("test", 1)];

pub(super) const DEVICES: [(&str, u32); 3] = [("mobile", 62), ("desktop", 31), ("tablet", 7)];

/// The item that a number below the sum of weights falls on.
pub(super) fn weighted<T>(items: &[T], weight: impl Fn(&T) -> u32, mut drawn: u32) -> &T {
    for item in items {
        if drawn < weight(item) {
            return item;
        }
        drawn -= weight(item);
    }
    &items[items.len() - 1]
}
