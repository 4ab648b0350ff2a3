import { client } from "/common.js";

const [ask, go, stop, asked, answer, figures, problem] = ["ask", "go", "stop", "asked", "answer", "figures", "problem"].map((id) => document.getElementById(id));
const question = document.getElementById("question");
let listening;

/** Reads an answer from its first word to its end. */
async function read(channel) {
  listening?.abort();
  listening = new AbortController();
  const { signal } = listening;
  const [began, words] = [performance.now(), []];
  speaking(true);
  asked.hidden = false;
  asked.textContent = sessionStorage[channel] ?? "";
  answer.textContent = figures.textContent = problem.textContent = "";
  try {
    // The loop ends where the channel does.
    for await (const { data } of client.channel(channel).subscribe({ since: "earliest", signal })) {
      words.push(data);
      answer.append(data);
    }
  } catch (error) {
    if (signal.aborted) return;
    problem.textContent = error.code === "gap" ? "This answer is no longer held." : error.message;
  }
  if (signal.aborted) return;
  speaking(false);
  figures.textContent = `${words.length} words in ${((performance.now() - began) / 1000).toFixed(1)} s`;
}

function speaking(is) {
  answer.classList.toggle("speaking", is);
  [go.disabled, stop.disabled] = [is, !is];
}

ask.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { channel } = await client.call("answer.ask", { question: question.value });
    sessionStorage[channel] = question.value;
    location.hash = channel;
  } catch (error) {
    problem.textContent = `Not asked: ${error.message}`;
  }
});
stop.addEventListener("click", () => client.call("answer.stop", { channel: named() }).catch((error) => (problem.textContent = error.message)));

const named = () => /^#(answers\/[0-9a-f]{8})$/.exec(location.hash)?.[1];
addEventListener("hashchange", () => named() && read(named()));
if (named()) read(named());
