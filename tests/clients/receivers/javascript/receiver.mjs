// npm install standardwebhooks@1.1.1
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { readFile, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";

const verifiers = process.env.WEBHOOK_SECRETS.split(" ").map((secret) => new Webhook(secret)); // after a rotation: two
const inbox = process.env.INBOX ?? "inbox";
const limit = 4 << 20;

const isGenuine = (body, headers) => verifiers.some((verifier) => {
  try {
    verifier.verify(body, headers);
    return /^[\w-]{1,64}$/.test(headers["webhook-id"]);
  } catch {
    return false;
  }
});

async function receive(request) {
  // 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
  const parts = [];
  let size = 0;
  for await (const part of request) { // the raw bytes; nothing may parse them before they are verified
    if ((size += part.length) > limit) return 413;
    parts.push(part);
  }
  const { method, headers } = request;
  const body = Buffer.concat(parts);
  if (method !== "POST") return 405;
  if (!isGenuine(body, headers)) return 401;
  const id = headers["webhook-id"];
  if (!existsSync(`${inbox}/done/${id}`)) { // a duplicate is answered 204, too
    const part = `${inbox}/${randomUUID()}.part`;
    await writeFile(part, body);
    await rename(part, `${inbox}/new/${id}`);
  }
  return 204;
}

async function work() { // run one worker: it processes each webhook-id once, and tries again what failed
  for (const id of await readdir(`${inbox}/new`)) {
    try {
      if (!existsSync(`${inbox}/done/${id}`)) {
        await handle(JSON.parse(await readFile(`${inbox}/new/${id}`, "utf8")));
        await writeFile(`${inbox}/done/${id}`, "");
      }
      await unlink(`${inbox}/new/${id}`);
    } catch (error) {
      console.log(`${id} failed: ${error}`);
    }
  }
}

async function handle(event) { // your code: write the row `key` if `revision` is higher than what you have
  const { key, revision, trigger: row } = event.data ?? {}; // rowId and key stay texts
  const talked = row?.bridgeDuration; // a number, but a text if Infinity sent something else
  const answered = row?.callStage === "bridge" || (typeof talked === "number" && talked > 0);
  console.log(event.type, key, revision, answered ? "answered" : "-");
}

for (const name of ["new", "done"]) mkdirSync(`${inbox}/${name}`, { recursive: true });
createServer(async (request, response) => {
  const status = await receive(request).catch(() => 500);
  if (status === 413) response.setHeader("connection", "close");
  response.writeHead(status).end();
}).listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
for (;;) {
  await work();
  await sleep(1000);
}
