// Svix's JavaScript client against a relay, from an application to its deletion.
// Run by tests/clients/__main__.py: node walk.mjs PACKAGE, with RELAY_URL and RELAY_KEY. Exits with 1 if a step fails.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const name = process.argv[2];
const { ApiException, Svix, Webhook, WebhookVerificationError } = await import(name);
const svix = new Svix(process.env.RELAY_KEY, { serverUrl: process.env.RELAY_URL });
const uid = `crm-${name}`;
const eventType = `${name.replace("-", "_")}.invoice.paid`;
const since = new Date(Date.now() - 60_000);
const WITHIN_MS = 30_000;

const receiver = { status: 204, got: [] };
const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  receiver.got.push({ body, headers: request.headers, status: receiver.status });
  response.writeHead(receiver.status).end();
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/hook`;

async function until(what, condition) {
  for (const ends = Date.now() + WITHIN_MS; Date.now() < ends; await sleep(50)) {
    const found = await condition();
    if (found) return found;
  }
  throw new Error(`waited ${WITHIN_MS} ms for ${what}`);
}

async function send(number) {
  const payload = { number, amount: "12.30" };
  return await svix.message.create(uid, { eventType, eventId: `${name}-${number}`, payload });
}

const arrivals = (message) => receiver.got.filter((each) => each.headers["webhook-id"] === message.id);
const delivered = (message, times) =>
  until(`callback ${times} of ${message.id}`, () => arrivals(message).filter((each) => each.status < 300)[times - 1]);
const attempts = async (message) => (await svix.messageAttempt.listByMsg(uid, message.id)).data;

try {
  const application = await svix.application.create({ name: "CRM", uid });
  assert.equal((await svix.application.get(uid)).id, application.id);
  await svix.eventType.create({ name: eventType, description: "An invoice was paid" });
  assert.equal((await svix.eventType.get(eventType)).description, "An invoice was paid");

  // Clients 1.x call the types of an endpoint `filterTypes`.
  const endpoint = await svix.endpoint.create(uid, { url, eventTypes: [eventType], filterTypes: [eventType] });
  const { key: secret } = await svix.endpoint.getSecret(uid, endpoint.id);
  assert.equal((await svix.endpoint.list(uid)).data[0].id, endpoint.id);
  assert.equal((await svix.endpoint.patch(uid, endpoint.id, { description: "bills" })).description, "bills");

  // A message arrives, and its signature is right; a changed body is not.
  const first = await send(1);
  const callback = await delivered(first, 1);
  new Webhook(secret).verify(callback.body, callback.headers);
  assert.deepEqual(JSON.parse(callback.body), { number: 1, amount: "12.30" });
  assert.throws(() => new Webhook(secret).verify(`${callback.body} `, callback.headers), WebhookVerificationError);

  // The relay shows it, with its attempt.
  assert.equal((await svix.message.get(uid, first.id)).eventId, `${name}-1`);
  assert.deepEqual((await svix.message.list(uid, { limit: 10 })).data.map((each) => each.id), [first.id]);
  await until("the attempt", async () => (await attempts(first)).length === 1);
  const [attempt] = (await svix.messageAttempt.listByEndpoint(uid, endpoint.id)).data;
  assert.deepEqual([attempt.msgId, attempt.status, attempt.responseStatusCode], [first.id, 0, 204]);

  await svix.messageAttempt.resend(uid, first.id, endpoint.id);
  await delivered(first, 2);

  // After a rotation, the old secret and the new one verify.
  await svix.endpoint.rotateSecret(uid, endpoint.id, {});
  const { key: fresh } = await svix.endpoint.getSecret(uid, endpoint.id);
  assert.notEqual(fresh, secret);
  const second = await send(2);
  const signed = await delivered(second, 1);
  for (const each of [secret, fresh]) new Webhook(each).verify(signed.body, signed.headers);

  // What the relay gave up is recovered.
  receiver.status = 500;
  const third = await send(3);
  await until("the message to be given up", async () => {
    const failed = await attempts(third);
    return failed.length > 1 && failed.every((each) => each.status === 2);
  });
  receiver.status = 204;
  const begun = await svix.endpoint.recover(uid, endpoint.id, { since });
  await until("the task", async () => (await svix.backgroundTask.get(begun.id)).status === "finished");
  await delivered(third, 1);
  await until("the statistics", async () => (await svix.endpoint.getStats(uid, endpoint.id)).success === 3);

  // Errors have Svix's codes.
  await assert.rejects(svix.endpoint.get(uid, "absent"), (error) => {
    return error instanceof ApiException && error.code === 404 && error.body.code === "not_found";
  });
  await assert.rejects(svix.endpoint.create(uid, { url: "no URL" }), (error) => {
    return error instanceof ApiException && error.code === 422 && error.body.detail[0].loc.includes("url");
  });

  await svix.endpoint.delete(uid, endpoint.id);
  await svix.application.delete(uid);
  await assert.rejects(svix.application.get(uid), (error) => error.code === 404);
} finally {
  server.close();
}
