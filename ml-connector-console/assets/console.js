// Every page works without this. It copies, keeps distances fresh, and looks again where nothing is being typed.
"use strict";
const say = (text) => { const live = document.createElement("span"); live.className = "said"; live.setAttribute("role", "status"); live.textContent = text; return live; };

// What the script adds to a page, or to what has come into it.
const dress = (root) => {
  for (const code of root.querySelectorAll(".copy")) {
    if (!navigator.clipboard) break;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy " + code.textContent);
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(code.textContent); button.after(say(" copied")); } catch { button.after(say(" not copied")); }
      setTimeout(() => button.parentNode.querySelectorAll(".said").forEach((one) => one.remove()), 2000);
    });
    code.after(" ", button);
  }
  // The reader's own clock, beside the organization's and UTC.
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!isNaN(at)) time.title += "\nHere: " + at.toLocaleString();
  }
};
dress(document);

// The overview looks again by itself, unless somebody is at work on it.
const fresh = document.querySelector("main[data-refresh]");
if (fresh) {
  setInterval(async () => {
    if (document.hidden || fresh.contains(document.activeElement) || String(getSelection()) !== "") return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("main[data-refresh]");
      if (next) { fresh.replaceChildren(...next.childNodes); dress(fresh); }
    } catch { /* the next look may succeed */ }
  }, Number(fresh.dataset.refresh) * 1000);
}
