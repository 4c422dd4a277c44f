// Asks again with the tag of what is shown, keeps the age of everything current, and tells when no answer comes.
// What is there is readable without it.
"use strict";
(() => {
  const live = document.getElementById("live");
  const connection = document.getElementById("connection");
  const readAt = document.getElementById("read-at");
  if (!live) return;
  let tag = live.dataset.tag;
  let lastAnswer = Date.now();
  const open = new Set();

  const clock = (date) => date.toISOString().slice(11, 19) + " UTC";
  const written = (seconds) => {
    const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
    let text = "";
    for (const [size, unit] of units) {
      const count = Math.floor(seconds / size);
      seconds -= count * size;
      if (count) text += count + unit;
    }
    return text || "0s";
  };
  const ages = () => {
    for (const each of document.querySelectorAll("time[data-ago]")) {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(each.dateTime)) / 1000));
      each.textContent = written(seconds);
    }
  };

  document.body.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["If-None-Match"] = `"${tag}"`;
  });
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden) event.preventDefault();
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    for (const each of live.querySelectorAll("details[id]")) {
      if (each.open) open.add(each.id);
      else open.delete(each.id);
    }
    const found = event.detail.xhr.getResponseHeader("ETag");
    if (event.detail.shouldSwap && found) tag = found.replace(/^W\//, "").replaceAll('"', "");
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr.status;
    if (status === 200 || status === 304) {
      lastAnswer = Date.now();
      const at = event.detail.xhr.getResponseHeader("Lockkeeper-Read-At");
      if (at && readAt) {
        readAt.dateTime = at;
        readAt.textContent = clock(new Date(at));
      }
      connection.textContent = "";
      document.body.classList.remove("away");
    } else if (status === 401 || status === 403) {
      location.reload();  // What is shown may not be shown any more; the page itself says why.
    } else {
      const why = status ? `The answer is an error (${status})` : "Lockkeeper does not answer";
      connection.textContent = `${why}; what is shown is from ${clock(new Date(lastAnswer))}.`;
      document.body.classList.add("away");
    }
  });
  setInterval(ages, 1000);
})();
