// A subscriber of Server-Sent Events: an area's events as they come, also over a broken connection.
//
//   TOKEN=… node stream.mjs http://localhost:8080 AREA [LAST_EVENT_ID]
//
// Node alone, no dependency. Prints {"id": …, "event": …} a line: keep the id, and hand it back.
const [base, area, begin = ""] = process.argv.slice(2);
const COME_AGAIN_MS = 2000;
let lastId = begin;

async function follow() {
  const headers = { authorization: `Bearer ${process.env.TOKEN}`, accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  const answer = await fetch(`${base}/v1/areas/${encodeURIComponent(area)}/events`, { headers });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  let rest = "";
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(take);
  }
}

function take(block) {
  const said = {};
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) said[line.slice(0, at)] = line.slice(at + 2);
  }
  if (said.data) console.log(JSON.stringify({ id: said.id, event: JSON.parse(said.data) }));
  if (said.id) lastId = said.id; // after the event was acted upon, never before
}

for (;;) {
  try {
    await follow();
  } catch (fault) {
    console.error(String(fault));
  }
  await new Promise((resolve) => setTimeout(resolve, COME_AGAIN_MS));
}
