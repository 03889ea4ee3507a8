// Parts of a page that refresh themselves keep the focus, what is open, and how far tables are scrolled. If one cannot, the page says so.
"use strict";
(() => {
  const PLACES = "a[href], button, summary, input, select, textarea, [tabindex]";
  const stale = document.getElementById("stale");
  let kept = null;

  // What a place is called. The same place of the next page has the same name, even if rows came before it.
  const named = (place) => {
    const row = place.closest("[data-key]");
    const own = place.getAttribute("href") || place.getAttribute("aria-label") || (row ? "" : place.textContent.trim());
    return [row ? row.dataset.key : "", place.tagName, own].join("|");
  };
  const all = (part, what, isWanted = () => true) => new Map([...part.querySelectorAll(what)].filter(isWanted).map((each) => [named(each), each]));

  const isSelected = (part) => {
    const selection = document.getSelection();
    return !selection.isCollapsed && selection.containsNode(part, true);
  };

  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    kept = null;
    if (part.id !== "live") return;
    stale.hidden = !event.detail.isError;
    // Somebody copies a text: the next refresh is soon enough.
    if (isSelected(part)) { event.detail.shouldSwap = false; return; }
    const focused = part.contains(document.activeElement) ? named(document.activeElement) : null;
    const open = [...all(part, "details[data-key]", (each) => each.open).keys()];
    const closed = [...all(part, "details[data-key]", (each) => !each.open).keys()];
    const scrolled = [...all(part, ".scroll, .code")].map(([name, each]) => [name, each.scrollLeft, each.scrollTop]);
    kept = { focused, open, closed, scrolled };
  });

  document.addEventListener("htmx:sendError", (event) => { if (event.detail.target.id === "live") stale.hidden = false; });

  document.addEventListener("htmx:afterSwap", () => {
    const part = document.getElementById("live");
    if (!kept || !part) return;
    const { focused, open, closed, scrolled } = kept;
    const folds = all(part, "details[data-key]");
    for (const name of open) if (folds.has(name)) folds.get(name).open = true;
    for (const name of closed) if (folds.has(name)) folds.get(name).open = false;
    const scrolling = all(part, ".scroll, .code");
    for (const [name, left, top] of scrolled) if (scrolling.has(name)) scrolling.get(name).scrollTo(left, top);
    const place = focused === null ? null : all(part, PLACES).get(focused);
    if (place) place.focus({ preventScroll: true });
    kept = null;
  });
})();
