//! What a newcomer sees: the address, the token, and a block to paste that does the main job once.

/// The sandbox's side of the block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mailbox {
    /// Submission with STARTTLS.
    pub(crate) submission: u16,
    /// IMAP over implicit TLS.
    pub(crate) imaps: u16,
}

/// The mailboxes of the sandbox, by address.
pub(crate) const USERS: [&str; 2] = ["ada@example.test", "grace@example.test"];
/// The password of all of them.
pub(crate) const PASSWORD: &str = "halfpenny";

/// First the one line that programs wait for, then the rest for people.
pub(crate) fn render(url: &str, token: &str, data: &str, mailbox: Option<Mailbox>) -> String {
    let [ada, grace] = USERS;
    let block = mailbox.map_or_else(
        || "The sandbox mail server is off (HALFPENNY_SANDBOX).\n".to_owned(),
        |mailbox| {
            let head =
                format!("Mailboxes: {ada} and {grace}, password {PASSWORD}. Paste this into bash to try it all:\n\n");
            head + &block(url, token, mailbox)
        },
    );
    format!(
        "ready {url}\ntoken {token}\n\nFor tools: set -a; source {data}/env. Logs: {data}/log. Stop: Ctrl-C.\n{block}"
    )
}

/// Needs bash, curl, coreutils and diffutils; leaves the interactive shell as it was but for a few variables.
fn block(url: &str, token: &str, mailbox: Mailbox) -> String {
    let [ada, _] = USERS;
    let Mailbox { submission, imaps } = mailbox;
    format!(
        r#"hp() {{ curl -sS -w '\n' -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' "$@"; }}
demo={url}/v1/accounts/demo folder=$(mktemp -d)
hp -X PUT $demo -d '{{"name": "Demo", "from": {{"name": "Ada", "address": "{ada}"}}, "poll": {{"enabled": false}},
  "smtp": {{"host": "localhost", "port": {submission}, "security": "starttls", "auth": {{"type": "password", "username": "{ada}", "password": "{PASSWORD}"}}}},
  "receive": {{"protocol": "imap", "host": "localhost", "port": {imaps}, "security": "tls"}}}}'
head -c 30000 /dev/urandom > $folder/sent.bin
hp $demo/messages -d @- <<MAIL
{{"to": ["{ada}"], "subject": "A first mail", "text": "Hello Ada", "html": "<p>Hello <b>Ada</b></p>",
 "attachments": [{{"filename": "noise.bin", "contentType": "application/octet-stream", "content": "$(base64 -w0 $folder/sent.bin)"}}]}}
MAIL
pull=$(hp -X POST $demo/pull); echo "$pull"
[[ $pull =~ '"stored":['[^]]*'"'([^\"]+)'"]' ]] && mail=${{BASH_REMATCH[1]}}
hp $demo/messages
read=$(hp $demo/messages/$mail); echo "$read"
[[ $read =~ '"part":'([0-9]+) ]] && part=${{BASH_REMATCH[1]}}
hp -L -o $folder/saved.bin "$demo/messages/$mail/attachments/$part?inline=true"
cmp $folder/sent.bin $folder/saved.bin && echo "the attachment is byte-identical: $folder/saved.bin"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_ready_and_the_second_has_the_token() {
        let text = render("http://127.0.0.1:9000", "hp_x", "/d", None);
        let lines: Vec<_> = text.lines().take(2).collect();
        assert_eq!(lines, ["ready http://127.0.0.1:9000", "token hp_x"]);
        assert!(text.contains("sandbox mail server is off") && !text.contains("curl"));
    }

    #[test]
    fn the_block_names_the_sandboxs_real_ports() {
        let mailbox = Mailbox { submission: 40001, imaps: 40002 };
        let text = render("http://127.0.0.1:9000", "hp_x", "/d", Some(mailbox));
        assert!(text.contains(r#""port": 40001, "security": "starttls""#));
        assert!(text.contains(r#""port": 40002, "security": "tls""#));
    }

    #[test]
    fn the_block_is_bash() {
        let text = block("http://127.0.0.1:9000", "hp_x", Mailbox { submission: 9587, imaps: 9993 });
        let checked = std::process::Command::new("/bin/bash").args(["-n", "-c", &text]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
