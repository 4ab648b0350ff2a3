// Snippets to copy, for the address and the channel of this page.

import { pathOf, withQuery } from "./address.js";
import { $, element, say } from "./parts.js";

const url = (channel) => location.origin + pathOf(channel);
/** A text as a literal: JSON's are also those of JavaScript, Python, Go and Rust, as far as an address needs any. */
const quoted = (text) => JSON.stringify(text);

const SNIPPETS = [
  ["curl", "In one terminal this follows the channel, in another this publishes to it.", (channel) => `curl -N -H 'Accept: text/event-stream' '${url(channel)}'

curl -d 'Hello!' '${url(channel)}'`],

  ["Browser", "It reconnects by itself and resumes where it was.", (channel) => `const url = ${quoted(url(channel))};
const source = new EventSource(url);
source.onmessage = (message) => console.log(message.lastEventId, message.data);
source.addEventListener("$gap", (message) => console.warn("lost", message.data));
source.addEventListener("$end", () => source.close());

await fetch(url, { method: "POST", body: "Hello!" });`],

  ["WebSocket", "In a browser. Raw form: a message is the data of an event, and what is sent is published.", (channel) => `const socket = new WebSocket(${quoted(url(channel).replace(/^http/, "ws"))});
socket.onopen = () => socket.send("Hello!");
socket.onmessage = (message) => console.log(message.data);`],

  ["Python", "Python 3, nothing to install. It resumes from its cursor.", (channel) => `import json
import time
import urllib.request

url = ${quoted(url(channel))}
headers = {"Accept": "application/x-ndjson"}
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
        print("trying again:", error, flush=True)
    time.sleep(1)`],

  ["Go", "The standard library alone.", (channel) => `package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
)

func main() {
	url := ${quoted(url(channel))}
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Accept", "application/x-ndjson")
	// To resume: request.Header.Set("Last-Event-ID", cursor), the id of the last event.
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

  ["Rust", "With cargo add ureq.", (channel) => `use std::io::{BufRead, BufReader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = ${quoted(url(channel))};
    // To resume: .header("Last-Event-ID", cursor), the id of the last event.
    let response = ureq::get(url)
        .header("Accept", "application/x-ndjson")
        .call()?;
    for line in BufReader::new(response.into_body().into_reader()).lines() {
        let line = line?;
        // An empty line is a heartbeat.
        if !line.is_empty() {
            println!("{line}");
        }
    }
    Ok(())
}`],

  ["A page", "Any HTTP client: a page of events, and the position that the next request gives back.", (channel) => `curl '${url(channel)}'

curl '${withQuery(url(channel), { since: "latest", wait: 30 })}'`],
];

let shown = 0;
let channel = "";

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

function show(which) {
  shown = which;
  [...$("tabs").children].forEach((tab, i) => {
    tab.ariaSelected = String(i === which);
    tab.tabIndex = i === which ? 0 : -1;
  });
  $("snippet-panel").setAttribute("aria-labelledby", `tab-${which}`);
  const [, about, text] = SNIPPETS[which];
  $("snippet-about").textContent = about;
  $("snippet").textContent = text(channel);
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
