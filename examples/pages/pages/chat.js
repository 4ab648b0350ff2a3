import { client, make, me, members, person } from "/common.js";

const [list, people, problem, text, name] = ["messages", "people", "problem", "text", "name"].map((id) => document.getElementById(id));
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const room = client.channel("chat/lobby");

// From the oldest message that is held; after a lost connection from the last one that was heard.
const subscription = room.subscribe({ since: "earliest", presence: true });

subscription.on("event", ({ data, time }) => {
  const when = make("time", { dateTime: new Date(time).toISOString(), textContent: clock.format(time) });
  const item = make("li", { className: "message fresh" }, make("header", {}, person(data.from), when), make("p", { textContent: data.text, dir: "auto" }));
  item.classList.toggle("mine", data.from === me.name);
  add(item);
});
subscription.on("gap", ({ reason }) => {
  // What was skipped is who came and went, never what was said; `members` asks again.
  if (reason !== "skipped") add(make("li", { className: "note", textContent: "Older messages are no longer held." }));
});
members(room, subscription, (names) => {
  document.getElementById("count").textContent = names.size;
  people.replaceChildren(...[...names].sort().map((name) => make("li", {}, person(name), name === me.name ? " (you)" : "")));
});

/** Adds to the end, and stays there unless somebody reads further up. */
function add(item) {
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

document.getElementById("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = text.value;
  text.value = "";
  try {
    // With a key it is said once, also where the connection is lost in the middle and it is sent again.
    await room.publish({ text: words }, { key: crypto.randomUUID() });
    problem.textContent = "";
  } catch (error) {
    text.value ||= words;
    problem.textContent = `Not sent: ${error.message}`;
  }
});

name.value = me.name;
document.getElementById("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  me.name = name.value.trim() || me.name;
  // A token says who one is, and a session is of one user: another name is another session.
  location.reload();
});
