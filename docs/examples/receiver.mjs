// A receiver of webhooks: checks the signature, acts on each event once, answers at once.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs 8090
//
// Node alone, no dependency. Prints one JSON object an event. The Standard Webhooks libraries
// (https://www.standardwebhooks.com/) check the same signature in many languages.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300; // an older request may be somebody's who has recorded it
const BODY_BYTES_MAX = 1024 * 1024;
const REMEMBERED = 100_000;

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const seen = new Set();

function isSigned(headers, body) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (!id || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const right = createHmac("sha256", key).update(signed).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((each) => {
    const given = Buffer.from(each.replace(/^v1,/, ""), "base64");
    return each.startsWith("v1,") && given.length === right.length && timingSafeEqual(given, right);
  });
}

function act(id, event) {
  if (seen.has(id)) return; // delivered at least once: the second time it is known
  seen.add(id);
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  console.log(JSON.stringify(event));
}

const server = createServer((request, response) => {
  const pieces = [];
  let length = 0;
  request.on("data", (piece) => {
    length += piece.length;
    if (length > BODY_BYTES_MAX) request.destroy();
    else pieces.push(piece);
  });
  request.on("end", () => {
    const body = Buffer.concat(pieces);
    if (!isSigned(request.headers, body)) {
      response.writeHead(401).end();
      return;
    }
    act(request.headers["webhook-id"], JSON.parse(body));
    response.writeHead(204).end(); // what takes longer than some seconds is done afterwards
  });
});
server.listen(Number(process.argv[2] ?? 8090), "127.0.0.1", () => {
  console.log(JSON.stringify({ listening: server.address().port }));
});
