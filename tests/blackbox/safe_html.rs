//! HTML of strangers in a real browser: none of it runs, and nothing of it is loaded from anywhere (reliability.md,
//! part 3, rows 9 and 10). Chromium renders all of it in one page; servers that are baits count who comes.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tests::dir;
use tests::web::Web;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::reading::{only, pulled};
use crate::run;

/// What mails try, `{u}` being an address that must not be asked. A `!` before it: also under the page's policy alone,
/// without cleaning, nothing may be loaded; for a frame Chromium connects before it asks the policy.
const HOSTILE: [&str; 41] = [
    "!<img src=\"{u}\">",
    "!<img src='{u}' srcset='{u} 1x, {u}2 2x'>",
    "!<picture><source srcset={u}><img src={u}></picture>",
    "!<body background={u}><table background={u}><tr><td background={u}>x</table>",
    "!<p style=\"background:url({u})\">x</p><p style=\"background-image:image-set('{u}' 1x)\">x</p>",
    "!<p style=\"content:url({u});list-style:url('{u}');cursor:url({u}),auto;border-image:url({u})\">x</p>",
    "!<p style=\"background:u\\72l({u})\">x</p><p style='background:&#117;rl({u})'>x</p>",
    "!<style>@import url({u});body{background:url({u})}@font-face{font-family:x;src:url({u})}p{font-family:x}</style><p>x",
    "!<style>@im\\port '{u}';</style><p>x",
    "!<link rel=stylesheet href={u}><link rel=icon href={u}>",
    "!<link rel=prefetch href={u}><link rel=preload as=image href={u}><link rel=modulepreload href={u}>",
    "<link rel=preconnect href={u}><link rel=dns-prefetch href={u}><link rel=prerender href={u}>",
    "!<base href={u}/><img src=a.png>",
    "!<video poster={u} src={u} autoplay></video><audio src={u} autoplay></audio>",
    "!<video autoplay><source src={u}><track default src={u}></video>",
    "<iframe src={u}></iframe><iframe srcdoc=\"<img src={u}>\"></iframe>",
    "<frameset><frame src={u}></frameset>",
    "!<object data={u}></object><embed src={u}><applet code={u} archive={u}></applet>",
    "!<input type=image src={u}><button formaction={u}>x</button>",
    "!<svg><image href={u} /><use href={u}#a /><feImage href={u} /></svg>",
    "!<svg><style>@import '{u}';</style></svg><svg onload=\"fetch('{u}')\"></svg>",
    "!<math><mtext><table><mglyph><style><img src={u}></style></mglyph></table></mtext></math>",
    "!<math><annotation-xml encoding=\"text/html\"><img src={u}></annotation-xml></math>",
    "!<script src={u}></script><script>new Image().src='{u}'</script>",
    "!<img src=x onerror=\"fetch('{u}')\"><body onload=\"fetch('{u}')\">",
    "!<meta http-equiv=refresh content=\"0;url={u}\">",
    "!<form action={u} id=f><input autofocus onfocus=\"document.forms[0].submit()\"></form>",
    "!<a href=\"javascript:fetch('{u}')\" id=a>x</a><details open ontoggle=\"fetch('{u}')\">x</details>",
    "!<noscript><p title=\"</noscript><img src={u}>\"></noscript>",
    "!<!--><img src={u}>--><![CDATA[<img src={u}>]]><?xml <img src={u}> ?>",
    "!<p title='\"><img src={u}>'>x</p><p title=\"'><img src={u}>\">x</p>",
    "!<textarea><img title=\"</textarea><img src={u}>\"></textarea>",
    "!<select><option><style></select><img src={u}></style>",
    "!<template><img src={u}></template><xmp><img title=\"</xmp><img src={u}>\"></xmp>",
    "!<img src=\"&#104;ttp:{u}\"><img src=\" {u}\"><img\tsrc\n=\n{u}><IMG SRC={u}>",
    "!<img lowsrc={u} dynsrc={u}><bgsound src={u}><layer src={u}></layer><ilayer src={u}>",
    "!<blockquote cite={u}><q cite={u}>x</q></blockquote><table><caption><img src={u}>",
    "!<p style=\"color:red;}</style><img src={u}>\">x</p><font face=\"x;background:url({u})\">x</font>",
    "!<img src=\"cid:a\" srcset=\"{u}\"><img src=\"cid:{u}\"><img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'><image href='{u}'/></svg>\">",
    "!<html manifest={u}><body><form><math><mtext></form><form><mglyph><style></math><img src={u}>",
    "!<video><source onerror=\"fetch('{u}')\"></video><marquee onstart=\"fetch('{u}')\">x</marquee>",
];

/// A server that counts who connects.
async fn bait() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/p", listener.local_addr().unwrap().port());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

fn mail(number: usize, html: &str) -> Vec<u8> {
    format!(
        "From: m@example.test\r\nTo: ada@example.test\r\nSubject: {number}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        STANDARD.encode(html)
    )
    .into_bytes()
}

