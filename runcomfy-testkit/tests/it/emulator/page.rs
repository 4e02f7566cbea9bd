//! Tests of the page that need no browser.

use runcomfy_testkit::FakeRunComfy;

use super::serve;
use crate::http::call_as;

#[tokio::test]
async fn the_page_and_its_files_need_no_token_and_may_run_nothing_else() {
    let emulator = serve(FakeRunComfy::default()).await;
    let mut wanted = vec!["/".to_owned()];
    let mut seen = 0;
    while let Some(path) = wanted.pop() {
        let reply = call_as(&emulator, None, &format!("GET {path}"), None).await;
        assert_eq!(reply.status, 200, "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        let rules: Vec<_> = policy.split("; ").collect();
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(rules.contains(&rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("data:"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        seen += 1;
        if path == "/" {
            // The quoted URLs of links, scripts and images.
            let named = reply.text().split('"').filter(|word| word.starts_with("/_emulator/"));
            wanted.extend(named.map(str::to_owned));
            assert!(!reply.text().contains("://"), "the page names an address elsewhere");
        }
    }
    assert!(seen > 3, "only {seen} files");
}
