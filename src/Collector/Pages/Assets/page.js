// Keeps an open page up to date: fetches the same page anew and takes over what changed in the parts marked data-live.
// All rendering is the server's. What stays the same stays the same node, so focus, selection and scrolling stay as they are.
"use strict";
(() => {
  const intervalMs = 1000;
  const patienceMs = 8000;
  const maxAnnouncements = 3;
  const connection = document.getElementById("connection");
  const state = document.getElementById("state");
  const announcer = document.getElementById("announcer");
  const pause = document.getElementById("pause");
  const scripts = page => [...page.querySelectorAll("script[src]")].map(script => script.getAttribute("src")).join();
  const keyOf = node => node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || null : null;
  const news = () => new Map([...document.querySelectorAll("[data-announce]")].map(row => [keyOf(row) + "\n" + row.dataset.announce, row.dataset.announce]));
  let lastUpdate = new Date();
  let isPaused = false;
  let isLost = false;
  let timer = 0;
  let running = null;

  /** Makes a node's attributes and children equal to another's. */
  function take(node, next) {
    for (const { name } of [...node.attributes])
      if (!next.hasAttribute(name)) node.removeAttribute(name);
    for (const { name, value } of next.attributes)
      if (node.getAttribute(name) !== value) node.setAttribute(name, value);
    // What is gone goes first, so that what stays need not move: a node that moves loses the focus.
    const wantedKeys = new Set([...next.childNodes].map(keyOf));
    for (const child of [...node.childNodes])
      if (keyOf(child) && !wantedKeys.has(keyOf(child))) child.remove();
    const keyed = new Map([...node.childNodes].filter(keyOf).map(child => [keyOf(child), child]));
    let place = node.firstChild;
    for (const wanted of [...next.childNodes]) {
      const key = keyOf(wanted);
      let found = key ? keyed.get(key) : place && !keyOf(place) ? place : null;
      if (found && (found.nodeType !== wanted.nodeType || found.nodeName !== wanted.nodeName)) found = null;
      if (!found) {
        node.insertBefore(document.importNode(wanted, true), place);
        continue;
      }
      if (key) keyed.delete(key);
      if (found === place) place = place.nextSibling;
      else node.insertBefore(found, place);
      if (found.nodeType === Node.ELEMENT_NODE) take(found, wanted);
      else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
    }
    while (place) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
  }

  /** Has a screen reader say what is new, when it has said what it is saying. */
  function announce(texts) {
    if (texts.length === 0) return;
    announcer.textContent = texts.length > maxAnnouncements ? `${texts.length} changes` : texts.join(". ");
  }

  function apply(page) {
    // Another version of the program answers: its pages need its script.
    if (scripts(page) !== scripts(document)) {
      location.reload();
      return;
    }
    const before = news();
    const focused = document.activeElement;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.getElementById(part.id);
      if (next) take(part, next);
    }
    if (document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
    document.title = page.title;
    announce([...news()].filter(([key]) => !before.has(key)).map(([, text]) => text));
  }

  function tellLost(why) {
    if (isLost) return;
    isLost = true;
    connection.textContent = `${why} Last update ${lastUpdate.toISOString().slice(11, 19)} UTC. Trying again.`;
    connection.hidden = false;
    // What was so then need not be so now; the next update shows it again.
    state.hidden = true;
  }

  function tellFound() {
    lastUpdate = new Date();
    if (!isLost) return;
    isLost = false;
    connection.hidden = true;
    connection.textContent = "";
    announce(["The connection is back"]);
  }

  async function update() {
    const patience = setTimeout(() => running.abort(), patienceMs);
    running = new AbortController();
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: running.signal });
      const html = await answer.text();
      if (!answer.ok) throw new Error(`The collector answers ${answer.status}.`, { cause: "status" });
      tellFound();
      apply(new DOMParser().parseFromString(html, "text/html"));
    } catch (failure) {
      tellLost(failure.cause === "status" ? failure.message : "Connection lost.");
    } finally {
      clearTimeout(patience);
      running = null;
      schedule(intervalMs);
    }
  }

  function schedule(delayMs) {
    clearTimeout(timer);
    if (!isPaused && !document.hidden && !running) timer = setTimeout(update, delayMs);
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", isPaused);
    schedule(0);
  });
  document.addEventListener("visibilitychange", () => schedule(0));
  schedule(intervalMs);
})();
