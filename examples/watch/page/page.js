// Brings the page up to date in place, and shows times as the reader's clock does.
// Without scripts the page reloads itself instead, and times are UTC.
"use strict";

const page = document.body;
const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;

function localize(root) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const day = at.toDateString() === today ? {} : { day: "numeric", month: "short" };
    if (Math.abs(Date.now() - at) > 300 * 86400e3) day.year = "numeric";
    time.textContent = at.toLocaleString("en-GB", { hour: "2-digit", minute: "2-digit", ...day });
    time.title = at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "long" });
  }
  for (const name of root.querySelectorAll(".zone")) name.textContent = zone;
}

// morph makes a node like another one, and leaves alone what is the same already: the
// focus, a selection and opened details stay.
function morph(node, next) {
  if (node.nodeType !== next.nodeType || node.nodeName !== next.nodeName || node.id !== next.id) {
    node.replaceWith(next);
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.data !== next.data) node.data = next.data;
    return;
  }
  for (const { name } of [...node.attributes]) {
    if (!next.hasAttribute(name) && name !== "open") node.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  if (node.nodeName === "INPUT") return;
  let old = node.firstChild;
  for (const child of [...next.childNodes]) {
    const same = child.id && [...node.children].find((c) => c.id === child.id);
    if (same && same !== old) node.insertBefore(same, old);
    if (same) old = same;
    if (!old || (!same && old.id && !child.id)) {
      node.insertBefore(child, old);
      continue;
    }
    const after = old.nextSibling;
    morph(old, child);
    old = after;
  }
  while (old) {
    const after = old.nextSibling;
    old.remove();
    old = after;
  }
}

async function refresh() {
  try {
    const response = await fetch(location.href);
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    const live = next.getElementById("live");
    if (!live) throw new Error("this is not the page"); // but that of a proxy, for example
    localize(live);
    morph(document.getElementById("live"), document.adoptNode(live));
    document.title = next.title;
    page.classList.remove("offline");
  } catch {
    page.classList.add("offline");
  }
}

localize(document);
setInterval(() => {
  if (!document.hidden) refresh();
}, page.dataset.refresh * 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
document.addEventListener("submit", (event) => {
  for (const input of event.target.querySelectorAll("[type=datetime-local]")) {
    const at = new Date(input.value);
    input.type = "hidden"; // the server gets UTC
    input.value = at.toISOString().slice(0, 16) + "Z";
  }
});
