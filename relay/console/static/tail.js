// The live tail: rows of the stream, the newest first. Whatever the stream says becomes text, never markup.
"use strict";
(() => {
  const MOST = 200, EACH_MS = 100;
  const tail = document.getElementById("tail"), body = tail && tail.querySelector("tbody");
  if (!body) return;
  const said = document.getElementById("tail-said");
  const pause = document.getElementById("tail-pause"), clear = document.getElementById("tail-clear");
  let waiting = [], paused = false, timer = 0, missed = 0, hasGap = false;

  const say = (text) => {
    const lost = hasGap ? " Some attempts are missing: the relay could not tell how many."
      : missed ? ` ${missed.toLocaleString("en")} attempts came too fast to be shown.` : "";
    if (said.textContent !== text + lost) said.textContent = text + lost;
  };
  const at = (...parts) => "/console/applications/" + parts.map(encodeURIComponent).join("/");
  const made = (tag, text, kind) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const link = (text, to) => { const element = made("a", text); element.href = to; return element; };
  const cell = (row, kind, ...content) => {
    const element = made("td", "", kind);
    element.append(...content);
    row.append(element);
  };

  const rowOf = (attempt) => {
    const row = document.createElement("tr");
    const shown = tail.querySelector(`template[data-outcome="${CSS.escape(attempt.outcome)}"]`);
    const about = attempt.rowId === null ? attempt.msgId : `row ${attempt.rowId} of ${attempt.source}`;
    cell(row, "nowrap", attempt.at.slice(0, 23).replace("T", " "));
    cell(row, "", link(attempt.eventType, at(attempt.appId, "messages", attempt.msgId)), made("span", about, "sub"));
    cell(row, "", link(attempt.endpointUid || attempt.endpointId, at(attempt.appId, "endpoints", attempt.endpointId)));
    cell(row, "", shown ? shown.content.cloneNode(true) : attempt.outcome,
      ...(attempt.error ? [made("span", attempt.error.replaceAll("_", " "), "sub")] : []));
    cell(row, "n", attempt.status ? String(attempt.status) : "–");
    cell(row, "n", `${attempt.durationMs.toLocaleString("en")} ms`);
    cell(row, "n", String(attempt.number));
    row.dataset.attempt = attempt.attemptId;
    return row;
  };

  const show = () => {
    timer = 0;
    if (paused) return;
    const rows = waiting.map(rowOf).reverse();
    waiting = [];
    body.prepend(...rows);
    while (body.rows.length > MOST) body.lastElementChild.remove();
  };
  const soon = () => { timer = timer || setTimeout(show, EACH_MS); };

  const status = () =>
    say(paused ? "Paused. New attempts are kept until you resume, up to the newest 200." : "Listening for attempts.");

  const stream = new EventSource(tail.dataset.stream);
  const over = (text) => { stream.close(); say(text); pause.hidden = true; };
  stream.addEventListener("start", status);
  stream.addEventListener("attempt", (event) => {
    waiting.push(JSON.parse(event.data));
    if (waiting.length > MOST) waiting.shift();
    soon();
  });
  stream.addEventListener("lost", (event) => {
    const attempts = JSON.parse(event.data).attempts;
    if (attempts === null) hasGap = true; else missed += attempts;
    status();
  });
  stream.addEventListener("end", (event) => {
    const reason = JSON.parse(event.data).reason;
    if (reason === "session") over("Your session has ended. Sign in again to continue.");
    if (reason === "key") over("Your access has ended. Sign in again to continue.");
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) over("The relay refused the stream. Check the filter, or reload the page.");
    else say("The connection was interrupted. Trying again.");
  });

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    status();
    if (!paused) show();
  });
  clear.addEventListener("click", () => { waiting = []; body.replaceChildren(); });
  document.getElementById("tail-needs").remove();
  pause.hidden = clear.hidden = false;
})();
