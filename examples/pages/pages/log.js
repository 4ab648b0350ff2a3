import { client, make } from "/common.js";

const [list, words, follow] = ["lines", "words", "follow"].map((id) => document.getElementById(id));
const MOST = 2000;
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1, hour12: false });
let isFollowing = true;

const subscription = client.channel("log").subscribe({ since: "earliest" });
subscription.on("event", ({ data: { level, target, text }, time }) => {
  const [where, says] = [make("span", { className: "target", textContent: target.replace(/^switchboard_/, "") }), make("span", { className: "text", textContent: text })];
  const when = make("time", { dateTime: new Date(time).toISOString(), textContent: clock.format(time) });
  add(make("li", { className: level }, when, make("span", { className: "level", textContent: level }), where, says));
});
subscription.on("gap", ({ reason }) => add(make("li", { className: "note", textContent: `lines are missing here: ${reason}` })));

function add(line) {
  line.hidden = !matches(line);
  list.append(line);
  if (list.childElementCount > MOST) list.firstElementChild.remove();
  if (isFollowing) list.scrollTop = list.scrollHeight;
}

const matches = (line) => line.textContent.toLowerCase().includes(words.value.toLowerCase());

words.addEventListener("input", () => {
  for (const line of list.children) line.hidden = !matches(line);
  if (isFollowing) list.scrollTop = list.scrollHeight;
});
document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());

/** Whoever scrolls up wants to read; at the end, or by the button, it goes on. */
function following(is) {
  isFollowing = is;
  follow.setAttribute("aria-pressed", is);
  follow.textContent = is ? "Following" : "Follow";
}
list.addEventListener("scroll", () => following(list.scrollHeight - list.scrollTop - list.clientHeight < 30));
follow.addEventListener("click", () => {
  following(!isFollowing);
  if (isFollowing) list.scrollTop = list.scrollHeight;
});
