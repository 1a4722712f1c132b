//! Webhooks that have a secret: calls that are signed with it need no token.

use millstream_server::{ServerOptions, Token};

use crate::client::{Running, options, start};

const BODY: &[u8] = b"Hello, World!";
/// The example of GitHub's documentation.
const OF_BODY: &str =
    "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// The server's time is 1793491200.
const NOW: &str = "t=1793491200,v1=2793a24fcfba1692365a7baa43c82b0a2a0db651723c84ed090345112f2b8a79";
const IN_TIME: [&str; 2] = [
    "t=1793490900,v1=13169ef3a9a1ea3138b4b01a0974ed7a08902aabe30e58cb1704b85de254d139",
    "t=1793491500,v1=3b83a81c07ed9cc41408618eadb06ba8be824f8ef18e51a39bc07dbc194475e7",
];
const OUT_OF_TIME: [&str; 2] = [
    "t=1793490899,v1=472dade9c077455aacdaad9d6152739357f76b10482a394e9f685a9b6fbf4349",
    "t=1793491501,v1=a9805def7bf2caea4c54f9e5d20d0dc361b71961744368ef6d44cb667a4da990",
];

async fn with_token() -> Running {
    let token = Some(Token::new("0123456789abcdef0123456789abcdef"));
    start(ServerOptions { token, ..options() }).await
}

async fn status(server: &Running, path: &str, headers: &[&str], body: &[u8]) -> u16 {
    server.send("POST", path, headers, body).await.status
}

const SIGNED: &str = "/v1/triggers/signed";

#[tokio::test]
async fn a_signed_call_needs_no_token() {
    let server = with_token().await;
    assert_eq!(status(&server, SIGNED, &[OF_BODY], BODY).await, 202);
    let [millstream, stripe] =
        ["X-Millstream-Signature", "Stripe-Signature"].map(|name| format!("{name}: {NOW}"));
    for header in [&millstream, &stripe] {
        assert_eq!(status(&server, SIGNED, &[header], BODY).await, 202, "{header}");
    }
    // Through a proxy, from another machine.
    let foreign = [OF_BODY, "Host: hooks.example.com", "Origin: https://github.com"];
    assert_eq!(status(&server, SIGNED, &foreign, BODY).await, 202);
    for value in IN_TIME {
        let header = format!("X-Millstream-Signature: {value}");
        assert_eq!(status(&server, SIGNED, &[&header], BODY).await, 202, "{header}");
    }
    // While the secret is replaced, the sender signs with both.
    let two = format!("X-Millstream-Signature: {NOW},v0=x, v1={}", "0".repeat(64));
    assert_eq!(status(&server, SIGNED, &[&two], BODY).await, 202);
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_is_not_signed_well_is_refused() {
    let server = with_token().await;
    let zeros = "0".repeat(64);
    let mut cases: Vec<(String, &[u8])> = vec![
        (OF_BODY.to_owned(), b"Hello, world!"),
        (OF_BODY.to_owned(), b""),
        (format!("X-Hub-Signature-256: sha256={zeros}"), BODY),
        (OF_BODY.replace("sha256=", "sha1="), BODY),
        (OF_BODY[..80].to_owned(), BODY),
        (format!("X-Millstream-Signature: {}", NOW.replace("t=1793491200", "t=1793491201")), BODY),
        (format!("X-Millstream-Signature: {}", &NOW["t=1793491200,".len()..]), BODY),
        ("X-Millstream-Signature: t=1793491200".to_owned(), BODY),
        (format!("X-Millstream-Signature: t=soon,v1={zeros}"), BODY),
        (format!("X-Millstream-Signature: t=-9223372036854775808,v1={zeros}"), BODY),
        (format!("X-Millstream-Signature: t=1793491200{}", format!(",v1={zeros}").repeat(9)), BODY),
    ];
    cases.extend(OUT_OF_TIME.map(|value| (format!("X-Millstream-Signature: {value}"), BODY)));
    for (header, body) in cases {
        let answer = server.send("POST", SIGNED, &[&header], body).await;
        assert_eq!(answer.status, 401, "{header}");
        assert!(answer.text().contains("MS-1245"), "{header}: {}", answer.text());
        assert!(!answer.text().contains("Everybody"));
    }
    // Before it is known who sends it, a body takes no room that it does not ask for.
    let large = vec![b'x'; (1 << 20) + 1];
    assert_eq!(status(&server, SIGNED, &[OF_BODY], &large).await, 413);
    // A good signature beside another one says too much.
    assert_eq!(status(&server, SIGNED, &[OF_BODY, OF_BODY], BODY).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_signature_opens_nothing_but_its_webhook() {
    let server = with_token().await;
    for path in ["/v1/triggers/orders_arrived", "/v1/triggers/nothing", "/v1/reload", "/v1/triggers/%73igned"]
    {
        assert_eq!(status(&server, path, &[OF_BODY], BODY).await, 401, "{path}");
    }
    assert_eq!(server.send("GET", SIGNED, &[OF_BODY], b"").await.status, 401);
    // A token is as good as a signature, whatever the other header says.
    let token = "Authorization: Bearer 0123456789abcdef0123456789abcdef";
    assert_eq!(status(&server, SIGNED, &[token, "X-Hub-Signature-256: none"], BODY).await, 202);
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_tokens_wants_the_signature_of_a_webhook_with_a_secret() {
    let server = start(options()).await;
    assert_eq!(status(&server, SIGNED, &[], BODY).await, 401);
    assert_eq!(status(&server, SIGNED, &[OF_BODY], BODY).await, 202);
    assert_eq!(status(&server, "/v1/triggers/orders_arrived", &[], BODY).await, 202);
    // The same name in other letters is none.
    for path in ["/v1/triggers/%73igned", "/v1/triggers/%6frders_arrived"] {
        assert_eq!(status(&server, path, &[], BODY).await, 404, "{path}");
    }
    server.stop().await;
}