/// What the browser makes of a page.
async fn rendered(url: &str) -> String {
    let profile = dir::create("chromium");
    let mut command = Command::new("chromium");
    command
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(180), command.output()).await.unwrap().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_browser_loads_nothing_of_what_it_is_shown() {
    run(async {
        let (tracker, cleaned_hits) = bait().await;
        let (walled_url, walled_hits) = bait().await;
        let (control_url, control_hits) = bait().await;
        let filled = |template: &str, url: &str| template.trim_start_matches('!').replace("{u}", url);
        let mails: Vec<_> = HOSTILE.iter().enumerate().map(|(at, it)| mail(at, &filled(it, &tracker))).collect();
        let (_, client, _peer, path) = pulled(&mails).await;

        let web = Web::start().await;
        let mut frames = String::new();
        let mut frame = |name: String, headers: &[&str], body: &[u8]| {
            let headers: Vec<&str> =
                ["Content-Type: text/html; charset=utf-8"].iter().chain(headers).copied().collect();
            let url = web.file(&name, &headers, body);
            frames.push_str(&format!("<iframe src=\"{url}\"></iframe>"));
        };
        let mut policy = String::new();
        let items = client.get(format!("{path}/messages?limit=100&fields=id")).await.value(200)["items"].clone();
        for (at, item) in items.as_array().unwrap().iter().enumerate() {
            let page = client.get(format!("{path}/messages/{}/html", item["id"].as_str().unwrap())).await;
            assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
            assert_eq!(
                (page.header("x-content-type-options"), page.header("referrer-policy")),
                ("nosniff", "no-referrer")
            );
            policy = page.header("content-security-policy").to_owned();
            assert!(policy.starts_with("sandbox; default-src 'none'; img-src data:;"), "{policy}");
            // Cleaned, without any policy.
            frame(format!("/cleaned/{at}"), &[], &page.body);
        }
        assert_eq!(items.as_array().unwrap().len(), HOSTILE.len());
        let policy = format!("Content-Security-Policy: {policy}");
        for (at, template) in HOSTILE.iter().enumerate() {
            if template.starts_with('!') {
                frame(format!("/walled/{at}"), &[&policy], filled(template, &walled_url).as_bytes());
            }
        }
        // Neither: what shows that the browser and the baits work.
        frame("/control".to_owned(), &[], filled(HOSTILE[0], &control_url).as_bytes());
        let index = format!("<!doctype html><title>all</title>{frames}<p>the end</p>");
        let url = web.file("/", &["Content-Type: text/html; charset=utf-8"], index.as_bytes());

        let shown = rendered(&url).await;
        assert!(shown.contains("the end"), "{shown}");
        let asked = web.asked().len();
        assert!(asked > frames.matches("<iframe").count(), "{asked} pages were loaded");
        assert!(control_hits.load(Ordering::SeqCst) > 0, "the browser loads nothing at all");
        assert_eq!(cleaned_hits.load(Ordering::SeqCst), 0, "of cleaned pages");
        assert_eq!(walled_hits.load(Ordering::SeqCst), 0, "of pages under the policy");
    });
}

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[test]
fn pictures_of_the_message_itself_are_in_the_page() {
    run(async {
        let part =
            |head: &str, body: &str| format!("--r\r\n{head}\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n");
        let svg = STANDARD.encode("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>");
        let html = STANDARD.encode(
            "<p>Hi <img src=\"cid:logo@x\" alt=logo> <img src=\"CID:lie%40x\"> <img src=\"cid:gone@x\">\
             <img src=\"https://example.com/remote.png\"> <img src=\"http://example.com/plain.png\"></p>",
        );
        let source = [
            "From: m@example.test\r\nTo: ada@example.test\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/related; boundary=r\r\n\r\n"
                .to_owned(),
            part("Content-Type: text/html; charset=utf-8", &html),
            part("Content-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline", PNG),
            part("Content-Type: image/png\r\nContent-ID: <lie@x>\r\nContent-Disposition: inline", &svg),
            "--r--\r\n".to_owned(),
        ]
        .concat();
        let (_, client, _peer, path) = pulled(&[source.into_bytes()]).await;
        let (id, _) = only(&client, &path).await;
        let page = client.get(format!("{path}/messages/{id}/html")).await.is(200).text();
        assert!(page.contains(&format!("<img src=\"data:image/png;base64,{PNG}\" alt=\"logo\">")), "{page}");
        for absent in ["svg", "example.com", "cid:"] {
            assert!(!page.contains(absent), "{absent}: {page}");
        }
        let remote = client.get(format!("{path}/messages/{id}/html?remote=allow")).await;
        assert!(remote.is(200).header("content-security-policy").contains("img-src data: https:;"));
        assert!(remote.text().contains("https://example.com/remote.png") && !remote.text().contains("plain.png"));
        client.get(format!("{path}/messages/{id}/html?remote=yes")).await.names(&[("?remote", "invalid_value")]);
        let none = "0123456789abcdef0123456789abcdef";
        let _ = client.get(format!("{path}/messages/{none}/html")).await.problem(404, "message_not_found");
    });
}

#[test]
fn a_text_is_a_page_too() {
    run(async {
        let source = "From: m@example.test\r\nSubject: x\r\n\r\n1 < 2 & <script>alert(1)</script>\r\n";
        let (_, client, _peer, path) = pulled(&[source.as_bytes().to_vec()]).await;
        let (id, _) = only(&client, &path).await;
        let page = client.get(format!("{path}/messages/{id}/html")).await.is(200).text();
        assert!(page.contains("<pre>1 &lt; 2 &amp; &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    });
}
