// The console's manners: keys, times, live regions, confirmations, theme, copying. No dependency, no eval.
// Pages declare everything by attributes:
//   data-key="a"            pressing the key clicks (or, for a field, focuses) the element; listed in the help dialog
//   data-rows, a.row        rows that j and k walk through; Enter follows the focused link
//   data-open / data-close  open the dialog with that id / close the surrounding one
//   data-confirm="text"     ask before the form is sent; data-confirm-yes names the button
//   data-live               a polled region: rests while the tab is hidden, a field inside it is in use, or text is selected
//   data-copy="text"        copy to the clipboard
//   data-autosubmit         send the form when a choice changes
//   time[datetime][data-ago]  "3 m ago", kept fresh

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const visible = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;

function stored(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(key);
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Storage may be forbidden; the page then simply forgets.
  }
  return null;
}

// ---- times

const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

/** "3 m", "2 h 5 m", "4 d": the largest unit, and the next below where it still matters. */
function span(seconds) {
  const at = UNITS.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [unit, size] = UNITS[at];
  const whole = Math.floor(seconds / size);
  const [nextUnit, nextSize] = UNITS[at + 1] ?? [];
  const rest = nextUnit && unit !== "m" && whole < 10 ? Math.floor((seconds % size) / nextSize) : 0;
  return `${whole}\u00a0${unit}` + (rest ? ` ${rest}\u00a0${nextUnit}` : "");
}

function freshenTimes(root = document) {
  for (const time of $$("time[data-ago]", root)) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (Number.isNaN(seconds)) continue;
    time.textContent = Math.abs(seconds) < 5 ? "just now" : seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
  }
}

// ---- messages

const toasts = () => $("#toasts");

function toast(text, tone = "info") {
  const template = $("#toast-template");
  if (!template || !toasts()) return;
  const item = template.content.firstElementChild.cloneNode(true);
  item.classList.add(tone);
  $("[data-text]", item).textContent = text;
  toasts().append(item);
  // Errors stay until they are dismissed: an operator under stress must not miss them.
  if (tone !== "error") setTimeout(() => item.remove(), 6000);
}

// ---- theme

function showTheme() {
  const theme = stored("theme") || "auto";
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of $$("[data-theme-set]")) button.setAttribute("aria-pressed", String(button.dataset.themeSet === theme));
}

// ---- dialogs and confirmations

let onYes = null;

function confirmFirst(text, yes, tone, act) {
  const dialog = $("#confirm");
  if (!dialog) return act();
  $("[data-text]", dialog).textContent = text;
  const button = $("[data-yes]", dialog);
  button.textContent = yes || "Go on";
  button.className = `btn ${tone || "main"}`;
  onYes = act;
  dialog.showModal();
  button.focus();
}

function openHelp() {
  const dialog = $("#help");
  const list = $("[data-keys]", dialog);
  list.replaceChildren();
  const seen = new Set();
  const add = (key, label) => {
    if (seen.has(key)) return;
    seen.add(key);
    const term = document.createElement("dt");
    const keycap = document.createElement("kbd");
    const meaning = document.createElement("dd");
    keycap.textContent = key.length === 1 ? key.toUpperCase() : key;
    meaning.textContent = label;
    term.append(keycap);
    list.append(term, meaning);
  };
  if ($("[data-rows] a.row")) [["J", "Next row"], ["K", "Previous row"], ["Enter", "Open the row"]].forEach(([key, label]) => add(key, label));
  for (const element of $$("[data-key]").filter(visible)) add(element.dataset.key, element.dataset.keyLabel || element.getAttribute("aria-label") || element.title || element.firstChild.textContent.trim());
  add("?", "This list");
  $("[data-keys-off]", dialog).checked = stored("keys") !== "off";
  dialog.showModal();
}

// ---- keys

function walk(step) {
  const rows = $$("[data-rows] a.row").filter(visible);
  if (!rows.length) return;
  const here = rows.findIndex((row) => row === document.activeElement || row.closest("tr, li")?.contains(document.activeElement));
  const next = rows[here < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, here + step))];
  next.focus();
  next.closest("tr, li")?.scrollIntoView({ block: "nearest" });
}

function press(key) {
  // Within the focused row first: on a list, "a" means this row's approval.
  const row = document.activeElement?.closest("tr, li");
  const wanted = `[data-key="${CSS.escape(key)}"]`;
  const target = [...(row ? $$(wanted, row) : []), ...$$(wanted)].find((element) => visible(element) && !element.disabled);
  if (!target) return false;
  if (target.matches("input, select, textarea")) {
    target.focus();
    target.select?.();
  } else target.click();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const typing = event.target.matches?.("input, select, textarea, [contenteditable]");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if ($("dialog[open]") || $(":popover-open")?.contains(event.target)) return;
  if (event.key === "?") openHelp();
  else if (stored("keys") === "off") return;
  else if (event.key === "j") walk(1);
  else if (event.key === "k") walk(-1);
  else if (event.key.length !== 1 || !press(event.key.toLowerCase())) return;
  event.preventDefault();
});

