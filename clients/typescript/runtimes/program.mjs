// Everything once, over each transport, in whatever runtime this is: what it hears and says is written out.

import { Switchboard } from "../dist/index.js";

const url = globalThis.Deno ? Deno.args[0] : process.argv[2];

for (const transport of ["websocket", "sse", "stream", "poll"]) {
  const client = new Switchboard(url, { transports: [transport] });
  client.method("double", ([n]) => 2 * n);
  const channel = client.channel(`runtimes/${transport}`);
  const subscription = channel.subscribe();
  await subscription.ready;
  await channel.publish({ n: 1 }, { event: "said" });
  await channel.publish(new Uint8Array([0, 127, 255]));
  const heard = [];
  for await (const { event, data } of subscription) {
    heard.push(event ?? [...data]);
    if (heard.length === 2) break;
  }
  const body = JSON.stringify({ method: "double", params: [4] });
  const call = await fetch(`${url}/api/sessions/${client.session}/call`, { method: "POST", body });
  const refused = await client.call("unknown").catch(({ code }) => code);
  console.log(JSON.stringify([client.transport, heard, (await call.json()).result, refused]));
  await client.close();
}
