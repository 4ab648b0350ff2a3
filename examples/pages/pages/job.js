import { client } from "/common.js";

const shown = Object.fromEntries(["job", "status", "percent", "bar", "done", "primes", "here", "problem"].map((id) => [id, document.getElementById(id)]));
let subscription;

/** Shows a job from its beginning: what it has said so far, and then what it says. */
function show(channel) {
  subscription?.unsubscribe();
  Object.assign(shown.here, { href: `#${channel}` });
  shown.job.hidden = false;
  update({ done: 0, of: 1, primes: 0 }, "waiting for the first word of it");
  subscription = client.channel(channel).subscribe({ since: "earliest" });
  subscription.on("event", ({ event, data }) => {
    update(data, event === "result" ? "done" : `counting the primes below ${data.of.toLocaleString()}`);
  });
  // Its events are held for ten minutes.
  subscription.on("gap", ({ reason }) => (shown.status.textContent = `what it said is no longer held (${reason})`));
}

function update({ done, of, primes }, status) {
  shown.status.textContent = status;
  shown.bar.value = done / of;
  shown.percent.textContent = `${Math.round((100 * done) / of)} %`;
  shown.done.textContent = done.toLocaleString();
  shown.primes.textContent = primes.toLocaleString();
}

document.getElementById("begin").addEventListener("submit", async (event) => {
  event.preventDefault();
  shown.problem.textContent = "";
  try {
    const { channel } = await client.call("job.start", { below: Number(document.getElementById("below").value) });
    location.hash = channel;
  } catch (error) {
    shown.problem.textContent = `Not started: ${error.message}`;
  }
});

const named = () => /^#(jobs\/[0-9a-f]{8})$/.exec(location.hash)?.[1];
addEventListener("hashchange", () => named() && show(named()));
if (named()) show(named());
