// A look at a box or a line changes the panel beside the map and nothing else, so that the reader keeps the place.
// Without this script the same links open the page with the panel filled.

const panel = () => document.getElementById("chosen");

async function look(link) {
  const address = link.getAttribute("href");
  panel().setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("chosen");
    if (!answer.ok || !fresh) return location.assign(address);
    panel().replaceWith(document.adoptNode(fresh));
    history.pushState(null, "", address);
    for (const one of document.querySelectorAll("[data-map] a[aria-current]")) one.removeAttribute("aria-current");
    for (const one of document.querySelectorAll("[data-map] a")) {
      if (one.getAttribute("href") === address.split("#")[0]) one.setAttribute("aria-current", "true");
    }
    // On a narrow screen the panel stands below the map.
    if (panel().getBoundingClientRect().top > innerHeight * 0.8) panel().scrollIntoView({ block: "start" });
  } catch {
    location.assign(address);
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-look]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button || !panel()) return;
  // A line from the start or to the end leads to a list of cases, on another page.
  if (new URL(link.getAttribute("href"), location).pathname !== location.pathname) return;
  event.preventDefault();
  look(link);
});

// A wide map opens on what was chosen, else on its start.
for (const map of document.querySelectorAll("[data-map]")) {
  const first = (map.querySelector("a[aria-current] .box, a[aria-current] .way") ?? map.querySelector(".end"))?.getBoundingClientRect();
  if (!first) continue;
  const frame = map.getBoundingClientRect();
  map.scrollLeft = first.left + first.width / 2 - frame.left - frame.width / 2;
  if (first.bottom > frame.bottom) map.scrollTop = first.top - frame.top - frame.height / 2;
}

window.addEventListener("popstate", () => location.reload());
