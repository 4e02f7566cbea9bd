//! `demo`: nothing of it is billed, and it ends by the same rules.

use tokio::io::BufReader;

use super::{SIGNALS, Slow, died_of, ended, read_until, rest, signal};

const DEMO: &str = r#"exec "$PROGRAM" demo --out "$HOME/pictures""#;

/// The id of a run in what is said of it.
fn id<'a>(said: &'a str, word: &str) -> &'a str {
    let after = said.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in: {said}"));
    after.split(['\n', ' ']).next().unwrap()
}

#[tokio::test]
async fn told_to_end_it_says_which_run_is_under_way() {
    for (name, number) in SIGNALS {
        let slow = Slow::start().await;
        let mut child = slow.shell(DEMO).spawn().unwrap();
        let mut shown = BufReader::new(child.stdout.take().unwrap());
        let shown = read_until(&mut shown, "submitted request").await;
        signal(&child, name).await;
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let said = read_until(&mut said, "submit_request: ").await;
        let (status, ..) = ended(child).await;
        assert_eq!(died_of(status), Some(number), "{name}: {said}");
        assert_eq!(id(&shown, "submitted request "), id(&said, "Request "));
    }
}

#[tokio::test]
async fn where_nobody_sees_it_the_status_says_so() {
    let slow = Slow::start().await;
    let (status, _, said) =
        ended(slow.shell(&format!("{DEMO} > /dev/full")).spawn().unwrap()).await;
    assert_eq!(status.code(), Some(74), "{said}");
    // A reader that goes away in the middle of a run: the run's end is told, and the story ends.
    let mut child = slow.shell(DEMO).spawn().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let seen = read_until(&mut shown, "submitted request").await;
    drop(shown);
    let said = rest(child.stderr.take().unwrap()).await;
    assert_eq!(ended(child).await.0.code(), Some(74), "{said}");
    assert_eq!(id(&seen, "submitted request "), id(&said, "Request "));
}
