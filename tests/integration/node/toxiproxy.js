// SPDX-License-Identifier: Apache-2.0
// What users of toxiproxy's own Node client do, one step after another, against the API at argv[2]; a TCP echo listens at argv[3].
// Prints one line of JSON with what it saw.
const { Toxiproxy } = require("toxiproxy-node-client");
const net = require("net");

/** Sends a byte and waits for it: {ms} or {error}. */
function roundTrip(listen, patience) {
  const [host, port] = listen.split(":");
  return new Promise((resolve) => {
    const begun = Date.now();
    const socket = net.connect({ host, port: Number(port) }, () => socket.write("x"));
    const done = (value) => { socket.destroy(); resolve(value); };
    socket.setTimeout(patience || 8000, () => done({ error: "silence" }));
    socket.on("data", () => done({ ms: Date.now() - begun }));
    socket.on("end", () => done({ error: "end" }));
    socket.on("error", (error) => done({ error: error.code }));
  });
}

async function refused(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return error.message;
  }
}

async function main() {
  const [, , host, upstream] = process.argv;
  const toxiproxy = new Toxiproxy(host);
  const seen = { version: JSON.parse(await toxiproxy.getVersion()).version };

  const proxy = await toxiproxy.createProxy({ listen: "localhost:0", name: "echo", upstream });
  seen.created = proxy.toJson();
  seen.plain = await roundTrip(proxy.listen);
  seen.twice = await refused(toxiproxy.createProxy({ listen: "localhost:0", name: "echo", upstream }));

  const latency = await proxy.addToxic({ type: "latency", attributes: { latency: 300, jitter: 0 } });
  seen.toxic = latency.toJson();
  seen.slow = await roundTrip(proxy.listen);
  const changed = await latency.update({ attributes: { latency: 600 } });
  seen.changed = changed.toJson();
  seen.slower = await roundTrip(proxy.listen);
  seen.same = (await proxy.getToxic("latency_downstream")).toJson();
  await latency.remove();
  seen.gone = await refused(proxy.getToxic("latency_downstream"));
  seen.fast = await roundTrip(proxy.listen);

  await proxy.addToxic({ type: "reset_peer", name: "rst", stream: "upstream", toxicity: 1, attributes: { timeout: 0 } });
  seen.reset = await roundTrip(proxy.listen);
  await toxiproxy.reset();
  seen.after = await roundTrip(proxy.listen);

  const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
  seen.off = off.enabled;
  seen.down = await roundTrip(proxy.listen);
  await proxy.update({ enabled: true, listen: proxy.listen, upstream });
  seen.up = await roundTrip(proxy.listen);

  const populated = await toxiproxy.populate([{ name: "echo", listen: proxy.listen, upstream }, { name: "other", listen: "localhost:0", upstream }]);
  seen.populated = Object.keys(populated).sort();
  seen.all = Object.keys(await toxiproxy.getAll()).sort();
  await (await toxiproxy.get("other")).remove();
  seen.left = Object.keys(await toxiproxy.getAll());
  seen.missing = await refused(toxiproxy.get("other"));
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
