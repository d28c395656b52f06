// Brings the page up to date in place: the scroll position stays, and so do
// opened bodies. Without scripts the page reloads itself instead.
"use strict";

const page = document.body;

async function refresh() {
  try {
    const response = await fetch(location.href);
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    const live = next.getElementById("live");
    if (!live) throw new Error("this is not the page"); // but that of a proxy, for example
    const open = [...document.querySelectorAll("details[open]")].map((d) => d.id);
    document.getElementById("live").replaceWith(live);
    const names = document.querySelector("select"), newNames = next.querySelector("select");
    if (names && newNames && document.activeElement !== names) names.replaceChildren(...newNames.options);
    document.title = next.title;
    for (const id of open) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    page.classList.remove("offline");
  } catch {
    page.classList.add("offline");
  }
}

setInterval(() => {
  if (!document.hidden) refresh();
}, page.dataset.refresh * 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
for (const select of document.querySelectorAll("select")) {
  select.addEventListener("change", () => select.form.submit());
}
