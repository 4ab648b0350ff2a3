// Snippets to copy, for the address and the channel of this page. Where the server asks for a token they have a place for
// one, and never the one that a person gave: what is copied is pasted where others read it.

import { pathOf, withQuery } from "./address.js";
import { $, element, say } from "./parts.js";

const url = (channel) => location.origin + pathOf(channel);
/** A text as a literal: JSON's are also those of JavaScript, Python, Go and Rust, as far as an address needs any. */
const quoted = (text) => JSON.stringify(text);

/** `text`, in snippets for a server that asks for a token. */
const where = (asks, text) => (asks ? text : "");
/** What a snippet says besides of where its token is: in a variable of the environment, or in the place of one. */
const [VARIABLE, PLACE] = ["The token is in the variable TOKEN.", "Put your token in the place of $TOKEN."];
const header = (asks) => where(asks, `-H "Authorization: Bearer $TOKEN" `);

const SNIPPETS = [
  ["curl", "In one terminal this follows the channel, in another this publishes to it.", VARIABLE, (channel, asks) => `curl -N ${header(asks)}-H 'Accept: text/event-stream' '${url(channel)}'

curl ${header(asks)}-d 'Hello!' '${url(channel)}'`],

  ["Browser", "It reconnects by itself and resumes where it was.", PLACE, (channel, asks) => `${where(asks, `const token = "$TOKEN";
`)}const url = ${quoted(url(channel))};
${asks ? `// An EventSource sets no header. Proxies write addresses into their logs: a cookie (auth.cookie) keeps it out of them.
const source = new EventSource(\`\${url}?token=\${token}\`);` : "const source = new EventSource(url);"}
source.onmessage = (message) => console.log(message.lastEventId, message.data);
source.addEventListener("$gap", (message) => console.warn("lost", message.data));
source.addEventListener("$end", () => source.close());

await fetch(url, { method: "POST", body: "Hello!"${where(asks, ", headers: { Authorization: `Bearer ${token}` }")} });`],

  ["WebSocket", "In a browser. Raw form: a message is the data of an event, and what is sent is published.", PLACE, (channel, asks) => `${where(asks, `const token = "$TOKEN";
`)}const socket = new WebSocket(${quoted(url(channel).replace(/^http/, "ws"))}${where(asks, `, ["switchboard.raw.v1", "switchboard.token." + token]`)});
socket.onopen = () => socket.send("Hello!");
socket.onmessage = (message) => console.log(message.data);`],

  ["Python", "Python 3, nothing to install. It resumes from its cursor.", VARIABLE, (channel, asks) => `import json
${where(asks, "import os\n")}import time
import urllib.request

url = ${quoted(url(channel))}
headers = {"Accept": "application/x-ndjson"${where(asks, `, "Authorization": "Bearer " + os.environ["TOKEN"]`)}}
while True:
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as stream:
            if stream.status == 204:  # the channel has ended
                break
            for line in filter(bytes.strip, stream):  # an empty line is a heartbeat
                item = json.loads(line)
                print(item, flush=True)
                notice = next(iter(item.values()))
                cursor = item.get("position") or item.get("id") or notice.get("position") or notice.get("to")
                if cursor:
                    headers["Last-Event-ID"] = cursor
                if "$end" in item:
                    raise SystemExit
    except OSError as error:
${where(asks, `        if getattr(error, "code", None) in (401, 403):  # so it would be the next time
            raise
`)}        print("trying again:", error, flush=True)
    time.sleep(1)`],

  ["Go", "The standard library alone.", VARIABLE, (channel, asks) => `package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
${where(asks, `	"os"
`)}	"strings"
)

func main() {
	url := ${quoted(url(channel))}
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Accept", "application/x-ndjson")
${where(asks, `	request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
`)}	// To resume: request.Header.Set("Last-Event-ID", cursor), the id of the last event.
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status) // 204: the channel has ended
	}
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadString('\\n')
		if line = strings.TrimSpace(line); line != "" { // an empty line is a heartbeat
			fmt.Println(line)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}`],

  ["Rust", "With cargo add ureq.", VARIABLE, (channel, asks) => `use std::io::{BufRead, BufReader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = ${quoted(url(channel))};
    // To resume: .header("Last-Event-ID", cursor), the id of the last event.
    let response = ureq::get(url)
        .header("Accept", "application/x-ndjson")
${where(asks, `        .header("Authorization", format!("Bearer {}", std::env::var("TOKEN")?))
`)}        .call()?;
    for line in BufReader::new(response.into_body().into_reader()).lines() {
        let line = line?;
        // An empty line is a heartbeat.
        if !line.is_empty() {
            println!("{line}");
        }
    }
    Ok(())
}`],

  ["A page", "Any HTTP client: a page of events, and the position that the next request gives back.", VARIABLE, (channel, asks) => `curl ${header(asks)}'${url(channel)}'

curl ${header(asks)}'${withQuery(url(channel), { since: "latest", wait: 30 })}'`],
];

let shown = 0;
let channel = "";
let asksForToken = false;

/** Builds the tabs. */
export function buildSnippets() {
  SNIPPETS.forEach(([name], i) => {
    const tab = element("button", "", name);
    Object.assign(tab, { type: "button", id: `tab-${i}`, role: "tab" });
    tab.setAttribute("aria-controls", "snippet-panel");
    tab.addEventListener("click", () => show(i));
    $("tabs").append(tab);
  });
  $("tabs").addEventListener("keydown", (pressed) => {
    const end = SNIPPETS.length - 1;
    const to = { ArrowRight: shown < end ? shown + 1 : 0, ArrowLeft: shown > 0 ? shown - 1 : end, Home: 0, End: end }[pressed.key];
    if (to === undefined) return;
    pressed.preventDefault();
    show(to);
    $("tabs").children[to].focus();
  });
  $("copy").addEventListener("click", copy);
}

/** Shows the snippets for another channel. */
export function showSnippetsFor(name) {
  channel = name;
  show(shown);
}

/** From now on they have a place for a token. */
export function showToken() {
  asksForToken = true;
  show(shown);
}

function show(which) {
  shown = which;
  [...$("tabs").children].forEach((tab, i) => {
    tab.ariaSelected = String(i === which);
    tab.tabIndex = i === which ? 0 : -1;
  });
  $("snippet-panel").setAttribute("aria-labelledby", `tab-${which}`);
  const [, about, token, text] = SNIPPETS[which];
  $("snippet-about").textContent = asksForToken ? `${about} ${token}` : about;
  $("snippet").textContent = text(channel, asksForToken);
  $("copy").textContent = "Copy";
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("snippet").textContent);
    $("copy").textContent = "Copied";
    say("Copied");
  } catch {
    // Without the permission, the text is selected so that one key copies it.
    getSelection().selectAllChildren($("snippet"));
    say("Selected: copy it with your keyboard");
  }
}
