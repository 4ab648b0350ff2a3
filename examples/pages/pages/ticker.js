import { client, make } from "/common.js";

const list = document.getElementById("goods");
const goods = new Map();
const POINTS = 60;
/** A line fills its chart from so many points on. */
const FEW = 12;
let heard = 0;

// Without `since` a channel of class `state` begins with its state.
const subscription = client.channel("price/*").subscribe();
// Where the server was started anew, a gap says so. There is nothing to do: the newest prices come all the same.
subscription.on("gap", () => {});
subscription.on("event", ({ channel, data, time }) => {
  const good = goods.get(channel) ?? add(channel);
  good.show(data);
  heard += 1;
  document.getElementById("rate").textContent = `${heard.toLocaleString()} prices so far, the last at ${new Date(time).toLocaleTimeString()}`;
});

/** A card for a good, in the order of their names. */
function add(channel) {
  const name = channel.slice("price/".length);
  const [price, change] = [make("span"), make("span", { className: "change" })];
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  chart.setAttribute("viewBox", `0 0 ${POINTS - 1} 30`);
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("aria-hidden", "true");
  line.setAttribute("vector-effect", "non-scaling-stroke");
  chart.append(line);
  const card = make("li", { className: "card good" }, make("h2", { textContent: name }), change, make("p", { className: "price" }, price), chart);
  const prices = [];
  const show = (quote) => {
    prices.push(quote.price);
    if (prices.length > POINTS) prices.shift();
    const percent = Math.round(1e4 * (quote.price / quote.open - 1)) / 100;
    card.classList.toggle("up", percent > 0);
    card.classList.toggle("down", percent < 0);
    change.textContent = `${percent < 0 ? "▼" : percent > 0 ? "▲" : "="} ${Math.abs(percent).toFixed(2)} %`;
    price.textContent = quote.price.toFixed(quote.price < 10 ? 4 : 2);
    line.setAttribute("points", points(prices));
    price.classList.remove("moved");
    requestAnimationFrame(() => price.classList.add("moved"));
  };
  const next = [...goods].filter(([other]) => other > channel).sort(([a], [b]) => (a < b ? -1 : 1))[0];
  list.insertBefore(card, next?.[1].card ?? null);
  goods.set(channel, { card, show });
  return goods.get(channel);
}

/** Prices from left to right, the newest at the right edge, between the lowest and the highest. */
function points(prices) {
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const height = (price) => 28 - 26 * (high > low ? (price - low) / (high - low) : 0.5);
  const step = (POINTS - 1) / (Math.max(prices.length, FEW) - 1);
  const across = (at) => POINTS - 1 - step * (prices.length - 1 - at);
  return prices.map((price, at) => `${across(at).toFixed(1)},${height(price).toFixed(1)}`).join(" ");
}
