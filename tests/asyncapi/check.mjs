// Reads an AsyncAPI document on standard input; says what is wrong with it, one line a finding.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const ERROR = 0;
const found = diagnostics.filter((each) => each.severity === ERROR);
for (const each of found) console.error(`${each.path.join(".")}: ${each.message}`);
if (!document || found.length) process.exit(1);
for (const channel of document.allChannels().all()) {
  console.log(`${channel.address()} ${channel.messages().all().length}`);
}