// ---- clicks, forms, folds: one listener each, so that swapped content needs no wiring

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-open], [data-close], [data-help], [data-copy], [data-theme-set], [data-dismiss], [data-yes], [data-print], a.cite");
  if (!element) return;
  if (element.matches("a.cite")) return void setTimeout(openTarget);
  if (element.dataset.open) document.getElementById(element.dataset.open)?.showModal();
  else if ("close" in element.dataset) element.closest("dialog")?.close();
  else if ("help" in element.dataset) openHelp();
  else if ("dismiss" in element.dataset) element.closest(".message")?.remove();
  else if ("print" in element.dataset) window.print();
  else if (element.dataset.themeSet) {
    stored("theme", element.dataset.themeSet === "auto" ? null : element.dataset.themeSet);
    showTheme();
  } else if ("yes" in element.dataset) {
    const act = onYes;
    onYes = null;
    element.closest("dialog").close();
    act?.();
  } else if (element.dataset.copy) {
    navigator.clipboard?.writeText(element.dataset.copy).then(() => toast("Copied."), () => toast("The browser did not allow copying.", "error"));
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  const question = button?.dataset.confirm ?? form.dataset.confirm;
  if (!question || form.dataset.confirmed) return delete form.dataset.confirmed;
  event.preventDefault();
  event.stopPropagation();
  const said = { ...form.dataset, ...button?.dataset };
  confirmFirst(question, said.confirmYes, said.confirmTone, () => {
    form.dataset.confirmed = "yes";
    form.requestSubmit(button);
  });
}, true);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-keys-off]")) stored("keys", event.target.checked ? null : "off");
  const form = event.target.closest("form[data-autosubmit]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
});

/** A link to a fold opens it: a citation shows its record. */
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target && (target.matches("details") ? target : target.closest("details"));
  if (fold) fold.open = true;
}

window.addEventListener("hashchange", openTarget);
window.addEventListener("beforeprint", () => $$("details:not([open])").forEach((fold) => { fold.open = true; fold.dataset.printed = ""; }));
window.addEventListener("afterprint", () => $$("details[data-printed]").forEach((fold) => { fold.open = false; delete fold.dataset.printed; }));

// ---- htmx: CSRF, live regions, focus, failures

const liveRegion = (element) => element?.closest?.("[data-live]");

/** True while replacing the region would take something out of the reader's hands. */
function inUse(region) {
  const active = document.activeElement;
  if (region.contains(active) && active.matches("input, select, textarea")) return true;
  if ($("dialog[open]", region)) return true;
  const selection = getSelection();
  return Boolean(selection && !selection.isCollapsed && region.contains(selection.anchorNode));
}

document.addEventListener("htmx:configRequest", (event) => {
  const token = $("meta[name=csrf-token]")?.content;
  if (token && event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = token;
});

document.addEventListener("htmx:confirm", (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  const { confirmYes, confirmTone } = event.detail.elt.dataset;
  confirmFirst(event.detail.question, confirmYes, confirmTone, () => event.detail.issueRequest(true));
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const region = liveRegion(event.detail.elt);
  if (region === event.detail.elt && (document.hidden || inUse(region))) event.preventDefault();
});

let focusMark = null;
let openFolds = [];

document.addEventListener("htmx:beforeSwap", (event) => {
  // A session that ended answers with the sign-in page; show it whole, not inside a table.
  if (event.detail.xhr.responseURL && new URL(event.detail.xhr.responseURL).pathname.includes("/login")) {
    event.detail.shouldSwap = false;
    return location.reload();
  }
  const region = liveRegion(event.detail.target);
  if (region && region === event.detail.elt && inUse(region)) event.detail.shouldSwap = false;
  const active = document.activeElement;
  const mark = active?.id ? `#${CSS.escape(active.id)}` : active?.getAttribute?.("href") ? `a[href="${CSS.escape(active.getAttribute("href"))}"]` : null;
  focusMark = event.detail.target.contains(active) ? mark : null;
  openFolds = $$("details[open][id]", event.detail.target).map((fold) => fold.id);
});

document.addEventListener("htmx:afterSwap", (event) => {
  freshenTimes();
  for (const id of openFolds) document.getElementById(id)?.setAttribute("open", "");
  if (focusMark && document.activeElement === document.body) $(focusMark)?.focus({ preventScroll: true });
  if (event.detail.target.matches?.("[data-announce]")) $("#announce").textContent = event.detail.target.dataset.announce;
});

document.addEventListener("htmx:responseError", (event) => {
  if (liveRegion(event.detail.elt) === event.detail.elt) return;
  const said = event.detail.xhr.getResponseHeader("X-Message");
  toast(said || `That was not done (answer ${event.detail.xhr.status}). Reload the page to see how things stand.`, "error");
});

let offline = false;
document.addEventListener("htmx:sendError", () => {
  if (!offline) toast("No connection to Goldseam. This page tries again by itself; nothing you typed is lost.", "error");
  offline = true;
});
document.addEventListener("htmx:afterOnLoad", () => {
  if (offline) {
    $$(".message.error", toasts()).forEach((item) => item.remove());
    toast("Connected again.", "success");
  }
  offline = false;
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  freshenTimes();
  for (const region of $$("[data-live]")) window.htmx?.trigger(region, "live");
});

// On a narrow screen the current tab of a long row would stand out of sight.
for (const tab of $$(".tabs a[aria-current]")) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 16;

showTheme();
freshenTimes();
openTarget();
setInterval(freshenTimes, 30_000, document);
